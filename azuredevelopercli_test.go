package identity

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/google/go-cmp/cmp"
	"github.com/keyless-go/identity/internal/command"
)

func azdOf(
	tb testing.TB, tool *fakeTool, options AzureDeveloperCLICredentialOptions,
) *AzureDeveloperCLICredential {
	tb.Helper()
	cred, err := newAzureDeveloperCLI(newShared(), &options, tool.env())
	if err != nil {
		tb.Fatal(err)
	}
	return cred
}

func TestAzureDeveloperCLIArguments(t *testing.T) {
	t.Parallel()
	encoded := base64.StdEncoding.EncodeToString([]byte(rejectedClaims))
	for _, tt := range []struct {
		name           string
		options        AzureDeveloperCLICredentialOptions
		scope          string
		tenant, claims string
		want           []string
	}{
		{name: "plain", options: AzureDeveloperCLICredentialOptions{}, scope: vaultScope},
		{name: "no suffix", options: AzureDeveloperCLICredentialOptions{},
			scope: "https://vault.azure.net"},
		{name: "tenant", options: AzureDeveloperCLICredentialOptions{TenantID: homeTenant},
			scope: vaultScope, want: []string{"--tenant-id", homeTenant}},
		{name: "tenant of the request", options: AzureDeveloperCLICredentialOptions{}, scope: vaultScope,
			tenant: otherTenant, want: []string{"--tenant-id", otherTenant}},
		{name: "claims", options: AzureDeveloperCLICredentialOptions{}, scope: vaultScope,
			claims: rejectedClaims, want: []string{"--claims", encoded}},
		{name: "all", options: AzureDeveloperCLICredentialOptions{TenantID: homeTenant,
			AdditionallyAllowedTenants: []string{otherTenant}}, scope: vaultScope, tenant: otherTenant, claims: rejectedClaims, want: []string{"--tenant-id", otherTenant, "--claims", encoded}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tool := granting(azdSays)
			if _, err := azdOf(t, tool, tt.options).GetToken(t.Context(),
				policy.TokenRequestOptions{Scopes: []string{tt.scope}, TenantID: tt.tenant,
					Claims: tt.claims}); err != nil {
				t.Fatal(err)
			}
			want := [][]string{append([]string{"auth", "token", "-o", "json", "--no-prompt", "--scope",
				vaultScope}, tt.want...)}
			if diff := cmp.Diff(want, tool.runs); diff != "" {
				t.Errorf("arguments (-want +got):\n%s", diff)
			}
		})
	}
}

// What azd prints with -o json, before 1.23.7 and since.
func azdMessage(text string) string {
	return fmt.Sprintf(`{"type":"consoleMessage","timestamp":"2026-04-14T22:02:36.154700776Z",`+
		`"data":{"message":%q}}`+"\n", text)
}

func azdError(text string) string {
	return fmt.Sprintf(`{"error":%q,"message":"Authentication with Azure failed.","suggestion":"Run `+
		`'azd auth login' to sign in again."}`+"\n", text)
}

func TestAzureDeveloperCLIFailures(t *testing.T) {
	t.Parallel()
	const refused = "fetching token: AADSTS90002: Tenant 'x' not found"
	checkToolFailures(t, developers[1], []toolFailure{
		{name: "not installed", err: command.ErrNotOnPath, unavailable: true,
			want: []string{"azd is not installed, or not on PATH", "install-azd", "azd auth login"}},
		{name: "not logged in",
			err:         exits(1, azdMessage("\nERROR: not logged in, run `azd auth login` to login\n")),
			unavailable: true,
			want:        []string{"nobody is logged in", "run azd auth login", "ERROR: not logged in"}},
		{name: "not logged in, since 1.23.7",
			err: exits(1, azdMessage("\n")+
				azdError("fetching token: not logged in, run `azd auth login` to login")),
			unavailable: true, want: []string{"nobody is logged in", "run azd auth login"}},
		{name: "not logged in, 2022",
			err:         exits(1, azdMessage("ERROR: not logged in, run `azd login` to login")),
			unavailable: true, want: []string{"nobody is logged in"}},
		{name: "not logged in, looking for a tenant",
			err: exits(1, azdError("resolving the Azure Directory from system environment "+
				"(AZURE_SUBSCRIPTION_ID): not logged in, run `azd auth login` to login")),
			unavailable: true, want: []string{"nobody is logged in"}},
		{name: "asks az, where nobody is logged in",
			err: exits(1, azdError("fetching token: AzureCLICredential: ERROR: Please run 'az login' to "+
				"setup account.\n")), unavailable: true, want: []string{"nobody is logged in", "run az login"}},
		{name: "asks az, which isn't there",
			err: exits(1,
				azdError("fetching token: AzureCLICredential: Azure CLI not found on path")),
			unavailable: true, want: []string{"run az login"}},
		{name: "the secret of a login can't be read",
			err: exits(1, azdError("loading secret: open /home/dev/.azd/auth/x.bin: permission denied: "+
				"not logged in, run `azd auth login` to login")),
			want: []string{"permission denied", "run azd auth login"}},
		{name: "another login wanted",
			err: exits(1, `{"error":"AADSTS50076: Due to a configuration change made by your `+
				`administrator, you must use multi-factor authentication. Trace ID: 0a Correlation ID: 0b `+
				`Timestamp: 2026-01-02 03:04:05Z","message":"Authentication with Azure `+
				`failed.","suggestion":"reauthentication required, run `+
				"`azd auth login --scope https://vault.azure.net/.default`"+` to acquire a new token."}`+
				"\n"), code: "AADSTS50076", want: []string{`multi-factor authentication."`, "azd asks for " +
				"azd auth login --scope https://vault.azure.net/.default"}},
		{name: "the same, 2024",
			err: exits(1, azdMessage("fetching token: reauthentication required, run `azd auth login "+
				"--scope https://vault.azure.net/.default` to log in\n")), want: []string{"run azd auth " +
				"login --scope https://vault.azure.net/.default"}},
		{name: "a dump of a response",
			err: exits(1, azdError("fetching token: failed to authenticate: POST "+
				"https://login.microsoftonline.com/x/oauth2/v2.0/token\n--------------------------------------------------------------------------------\nRESPONSE 400: 400 Bad Request\n--------------------------------------------------------------------------------\n{\n  \"error\": \"invalid_request\",\n  \"error_description\": \"AADSTS90002: Tenant 'x' not found. Trace ID: 0a\",\n  \"error_codes\": [\n    90002\n  ]\n}\n--------------------------------------------------------------------------------\n")), code: "AADSTS90002", want: []string{`"fetching token: failed to authenticate: POST https://login.microsoftonline.com/x/oauth2/v2.0/token, invalid_request: AADSTS90002: Tenant 'x' not found."`}},
		{name: "offline", err: exits(1,
			azdError("fetching token: failed to authenticate: Post "+
				"\"https://login.microsoftonline.com/x/oauth2/v2.0/token\": dial tcp: lookup "+
				"login.microsoftonline.com: no such host")),
			transient: true, want: []string{"no such host", "can azd reach Entra from here?"}},
		{name: "a connection that breaks",
			err: exits(1, azdError("fetching token: failed to authenticate: Post "+
				"\"https://login.microsoftonline.com/x/oauth2/v2.0/token\": read tcp "+
				"10.0.0.4:53124->20.190.151.7:443: read: connection reset by peer")),
			transient: true, want: []string{"can azd reach Entra from here?"}},
		{name: "a connection that ends",
			err: exits(1, azdError("fetching token: failed to authenticate: Post "+
				"\"https://login.microsoftonline.com/x/oauth2/v2.0/token\": EOF")),
			transient: true, want: []string{"can azd reach Entra from here?"}},
		{name: "Entra is slow",
			err: exits(1, azdError("fetching token: failed to authenticate: Post "+
				"\"https://login.microsoftonline.com/x/oauth2/v2.0/token\": context deadline exceeded "+
				"(Client.Timeout exceeded while awaiting headers)")),
			transient: true, want: []string{"can azd reach Entra from here?"}},
		{name: "a proxy that isn't there",
			err: exits(1, azdError("fetching token: failed to authenticate: Post "+
				"\"https://login.microsoftonline.com/x/oauth2/v2.0/token\": proxyconnect tcp: no route")),
			transient: true, want: []string{"can azd reach Entra from here?"}},
		{name: "an unknown authority",
			err: exits(1, azdError("fetching token: tls: failed to verify certificate: x509: certificate "+
				"signed by unknown authority")), want: []string{"does a proxy intercept TLS here?"}},
		{name: "old shape", err: exits(1, azdMessage("\nERROR: "+refused+"\n\n")+
			azdMessage("Suggestion: reauthentication required")),
			code: "AADSTS90002", want: []string{`"ERROR: ` + refused + `"`, "error?code=90002"}},
		{name: "new shape", err: exits(1, azdError(refused)), code: "AADSTS90002",
			want: []string{`"` + refused + `"`, "azd auth login"}},
		{name: "new shape behind an empty message", err: exits(1, azdMessage("\n")+azdError(refused)),
			code: "AADSTS90002", want: []string{`"` + refused + `"`}},
		{name: "new shape behind another message",
			err: exits(1, azdMessage("updating")+azdError(refused)), code: "AADSTS90002",
			want: []string{`"` + refused + `"`}},
		{name: "reauthentication",
			err: exits(1, azdError("fetching token: reauthentication required, run `azd auth login` to "+
				"sign in")), want: []string{"reauthentication required, run `azd auth login`"}},
		{name: "text", err: exits(1, "panic: oh\nno"), want: []string{`"panic: oh no"`}},
		{name: "without a word", err: exits(1, ""),
			want: []string{"azd ended with exit status 1 and without a word"}},
		{name: "no project", err: exits(1,
			azdError("no project exists; to create a new project, run `azd init`")),
			want: []string{"no project exists"}},
	})
}

func withClaims(
	ctx context.Context, cred *AzureDeveloperCLICredential, claims string,
) (string, error) {
	tk, err := cred.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{vaultScope},
		Claims: claims})
	return tk.Token, err
}

func TestAzureDeveloperCLIClaims(t *testing.T) {
	bubble(t, func(t *testing.T) {
		tool := granting(azdSays)
		cred := azdOf(t, tool, AzureDeveloperCLICredentialOptions{})
		mustToken(t, cred)
		for second := range 29 {
			if tk, err := withClaims(t.Context(), cred, fmt.Sprintf(`{"x":%d}`, second)); err != nil ||
				tk != "token-2" {
				t.Fatalf("after %d s: got %s, error %v, want token-2", second, tk, err)
			}
			time.Sleep(time.Second)
		}
		if tk, _ := mustToken(t, cred); tk.Token != "token-2" {
			t.Errorf("without claims: got %s, want token-2", tk.Token)
		}
		time.Sleep(2 * time.Second)
		if tk, err := withClaims(t.Context(), cred, rejectedClaims); err != nil || tk != "token-3" {
			t.Errorf("after 31 s: got %s, error %v, want token-3", tk, err)
		}
	})
}

// TestAzureDeveloperCLIClaimsInTheLog: azd takes them, unlike the hosts.
func TestAzureDeveloperCLIClaimsInTheLog(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var log bytes.Buffer
		cred := azdOf(t, granting(azdSays),
			AzureDeveloperCLICredentialOptions{Logger: slog.New(slog.NewJSONHandler(&log, nil))})
		if _, err := withClaims(t.Context(), cred, rejectedClaims); err != nil {
			t.Fatal(err)
		}
		if got := logged(t, &log); len(got) != 1 || got[0].Level != "INFO" ||
			got[0].Msg != "token acquired after a claims challenge" {
			t.Errorf("logged %+v", got)
		}
	})
}

func TestAzureDeveloperCLIFailedClaims(t *testing.T) {
	for _, tt := range []struct {
		name, stderr string
		err          error
		want         []string
	}{
		{name: "a second factor",
			stderr: azdError("fetching token: AADSTS50076: you must use multi-factor authentication"),
			want: []string{secondFactor, "run azd auth login --tenant-id " + homeTenant + " and try again",
				"AADSTS50076"}},
		{name: "reauthentication", stderr: azdError("reauthentication required"),
			want: []string{secondFactor, "run azd auth login --tenant-id " + homeTenant}},
		{name: "an old azd", stderr: "Error: unknown flag: --claims",
			want: []string{secondFactor, "update azd", "1.18.1"}},
		{name: "offline", stderr: azdError(`fetching token: Get "https://login.microsoftonline.com/x": ` +
			`dial tcp: lookup login.microsoftonline.com: no such host`), want: []string{"can azd reach " +
			"Entra from here?"}},
		{name: "Entra's own trouble",
			stderr: azdError("fetching token: AADSTS90033: A transient error has occurred. Please try again."), want: []string{"It may pass by itself"}},
		{name: "not installed", err: command.ErrNotOnPath, want: []string{"not installed"}},
		{name: "hangs", err: context.DeadlineExceeded, want: []string{"did not answer"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				tool := granting(azdSays)
				cred := azdOf(t, tool, AzureDeveloperCLICredentialOptions{TenantID: homeTenant})
				mustToken(t, cred)
				tool.answer = func(int) ([]byte, error) {
					if tt.err != nil {
						return nil, tt.err
					}
					return nil, exits(1, tt.stderr)
				}
				var wg sync.WaitGroup
				for range 20 {
					wg.Go(func() {
						_, err := withClaims(t.Context(), cred, rejectedClaims)
						wantErrorText(t, err, tt.want...)
						if encoded := base64.StdEncoding.EncodeToString([]byte(rejectedClaims)); strings.Contains(fmt.Sprint(err), encoded) {
							t.Errorf("the claims are in the error, which is logged: %v", err)
						}
						if errors.Is(err, ErrUnavailable) != (tt.err == command.ErrNotOnPath) {
							t.Errorf("ErrUnavailable: %v", err)
						}
					})
				}
				wg.Wait()
				for range 29 {
					time.Sleep(time.Second)
					if _, err := withClaims(t.Context(), cred, rejectedClaims); err == nil {
						t.Error("claims that failed brought a token")
					}
					if tk, _ := mustToken(t, cred); tk.Token != "token-1" {
						t.Errorf("without claims: got %s, want the held token", tk.Token)
					}
				}
				if tool.count() != 2 {
					t.Errorf("azd ran %d times in 30 s, want twice in all", tool.count())
				}
			})
		})
	}
}

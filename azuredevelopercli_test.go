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

func azdOf(tb testing.TB, tool *fakeTool, options AzureDeveloperCLICredentialOptions) *AzureDeveloperCLICredential {
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
		{"plain", AzureDeveloperCLICredentialOptions{}, vaultScope, "", "", nil},
		{"no suffix", AzureDeveloperCLICredentialOptions{}, "https://vault.azure.net", "", "", nil},
		{"tenant", AzureDeveloperCLICredentialOptions{TenantID: homeTenant}, vaultScope, "", "", []string{"--tenant-id", homeTenant}},
		{"tenant of the request", AzureDeveloperCLICredentialOptions{}, vaultScope, otherTenant, "", []string{"--tenant-id", otherTenant}},
		{"claims", AzureDeveloperCLICredentialOptions{}, vaultScope, "", rejectedClaims, []string{"--claims", encoded}},
		{"all", AzureDeveloperCLICredentialOptions{TenantID: homeTenant, AdditionallyAllowedTenants: []string{otherTenant}}, vaultScope, otherTenant, rejectedClaims, []string{"--tenant-id", otherTenant, "--claims", encoded}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tool := granting(azdSays)
			if _, err := azdOf(t, tool, tt.options).GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{tt.scope}, TenantID: tt.tenant, Claims: tt.claims}); err != nil {
				t.Fatal(err)
			}
			want := [][]string{append([]string{"auth", "token", "-o", "json", "--no-prompt", "--scope", vaultScope}, tt.want...)}
			if diff := cmp.Diff(want, tool.runs); diff != "" {
				t.Errorf("arguments (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAzureDeveloperCLIOutput(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	end := now.Add(time.Hour)
	for _, tt := range []struct{ name, out, err string }{
		{"UTC", `{"token":"t","expiresOn":"2026-03-04T06:06:07Z"}`, ""},
		{"another zone", `{"token":"t","expiresOn":"2026-03-04T08:06:07+02:00"}`, ""},
		{"the token's own is earlier", fmt.Sprintf(`{"token":%q,"expiresOn":"2026-03-04T07:06:07Z"}`, jwtOf(fmt.Sprintf(`{"exp":%d}`, end.Unix()))), ""},
		{"expired", `{"token":"t","expiresOn":"2026-03-04T05:06:07Z"}`, "the token expired"},
		{"no date", `{"token":"t"}`, "doesn't say when the token expires"},
		{"a number", `{"token":"t","expiresOn":1772604367}`, "doesn't say when the token expires"},
		{"no token", `{"expiresOn":"2026-03-04T06:06:07Z"}`, "no JSON object with a token"},
		{"an empty token", `{"token":"","expiresOn":"2026-03-04T06:06:07Z"}`, "no token"},
		{"an escape behind it", `{"token":"t","expiresOn":"2026-03-04T06:06:07Z"}` + "\x1b[0m\n", ""},
		{"a message before it", azdMessage("WARNING: update available") + `{"token":"t","expiresOn":"2026-03-04T06:06:07Z"}`, ""},
		{"a byte order mark", "\ufeff" + `{"token":"t","expiresOn":"2026-03-04T06:06:07Z"}`, ""},
		{"a line break", `{"token":"t\nX-Evil: 1","expiresOn":"2026-03-04T06:06:07Z"}`, "characters that no token has"},
		{"nothing", "", "no JSON object"},
		{"garbage", "WARNING: your version of azd is out of date", "no JSON object"},
		{"HTML", "<html>", "no JSON object"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := parseAzureDeveloperCLI([]byte(tt.out), now)
			switch {
			case tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err) || strings.Contains(err.Error(), "Evil")):
				t.Errorf("error is %v, want one with %q", err, tt.err)
			case tt.err == "" && (err != nil || !got.ExpiresOn.Equal(end) || got.Value == ""):
				t.Errorf("ends at %v, error %v, want %v", got.ExpiresOn, err, end)
			}
		})
	}
}

// What azd prints with -o json, before 1.23.7 and since.
func azdMessage(text string) string {
	return fmt.Sprintf(`{"type":"consoleMessage","timestamp":"2026-04-14T22:02:36.154700776Z","data":{"message":%q}}`+"\n", text)
}

func azdError(text string) string {
	return fmt.Sprintf(`{"error":%q,"message":"Authentication with Azure failed.","suggestion":"Run 'azd auth login' to sign in again."}`+"\n", text)
}

func TestAzureDeveloperCLIFailures(t *testing.T) {
	t.Parallel()
	const refused = "fetching token: AADSTS90002: Tenant 'x' not found"
	checkToolFailures(t, developers[1], []toolFailure{
		{"not installed", command.ErrNotOnPath, true, true, "", []string{"azd is not installed, or not on PATH", "install-azd", "azd auth login"}},
		{"not logged in", exits(1, azdMessage("\nERROR: not logged in, run `azd auth login` to login\n")), true, true, "", []string{"nobody is logged in", "run azd auth login", "ERROR: not logged in"}},
		{"not logged in, since 1.23.7", exits(1, azdMessage("\n")+azdError("fetching token: not logged in, run `azd auth login` to login")), true, true, "", []string{"nobody is logged in", "run azd auth login"}},
		{"not logged in, 2022", exits(1, azdMessage("ERROR: not logged in, run `azd login` to login")), true, true, "", []string{"nobody is logged in"}},
		{"not logged in, looking for a tenant", exits(1, azdError("resolving the Azure Directory from system environment (AZURE_SUBSCRIPTION_ID): not logged in, run `azd auth login` to login")), true, true, "", []string{"nobody is logged in"}},
		{"asks az, where nobody is logged in", exits(1, azdError("fetching token: AzureCLICredential: ERROR: Please run 'az login' to setup account.\n")), true, true, "", []string{"nobody is logged in", "run az login"}},
		{"asks az, which isn't there", exits(1, azdError("fetching token: AzureCLICredential: Azure CLI not found on path")), true, true, "", []string{"run az login"}},
		{"the secret of a login can't be read", exits(1, azdError("loading secret: open /home/dev/.azd/auth/x.bin: permission denied: not logged in, run `azd auth login` to login")), false, false, "", []string{"permission denied", "run azd auth login"}},
		{"another login wanted", exits(1, `{"error":"AADSTS50076: Due to a configuration change made by your administrator, you must use multi-factor authentication. Trace ID: 0a Correlation ID: 0b Timestamp: 2026-01-02 03:04:05Z","message":"Authentication with Azure failed.","suggestion":"reauthentication required, run `+"`azd auth login --scope https://vault.azure.net/.default`"+` to acquire a new token."}`+"\n"), false, false, "AADSTS50076", []string{`multi-factor authentication."`, "azd asks for azd auth login --scope https://vault.azure.net/.default"}},
		{"the same, 2024", exits(1, azdMessage("fetching token: reauthentication required, run `azd auth login --scope https://vault.azure.net/.default` to log in\n")), false, false, "", []string{"run azd auth login --scope https://vault.azure.net/.default"}},
		{"a dump of a response", exits(1, azdError("fetching token: failed to authenticate: POST https://login.microsoftonline.com/x/oauth2/v2.0/token\n--------------------------------------------------------------------------------\nRESPONSE 400: 400 Bad Request\n--------------------------------------------------------------------------------\n{\n  \"error\": \"invalid_request\",\n  \"error_description\": \"AADSTS90002: Tenant 'x' not found. Trace ID: 0a\",\n  \"error_codes\": [\n    90002\n  ]\n}\n--------------------------------------------------------------------------------\n")), false, false, "AADSTS90002", []string{`"fetching token: failed to authenticate: POST https://login.microsoftonline.com/x/oauth2/v2.0/token, invalid_request: AADSTS90002: Tenant 'x' not found."`}},
		{"offline", exits(1, azdError("fetching token: failed to authenticate: Post \"https://login.microsoftonline.com/x/oauth2/v2.0/token\": dial tcp: lookup login.microsoftonline.com: no such host")), false, true, "", []string{"no such host", "can azd reach Entra from here?"}},
		{"a connection that breaks", exits(1, azdError("fetching token: failed to authenticate: Post \"https://login.microsoftonline.com/x/oauth2/v2.0/token\": read tcp 10.0.0.4:53124->20.190.151.7:443: read: connection reset by peer")), false, true, "", []string{"can azd reach Entra from here?"}},
		{"a connection that ends", exits(1, azdError("fetching token: failed to authenticate: Post \"https://login.microsoftonline.com/x/oauth2/v2.0/token\": EOF")), false, true, "", []string{"can azd reach Entra from here?"}},
		{"Entra is slow", exits(1, azdError("fetching token: failed to authenticate: Post \"https://login.microsoftonline.com/x/oauth2/v2.0/token\": context deadline exceeded (Client.Timeout exceeded while awaiting headers)")), false, true, "", []string{"can azd reach Entra from here?"}},
		{"a proxy that isn't there", exits(1, azdError("fetching token: failed to authenticate: Post \"https://login.microsoftonline.com/x/oauth2/v2.0/token\": proxyconnect tcp: no route")), false, true, "", []string{"can azd reach Entra from here?"}},
		{"an unknown authority", exits(1, azdError("fetching token: tls: failed to verify certificate: x509: certificate signed by unknown authority")), false, false, "", []string{"does a proxy intercept TLS here?"}},
		{"old shape", exits(1, azdMessage("\nERROR: "+refused+"\n\n")+azdMessage("Suggestion: reauthentication required")), false, false, "AADSTS90002", []string{`"ERROR: ` + refused + `"`, "error?code=90002"}},
		{"new shape", exits(1, azdError(refused)), false, false, "AADSTS90002", []string{`"` + refused + `"`, "azd auth login"}},
		{"new shape behind an empty message", exits(1, azdMessage("\n")+azdError(refused)), false, false, "AADSTS90002", []string{`"` + refused + `"`}},
		{"new shape behind another message", exits(1, azdMessage("updating")+azdError(refused)), false, false, "AADSTS90002", []string{`"` + refused + `"`}},
		{"reauthentication", exits(1, azdError("fetching token: reauthentication required, run `azd auth login` to sign in")), false, false, "", []string{"reauthentication required, run `azd auth login`"}},
		{"text", exits(1, "panic: oh\nno"), false, false, "", []string{`"panic: oh no"`}},
		{"without a word", exits(1, ""), false, false, "", []string{"azd ended with exit status 1 and without a word"}},
		{"no project", exits(1, azdError("no project exists; to create a new project, run `azd init`")), false, false, "", []string{"no project exists"}},
	})
}

func withClaims(ctx context.Context, cred *AzureDeveloperCLICredential, claims string) (string, error) {
	tk, err := cred.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{vaultScope}, Claims: claims})
	return tk.Token, err
}

func TestAzureDeveloperCLIClaims(t *testing.T) {
	bubble(t, func(t *testing.T) {
		tool := granting(azdSays)
		cred := azdOf(t, tool, AzureDeveloperCLICredentialOptions{})
		mustToken(t, cred)
		for second := range 29 {
			if tk, err := withClaims(t.Context(), cred, fmt.Sprintf(`{"x":%d}`, second)); err != nil || tk != "token-2" {
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
		cred := azdOf(t, granting(azdSays), AzureDeveloperCLICredentialOptions{Logger: slog.New(slog.NewJSONHandler(&log, nil))})
		if _, err := withClaims(t.Context(), cred, rejectedClaims); err != nil {
			t.Fatal(err)
		}
		if got := logged(t, &log); len(got) != 1 || got[0].Level != "INFO" || got[0].Msg != "token acquired after a claims challenge" {
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
		{"a second factor", azdError("fetching token: AADSTS50076: you must use multi-factor authentication"), nil, []string{secondFactor, "run azd auth login --tenant-id " + homeTenant + " and try again", "AADSTS50076"}},
		{"reauthentication", azdError("reauthentication required"), nil, []string{secondFactor, "run azd auth login --tenant-id " + homeTenant}},
		{"an old azd", "Error: unknown flag: --claims", nil, []string{secondFactor, "update azd", "1.18.1"}},
		{"offline", azdError(`fetching token: Get "https://login.microsoftonline.com/x": dial tcp: lookup login.microsoftonline.com: no such host`), nil, []string{"can azd reach Entra from here?"}},
		{"Entra's own trouble", azdError("fetching token: AADSTS90033: A transient error has occurred. Please try again."), nil, []string{"It may pass by itself"}},
		{"not installed", "", command.ErrNotOnPath, []string{"not installed"}},
		{"hangs", "", context.DeadlineExceeded, []string{"did not answer"}},
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

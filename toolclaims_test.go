package identity

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

const secondFactor = "the resource wants more of the login than there is"

// rejects is a resource that has refused the held token.
func rejects(tb testing.TB, cred *AzureCLICredential) {
	tb.Helper()
	_, err := cred.GetToken(tb.Context(),
		policy.TokenRequestOptions{Scopes: []string{vaultScope}, Claims: rejectedClaims})
	wantErrorText(tb, err, secondFactor)
}

// TestAzureCLIClaims: az takes no claims, and isn't run with them.
func TestAzureCLIClaims(t *testing.T) {
	bubble(t, func(t *testing.T) {
		tool := granting(azSays)
		cred := azureCLIOf(t, tool, AzureCLICredentialOptions{TenantID: homeTenant,
			AdditionallyAllowedTenants: []string{"*"}})
		claims := `{"x":"` + strings.Repeat("~", 4000) + `"}` // of which nothing is cut
		_, err := cred.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{vaultScope},
			TenantID: otherTenant, Claims: claims})
		wantErrorText(t, err, "Azure CLI: "+secondFactor, "https://vault.azure.net",
			"run az login --tenant "+
				otherTenant+" --claims-challenge "+base64.StdEncoding.EncodeToString([]byte(claims))+
				" and try again")
		if e, ok := errors.AsType[*AuthenticationError](err); !ok || e.transient ||
			errors.Is(err, ErrUnavailable) || e.Attempts != 0 {
			t.Errorf("got %#v, want a definite *AuthenticationError", err)
		}
		if tool.count() != 0 {
			t.Errorf("az ran: %q", tool.runs)
		}
	})
}

// TestAzureCLIAfterAChallenge: the developer logs in again, and the next use has the new token,
// whatever its life.
func TestAzureCLIAfterAChallenge(t *testing.T) {
	for _, life := range []time.Duration{2 * time.Hour, 20 * time.Minute} {
		t.Run(life.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				tool := granting(azSays)
				cred := azureCLIOf(t, tool, AzureCLICredentialOptions{})
				rejects(t, cred) // nothing is held yet
				other, err := cred.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{armScope}})
				if err != nil {
					t.Fatal(err)
				}
				mustToken(t, cred)
				rejects(t, cred)
				tool.takes = time.Second
				tool.answer = func(n int) ([]byte, error) { return azSays(fmt.Sprint("token-", n), life), nil }
				for _, want := range []time.Duration{time.Second, 0} {
					if tk, took := mustToken(t, cred); tk.Token != "token-3" || took != want {
						t.Errorf("got %s after %v, want token-3 after %v", tk.Token, took, want)
					}
				}
				if tk, err := cred.GetToken(t.Context(), policy.TokenRequestOptions{
					Scopes: []string{armScope}}); err != nil || tk.Token != other.Token || tool.count() != 3 {
					t.Errorf("another resource's: got %v, error %v, %d runs, want %v and 3", tk.Token, err,
						tool.count(), other.Token)
				}
			})
		})
	}
}

// TestAzureCLIFailsAfterAChallenge: the refused token may do for other requests, and az is asked
// again.
func TestAzureCLIFailsAfterAChallenge(t *testing.T) {
	bubble(t, func(t *testing.T) {
		tool := granting(azSays)
		cred := azureCLIOf(t, tool, AzureCLICredentialOptions{})
		mustToken(t, cred)
		rejects(t, cred)
		works := tool.answer
		tool.answer = func(int) ([]byte, error) { return nil, exits(1, "ERROR: AADSTS50076: more") }
		for range 600 { // a minute
			if tk, _ := mustToken(t, cred); tk.Token != "token-1" {
				t.Fatalf("got %s, want the held token", tk.Token)
			}
			time.Sleep(100 * time.Millisecond)
		}
		if n := tool.count() - 1; n < 4 || n > 20 {
			t.Errorf("az ran %d times in a minute, want again and again, with cool-downs", n)
		}
		tool.answer = works // the developer has logged in
		time.Sleep(30 * time.Second)
		if tk, _ := mustToken(t, cred); tk.Token == "token-1" {
			t.Error("half a minute after the login the refused token is still handed out")
		}
	})
}

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

// withClaims asks azd for a token that meets a challenge.
func withClaims(
	ctx context.Context, cred *AzureDeveloperCLICredential, claims string,
) (string, error) {
	tk, err := cred.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{vaultScope},
		Claims: claims})
	return tk.Token, err
}

// TestAzureDeveloperCLIClaims: azd takes them, unlike most hosts, and is asked once in 30 s.
func TestAzureDeveloperCLIClaims(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var log lines
		cred := azdOf(t, granting(azdSays),
			AzureDeveloperCLICredentialOptions{Logger: slog.New(slog.NewTextHandler(&log, nil))})
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
		const want = `level=INFO msg="token acquired after a claims challenge"`
		if got := log.String(); strings.Count(got, want) != 1 || strings.Count(got, "\n") != 2 {
			t.Errorf("logged %q, want a line with %s", got, want)
		}
	})
}

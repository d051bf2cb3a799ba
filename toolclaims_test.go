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
	"testing/synctest"
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
		wantErrorText(t, err, "Azure CLI: "+secondFactor, "https://vault.azure.net", "run az login --tenant "+
			otherTenant+" --claims-challenge "+base64.StdEncoding.EncodeToString([]byte(claims))+" and try again")
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
				tool := &fakeTool{takes: time.Second, answer: func(n int) ([]byte, error) {
					if n == 1 {
						return azSays("token-1", time.Hour), nil
					}
					return azSays(fmt.Sprint("token-", n), life), nil
				}}
				cred := azureCLIOf(t, tool, AzureCLICredentialOptions{})
				other, err := cred.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{armScope}})
				if err != nil {
					t.Fatal(err)
				}
				tool.answer = func(n int) ([]byte, error) { // the first for the vault
					if n == 2 {
						return azSays("token-2", time.Hour), nil
					}
					return azSays(fmt.Sprint("token-", n), life), nil
				}
				mustToken(t, cred)
				rejects(t, cred)
				if tk, took := mustToken(t, cred); tk.Token != "token-3" || took != time.Second {
					t.Errorf("got %s after %v, want token-3 after 1s", tk.Token, took)
				}
				if tk, took := mustToken(t, cred); tk.Token != "token-3" || took != 0 {
					t.Errorf("then got %s after %v, want token-3 at once", tk.Token, took)
				}
				if tk, err := cred.GetToken(t.Context(),
					policy.TokenRequestOptions{Scopes: []string{armScope}}); err != nil ||
					tk.Token != other.Token {
					t.Errorf("another resource's: got %v, error %v, want %v", tk.Token, err, other.Token)
				}
				if tool.count() != 3 {
					t.Errorf("az ran %d times, want 3", tool.count())
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
		n := tool.count()
		mustToken(t, cred)
		synctest.Wait()
		if tool.count() != n {
			t.Error("az runs for a token that nobody has refused")
		}
	})
	t.Run("slow", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			tool := granting(azSays)
			cred := azureCLIOf(t, tool, AzureCLICredentialOptions{})
			mustToken(t, cred)
			rejects(t, cred)
			tool.takes = 5 * time.Second
			if tk, took := mustToken(t, cred); tk.Token != "token-1" || took != expiringWait {
				t.Errorf("got %s after %v, want the held token after %v", tk.Token, took, expiringWait)
			}
			time.Sleep(4 * time.Second)
			if tk, took := mustToken(t, cred); tk.Token != "token-2" || took != 0 {
				t.Errorf("got %s after %v, want token-2 at once", tk.Token, took)
			}
		})
	})
	t.Run("nothing held", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			tool := granting(azSays)
			cred := azureCLIOf(t, tool, AzureCLICredentialOptions{})
			rejects(t, cred)
			if n := len(cred.tokens.Stats(&cred.view)); n != 0 {
				t.Errorf("%d keys are held for a challenge", n)
			}
			mustToken(t, cred)
		})
	})
	t.Run("the same token again", func(t *testing.T) { // az has a cache of its own
		bubble(t, func(t *testing.T) {
			end := time.Now().Add(time.Hour)
			tool := &fakeTool{answer: func(int) ([]byte, error) { return azSays("t", time.Until(end)), nil }}
			cred := azureCLIOf(t, tool, AzureCLICredentialOptions{})
			first, _ := mustToken(t, cred)
			for range 5 {
				rejects(t, cred)
				mustToken(t, cred)
				time.Sleep(time.Minute)
			}
			tk, _ := mustToken(t, cred)
			if !tk.ExpiresOn.Equal(first.ExpiresOn) || tool.count() != 6 {
				t.Errorf("ends at %v, %d runs, want %v and 6", tk.ExpiresOn, tool.count(), first.ExpiresOn)
			}
		})
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

// TestAzureDeveloperCLIFailedClaims: one run for all, and the held token stays for those without
// claims.
func TestAzureDeveloperCLIFailedClaims(t *testing.T) {
	bubble(t, func(t *testing.T) {
		tool := granting(azdSays)
		cred := azdOf(t, tool, AzureDeveloperCLICredentialOptions{})
		mustToken(t, cred)
		tool.answer = func(int) ([]byte, error) { return nil, exits(1, "AADSTS50076: another factor") }
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				_, err := withClaims(t.Context(), cred, rejectedClaims)
				wantErrorText(t, err, secondFactor, "run azd auth login and try again", "AADSTS50076")
				if errors.Is(err, ErrUnavailable) {
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
}

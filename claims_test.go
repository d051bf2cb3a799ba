package identity

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/google/go-cmp/cmp"
	"github.com/keyless-go/identity/identitytest"
)

// withoutClaims runs a test at each of the hosts that have no parameter for a claims challenge.
// They repeat the token of their own cache until that ends, whatever a resource said of it.
//
// https://github.com/AzureAD/microsoft-authentication-library-for-dotnet/blob/main/docs/msiv1_token_revocation.md
func withoutClaims(t *testing.T, f func(t *testing.T, p place)) {
	t.Helper()
	ran := map[Host]bool{}
	for _, p := range places {
		switch p.host {
		case HostIMDS, HostAppService, HostAzureML, HostCloudShell, HostArc:
			ran[p.host] = true
			bubbleIn(t, p.name, func(t *testing.T) { f(t, p) })
		}
	}
	if len(ran) != 5 {
		t.Errorf("ran on %v, want five hosts", ran)
	}
}

// rejectedClaims is what azcore decodes from the WWW-Authenticate header of a resource.
const rejectedClaims = `{"access_token":{"nbf":{"essential":true,"value":"1604106651"},` +
	`"CLAIMSMARK":null}}`

// challengedFor asks for a scope's token as azcore does after a challenge.
func challengedFor(
	ctx context.Context, cred azcore.TokenCredential, scope, claims string,
) (azcore.AccessToken, error) {
	return cred.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{scope}, Claims: claims,
		EnableCAE: true, TenantID: "33333333-2222-4333-8444-555555555555"})
}

// mustChallenged is challengedFor the vault's token, which must come.
func mustChallenged(tb testing.TB, cred azcore.TokenCredential) azcore.AccessToken {
	tb.Helper()
	tk, err := challengedFor(tb.Context(), cred, vaultScope, rejectedClaims)
	if err != nil {
		tb.Fatal(err)
	}
	return tk
}

// sentParts are all that a request says, but for Arc's key, which is another one each time.
func sentParts(tb testing.TB, r *http.Request) string {
	tb.Helper()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		tb.Fatal(err)
	}
	r = r.Clone(context.Background())
	if r.Header.Get("Authorization") != "" {
		r.Header.Set("Authorization", "Basic KEY")
	}
	return wireFormat(r, "") + r.UserAgent() + "\n" + string(body)
}

// TestClaimsAreNotSent: a challenge, EnableCAE and a tenant change nothing in the request.
func TestClaimsAreNotSent(t *testing.T) {
	withoutClaims(t, func(t *testing.T, p place) {
		s := p.open(t)
		cred := s.credential(t)
		mustToken(t, cred)
		mustChallenged(t, cred)
		requests := s.ep.Requests()
		if len(requests) != 2*s.steps {
			t.Fatalf("%d requests, want %d", len(requests), 2*s.steps)
		}
		for i, r := range requests[s.steps:] {
			got, want := sentParts(t, r), sentParts(t, requests[i])
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("step %d: the challenge changes the request (-plain +challenged):\n%s", i+1, diff)
			}
			for _, word := range []string{"claims", "xms_cc", "token_sha256_to_refresh", "bypass_cache",
				"cp1", "nbf", "CLAIMSMARK", "33333333"} {
				if strings.Contains(strings.ToLower(got), strings.ToLower(word)) {
					t.Errorf("step %d: %s is in the request:\n%s", i+1, word, got)
				}
			}
		}
	})
}

// record is a line of the log.
type record struct {
	Level, Msg, Resource string
	Changed              *bool
	Error                string
}

// logged are the lines of a JSON log, which it empties.
func logged(tb testing.TB, log *bytes.Buffer) (records []record) {
	tb.Helper()
	synctest.Wait() // an acquisition logs after its callers have been served
	decoder := json.NewDecoder(log)
	for {
		var r record
		err := decoder.Decode(&r)
		if err == io.EOF {
			return records
		}
		if err != nil {
			tb.Fatal(err)
		}
		records = append(records, r)
	}
}

const hostDecides = "claims challenge: the host takes no claims, " +
	"its own cache decides whether the token changes"

// TestClaimsInTheLog: a person who looks for why a resource keeps refusing finds that it is the
// host's cache.
func TestClaimsInTheLog(t *testing.T) {
	withoutClaims(t, func(t *testing.T, p place) {
		for _, hostCache := range []bool{true, false} {
			s := p.open(t, func(o *identitytest.Options) { o.HostCache = hostCache })
			var log bytes.Buffer
			cred := s.credential(t, once, func(o *CredentialOptions) {
				o.Logger = slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
			})
			first, _ := mustToken(t, cred)
			if got := logged(t, &log); len(got) != 1 || got[0].Msg != "token acquired" {
				t.Fatalf("before the challenge: %+v", got)
			}
			for round := range 3 {
				tk := mustChallenged(t, cred)
				got, want := logged(t, &log), "INFO"
				if hostCache {
					want = "WARN"
				}
				if len(got) != 1 || got[0].Level != want || got[0].Msg != hostDecides ||
					got[0].Resource != "https://vault.azure.net" || got[0].Changed == nil ||
					*got[0].Changed == hostCache {
					t.Errorf("host cache %v, challenge %d: log is %+v, want one line at %s: %s", hostCache,
						round+1, got, want, hostDecides)
				}
				if (tk.Token == first.Token) != hostCache {
					t.Errorf("host cache %v: the token changed: %v", hostCache, tk.Token != first.Token)
				}
				time.Sleep(31 * time.Second)
			}
			// The claims may name a person or a place: they are the caller's business.
			mustChallenged(t, cred)
			synctest.Wait()
			if strings.Contains(log.String(), "CLAIMSMARK") || strings.Contains(log.String(), first.Token) {
				t.Errorf("the log has the claims or the token: %s", log.String())
			}
			log.Reset()
			// A failed one says that it failed, and that the token stays.
			time.Sleep(31 * time.Second)
			s.answer(s.own(503, s.problem("some_error", "some text")))
			if _, err := challengedFor(t.Context(), cred, vaultScope, rejectedClaims); err == nil {
				t.Error("a failed challenge brought a token")
			}
			if got := logged(t, &log); len(got) != 1 || got[0].Level != "WARN" ||
				!strings.Contains(got[0].Msg, "the held token stays in use") ||
				!strings.Contains(got[0].Error, "503") {
				t.Errorf("failed challenge: log is %+v", got)
			}
		}
	})
}

// TestClaimsWithoutAToken: a challenge may come to a process that has just started, from a token of
// another's.
func TestClaimsWithoutAToken(t *testing.T) {
	withoutClaims(t, func(t *testing.T, p place) {
		s := p.open(t, func(o *identitytest.Options) { o.HostCache = true })
		var log bytes.Buffer
		cred := s.credential(t, func(o *CredentialOptions) {
			o.Logger = slog.New(slog.NewJSONHandler(&log, nil))
		})
		tk := mustChallenged(t, cred)
		if got := logged(t, &log); len(got) != 1 || got[0].Level != "INFO" || got[0].Msg != hostDecides {
			t.Errorf("log is %+v, want one line at INFO: nobody knows that the token was rejected", got)
		}
		plain, took := mustToken(t, cred)
		if plain.Token != tk.Token || took != 0 || s.sent() != s.steps {
			t.Errorf("the token isn't there for others: another %v, after %v and %d requests",
				plain.Token != tk.Token, took, s.sent())
		}
	})
}

// TestUnchangedTokenKeepsItsRenewal: being asked again, the host's cache repeats the token. It must
// not be renewed later for that than it would have been, nor every 30 s from then on.
func TestUnchangedTokenKeepsItsRenewal(t *testing.T) {
	withoutClaims(t, func(t *testing.T, p place) {
		s := p.open(t, func(o *identitytest.Options) { o.HostCache = true })
		cred := s.credential(t)
		first, _ := mustToken(t, cred)
		for range 100 {
			tk := mustChallenged(t, cred)
			if !tk.ExpiresOn.Equal(first.ExpiresOn) || tk.Token != first.Token {
				t.Fatalf("the token's end moved from %v to %v", first.ExpiresOn, tk.ExpiresOn)
			}
			left, due := time.Until(tk.ExpiresOn), time.Until(tk.RefreshOn)
			if due > left*56/100 || due < left*44/100 {
				t.Fatalf("with %v left it is renewed in %v, want about half of it", left, due)
			}
			time.Sleep(5 * time.Minute)
		}
	})
}

// challenged asks for the vault's token after a claims challenge.
func challenged(ctx context.Context, cred azcore.TokenCredential) (azcore.AccessToken, error) {
	return cred.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{vaultScope}, EnableCAE: true,
		Claims: `{"access_token":{"nbf":{"essential":true}}}`})
}

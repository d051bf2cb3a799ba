package identity

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity/internal/tokencache"
	"github.com/keyless-go/identity/internal/transport"
)

// The benchmarks come in pairs that run in the same process: "identity" and the "baseline" of the
// work that can't be avoided. What counts is their ratio; a hit is to stay within 1.25 of its
// baseline.

// bareCache is the least that a GetToken can do for a hit: one lock-free look-up, one reading of
// the clock, one copy.
type bareCache struct {
	tokens atomic.Pointer[map[string]*azcore.AccessToken]
}

func (c *bareCache) GetToken(
	_ context.Context, options policy.TokenRequestOptions,
) (azcore.AccessToken, error) {
	t := (*c.tokens.Load())[options.Scopes[0]]
	if t == nil || !time.Now().Before(t.ExpiresOn) {
		return azcore.AccessToken{}, errors.New("not held")
	}
	return *t, nil
}

// scopesOf makes n scopes.
func scopesOf(n int) []string {
	scopes := make([]string, n)
	for i := range scopes {
		scopes[i] = fmt.Sprintf("https://resource-%05d.azure.net/.default", i)
	}
	return scopes
}

// answerDirectly is a Transport that grants every request a day's token.
type answerDirectly struct{ requests atomic.Int64 }

func (a *answerDirectly) Do(req *http.Request) (*http.Response, error) {
	token := fmt.Sprintf("token-%d", a.requests.Add(1))
	resp := respond(http.StatusOK, grantBody(token, 24*time.Hour))
	resp.Request = req
	return resp, nil
}

// benchmarkHits asks for a token without end. It is one of the scopes from least on, in turn.
func benchmarkHits(b *testing.B, cred azcore.TokenCredential, scopes []string, least int) {
	b.ReportAllocs()
	ctx, i := context.Background(), least
	for b.Loop() {
		if _, err := cred.GetToken(ctx, policy.TokenRequestOptions{Scopes: scopes[i : i+1]}); err != nil {
			b.Fatal(err)
		}
		if i++; i == len(scopes) {
			i = least
		}
	}
}

// BenchmarkHit is of one token, and of 10,000: of the last of them, since the number of keys must
// not show, and of each in turn, so that memory, too, is part of the picture.
func BenchmarkHit(b *testing.B) {
	for _, bench := range []struct {
		name        string
		held, least int
	}{{"one", 1, 0}, {"the last of 10,000", 10_000, 9_999}, {"each of 10,000", 10_000, 0}} {
		scopes, tokens, bare := scopesOf(bench.held), map[string]*azcore.AccessToken{}, &bareCache{}
		ours := onIMDS(b, &answerDirectly{})
		for range 3 { // the index is complete after as many look-ups as it has entries
			for _, scope := range scopes {
				token, err := tokenFor(b.Context(), ours, scope)
				if err != nil {
					b.Fatal(err)
				}
				tokens[scope] = &token
			}
		}
		bare.tokens.Store(&tokens)
		b.Run(bench.name+"/identity", func(b *testing.B) { benchmarkHits(b, ours, scopes, bench.least) })
		b.Run(bench.name+"/baseline", func(b *testing.B) { benchmarkHits(b, bare, scopes, bench.least) })
		b.Run(bench.name+"/parallel", func(b *testing.B) {
			options := policy.TokenRequestOptions{Scopes: scopes[bench.least : bench.least+1]}
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					_, _ = ours.GetToken(context.Background(), options)
				}
			})
		})
	}
}

// BenchmarkCold asks a server on loopback for a token that nobody holds; the baseline is a bare
// HTTP request on the same connection policy, and reading its JSON.
func BenchmarkCold(b *testing.B) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprint(w, grantBody("token", 24*time.Hour))
	}))
	b.Cleanup(server.Close)
	b.Run("identity", func(b *testing.B) {
		b.ReportAllocs()
		cred := credentialAt(b, environmentOf(map[string]string{envAuthority: server.URL}), nil)
		identity, terms := cacheKey(cred.hosted.host), cred.hosted.termsOf(policy.RetryOptions{})
		for b.Loop() {
			cred.tokens = tokencache.New()
			cred.view = tokencache.NewView(identity, tokencache.Variant{}, terms)
			if _, err := getToken(b.Context(), cred); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("baseline", func(b *testing.B) {
		b.ReportAllocs()
		url := server.URL + imdsPath + "?api-version=2018-02-01&resource=https%3A%2F%2Fvault.azure.net"
		for b.Loop() {
			req, err := http.NewRequestWithContext(b.Context(), http.MethodGet, url, nil)
			if err != nil {
				b.Fatal(err)
			}
			req.Header.Set("Metadata", "true")
			resp, err := transport.Node.Do(req)
			if err != nil {
				b.Fatal(err)
			}
			var token struct {
				AccessToken string `json:"access_token"`
				ExpiresOn   string `json:"expires_on"`
			}
			err = json.NewDecoder(resp.Body).Decode(&token)
			_ = resp.Body.Close()
			if err != nil || token.AccessToken == "" {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkNewCredential makes a credential and hits the warm cache with it, as services do that
// make one per request.
func BenchmarkNewCredential(b *testing.B) {
	env, shared, transport := nowhere(), newShared(), &answerDirectly{}
	b.ReportAllocs()
	for b.Loop() {
		cred, err := newCredentialIn(shared, &CredentialOptions{ClientOptions: optionsWith(transport)},
			env)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := getToken(b.Context(), cred); err != nil {
			b.Fatal(err)
		}
	}
	if n := transport.requests.Load(); n != 1 {
		b.Errorf("got %d requests, want 1", n)
	}
}

// BenchmarkHitThroughChain is what a chain adds to a hit: of the first source, of the second, and
// of the default chain.
func BenchmarkHitThroughChain(b *testing.B) {
	cred := onIMDS(b, &answerDirectly{})
	for name, cred := range map[string]azcore.TokenCredential{
		"bare": cred, "first": mustChain(b, nil, cred),
		"second": mustChain(b, nil, &scripted{err: errAway}, cred),
		"default": must(newDefaultCredential(newShared(),
			&DefaultCredentialOptions{ClientOptions: optionsWith(&answerDirectly{})}, nowhere()))(b),
	} {
		mustToken(b, cred)
		b.Run(name, func(b *testing.B) { benchmarkHits(b, cred, []string{vaultScope}, 0) })
	}
}

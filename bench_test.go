package identity

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity/internal/tokencache"
	"github.com/keyless-go/identity/internal/transport"
)

// The benchmarks come in pairs that run in the same process: "identity" and the "baseline" of the work that can't be
// avoided. What counts is their ratio; a hit is to stay within 1.25 of its baseline.

// bareCache is the least that a GetToken can do for a hit: one lock-free look-up, one reading of the clock, one copy.
type bareCache struct {
	tokens atomic.Pointer[map[string]*azcore.AccessToken]
}

func (c *bareCache) GetToken(_ context.Context, options policy.TokenRequestOptions) (azcore.AccessToken, error) {
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
	n := a.requests.Add(1)
	body := fmt.Sprintf(`{"access_token":"token-%d","expires_on":"%d","token_type":"Bearer"}`, n, time.Now().Add(24*time.Hour).Unix())
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: req}, nil
}

// warm returns a credential and a baseline that both hold a token for each scope.
func warm(tb testing.TB, scopes []string) (ours, baseline azcore.TokenCredential) {
	tb.Helper()
	cred, err := NewCredential(&CredentialOptions{Host: HostIMDS, ClientOptions: azcore.ClientOptions{Transport: &answerDirectly{}}})
	if err != nil {
		tb.Fatal(err)
	}
	tokens := map[string]*azcore.AccessToken{}
	for range 3 { // the index is complete after as many look-ups as it has entries
		for _, scope := range scopes {
			token, err := cred.GetToken(context.Background(), policy.TokenRequestOptions{Scopes: []string{scope}})
			if err != nil {
				tb.Fatal(err)
			}
			tokens[scope] = &token
		}
	}
	bare := &bareCache{}
	bare.tokens.Store(&tokens)
	return cred, bare
}

// pair runs one benchmark for both.
func pair(b *testing.B, scopes []string, run func(b *testing.B, cred azcore.TokenCredential)) {
	ours, baseline := warm(b, scopes)
	b.Run("identity", func(b *testing.B) { b.ReportAllocs(); run(b, ours) })
	b.Run("baseline", func(b *testing.B) { b.ReportAllocs(); run(b, baseline) })
}

func BenchmarkHit(b *testing.B) {
	scopes := scopesOf(1)
	pair(b, scopes, func(b *testing.B, cred azcore.TokenCredential) {
		ctx, options := context.Background(), policy.TokenRequestOptions{Scopes: scopes}
		for b.Loop() {
			if _, err := cred.GetToken(ctx, options); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkHitParallel(b *testing.B) {
	scopes := scopesOf(1)
	pair(b, scopes, func(b *testing.B, cred azcore.TokenCredential) {
		ctx, options := context.Background(), policy.TokenRequestOptions{Scopes: scopes}
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, err := cred.GetToken(ctx, options); err != nil {
					b.Error(err)
				}
			}
		})
	})
}

// BenchmarkHit10000Keys asks for one token while 10,000 are held: the number of keys must not show.
func BenchmarkHit10000Keys(b *testing.B) {
	scopes := scopesOf(10_000)
	pair(b, scopes, func(b *testing.B, cred azcore.TokenCredential) {
		ctx, options := context.Background(), policy.TokenRequestOptions{Scopes: scopes[5000:5001]}
		for b.Loop() {
			if _, err := cred.GetToken(ctx, options); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkHitEachOf10000Keys asks for them in turn, so that memory, too, is part of the picture.
func BenchmarkHitEachOf10000Keys(b *testing.B) {
	scopes := scopesOf(10_000)
	pair(b, scopes, func(b *testing.B, cred azcore.TokenCredential) {
		ctx, i := context.Background(), 0
		for b.Loop() {
			if _, err := cred.GetToken(ctx, policy.TokenRequestOptions{Scopes: scopes[i : i+1]}); err != nil {
				b.Fatal(err)
			}
			if i++; i == len(scopes) {
				i = 0
			}
		}
	})
}

// BenchmarkCold asks a server on loopback for a token that nobody holds; the baseline is a bare HTTP request on the same
// connection policy, and reading its JSON.
func BenchmarkCold(b *testing.B) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"access_token":"token","expires_on":"%d","token_type":"Bearer"}`, time.Now().Add(24*time.Hour).Unix())
	}))
	b.Cleanup(server.Close)
	options := policy.TokenRequestOptions{Scopes: []string{"https://vault.azure.net/.default"}}

	b.Run("identity", func(b *testing.B) {
		b.ReportAllocs()
		env := environment{getenv: func(name string) string {
			if name == envAuthority {
				return server.URL
			}
			return ""
		}, exists: func(string) bool { return false }}
		cred, err := newCredential(nil, env)
		if err != nil {
			b.Fatal(err)
		}
		identity, terms := cacheKey(cred.hosted.host), cred.hosted.termsOf(policy.RetryOptions{})
		for b.Loop() {
			cred.tokens = tokencache.New()
			cred.view = tokencache.NewView(identity, tokencache.Variant{}, terms)
			if _, err := cred.GetToken(b.Context(), options); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("baseline", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			req, err := http.NewRequestWithContext(b.Context(), http.MethodGet, server.URL+imdsPath+"?api-version=2018-02-01&resource=https%3A%2F%2Fvault.azure.net", nil)
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

// BenchmarkNewCredential makes a credential and hits the warm cache with it, as services do that make one per request.
func BenchmarkNewCredential(b *testing.B) {
	env := environment{getenv: func(string) string { return "" }, exists: func(string) bool { return false }}
	shared := newShared()
	options := policy.TokenRequestOptions{Scopes: []string{"https://vault.azure.net/.default"}}
	transport := &answerDirectly{}
	b.ReportAllocs()
	for b.Loop() {
		cred, err := newCredentialIn(shared, &CredentialOptions{ClientOptions: azcore.ClientOptions{Transport: transport}}, env)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := cred.GetToken(b.Context(), options); err != nil {
			b.Fatal(err)
		}
	}
	if n := transport.requests.Load(); n != 1 {
		b.Errorf("got %d requests, want 1", n)
	}
}

// BenchmarkHitThroughChain is what a chain adds to a hit: of the first source, of the second, and of the default chain.
func BenchmarkHitThroughChain(b *testing.B) {
	cred, err := NewCredential(&CredentialOptions{Host: HostIMDS, ClientOptions: azcore.ClientOptions{Transport: &answerDirectly{}}})
	if err != nil {
		b.Fatal(err)
	}
	def, err := newDefaultCredential(newShared(), &DefaultCredentialOptions{ClientOptions: azcore.ClientOptions{Transport: &answerDirectly{}}}, nowhere())
	if err != nil {
		b.Fatal(err)
	}
	for _, bb := range []struct {
		name string
		cred azcore.TokenCredential
	}{
		{"bare", cred},
		{"first", mustChain(b, nil, cred)},
		{"second", mustChain(b, nil, &scripted{err: errAway}, cred)},
		{"default", def},
	} {
		ctx, options := context.Background(), policy.TokenRequestOptions{Scopes: []string{vaultScope}}
		mustToken(b, bb.cred)
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := bb.cred.GetToken(ctx, options); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

package identityoauth2

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/keyless-go/identity/identitytest"
	"golang.org/x/oauth2"
)

// BenchmarkRequest is what a request over TLS costs, with a token that is captured and with ours,
// and BenchmarkToken what the token's part of it is.
func BenchmarkRequest(b *testing.B) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	for name, source := range sources(b) {
		b.Run(name, func(b *testing.B) {
			client := &http.Client{Transport: &oauth2.Transport{
				Source: source, Base: server.Client().Transport}}
			for b.Loop() {
				resp, err := client.Get(server.URL)
				if err != nil {
					b.Fatal(err)
				}
				io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
		})
	}
}

func BenchmarkToken(b *testing.B) {
	for name, source := range sources(b) {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := source.Token(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func sources(b *testing.B) map[string]oauth2.TokenSource {
	cred := onIMDS(b, identitytest.NewIMDS(nil))
	ours := TokenSource(b.Context(), cred, scope)
	return map[string]oauth2.TokenSource{"static": naiveStatic(b, cred), "ours": ours,
		"ours in NewClient's cache": oauth2.ReuseTokenSource(nil, ours)}
}

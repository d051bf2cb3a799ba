package identityoauth2

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keyless-go/identity"
	"github.com/keyless-go/identity/identitytest"
	"golang.org/x/oauth2"
)

// TestDeadline is why the documentation prefers identity.Transport: with the same hanging host it
// keeps the request's deadline.
func TestDeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for _, tt := range []struct {
			name   string
			client *http.Client
			want   time.Duration
		}{
			{"oauth2.NewClient", new(api).client(t.Context(), TokenSource(t.Context(), hanging(), scope)),
				limit},
			{"identity.Transport", &http.Client{Transport: &identity.Transport{
				Credential: hanging(), Scope: scope, Base: new(api)}}, time.Second},
		} {
			start := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			err := get(ctx, tt.client)
			if took := time.Since(start); !errors.Is(err, context.DeadlineExceeded) || took != tt.want {
				t.Errorf("%s: a request with 1 s took %v, want %v: %v", tt.name, took, tt.want, err)
			}
		}
	})
}

// TestWhereTheTokenGoes has the rest of what the documentation says of oauth2's client.
func TestWhereTheTokenGoes(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	with := map[string]bool{} // servers that got a token
	served := func(name, redirect string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			with[name] = r.Header.Get("Authorization") != ""
			mu.Unlock()
			if redirect != "" {
				http.Redirect(w, r, redirect, http.StatusFound)
			}
		}
	}
	plain := httptest.NewServer(served("plain", ""))
	defer plain.Close()
	other := httptest.NewTLSServer(served("other", ""))
	defer other.Close()
	own := httptest.NewTLSServer(served("own", other.URL))
	defer own.Close()
	base := own.Client().Transport // both have the same certificate
	cred := onIMDS(t, identitytest.NewIMDS(nil))
	ask := func(url string, transport http.RoundTripper) error {
		clear(with)
		resp, err := (&http.Client{Transport: transport}).Get(url)
		if err == nil {
			resp.Body.Close()
		}
		return err
	}
	theirs := &oauth2.Transport{Source: TokenSource(t.Context(), cred, scope), Base: base}
	if err := ask(plain.URL, theirs); err != nil || !with["plain"] {
		t.Errorf("oauth2 over plain http: %v, %v", err, with)
	}
	if err := ask(own.URL, theirs); err != nil || !with["own"] || !with["other"] {
		t.Errorf("oauth2 with a redirect: %v, %v", err, with)
	}
	ours := &identity.Transport{Credential: cred, Scope: scope, Base: base}
	if err := ask(plain.URL, ours); err == nil || with["plain"] ||
		!strings.Contains(err.Error(), "http") {
		t.Errorf("identity.Transport over plain http: %v, %v", err, with)
	}
	if err := ask(own.URL, ours); err != nil || !with["own"] || with["other"] {
		t.Errorf("identity.Transport with a redirect: %v, %v", err, with)
	}
}

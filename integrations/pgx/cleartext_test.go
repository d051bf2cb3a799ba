package identitypgx_test

import (
	"crypto/tls"
	"strings"
	"testing"

	identitypgx "github.com/keyless-go/identity/integrations/pgx"
	"github.com/keyless-go/identity/integrations/pgx/internal/pgtest"
)

// TestClearText: a token is asked for only if it stays on this machine, or in TLS.
func TestClearText(t *testing.T) {
	t.Parallel()
	tests := map[string]bool{ // whether it is refused
		"host=" + azure:                           true, // prefer is the default
		"host=" + azure + " sslmode=prefer":       true,
		"host=" + azure + " sslmode=allow":        true,
		"host=" + azure + " sslmode=disable":      true,
		"host=" + azure + " sslmode=require":      false,
		"host=" + azure + " sslmode=verify-full":  false,
		"postgres://10.0.0.4/x?sslmode=disable":   true,
		"host=0.0.0.0 sslmode=disable":            true,
		"host=localhost.example sslmode=disable":  true,
		"host=127.0.0.1 sslmode=disable":          false,
		"host=127.9.9.9":                          false,
		"host=::1 sslmode=disable":                false,
		"host=LOCALHOST. sslmode=allow":           false,
		"host=/run/postgresql":                    false,
		"host=/run/postgresql," + azure:           true,
		"host=127.0.0.1,10.0.0.4 sslmode=allow":   true,
		"host=127.0.0.1,10.0.0.4 sslmode=require": false,
	}
	for connString, refused := range tests {
		endpoint := pgtest.UserAssigned("orders")
		config := parse(t, connString, pgtest.NewServer(t))
		before := identitypgx.BeforeConnect(pgtest.NewCredential(t, endpoint), options)
		checkClearText(t, connString, before(t.Context(), config), refused)
		if got := len(endpoint.Requests()) == 0; got != refused {
			t.Errorf("%s: asked for a token: %v, want %v", connString, !got, !refused)
		}
		if got := config.Password == ""; got != refused {
			t.Errorf("%s: has a password: %v, want %v", connString, !got, !refused)
		}
	}
}

func checkClearText(t *testing.T, connString string, err error, refused bool) {
	t.Helper()
	switch {
	case !refused && err != nil:
		t.Errorf("%s: %v", connString, err)
	case refused && (err == nil || !strings.Contains(err.Error(), "sslmode=verify-full")):
		t.Errorf("%s: got %v, want an error that says which sslmode to set", connString, err)
	}
}

// TestStaleFallback: TLS that a program has set in the config is not TLS in its fallbacks.
func TestStaleFallback(t *testing.T) {
	t.Parallel()
	config := parse(t, "host="+azure+" sslmode=prefer", pgtest.NewServer(t))
	config.TLSConfig = &tls.Config{ServerName: azure}
	before := identitypgx.BeforeConnect(
		pgtest.NewCredential(t, pgtest.UserAssigned("orders")), options)
	checkClearText(t, "a stale fallback", before(t.Context(), config), true)
	config.Fallbacks = nil
	checkClearText(t, "no fallback", before(t.Context(), config), false)
}

// TestNaiveSendsClearText: with pgx's default, an attacker who can keep TLS from coming up gets the
// token.
func TestNaiveSendsClearText(t *testing.T) {
	t.Parallel()
	server, oauth := pgtest.NewServer(t), pgtest.NewServer(t)
	oauth.OAuth = true
	for _, s := range []*pgtest.Server{server, oauth} {
		cred := pgtest.NewCredential(t, pgtest.UserAssigned("orders"))
		config := parse(t, "user=orders host="+azure, s)
		if err := connect(t.Context(), config, identitypgx.BeforeConnect(cred, nil)); err == nil {
			t.Error("a server without TLS has a connection")
		}
		if got := s.Logins(); len(got) != 0 {
			t.Errorf("a server without TLS was sent %d logins", len(got))
		}
		naive := naiveHook(always(cred))
		if s.OAuth {
			naive = naiveProvider(cred)
		}
		if err := connect(t.Context(), config, naive); err != nil {
			t.Fatal(err)
		}
		if got := s.Logins(); len(got) != 1 || !strings.HasPrefix(got[0].Secret, "ey") {
			t.Error("the naive hook sends no token in clear text, so that this test tests nothing")
		}
	}
}

package identitypgx_test

import (
	"context"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/jackc/pgx/v5"
	"github.com/keyless-go/identity"
	identitypgx "github.com/keyless-go/identity/integrations/pgx"
	"github.com/keyless-go/identity/integrations/pgx/internal/pgtest"
)

// naiveProvider hands over a token to any server that asks.
func naiveProvider(cred azcore.TokenCredential) hook {
	return func(_ context.Context, config *pgx.ConnConfig) error {
		config.OAuthTokenProvider = identity.TokenFunc(cred, pgtest.Scope)
		return nil
	}
}

// TestOAuth: a server that asks for OAUTHBEARER gets the token of this connection, also where one
// config serves several connections.
func TestOAuth(t *testing.T) {
	t.Parallel()
	server := pgtest.NewServer(t)
	server.OAuth = true
	var newest string
	server.Refuse = func(l pgtest.Login) bool { return l.Secret != newest }
	cred := pgtest.NewRotating(t, pgtest.UserAssigned("orders"), func(s string) { newest = s })
	before := identitypgx.BeforeConnect(cred, options)
	config := parse(t, "host=localhost sslmode=disable", server)
	for range 2 {
		if err := before(t.Context(), config); err != nil {
			t.Fatal(err)
		}
		conn, err := pgx.ConnectConfig(t.Context(), config)
		if err != nil {
			t.Fatalf("with the newest token: %v", err)
		}
		if err := conn.Close(t.Context()); err != nil {
			t.Error(err)
		}
		cred.Rotate()
	}
	if got := server.Logins(); len(got) != 2 || got[0].User != "orders" {
		t.Errorf("logins %v, want 2 of orders", got)
	}
	_, err := pgx.ConnectConfig(t.Context(), config) // whose token is an old one
	if err == nil || !strings.Contains(err.Error(), "invalid_token") {
		t.Errorf("got %v, want the server's refusal", err)
	}
}

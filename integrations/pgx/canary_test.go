package identitypgx_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/keyless-go/identity"
	identitypgx "github.com/keyless-go/identity/integrations/pgx"
	"github.com/keyless-go/identity/integrations/pgx/internal/pgtest"
)

// TestNoTokenIsSeen: no error of a failed connection shows the token, in any form of printing.
func TestNoTokenIsSeen(t *testing.T) {
	t.Parallel()
	refuse := func(pgtest.Login) bool { return true }
	oauth := pgtest.NewServer(t)
	oauth.OAuth, oauth.Refuse = true, refuse
	password := pgtest.NewServer(t)
	password.Refuse = refuse
	for name, config := range map[string]*pgx.ConnConfig{
		"a refused password": parse(t, "host=localhost sslmode=disable", password),
		"a refused token":    parse(t, "host=localhost sslmode=disable", oauth),
		"no connection":      unreachable(t),
	} {
		cred := pgtest.NewCredential(t, pgtest.UserAssigned("orders"))
		before := identitypgx.BeforeConnect(cred, options)
		checkNoToken(t, name, cred, connect(t.Context(), config, before))
	}
}

// TestNoTokenIsSeenOfPostgres: nor does a real server's refusal.
func TestNoTokenIsSeenOfPostgres(t *testing.T) {
	t.Parallel()
	role := pgtest.NewRole(t)
	role.SetPassword("another")
	config, err := pgx.ParseConfig(role.ConnString())
	if err != nil {
		t.Fatal(err)
	}
	cred := pgtest.NewCredential(t, pgtest.UserAssigned(role.Name))
	err = connect(t.Context(), config, identitypgx.BeforeConnect(cred, options))
	if !isWrongPassword(err) {
		t.Errorf("got %v, want SQLSTATE 28P01", err)
	}
	checkNoToken(t, "PostgreSQL", cred, err)
}

func unreachable(t *testing.T) *pgx.ConnConfig {
	config := parse(t, "host=localhost sslmode=disable", pgtest.NewServer(t))
	config.DialFunc = func(context.Context, string, string) (net.Conn, error) {
		return nil, errors.New("no route")
	}
	return config
}

func checkNoToken(t *testing.T, name string, cred *identity.Credential, err error) {
	t.Helper()
	if err == nil {
		t.Fatalf("%s: no error", name)
	}
	token, tokenErr := identity.TokenFunc(cred, pgtest.Scope)(t.Context())
	if tokenErr != nil {
		t.Fatal(tokenErr)
	}
	for ; err != nil; err = errors.Unwrap(err) {
		for _, verb := range []string{"%v", "%+v", "%#v", "%q"} {
			text := fmt.Sprintf(verb, err)
			for part := range strings.SplitSeq(token, ".") {
				if part != "" && strings.Contains(text, part) {
					t.Errorf("%s: %s of a %T shows a part of the token", name, verb, err)
				}
			}
		}
	}
}

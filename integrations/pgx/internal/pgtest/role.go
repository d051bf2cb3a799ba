package pgtest

import (
	"context"
	"crypto/rand"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// variable names the real server: postgres://SUPERUSER:PASSWORD@127.0.0.1:PORT/postgres.
const variable = "IDENTITY_TEST_POSTGRES"

// Role is a role of a real server for one test, whose password can be set.
type Role struct {
	Name string
	tb   testing.TB
	base string
}

// NewRole makes a role, and drops it when the test ends. It skips the test if there is no server.
func NewRole(tb testing.TB) *Role {
	tb.Helper()
	base := os.Getenv(variable)
	if base == "" {
		tb.Skip(variable + " names no PostgreSQL server, such as " +
			"postgres://postgres:PASSWORD@127.0.0.1:5432/postgres; .ci/run starts one")
	}
	r := &Role{"id-" + strings.ToLower(rand.Text()), tb, base}
	r.exec("CREATE ROLE " + quoted(r.Name) + " LOGIN")
	tb.Cleanup(func() { r.exec("DROP ROLE " + quoted(r.Name)) })
	return r
}

// ConnString is the server's, without a user and a password, with TLS.
func (r *Role) ConnString() string {
	u, err := url.Parse(r.base)
	if err != nil {
		r.tb.Fatal(variable + " is no URL")
	}
	u.User, u.RawQuery = nil, "sslmode=require" // its certificate is its own
	return u.String()
}

// SetPassword makes token the password, and any other a wrong one.
func (r *Role) SetPassword(token string) {
	r.tb.Helper()
	r.exec("ALTER ROLE " + quoted(r.Name) + " PASSWORD '" + strings.ReplaceAll(token, "'", "''") + "'")
}

// exec runs a statement as the superuser. Its errors name no password.
func (r *Role) exec(statement string) {
	r.tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, r.base)
	if err != nil {
		r.tb.Fatal(err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, statement); err != nil {
		r.tb.Fatal(err)
	}
}

func quoted(name string) string { return pgx.Identifier{name}.Sanitize() }

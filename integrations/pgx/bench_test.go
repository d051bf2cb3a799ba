package identitypgx_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/keyless-go/identity"
	identitypgx "github.com/keyless-go/identity/integrations/pgx"
	"github.com/keyless-go/identity/integrations/pgx/internal/pgtest"
)

// BenchmarkHook is what the hook does for a connection while a token is held.
func BenchmarkHook(b *testing.B) {
	cred := pgtest.NewCredential(b, pgtest.UserAssigned("orders"))
	before := identitypgx.BeforeConnect(cred, nil)
	for name, connString := range map[string]string{
		"user":      "user=orders sslmode=verify-full host=" + azure,
		"tokenUser": "sslmode=verify-full host=" + azure,
	} {
		b.Run(name, func(b *testing.B) {
			config := parse(b, connString, pgtest.NewServer(b))
			guess := config.User
			for b.Loop() {
				config.User = guess
				if err := before(b.Context(), config); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkConnect is a connection to a real server with the hook, and what it takes beside one
// with a static password: the connections take turns.
func BenchmarkConnect(b *testing.B) {
	role := pgtest.NewRole(b)
	cred := pgtest.NewCredential(b, pgtest.UserAssigned(role.Name))
	token, err := identity.TokenFunc(cred, pgtest.Scope)(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	role.SetPassword(token)
	config, err := pgx.ParseConfig(role.ConnString())
	if err != nil {
		b.Fatal(err)
	}
	static := func(_ context.Context, config *pgx.ConnConfig) error {
		config.User, config.Password = role.Name, token
		return nil
	}
	var took [2]time.Duration
	for b.Loop() {
		for i, before := range []hook{identitypgx.BeforeConnect(cred, options), static} {
			began := time.Now()
			if err := connect(b.Context(), config, before); err != nil {
				b.Fatal(err)
			}
			took[i] += time.Since(began)
		}
	}
	b.ReportMetric(took[0].Seconds()/took[1].Seconds(), "x-static")
	b.ReportMetric(float64(took[0].Microseconds())/float64(b.N), "µs/connection")
}

package identitypq_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/keyless-go/identity"
	"github.com/keyless-go/identity/identitytest"
	"github.com/keyless-go/identity/integrations/pgx/internal/pgtest"
	identitypq "github.com/keyless-go/identity/integrations/pgx/pq"
	"github.com/lib/pq"
)

// These are for servers whose name isn't Azure's.
var options = &identitypq.Options{Scope: pgtest.Scope}

const azure = "host=orders-db.postgres.database.azure.com"

func newConnector(t testing.TB, connString string, cred azcore.TokenCredential) driver.Connector {
	t.Helper()
	connector, err := identitypq.NewConnector(connString, cred, options)
	if err != nil {
		t.Fatal(err)
	}
	return connector
}

// naiveConnector has the token that was good when the program started.
func naiveConnector(t testing.TB, role *pgtest.Role, cred azcore.TokenCredential) driver.Connector {
	t.Helper()
	config, err := pq.NewConfig(role.ConnString())
	if err != nil {
		t.Fatal(err)
	}
	config.User = role.Name
	if config.Password, err = identity.TokenFunc(cred, pgtest.Scope)(t.Context()); err != nil {
		t.Fatal(err)
	}
	connector, err := pq.NewConnectorConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return connector
}

// TestTokenEnds: a connection outlives its token. A new one wants a new token.
func TestTokenEnds(t *testing.T) {
	t.Parallel()
	role := pgtest.NewRole(t)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	cred := pgtest.NewRotating(t, pgtest.UserAssigned(role.Name), role.SetPassword)
	for name, works := range map[string]bool{"ours": true, "naive": false} {
		connector := naiveConnector(t, role, cred)
		if works {
			connector = newConnector(t, role.ConnString(), cred)
		}
		db := sql.OpenDB(connector)
		defer db.Close()
		held, err := db.Conn(ctx)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		defer held.Close()
		cred.Rotate()
		var user string
		err = held.QueryRowContext(ctx, "SELECT current_user").Scan(&user)
		if err != nil || user != role.Name {
			t.Errorf("%s: the open connection is of %q, %v, want %q", name, user, err, role.Name)
		}
		if err := db.PingContext(ctx); works && err != nil || !works && !isWrongPassword(err) {
			t.Errorf("%s: a new connection after a rotation: %v", name, err)
		}
	}
}

func isWrongPassword(err error) bool {
	var refused *pq.Error
	return errors.As(err, &refused) && refused.Code == "28P01"
}

// TestUser: PGUSER names one. USER, which lib/pq takes for the system's user, doesn't. No other
// test runs beside it.
func TestUser(t *testing.T) {
	role := pgtest.NewRole(t)
	cred := pgtest.NewRotating(t, pgtest.UserAssigned(role.Name), role.SetPassword)
	t.Setenv("USER", "somebody")
	db := sql.OpenDB(newConnector(t, role.ConnString(), cred))
	defer db.Close()
	if err := db.PingContext(t.Context()); err != nil {
		t.Errorf("the token's user: %v", err)
	}
	t.Setenv("PGUSER", "somebody")
	db = sql.OpenDB(newConnector(t, role.ConnString(), cred))
	defer db.Close()
	if err := db.PingContext(t.Context()); !isWrongPassword(err) {
		t.Errorf("the role somebody: %v", err)
	}
}

// TestNoTokenIsSeen: neither the connector nor the error of a refused login shows a token.
func TestNoTokenIsSeen(t *testing.T) {
	t.Parallel()
	role := pgtest.NewRole(t)
	role.SetPassword("another")
	cred := pgtest.NewCredential(t, pgtest.UserAssigned(role.Name))
	token, err := identity.TokenFunc(cred, pgtest.Scope)(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	connector := newConnector(t, role.ConnString(), cred)
	_, err = connector.Connect(t.Context())
	if err == nil {
		t.Fatal("a wrong password is right")
	}
	for _, text := range []string{fmt.Sprintf("%v %+v %#v", connector, connector, connector),
		fmt.Sprintf("%v %+v %#v", err, err, err)} {
		for part := range strings.SplitSeq(token, ".") {
			if part != "" && strings.Contains(text, part) {
				t.Errorf("a part of the token is in %.80s…", text)
			}
		}
	}
}

// TestClearText: a token is asked for only if it stays on this machine, or in TLS.
func TestClearText(t *testing.T) {
	t.Parallel()
	for connString, refused := range map[string]bool{
		azure + " sslmode=prefer":                               true,
		azure + " sslmode=allow":                                true,
		azure + " sslmode=disable":                              true,
		"hostaddr=10.0.0.4 sslmode=disable":                     true, // its host is localhost
		"host=/run/postgresql,10.0.0.4":                         true, // a socket turns TLS off for all
		"host=localhost hostaddr=10.0.0.4 sslmode=disable":      true,
		"host=db.example hostaddr=127.0.0.1 sslmode=disable":    false,
		"host=localhost sslmode=disable":                        false,
		"host=@socket":                                          false,
		azure:                                                   false, // require is the default
		azure + " sslmode=verify-full":                          false,
		"host=127.0.0.1,10.0.0.4 sslmode=verify-ca":             false,
		"host=127.0.0.1,127.0.0.2 port=5432,5433 sslmode=allow": false,
	} {
		endpoint := pgtest.UserAssigned("orders")
		endpoint.Enqueue(identitytest.Response{Status: 400}) // so that no server is dialled
		connector := newConnector(t, connString, pgtest.NewCredential(t, endpoint))
		_, err := connector.Connect(t.Context())
		if got := len(endpoint.Requests()) == 0; got != refused {
			t.Errorf("%s: asked for a token: %v, want %v", connString, !got, !refused)
		}
		if err == nil || strings.Contains(err.Error(), "sslmode=verify-full") != refused {
			t.Errorf("%s: %v, want that it names a good sslmode: %v", connString, err, refused)
		}
	}
}

// TestCallerLeaves: a host that hangs holds no caller past its deadline, nor past connect_timeout.
func TestCallerLeaves(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for connString, want := range map[string]time.Duration{
			azure:                        20 * time.Second,
			azure + " connect_timeout=5": 5 * time.Second,
		} {
			endpoint := pgtest.UserAssigned("orders")
			endpoint.Enqueue(identitytest.Response{Delay: time.Hour, For: time.Hour})
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			began := time.Now()
			_, err := newConnector(t, connString, pgtest.NewCredential(t, endpoint)).Connect(ctx)
			if took := time.Since(began); took != want || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s: after %v: %v, want %v", connString, took, err, want)
			}
			cancel()
		}
		time.Sleep(2 * time.Hour) // what is under way ends
	})
}

// TestConfigs: what can't be is told at once, or says what to set.
func TestConfigs(t *testing.T) {
	t.Parallel()
	if _, err := identitypq.NewConnector("sslmode=nonsense", nil, nil); err == nil {
		t.Error("a connection string with a mistake is taken")
	}
	cred := pgtest.NewCredential(t, pgtest.UserAssigned("orders"))
	connector, err := identitypq.NewConnector("host=db.example", cred, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = connector.Connect(t.Context())
	if err == nil || !strings.Contains(err.Error(), "identitypq: \"db.example\": ") ||
		!strings.Contains(err.Error(), "set Options.Scope") {
		t.Errorf("got %v, want that Options.Scope has to be set", err)
	}
	if _, ok := connector.Driver().(*pq.Driver); !ok {
		t.Errorf("the driver is a %T", connector.Driver())
	}
}

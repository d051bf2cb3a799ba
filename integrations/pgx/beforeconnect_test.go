package identitypgx_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/jackc/pgx/v5"
	"github.com/keyless-go/identity"
	"github.com/keyless-go/identity/identitytest"
	identitypgx "github.com/keyless-go/identity/integrations/pgx"
	"github.com/keyless-go/identity/integrations/pgx/internal/pgtest"
)

// azure is a server's name, of which no test looks up the address.
const azure = "orders-db.postgres.database.azure.com"

// parse returns the config of a connection string whose connections lead to server.
func parse(t testing.TB, connString string, server *pgtest.Server) *pgx.ConnConfig {
	t.Helper()
	config, err := pgx.ParseConfig(connString)
	if err != nil {
		t.Fatal(err)
	}
	config.DialFunc, config.LookupFunc = server.Dial, server.Lookup
	return config
}

// naiveHook is what is written by hand. All it does is right on one good day.
func naiveHook(newCredential func() (azcore.TokenCredential, error)) hook {
	return func(_ context.Context, config *pgx.ConnConfig) error {
		cred, err := newCredential()
		if err != nil {
			return err
		}
		config.Password, err = identity.TokenFunc(cred, pgtest.Scope)(context.Background())
		return err
	}
}

func always(cred azcore.TokenCredential) func() (azcore.TokenCredential, error) {
	return func() (azcore.TokenCredential, error) { return cred, nil }
}

// connect opens one connection, on a config of its own, and closes it.
func connect(ctx context.Context, config *pgx.ConnConfig, before hook) error {
	own := config.Copy()
	if err := before(ctx, own); err != nil {
		return err
	}
	conn, err := pgx.ConnectConfig(ctx, own)
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}

// TestUser: the token names the user where nobody else does.
func TestUser(t *testing.T) {
	t.Parallel()
	for connString, want := range map[string]string{
		"host=127.0.0.1":                                 "orders",
		"postgres://127.0.0.1,127.0.0.1:6/x":             "orders",
		"host=127.0.0.1 user=''":                         "orders",
		"host=127.0.0.1 user=readers":                    "readers",
		"postgres://readers@127.0.0.1/x":                 "readers",
		"postgres://127.0.0.1/x?user=readers":            "readers",
		"postgres://readers:old-password@localhost:5433": "readers",
	} {
		server := pgtest.NewServer(t)
		config := parse(t, connString+sslmodeOff(connString), server)
		cred := pgtest.NewCredential(t, pgtest.UserAssigned("orders"))
		if err := connect(t.Context(), config, identitypgx.BeforeConnect(cred, options)); err != nil {
			t.Fatalf("%s: %v", connString, err)
		}
		token, err := identity.TokenFunc(cred, pgtest.Scope)(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got := server.Logins(); len(got) != 1 || got[0] != (pgtest.Login{User: want, Secret: token}) {
			t.Errorf("%s: logins %v, want %s with the token", connString, got, want)
		}
	}
}

func sslmodeOff(connString string) string {
	switch {
	case !strings.HasPrefix(connString, "postgres://"):
		return " sslmode=disable"
	case strings.Contains(connString, "?"):
		return "&sslmode=disable"
	}
	return "?sslmode=disable"
}

// TestUserOfCode: what a program sets after parsing is named, "" is not.
func TestUserOfCode(t *testing.T) {
	t.Parallel()
	server := pgtest.NewServer(t)
	cred := pgtest.NewCredential(t, pgtest.UserAssigned("orders"))
	before := identitypgx.BeforeConnect(cred, options)
	config := parse(t, "host=localhost sslmode=disable", server)
	config.User = "readers"
	if err := before(t.Context(), config); err != nil || config.User != "readers" {
		t.Errorf("user %q, %v, want readers", config.User, err)
	}
	config = parse(t, "host=localhost user=readers sslmode=disable", server)
	config.User = ""
	if err := before(t.Context(), config); err != nil || config.User != "orders" {
		t.Errorf("user %q, %v, want orders", config.User, err)
	}
}

// TestUserOfEnvironment: PGUSER names one. No other test runs beside it.
func TestUserOfEnvironment(t *testing.T) {
	t.Setenv("PGUSER", systemUser(t))
	config := parse(t, "host=localhost sslmode=disable", pgtest.NewServer(t))
	cred := pgtest.NewCredential(t, pgtest.UserAssigned("orders"))
	err := identitypgx.BeforeConnect(cred, options)(t.Context(), config)
	if err != nil || config.User == "orders" {
		t.Errorf("user %q, %v, want that of PGUSER", config.User, err)
	}
}

// TestUserIsTheSystems: a role that is named as the operating system's user is no guess.
func TestUserIsTheSystems(t *testing.T) {
	t.Parallel()
	guess := systemUser(t)
	cred := pgtest.NewCredential(t, pgtest.UserAssigned("orders"))
	for connString, want := range map[string]string{"": "orders", " user=" + guess: guess} {
		config := parse(t, "host=localhost sslmode=disable"+connString, pgtest.NewServer(t))
		err := identitypgx.BeforeConnect(cred, options)(t.Context(), config)
		if err != nil || config.User != want {
			t.Errorf("with %q: user %q, %v, want %q", connString, config.User, err, want)
		}
	}
}

// systemUser is whom pgx guesses.
func systemUser(t *testing.T) string {
	t.Helper()
	guess, err := pgx.ParseConfig("host=localhost")
	if err != nil {
		t.Fatal(err)
	}
	return guess.User
}

// TestOneRequest: 100 connections of one credential are one request at the host.
func TestOneRequest(t *testing.T) {
	t.Parallel()
	hundred := func(before hook) {
		t.Helper()
		config := parse(t, "host=localhost user=orders sslmode=disable", pgtest.NewServer(t))
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() {
				if err := connect(t.Context(), config, before); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
	}
	endpoint := pgtest.UserAssigned("orders")
	hundred(identitypgx.BeforeConnect(pgtest.NewCredential(t, endpoint), options))
	if n := len(endpoint.Requests()); n != 1 {
		t.Errorf("%d requests for 100 connections, want 1", n)
	}
	naive := pgtest.UserAssigned("orders")
	hundred(naiveHook(func() (azcore.TokenCredential, error) {
		return pgtest.NewCredential(t, naive), nil
	}))
	if n := len(naive.Requests()); n != 100 {
		t.Errorf("a credential for each connection: %d requests, want 100", n)
	}
}

// TestNoToken: no connection is tried, and the credential's error is in the hook's.
func TestNoToken(t *testing.T) {
	t.Parallel()
	server, endpoint := pgtest.NewServer(t), pgtest.UserAssigned("orders")
	endpoint.Enqueue(identitytest.Response{Status: 400})
	config := parse(t, "host="+azure+" sslmode=verify-full", server)
	err := identitypgx.BeforeConnect(pgtest.NewCredential(t, endpoint), nil)(t.Context(), config)
	var refused *identity.AuthenticationError
	if !errors.As(err, &refused) || identity.Passing(err) {
		t.Errorf("got %v, want the host's refusal", err)
	}
	if err != nil && !strings.HasPrefix(err.Error(), `identitypgx: "`+azure+`": identity: IMDS: 400`) {
		t.Errorf("the error doesn't say of whom and for what: %v", err)
	}
	if config.Password != "" || len(server.Logins()) != 0 {
		t.Error("there is a password without a token")
	}
	if err := identitypgx.BeforeConnect(nil, nil)(t.Context(), config); err == nil ||
		!strings.Contains(err.Error(), "nil credential") {
		t.Errorf("a nil credential: %v", err)
	}
}

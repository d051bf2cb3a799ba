package identitypgx_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/keyless-go/identity"
	identitypgx "github.com/keyless-go/identity/integrations/pgx"
	"github.com/keyless-go/identity/integrations/pgx/internal/pgtest"
)

// hook is pgx's.
type hook = func(context.Context, *pgx.ConnConfig) error

// These are for servers whose name isn't Azure's.
var options = &identitypgx.Options{Scope: pgtest.Scope}

// naiveCaptured has the token that was good when the program started, as a connection string has.
func naiveCaptured(t *testing.T, cred azcore.TokenCredential, user string) hook {
	t.Helper()
	token, err := identity.TokenFunc(cred, pgtest.Scope)(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return func(_ context.Context, config *pgx.ConnConfig) error {
		config.User, config.Password = user, token
		return nil
	}
}

func isWrongPassword(err error) bool {
	var refused *pgconn.PgError
	return errors.As(err, &refused) && refused.Code == "28P01"
}

// testContext is a bound for what must not hang, in a test with a real server.
func testContext(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func newPool(t *testing.T, role *pgtest.Role, before hook) *pgxpool.Pool {
	t.Helper()
	config, err := pgxpool.ParseConfig(role.ConnString())
	if err != nil {
		t.Fatal(err)
	}
	config.BeforeConnect = before
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

// TestTokenEnds: a connection outlives its token. A new one wants a new token.
func TestTokenEnds(t *testing.T) {
	t.Parallel()
	role, ctx := pgtest.NewRole(t), testContext(t)
	cred := pgtest.NewRotating(t, pgtest.UserAssigned(role.Name), role.SetPassword)
	ours := newPool(t, role, identitypgx.BeforeConnect(cred, options))
	naive := newPool(t, role, naiveCaptured(t, cred, role.Name))

	var open []*pgxpool.Conn
	for _, pool := range []*pgxpool.Pool{ours, naive} {
		conn, err := pool.Acquire(ctx)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Release()
		open = append(open, conn)
	}
	cred.Rotate()
	for _, conn := range open {
		var user string
		if err := conn.QueryRow(ctx, "SELECT current_user").Scan(&user); err != nil {
			t.Errorf("a connection that is open: %v", err)
		}
		if user != role.Name {
			t.Errorf("the user is %q, want that of the token, %q", user, role.Name)
		}
	}
	if err := ours.Ping(ctx); err != nil { // the open one is in use
		t.Errorf("a new connection: %v", err)
	}
	if err := naive.Ping(ctx); !isWrongPassword(err) {
		t.Errorf("a new connection with the captured token: %v, want SQLSTATE 28P01", err)
	}
}

// TestCredentialRenews: a token that the credential itself has replaced is the next connection's.
func TestCredentialRenews(t *testing.T) {
	t.Parallel()
	role, ctx := pgtest.NewRole(t), testContext(t)
	cred := pgtest.NewCredential(t, pgtest.UserAssigned(role.Name))
	pool := newPool(t, role, identitypgx.BeforeConnect(cred, options))
	first, err := identity.TokenFunc(cred, pgtest.Scope)(ctx)
	if err != nil {
		t.Fatal(err)
	}
	role.SetPassword(first)
	if err := queryAnew(ctx, pool); err != nil {
		t.Errorf("with the first token: %v", err)
	}
	next, changed, err := cred.Refresh(ctx, pgtest.Scope)
	if err != nil || !changed {
		t.Fatalf("changed %v, %v, want another token", changed, err)
	}
	role.SetPassword(next.Token)
	if err := queryAnew(ctx, pool); err != nil {
		t.Errorf("with the token that replaced it: %v", err)
	}
}

// TestDatabaseSQL: the same through database/sql.
func TestDatabaseSQL(t *testing.T) {
	t.Parallel()
	role, ctx := pgtest.NewRole(t), testContext(t)
	cred := pgtest.NewRotating(t, pgtest.UserAssigned(role.Name), role.SetPassword)
	config, err := pgx.ParseConfig(role.ConnString())
	if err != nil {
		t.Fatal(err)
	}
	for name, works := range map[string]bool{"ours": true, "naive": false} {
		before := naiveCaptured(t, cred, role.Name)
		if works {
			before = identitypgx.BeforeConnect(cred, options)
		}
		db := stdlib.OpenDB(*config, stdlib.OptionBeforeConnect(before))
		defer db.Close()
		held, err := db.Conn(ctx)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		defer held.Close()
		cred.Rotate()
		if err := held.PingContext(ctx); err != nil {
			t.Errorf("%s: the open connection: %v", name, err)
		}
		if err := db.PingContext(ctx); (err == nil) != works || err != nil && !isWrongPassword(err) {
			t.Errorf("%s: a new connection after a rotation: %v", name, err)
		}
		if !works {
			continue
		}
		var user string
		err = db.QueryRowContext(ctx, "SELECT current_user").Scan(&user)
		if err != nil || user != role.Name {
			t.Errorf("%s: user %q, %v, want %q", name, user, err, role.Name)
		}
	}
	if config.Password != "" {
		t.Error("the caller's config has a token")
	}
}

// gate is held by each connection from the moment it has a token to the end of its login, so that
// no rotation comes between. Entra's old tokens are good beside new ones; a role has one password.
type gate struct {
	sync.RWMutex
	connected chan error // of each login
}

func (g *gate) around(before hook) hook {
	return func(ctx context.Context, config *pgx.ConnConfig) error {
		g.RLock()
		if err := before(ctx, config); err != nil {
			g.RUnlock()
			return err
		}
		return nil
	}
}

func (*gate) TraceConnectStart(ctx context.Context, _ pgx.TraceConnectStartData) context.Context {
	return ctx
}

func (g *gate) TraceConnectEnd(_ context.Context, data pgx.TraceConnectEndData) {
	g.RUnlock()
	select {
	case g.connected <- data.Err:
	default: // nobody counts
	}
}

func (*gate) TraceQueryStart(
	ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData,
) context.Context {
	return ctx
}

func (*gate) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// queryAnew leaves no connection to whoever comes next.
func queryAnew(ctx context.Context, pool *pgxpool.Pool) error {
	pooled, err := pool.Acquire(ctx)
	if err != nil {
		return err
	}
	conn := pooled.Hijack()
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, "SELECT 1")
	return err
}

// underLoad queries from 8 goroutines, each query on a new connection, while the token is replaced
// three times, each time after 8 logins. It returns the first error of a query.
func underLoad(t *testing.T, role *pgtest.Role, cred *pgtest.Rotating, before hook) error {
	t.Helper()
	ctx := testContext(t)
	g := &gate{connected: make(chan error)}
	config, err := pgxpool.ParseConfig(role.ConnString())
	if err != nil {
		t.Fatal(err)
	}
	config.MaxConns, config.MinConns = 4, 1
	config.BeforeConnect, config.ConnConfig.Tracer = g.around(before), g
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()

	stop, failed := make(chan struct{}), make(chan error, 8)
	var workers sync.WaitGroup
	for range cap(failed) {
		workers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if err := queryAnew(ctx, pool); err != nil {
					failed <- err
					return
				}
			}
		})
	}
	err = func() error {
		for range 3 {
			for range 8 {
				select {
				case <-g.connected:
				case err := <-failed:
					return err
				}
			}
			g.Lock()
			cred.Rotate()
			g.Unlock()
		}
		for range 8 {
			select {
			case <-g.connected:
			case err := <-failed:
				return err
			}
		}
		return nil
	}()
	close(stop)
	workers.Wait()
	select {
	case late := <-failed:
		return errors.Join(err, late)
	default:
		return err
	}
}

// TestPoolUnderLoad: no caller hears of three rotations.
func TestPoolUnderLoad(t *testing.T) {
	t.Parallel()
	role := pgtest.NewRole(t)
	cred := pgtest.NewRotating(t, pgtest.UserAssigned(role.Name), role.SetPassword)
	if err := underLoad(t, role, cred, identitypgx.BeforeConnect(cred, options)); err != nil {
		t.Errorf("a query failed: %v", err)
	}
	naive := naiveCaptured(t, cred, role.Name)
	if err := underLoad(t, role, cred, naive); !isWrongPassword(err) {
		t.Errorf("with the captured token: %v, want SQLSTATE 28P01", err)
	}
}

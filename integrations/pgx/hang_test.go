package identitypgx_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/keyless-go/identity/identitytest"
	identitypgx "github.com/keyless-go/identity/integrations/pgx"
	"github.com/keyless-go/identity/integrations/pgx/internal/pgtest"
)

// hang is longer than anybody here waits.
const hang = 10 * time.Minute

// TestCallerLeaves: a host that hangs holds no caller past its deadline.
func TestCallerLeaves(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		endpoint := pgtest.UserAssigned("orders")
		endpoint.Enqueue(identitytest.Response{Delay: hang, For: hang})
		cred := pgtest.NewCredential(t, endpoint)
		ping := func(before hook) (time.Duration, error) {
			config := parse(t, "host=localhost user=orders sslmode=disable", pgtest.NewServer(t))
			db := stdlib.OpenDB(*config, stdlib.OptionBeforeConnect(before))
			defer db.Close()
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			began := time.Now()
			err := db.PingContext(ctx)
			return time.Since(began), err
		}
		took, err := ping(identitypgx.BeforeConnect(cred, options))
		if took != time.Second || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the caller left after %v with %v, want 1s", took, err)
		}
		if took, _ := ping(naiveHook(always(cred))); took < 10*time.Second {
			t.Errorf("the naive hook left after %v, so that this test tests nothing", took)
		}
		time.Sleep(2 * hang) // what is under way ends
	})
}

// TestConnectTimeout: the time for connecting holds for the token, too.
func TestConnectTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const connString = "host=localhost sslmode=disable connect_timeout=5"
		config := parse(t, connString, pgtest.NewServer(t))
		began := time.Now()
		err := identitypgx.BeforeConnect(hanging(new(atomic.Bool)), options)(t.Context(), config)
		took := time.Since(began)
		if took != 5*time.Second || !errors.Is(err, context.DeadlineExceeded) ||
			!strings.Contains(err.Error(), "no token within connect_timeout, 5s") {
			t.Errorf("after %v: %v, want 5s and the reason", took, err)
		}
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errors.New("its own reason"))
		defer cancel()
		err = identitypgx.BeforeConnect(hanging(new(atomic.Bool)), options)(ctx, config)
		if err == nil || strings.Contains(err.Error(), "connect_timeout") {
			t.Errorf("the caller's time was up, and the error is %v", err)
		}
	})
}

// hanging is a credential that hangs until well; what hangs then, hangs on, as a lost packet does.
func hanging(well *atomic.Bool) azcore.TokenCredential {
	return pgtest.CredentialFunc(func(
		ctx context.Context, _ policy.TokenRequestOptions,
	) (azcore.AccessToken, error) {
		if !well.Load() {
			select {
			case <-ctx.Done():
				return azcore.AccessToken{}, ctx.Err()
			case <-time.After(hang):
			}
		}
		return azcore.AccessToken{Token: "token", ExpiresOn: time.Now().Add(time.Hour)}, nil
	})
}

// TestPoolRecovers: attempts in the background, for MinConns, give their places back, so that the
// pool is well when the host is.
func TestPoolRecovers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		recovers := func(cred azcore.TokenCredential, well *atomic.Bool, before hook) error {
			config, err := pgxpool.ParseConfig("host=localhost user=orders sslmode=disable")
			if err != nil {
				t.Fatal(err)
			}
			server := pgtest.NewServer(t)
			config.ConnConfig.DialFunc, config.ConnConfig.LookupFunc = server.Dial, server.Lookup
			config.MinConns, config.MaxConns = 2, 2
			config.BeforeConnect = before
			pool, err := pgxpool.NewWithConfig(t.Context(), config)
			if err != nil {
				t.Fatal(err)
			}
			defer pool.Close()
			ping := func() error {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				return pool.Ping(ctx)
			}
			if err := ping(); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("while the host hangs: %v", err)
			}
			well.Store(true)
			time.Sleep(3 * time.Minute)
			return ping()
		}
		well := new(atomic.Bool)
		cred := hanging(well)
		if err := recovers(cred, well, identitypgx.BeforeConnect(cred, options)); err != nil {
			t.Errorf("3 minutes after the host is well: %v", err)
		}
		well = new(atomic.Bool)
		cred = hanging(well)
		if err := recovers(cred, well, naiveHook(always(cred))); err == nil {
			t.Error("the naive pool is well, so that this test tests nothing")
		}
	})
}

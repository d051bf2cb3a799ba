package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/keyless-go/identity"
	identitypgx "github.com/keyless-go/identity/integrations/pgx"
)

// What the service's tokens are for, in Azure's public cloud.
const (
	vaultScope    = "https://vault.azure.net/.default"
	databaseScope = "https://ossrdbms-aad.database.windows.net/.default"
)

// config is what differs between places. Nothing in it is a secret.
type config struct {
	vaultURL, databaseURL string
	listen, listenAdmin   string

	// Of stand-ins. Nil, they are the network.
	vault policy.Transporter
	dial  pgconn.DialFunc
}

// credential is any of package identity's. Tests have one of a fake host.
type credential interface {
	identity.Reporter
	Ready(ctx context.Context, scopes ...string) error
}

// service is safe for concurrent use.
type service struct {
	cred     credential
	db       *pgxpool.Pool
	key      *signingKey
	log      *slog.Logger
	stopping atomic.Bool

	stopTimeout time.Duration // what requests have at the end
}

// newService makes the clients. It sends nothing, so that a service starts during an outage as on
// any other day, and is ready once that is over.
func newService(cfg config, cred credential, log *slog.Logger) (*service, error) {
	if cfg.vaultURL == "" || cfg.databaseURL == "" {
		return nil, errors.New("VAULT_URL or DATABASE_URL is not set: -h says more")
	}
	vault, err := azsecrets.NewClient(cfg.vaultURL, cred, &azsecrets.ClientOptions{
		ClientOptions: policy.ClientOptions{Transport: cfg.vault},
	})
	if err != nil {
		return nil, fmt.Errorf("VAULT_URL: %w", err)
	}
	pool, err := pgxpool.ParseConfig(cfg.databaseURL)
	if err != nil {
		return nil, fmt.Errorf("DATABASE_URL: %w", err)
	}
	// Each new connection asks for the token of that moment. A connection lives on when its token
	// has ended; MaxConnLifetime, an hour by default, is how long a revoked identity stays in.
	pool.BeforeConnect = identitypgx.BeforeConnect(cred, &identitypgx.Options{Scope: databaseScope})
	pool.ConnConfig.ConnectTimeout = 5 * time.Second // the token's wait included
	if cfg.dial != nil {
		pool.ConnConfig.DialFunc = cfg.dial
	}
	db, err := pgxpool.NewWithConfig(context.Background(), pool)
	if err != nil {
		return nil, err
	}
	return &service{cred: cred, db: db, key: &signingKey{client: vault}, log: log,
		stopTimeout: 20 * time.Second}, nil // Kubernetes kills after 30 s
}

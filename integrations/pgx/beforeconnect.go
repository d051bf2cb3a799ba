package identitypgx

import (
	"context"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/keyless-go/identity/integrations/pgx/internal/login"
)

// Options are for [BeforeConnect]. nil means all zero.
type Options struct {
	// Scope is what the token is for, such as "https://ossrdbms-aad.database.windows.net/.default". If
	// empty it follows from the names of the servers, which then have to be Azure's.
	Scope string
}

// BeforeConnect returns the hook for pgxpool.Config.BeforeConnect and stdlib.OptionBeforeConnect.
// It sets the password of the config to a token of cred, the OAuthTokenProvider to one that returns
// that token, and the user if none is named (see the package's comment). Nothing else changes.
//
// The hook blocks as cred's GetToken does, until its context or the config's ConnectTimeout ends.
// It refuses a config that may connect without TLS, before it asks for a token. It is safe for
// concurrent use if cred is, and one is enough for any number of pools and servers. Call it from a
// hook of your own to do more.
func BeforeConnect(
	cred azcore.TokenCredential, options *Options,
) func(context.Context, *pgx.ConnConfig) error {
	client := login.Client{Package: "identitypgx", Credential: cred}
	if options != nil {
		client.Scope = options.Scope
	}
	return func(ctx context.Context, config *pgx.ConnConfig) error {
		user, token, err := client.Login(ctx, login.Attempt{
			Servers:    servers(&config.Config),
			User:       config.User,
			ConnString: config.ConnString(),
			OSUser:     login.OSUser,
			Timeout:    config.ConnectTimeout,
		})
		if err != nil {
			return err
		}
		config.User, config.Password = user, token
		config.OAuthTokenProvider = func(context.Context) (string, error) { return token, nil }
		return nil
	}
}

// servers are all that pgx may try, one after the other. With sslmode=prefer and allow the same
// host is there twice, once without TLS.
func servers(config *pgconn.Config) []login.Server {
	all := make([]login.Server, 0, 1+len(config.Fallbacks))
	add := func(host string, port uint16, tls bool) {
		network, _ := pgconn.NetworkAddress(host, port)
		all = append(all, login.Server{Host: host, Socket: network == "unix", TLS: tls})
	}
	add(config.Host, config.Port, config.TLSConfig != nil)
	for _, f := range config.Fallbacks {
		add(f.Host, f.Port, f.TLSConfig != nil)
	}
	return all
}

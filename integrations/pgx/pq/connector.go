package identitypq

import (
	"cmp"
	"context"
	"database/sql/driver"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/keyless-go/identity/integrations/pgx/internal/login"
	"github.com/lib/pq"
)

// Options are for [NewConnector]. nil means all zero.
type Options struct {
	// Scope is what the token is for, such as "https://ossrdbms-aad.database.windows.net/.default". If
	// empty it follows from the names of the servers, which then have to be Azure's.
	Scope string
}

// NewConnector returns a connector for [database/sql.OpenDB]. Each connection logs in with a token
// of cred as its password. If no user is named in connString, PGUSER or a service file, it logs in
// as the user in the token. NewConnector parses connString as [pq.NewConfig] does, whose errors it
// returns, and sends nothing.
//
// The connector's Connect blocks for a token as cred's GetToken does, until its context or
// connect_timeout ends, and then for the server as lib/pq does. It refuses, before it asks for a
// token, what may connect without TLS. It is safe for concurrent use if cred is.
func NewConnector(
	connString string, cred azcore.TokenCredential, options *Options,
) (driver.Connector, error) {
	config, err := pq.NewConfig(connString)
	if err != nil {
		return nil, err
	}
	client := login.Client{Package: "identitypq", Credential: cred}
	if options != nil {
		client.Scope = options.Scope
	}
	return &connector{client, config, connString}, nil
}

// connector never changes, and never holds a token.
type connector struct {
	client     login.Client
	config     pq.Config
	connString string
}

// Connect implements driver.Connector.
func (c *connector) Connect(ctx context.Context) (driver.Conn, error) {
	config := c.config.Clone()
	var err error
	config.User, config.Password, err = c.client.Login(ctx, login.Attempt{
		Servers:    servers(config),
		User:       config.User,
		ConnString: c.connString,
		OSUser:     osUser,
		Timeout:    config.ConnectTimeout,
	})
	if err != nil {
		return nil, err
	}
	once, err := pq.NewConnectorConfig(config)
	if err != nil {
		return nil, err
	}
	return once.Connect(ctx)
}

// Driver implements driver.Connector.
func (c *connector) Driver() driver.Driver { return &pq.Driver{} }

// servers are all that lib/pq may try. They have one sslmode.
func servers(config pq.Config) []login.Server {
	tls := true
	switch config.SSLMode {
	case pq.SSLModeDisable, pq.SSLModeAllow, pq.SSLModePrefer:
		tls = false
	}
	hosts := append([]pq.ConfigMultihost{{Host: config.Host, Hostaddr: config.Hostaddr}},
		config.Multi...)
	all := make([]login.Server, len(hosts))
	for i, h := range hosts {
		all[i] = login.Server{Host: h.Host, TLS: tls}
		if h.Hostaddr.IsValid() {
			all[i].Address = h.Hostaddr.String()
		} else {
			all[i].Socket = filepath.IsAbs(h.Host) || strings.HasPrefix(h.Host, "@")
		}
	}
	return all
}

// osUser is lib/pq's guess.
func osUser() string {
	if runtime.GOOS == "windows" {
		return login.OSUser()
	}
	return cmp.Or(os.Getenv("USER"), login.OSUser())
}

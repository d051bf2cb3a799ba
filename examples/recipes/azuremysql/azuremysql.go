// Package azuremysql connects to Azure Database for MySQL with a managed identity, by
// go-sql-driver. A connection lives on when its token ends; a new one takes the token of its time.
// The user is the name that CREATE AADUSER was given, as a rule the identity's.
package azuremysql

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/go-sql-driver/mysql"
	"github.com/keyless-go/identity"
)

// scopes are those of each cloud's servers, by the end of their names.
var scopes = map[string]string{
	".mysql.database.azure.com":         "https://ossrdbms-aad.database.windows.net/.default",
	".mysql.database.usgovcloudapi.net": "https://ossrdbms-aad.database.usgovcloudapi.net/.default",
	".mysql.database.chinacloudapi.cn":  "https://ossrdbms-aad.database.chinacloudapi.cn/.default",
}

// Connector is for sql.OpenDB. config is one of mysql.NewConfig or mysql.ParseDSN, with a user, no
// password, and TLS that checks the server's certificate (tls=true), without which others could
// read the token on its way. scope "" is that of the server's cloud; a server behind another name
// needs it. Each new connection waits for a token until the context that the driver was given ends.
func Connector(
	config *mysql.Config, cred azcore.TokenCredential, scope string,
) (driver.Connector, error) {
	config = config.Clone()
	if config.Loc == nil {
		return nil, errors.New("azuremysql: the Config has no Loc, so that the first time.Time would " +
			"panic: begin with mysql.NewConfig() or mysql.ParseDSN")
	}
	checked := config.TLSConfig == "true" || config.TLS != nil
	if config.TLS != nil && config.TLS.InsecureSkipVerify || config.AllowFallbackToPlaintext {
		checked = false
	}
	if !checked {
		return nil, errors.New("azuremysql: anybody could read the token on its way: " +
			"set TLSConfig to true, or TLS to a configuration that checks the server's certificate")
	}
	for suffix, theirs := range scopes {
		host, _, err := net.SplitHostPort(config.Addr)
		if err != nil {
			host = config.Addr
		}
		if scope == "" && strings.HasSuffix(strings.ToLower(host), suffix) {
			scope = theirs
		}
	}
	if scope == "" {
		return nil, fmt.Errorf("azuremysql: %s isn't in a known cloud: give the scope", config.Addr)
	}
	config.AllowCleartextPasswords = true // by TLS, and what the server asks for
	password := identity.TokenFunc(cred, scope)
	err := config.Apply(mysql.BeforeConnect(
		func(ctx context.Context, connection *mysql.Config) (err error) { // a copy for each connection
			connection.Passwd, err = password(ctx)
			return err
		}))
	if err != nil {
		return nil, err
	}
	return mysql.NewConnector(config)
}

// Package azuresql connects to Azure SQL with a managed identity, by go-mssqldb. Each new
// connection takes the token of its time. The user is the one that the token names, for whom
// CREATE USER … FROM EXTERNAL PROVIDER made a user in the database.
package azuresql

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	mssql "github.com/microsoft/go-mssqldb"
	"github.com/microsoft/go-mssqldb/msdsn"
)

// resources are those of Azure SQL in the clouds. A server says which is its own, and gets a token
// for no other: otherwise it could ask for one that opens Azure Resource Manager.
var resources = []string{
	"https://database.windows.net",
	"https://database.usgovcloudapi.net",
	"https://database.chinacloudapi.cn",
}

// Lifetime is for the SetConnMaxLifetime of a pool. Azure SQL looks at the token of an open
// connection again, after some hours: once that has ended, each query fails with error 37396, which
// go-mssqldb doesn't take for the connection's, so that the pool would keep it. There is no login
// anew on a connection. A token has 27 minutes as a rule when a connection gets it.
// https://github.com/dotnet/SqlClient/issues/2792
const Lifetime = 20 * time.Minute

// Connector is for sql.OpenDB, with a lifetime for its connections:
//
//	db := sql.OpenDB(connector)
//	db.SetConnMaxLifetime(azuresql.Lifetime)
//
// The connection string has neither a user nor a fedauth parameter,
// and encrypt=true or encrypt=strict, without which others could read the token on its way:
//
//	sqlserver://NAME.database.windows.net?database=orders&encrypt=true
//
// The resource and the tenant come from the server, so that it works in every cloud. Each new
// connection waits for GetToken, which ends with the context that the driver was given.
func Connector(dsn string, cred azcore.TokenCredential) (*mssql.Connector, error) {
	config, err := msdsn.Parse(dsn)
	if err != nil {
		return nil, err
	}
	encrypted := config.Encryption == msdsn.EncryptionRequired ||
		config.Encryption == msdsn.EncryptionStrict
	if !encrypted || config.TrustServerCertificate {
		return nil, errors.New("azuresql: anybody could read the token on its way: " +
			"set encrypt=true or encrypt=strict, and leave TrustServerCertificate out")
	}
	return mssql.NewActiveDirectoryTokenConnector(config, mssql.FedAuthADALWorkflowMSI,
		func(ctx context.Context, serverSPN, stsURL string) (string, error) {
			if !slices.Contains(resources, strings.TrimRight(serverSPN, "/")) {
				return "", fmt.Errorf("azuresql: the server asks for a token for %q, which isn't "+
					"Azure SQL: is %s the right server?", serverSPN, config.Host)
			}
			token, err := cred.GetToken(ctx, policy.TokenRequestOptions{
				Scopes: []string{serverSPN + "/.default"}, EnableCAE: true, TenantID: path.Base(stsURL),
			})
			return token.Token, err
		})
}

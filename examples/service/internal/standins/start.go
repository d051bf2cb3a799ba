// Package standins has what the service meets on Azure, on this machine: an identity endpoint, a
// Key Vault, and a PostgreSQL, which is a real one where one is installed.
package standins

import (
	"context"
	"net/http/httptest"
	"os"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/keyless-go/identity/identitytest"
)

// Azure is all of it.
type Azure struct {
	Vault       *Vault
	DatabaseURL string
	DatabaseIs  string          // in words
	Dial        pgconn.DialFunc // leads to a database in memory; nil if it is a real one
	Stop        func()
}

// Start starts it, and sets the variables by which the identity endpoint is found, as App Service
// does.
func Start(ctx context.Context) (*Azure, error) {
	name := "orders"
	real, why, err := StartPostgres(ctx)
	if err != nil {
		return nil, err
	}
	options := &identitytest.Options{}
	a := &Azure{Stop: func() {}}
	if real != nil {
		name, a.DatabaseURL, a.DatabaseIs = real.Role, real.URL, why
		options.Issued, a.Stop = real.Issued, real.Stop
	}
	options.Identities = []identitytest.Identity{UserAssigned(name)}
	endpoint := identitytest.NewAppService(options)
	a.Vault = &Vault{Endpoint: endpoint}
	if real == nil {
		a.DatabaseURL, a.DatabaseIs = DatabaseURL, "a stand-in: "+why
		a.Dial = (&Database{Endpoint: endpoint}).Dial
	}

	server := httptest.NewServer(endpoint)
	variables := append(endpoint.Env(server.URL), "AZURE_TOKEN_CREDENTIALS=", "PGUSER=",
		"AZURE_CLIENT_ID="+endpoint.Identities()[0].ClientID)
	for _, v := range variables {
		name, value, _ := strings.Cut(v, "=")
		if err := os.Setenv(name, value); err != nil {
			return nil, err
		}
	}
	stopDatabase := a.Stop
	a.Stop = func() {
		server.Close()
		stopDatabase()
	}
	return a, nil
}

// UserAssigned is a user-assigned identity of that name.
func UserAssigned(name string) identitytest.Identity {
	return identitytest.Identity{ResourceID: "/subscriptions/s/resourcegroups/shop/providers/" +
		"Microsoft.ManagedIdentity/userAssignedIdentities/" + name}
}

package identitypgx_test

import (
	"context"
	"database/sql"
	"fmt"
	"log"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/keyless-go/identity"
	"github.com/keyless-go/identity/identitytest"
	identitypgx "github.com/keyless-go/identity/integrations/pgx"
)

// A pool whose connections log in as the managed identity. Its database knows the identity by
// SELECT * FROM pgaadauth_create_principal('orders', false, false).
func Example() {
	host := identitytest.NewIMDS(&identitytest.Options{Identities: []identitytest.Identity{{
		ClientID: "9d56c8a5-1d34-4d4f-a0a5-6e3f1c1b7f10",
		ResourceID: "/subscriptions/s/resourcegroups/g/providers/" +
			"Microsoft.ManagedIdentity/userAssignedIdentities/orders",
	}}}) // stands for a VM's; leave out, and both lines of options that it is for
	cred, err := identity.NewCredential(&identity.CredentialOptions{
		ID:            identity.ClientID("9d56c8a5-1d34-4d4f-a0a5-6e3f1c1b7f10"),
		Host:          identity.HostIMDS,
		ClientOptions: azcore.ClientOptions{Transport: host},
	})
	if err != nil {
		log.Fatal(err)
	}

	config, err := pgxpool.ParseConfig(
		"postgres://orders-db.postgres.database.azure.com/orders?sslmode=verify-full")
	if err != nil {
		log.Fatal(err)
	}
	config.BeforeConnect = identitypgx.BeforeConnect(cred, nil)
	pool, err := pgxpool.NewWithConfig(context.Background(), config)
	if err != nil {
		log.Fatal(err)
	}
	defer pool.Close()

	// What the pool does before each connection; leave out.
	login := config.ConnConfig.Copy()
	if err := config.BeforeConnect(context.Background(), login); err != nil {
		log.Fatal(err)
	}
	fmt.Println("user:", login.User)
	fmt.Println("password:", len(login.Password) > 0)
	// Output:
	// user: orders
	// password: true
}

// A *sql.DB. The identity is the system-assigned one, whose name is in no token, so that the
// connection string has it.
func ExampleBeforeConnect_databaseSQL() {
	cred, err := identity.NewCredential(&identity.CredentialOptions{
		Host:          identity.HostIMDS, // leave out, and the fake of a VM, too
		ClientOptions: azcore.ClientOptions{Transport: identitytest.NewIMDS(nil)},
	})
	if err != nil {
		log.Fatal(err)
	}
	config, err := pgx.ParseConfig(
		"host=orders-db.postgres.database.azure.com dbname=orders user=vm1 sslmode=verify-full")
	if err != nil {
		log.Fatal(err)
	}
	var db *sql.DB = stdlib.OpenDB(*config,
		stdlib.OptionBeforeConnect(identitypgx.BeforeConnect(cred, nil)))
	defer db.Close()
	fmt.Println("open connections:", db.Stats().OpenConnections)
	// Output: open connections: 0
}

// A single connection, on a config that is its own. This identity is system-assigned, and the
// connection string names no user: the error says which role to look for.
func ExampleBeforeConnect_single() {
	cred, err := identity.NewCredential(&identity.CredentialOptions{
		Host: identity.HostIMDS, // leave out, and the fake of a VM, too
		ClientOptions: azcore.ClientOptions{Transport: identitytest.NewIMDS(
			&identitytest.Options{Identities: []identitytest.Identity{{
				System:     true,
				ObjectID:   "5f1b9c0e-6a51-4f0c-8f55-3f8f0a3f6c11",
				ResourceID: "/subscriptions/s/resourcegroups/g/providers/Microsoft.Compute/virtualMachines/vm1",
			}}},
		)},
	})
	if err != nil {
		log.Fatal(err)
	}
	connect := identitypgx.BeforeConnect(cred, nil)
	config, err := pgx.ParseConfig(
		"host=orders-db.postgres.database.azure.com dbname=orders sslmode=verify-full")
	if err != nil {
		log.Fatal(err)
	}
	own := config.Copy() // for each connection
	if err := connect(context.Background(), own); err != nil {
		fmt.Println(err)
		return
	}
	conn, err := pgx.ConnectConfig(context.Background(), own)
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close(context.Background())
	// Output:
	// identitypgx: "orders-db.postgres.database.azure.com": no user is named, and the tokens for https://ossrdbms-aad.database.windows.net/.default and https://management.azure.com/.default name none: set the user in the connection string to the role that was made for object ID 5f1b9c0e-6a51-4f0c-8f55-3f8f0a3f6c11; a system-assigned identity's is usually named as its resource, "vm1"
}

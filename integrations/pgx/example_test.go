package identitypgx_test

import (
	"context"
	"fmt"
	"log"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/jackc/pgx/v5/pgxpool"
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

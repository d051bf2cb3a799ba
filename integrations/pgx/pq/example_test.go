package identitypq_test

import (
	"database/sql"
	"fmt"
	"log"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/keyless-go/identity"
	"github.com/keyless-go/identity/identitytest"
	identitypq "github.com/keyless-go/identity/integrations/pgx/pq"
)

// A *sql.DB whose connections log in as the managed identity.
func Example() {
	cred, err := identity.NewCredential(&identity.CredentialOptions{
		Host:          identity.HostIMDS, // leave out, and the fake of a VM, too
		ClientOptions: azcore.ClientOptions{Transport: identitytest.NewIMDS(nil)},
	})
	if err != nil {
		log.Fatal(err)
	}
	connector, err := identitypq.NewConnector(
		"host=orders-db.postgres.database.azure.com dbname=orders user=orders sslmode=verify-full",
		cred, nil)
	if err != nil {
		log.Fatal(err)
	}
	db := sql.OpenDB(connector)
	defer db.Close()
	fmt.Println("open connections:", db.Stats().OpenConnections)
	// Output: open connections: 0
}

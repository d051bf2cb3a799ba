package identity_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/keyless-go/identity"
	"github.com/keyless-go/identity/identitytest"
)

// database stands for a driver that asks for the password of each new connection, as pgx's
// BeforeConnect and go-redis's CredentialsProviderContext do.
type database struct {
	user     string
	password func(context.Context) (string, error)
}

func (d database) connect(ctx context.Context) error {
	password, err := d.password(ctx)
	if err != nil {
		return fmt.Errorf("can't connect as %s: %w", d.user, err)
	}
	fmt.Println("connected as", d.user, "with a password:", password != "")
	return nil
}

// A database of Azure's takes the token as the password, and each connection needs one that is
// valid then.
func ExampleTokenFunc() {
	orders := identitytest.Identity{ResourceID: "/subscriptions/s/resourcegroups/g/providers/" +
		"Microsoft.ManagedIdentity/userAssignedIdentities/orders"}
	cred, err := identity.NewCredential(&identity.CredentialOptions{Host: identity.HostIMDS,
		ClientOptions: fake(orders)})
	if err != nil {
		log.Fatal(err)
	}
	const scope = "https://ossrdbms-aad.database.windows.net/.default"
	db := database{user: "orders", password: identity.TokenFunc(cred, scope)}
	if err := db.connect(context.Background()); err != nil {
		log.Fatal(err)
	}
	// Output: connected as orders with a password: true
}

// The role in the database has the name of the managed identity, or of the person.
func ExamplePrincipalOf() {
	orders := identitytest.Identity{ResourceID: "/subscriptions/s/resourcegroups/g/providers/" +
		"Microsoft.ManagedIdentity/userAssignedIdentities/orders"}
	cred, err := identity.NewCredential(&identity.CredentialOptions{Host: identity.HostIMDS,
		ClientOptions: fake(orders)})
	if err != nil {
		log.Fatal(err)
	}
	token, err := identity.TokenFunc(cred,
		"https://management.azure.com/.default")(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	is, err := identity.PrincipalOf(token)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("user:", cmp.Or(is.Name, is.User))
	// Output: user: orders
}

// Tell a mistake, which stays, from an outage, which passes.
func ExamplePassing() {
	cred, err := identity.NewCredential(&identity.CredentialOptions{
		ID:            identity.ClientID("00000000-0000-0000-0000-000000000000"),
		Host:          identity.HostIMDS,
		ClientOptions: fake(),
	})
	if err != nil {
		log.Fatal(err)
	}
	db := database{"orders", identity.TokenFunc(cred, "https://redis.azure.com/.default")}
	if err := db.connect(context.Background()); err != nil && !identity.Passing(err) {
		fmt.Println("not assigned:", errors.Is(err, identity.ErrIdentityNotFound))
	}
	// Output: not assigned: true
}

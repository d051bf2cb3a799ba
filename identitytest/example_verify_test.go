package identitytest_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"

	"github.com/keyless-go/identity"
	"github.com/keyless-go/identity/identitytest"
)

// A stand-in for a database whose users log in with a token as their password.
func ExampleEndpoint_Verify() {
	endpoint := identitytest.NewIMDS(&identitytest.Options{Identities: []identitytest.Identity{{
		ResourceID: "/subscriptions/s/resourceGroups/g/providers/Microsoft.ManagedIdentity/" +
			"userAssignedIdentities/orders",
	}}})
	const resource = "https://ossrdbms-aad.database.windows.net"
	login := func(user, password string) error {
		token, err := endpoint.Verify(password)
		switch {
		case err != nil:
			return err
		case token.Resource != resource:
			return errors.New("a token for " + token.Resource)
		case user != "orders" || token.Identity != endpoint.Identities()[0]:
			return errors.New("not the token of " + user)
		}
		return nil
	}

	credential, err := identity.NewCredential(&identity.CredentialOptions{
		ClientOptions: azcore.ClientOptions{Transport: endpoint},
		Host:          identity.HostIMDS,
	})
	if err != nil {
		log.Fatal(err)
	}
	password, err := identity.TokenFunc(credential, resource+"/.default")(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	principal, err := identity.PrincipalOf(password)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(login(cmp.Or(principal.Name, principal.User), password))
	fmt.Println(login("root", password))
	fmt.Println(login("orders", "guessed"))
	// Output:
	// <nil>
	// not the token of root
	// identitytest: Verify: no token of this endpoint's
}

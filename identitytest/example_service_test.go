package identitytest_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/keyless-go/identity"
	"github.com/keyless-go/identity/identitytest"
)

// A service that uses the default credential, on App Service: its variables say that this is Azure,
// so that no failure makes the developer of it who runs the test. A test that can do without
// parallel ones has the variables and the transport from endpoint.Start(t), and the service stays
// as it is.
func ExampleNewAppService() {
	endpoint := identitytest.NewAppService(nil)
	defer setenv(endpoint.Env("http://localhost:4141"))()

	credential, err := identity.NewDefaultCredential(&identity.DefaultCredentialOptions{
		ClientOptions: azcore.ClientOptions{Transport: endpoint},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(service{credential}.readSecret(context.Background()))
	endpoint.Enqueue(identitytest.Response{Status: 400}) // the identity has been taken away
	err = credential.Ready(context.Background(), "https://storage.azure.com/.default")
	fmt.Println("not found:", errors.Is(err, identity.ErrIdentityNotFound))
	// Output:
	// the secret <nil>
	// not found: true
}

// A host that mixes two identities up: the service must not go on as the other one.
func ExampleResponse_identity() {
	endpoint := identitytest.NewIMDS(&identitytest.Options{
		Identities: []identitytest.Identity{{System: true}, {}},
	})
	credential, err := identity.NewCredential(&identity.CredentialOptions{
		ClientOptions: azcore.ClientOptions{Transport: endpoint},
		Host:          identity.HostIMDS,
		ID:            identity.ClientID(endpoint.Identities()[1].ClientID),
	})
	if err != nil {
		log.Fatal(err)
	}
	endpoint.Enqueue(identitytest.Response{Identity: identitytest.Identity{System: true}})
	_, err = service{credential}.readSecret(context.Background())
	fmt.Println("another identity's:", errors.Is(err, identity.ErrIdentityMismatch))
	// Output: another identity's: true
}

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

	password, err := identity.TokenFunc(newCredential(endpoint, policy.RetryOptions{}),
		resource+"/.default")(context.Background())
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

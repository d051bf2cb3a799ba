package chain_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"reflect"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/keyless-go/identity"
	"github.com/keyless-go/identity/identitytest"
)

// unavailable is azidentity's error for a credential that can't be used here. Its type has no
// exported name, but a value of it can be made.
var unavailable = reflect.TypeOf(azidentity.NewCredentialUnavailableError(""))

// unavailableThere reports whether an error is one.
func unavailableThere(err error) bool { return errors.As(err, reflect.New(unavailable).Interface()) }

// A credential of azidentity's before one of this library's: ContinueOn tells the chain which of
// its errors mean that the next source is to be tried. All others end the try, so that a failed
// login doesn't turn into another identity.
func Example() {
	path := os.Getenv("PATH")
	_ = os.Setenv("PATH", "") // so that this prints the same everywhere; leave out
	defer func() { _ = os.Setenv("PATH", path) }()

	powerShell, err := azidentity.NewAzurePowerShellCredential(nil)
	if err != nil {
		log.Fatal(err)
	}
	managed, err := identity.NewCredential(&identity.CredentialOptions{
		Host:          identity.HostIMDS,                                          // on Azure: leave out
		ClientOptions: azcore.ClientOptions{Transport: identitytest.NewIMDS(nil)}, // on Azure: leave out
	})
	if err != nil {
		log.Fatal(err)
	}
	cred, err := identity.NewChain([]azcore.TokenCredential{powerShell, managed},
		&identity.ChainOptions{ContinueOn: unavailableThere})
	if err != nil {
		log.Fatal(err)
	}
	_, err = cred.GetToken(context.Background(),
		policy.TokenRequestOptions{Scopes: []string{"https://vault.azure.net/.default"}})
	fmt.Println(cred.Status().InUse, err)
	// Output: managed identity <nil>
}

// What the chain does not go on from: azidentity's other errors.
func Example_failure() {
	failed := failing{fmt.Errorf("wrapped: %w", &azidentity.AuthenticationFailedError{})}
	cred, err := identity.NewChain([]azcore.TokenCredential{failed, failing{nil}},
		&identity.ChainOptions{ContinueOn: unavailableThere})
	if err != nil {
		log.Fatal(err)
	}
	_, err = cred.GetToken(context.Background(),
		policy.TokenRequestOptions{Scopes: []string{"https://vault.azure.net/.default"}})
	var found *azidentity.AuthenticationFailedError
	fmt.Println(errors.As(err, &found), unavailableThere(err), cred.Status().InUse == "")
	// Output: true false true
}

// failing is a credential of anybody's.
type failing struct{ err error }

func (f failing) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: "token"}, f.err
}

package identitytest_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"

	"github.com/keyless-go/identity"
	"github.com/keyless-go/identity/identitytest"
)

// Azure Arc hands out a token to who can read a file that it has just written: into the directory
// of the test, here.
func ExampleNewArc() {
	dir, err := os.MkdirTemp("", "") // in a test: t.TempDir()
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	endpoint := identitytest.NewArc(&identitytest.Options{Dir: dir})
	defer setenv(endpoint.Env("http://localhost:40342"))()

	credential, err := identity.NewCredential(&identity.CredentialOptions{
		ClientOptions: azcore.ClientOptions{Transport: endpoint},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(service{credential}.readSecret(context.Background()))
	for _, r := range endpoint.Requests() {
		fmt.Println("with a key:", r.Header.Get("Authorization") != "")
	}
	// Output:
	// the secret <nil>
	// with a key: false
	// with a key: true
}

package identitytest_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"

	"github.com/keyless-go/identity"
	"github.com/keyless-go/identity/identitytest"
)

// A service that uses the default credential, on App Service. The variables say that this is Azure,
// so the developer who runs the test is never asked. In a test that isn't parallel,
// endpoint.Start(t) sets the variables and no Transport is needed: the service stays as it is.
func ExampleNewAppService() {
	endpoint := identitytest.NewAppService(nil)
	for _, line := range endpoint.Env("http://localhost:4141") { // in a test: t.Setenv
		name, value, _ := strings.Cut(line, "=")
		os.Setenv(name, value)
		defer os.Unsetenv(name)
	}
	credential, err := identity.NewDefaultCredential(&identity.DefaultCredentialOptions{
		ClientOptions: azcore.ClientOptions{Transport: endpoint},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(credential.Ready(context.Background(), "https://vault.azure.net/.default"))
	endpoint.Enqueue(identitytest.Response{Status: 400}) // the identity has been taken away
	err = credential.Ready(context.Background(), "https://storage.azure.com/.default")
	fmt.Println("not found:", errors.Is(err, identity.ErrIdentityNotFound))
	// Output:
	// <nil>
	// not found: true
}

// Azure Arc gives a token to a client that can read a file which the agent has just written: here,
// into the directory of the test.
func ExampleNewArc() {
	dir, err := os.MkdirTemp("", "") // in a test: t.TempDir()
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	endpoint := identitytest.NewArc(&identitytest.Options{Dir: dir})
	for _, line := range endpoint.Env("http://localhost:40342") { // in a test: t.Setenv
		name, value, _ := strings.Cut(line, "=")
		os.Setenv(name, value)
		defer os.Unsetenv(name)
	}
	credential, err := identity.NewCredential(&identity.CredentialOptions{
		ClientOptions: azcore.ClientOptions{Transport: endpoint},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(credential.Ready(context.Background(), "https://vault.azure.net/.default"))
	for _, r := range endpoint.Requests() {
		fmt.Println("with a key:", r.Header.Get("Authorization") != "")
	}
	// Output:
	// <nil>
	// with a key: false
	// with a key: true
}

// A credential knows Service Fabric by its certificate, and so needs a connection:
// [identitytest.Endpoint.Client] has one, in memory. The variables say where the host is, and which
// certificate it has. In a test that isn't parallel, endpoint.Start(t) does all of that.
func ExampleNewServiceFabric() {
	endpoint := identitytest.NewServiceFabric(nil)
	for _, line := range endpoint.Env("https://localhost:2377") { // in a test: t.Setenv
		name, value, _ := strings.Cut(line, "=")
		os.Setenv(name, value)
		defer os.Unsetenv(name)
	}
	credential, err := identity.NewCredential(&identity.CredentialOptions{
		ClientOptions: azcore.ClientOptions{Transport: endpoint.Client()},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(credential.Ready(context.Background(), "https://vault.azure.net/.default"))
	// Output: <nil>
}

// A pod whose token is replaced in its file. The old token is refused from then on, so the next
// exchange must have the new one.
func ExampleNewWorkloadIdentity() {
	dir, err := os.MkdirTemp("", "") // in a test: t.TempDir()
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	endpoint := identitytest.NewWorkloadIdentity(&identitytest.Options{Dir: dir})
	for _, line := range endpoint.Env("https://login.microsoftonline.com") { // in a test: t.Setenv
		name, value, _ := strings.Cut(line, "=")
		os.Setenv(name, value)
		defer os.Unsetenv(name)
	}
	credential, err := identity.NewCredential(&identity.CredentialOptions{
		ClientOptions: azcore.ClientOptions{Transport: endpoint},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(credential.Ready(context.Background(), "https://vault.azure.net/.default"))
	endpoint.RotateSecret() // the kubelet does it every 48 minutes
	fmt.Println(credential.Ready(context.Background(), "https://storage.azure.com/.default"))
	for _, r := range endpoint.Requests() {
		fmt.Println(r.Method, r.FormValue("scope"))
	}
	// Output:
	// <nil>
	// <nil>
	// POST https://vault.azure.net/.default
	// POST https://storage.azure.com/.default
}

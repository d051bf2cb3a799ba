package identitytest_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"

	"github.com/keyless-go/identity"
	"github.com/keyless-go/identity/identitytest"
)

// An application that trusts a virtual machine's identity, and gets a token in its own name. Both
// fakes are in memory, so such a test can run in parallel with others.
func ExampleNewEntra() {
	vm := identitytest.NewIMDS(nil)
	entra := identitytest.NewEntra(&identitytest.Options{
		FederatedCredentials: vm.FederatedCredentials(),
	})
	application := entra.Identities()[0]
	options := azcore.ClientOptions{Transport: identitytest.Endpoints{vm, entra}}

	machine, err := identity.NewCredential(&identity.CredentialOptions{
		ClientOptions: options, Host: identity.HostIMDS,
	})
	if err != nil {
		log.Fatal(err)
	}
	credential, err := identity.NewFederatedCredential(application.TenantID,
		identity.ClientID(application.ClientID), identity.CredentialAssertion(machine),
		&identity.FederatedCredentialOptions{ClientOptions: options})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(credential.Ready(context.Background(), "https://vault.azure.net/.default"))
	fmt.Println(vm.Requests()[0].URL.Query().Get("resource"))
	fmt.Println(entra.Requests()[0].FormValue("scope"))
	// Output:
	// <nil>
	// api://AzureADTokenExchange
	// https://vault.azure.net/.default
}

// A job of a repository that an application trusts. The job's tokens end after minutes, so each
// exchange needs a new one.
func ExampleNewGitHubActions() {
	github := identitytest.NewGitHubActions(nil)
	entra := identitytest.NewEntra(&identitytest.Options{
		FederatedCredentials: github.FederatedCredentials(),
	})
	for _, line := range github.Env("http://localhost") { // in a test: t.Setenv
		name, value, _ := strings.Cut(line, "=")
		os.Setenv(name, value)
		defer os.Unsetenv(name)
	}
	application := github.Identities()[0]

	credential, err := identity.NewFederatedCredential(application.TenantID,
		identity.ClientID(application.ClientID), identity.GitHubActionsAssertion(),
		&identity.FederatedCredentialOptions{
			ClientOptions: azcore.ClientOptions{Transport: identitytest.Endpoints{github, entra}},
		})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(credential.Ready(context.Background(), "https://vault.azure.net/.default"))
	fmt.Println(credential.Ready(context.Background(), "https://storage.azure.com/.default"))
	for _, r := range github.Requests() {
		fmt.Println(r.Method, r.URL.Query().Get("audience"))
	}
	// Output:
	// <nil>
	// <nil>
	// GET api://AzureADTokenExchange
	// GET api://AzureADTokenExchange
}

package identity_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/keyless-go/identity"
)

// A controller whose own configuration has tenant, client ID and token file. NewCredential would
// take them from a pod's variables.
func ExampleNewFederatedCredential() {
	cred, err := identity.NewFederatedCredential(
		"8f0e6d5a-3c1b-4e90-a1f2-6f1c2a520d8e",                           // the application's tenant
		identity.ClientID("b2f5a3c0-6f3b-4b5e-9a41-0d6c1c8f7e12"),        // the application
		identity.FileAssertion("/var/run/secrets/tokens/azure-identity"), // what it trusts
		nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(cred.Ready(context.Background(), "https://vault.azure.net/.default"))
}

// An application, here of a customer's tenant, that trusts the managed identity of this host.
func ExampleCredentialAssertion() {
	managed, err := identity.NewCredential(nil)
	if err != nil {
		log.Fatal(err)
	}
	cred, err := identity.NewFederatedCredential(
		"8f0e6d5a-3c1b-4e90-a1f2-6f1c2a520d8e",
		identity.ClientID("b2f5a3c0-6f3b-4b5e-9a41-0d6c1c8f7e12"),
		identity.CredentialAssertion(managed), nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(cred.Ready(context.Background(), "https://vault.azure.net/.default"))
}

// A job of GitHub Actions with the permission "id-token: write", whose application trusts the
// repository. NewDefaultCredential finds such a job by itself.
func ExampleGitHubActionsAssertion() {
	cred, err := identity.NewFederatedCredential(
		os.Getenv("AZURE_TENANT_ID"), identity.ClientID(os.Getenv("AZURE_CLIENT_ID")),
		identity.GitHubActionsAssertion(), nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(cred.Ready(context.Background(), "https://management.azure.com/.default"))
}

// A job of Azure Pipelines, as the application of one of its service connections. The step maps
// SYSTEM_ACCESSTOKEN: env: { SYSTEM_ACCESSTOKEN: $(System.AccessToken) }.
func ExampleAzurePipelinesAssertion() {
	cred, err := identity.NewFederatedCredential(
		os.Getenv("AZURESUBSCRIPTION_TENANT_ID"),
		identity.ClientID(os.Getenv("AZURESUBSCRIPTION_CLIENT_ID")),
		identity.AzurePipelinesAssertion(os.Getenv("AZURESUBSCRIPTION_SERVICE_CONNECTION_ID")), nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(cred.Ready(context.Background(), "https://management.azure.com/.default"))
}

// A job of GitLab CI: its id_tokens put a token for api://AzureADTokenExchange into a variable,
// here AZURE_ID_TOKEN. Any other issuer is asked by such a function, too.
func ExampleAssertionFunc() {
	token := func(context.Context, identity.AssertionRequest) (string, error) {
		return os.Getenv("AZURE_ID_TOKEN"), nil
	}
	cred, err := identity.NewFederatedCredential(
		os.Getenv("AZURE_TENANT_ID"), identity.ClientID(os.Getenv("AZURE_CLIENT_ID")),
		identity.AssertionFunc(token), nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(cred.Ready(context.Background(), "https://management.azure.com/.default"))
}

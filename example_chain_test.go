package identity_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity"
)

// The managed identity on Azure, the login of the Azure CLI or the Azure Developer CLI on a laptop.
// Pass cred to any Azure SDK client.
func ExampleNewDefaultCredential() {
	cred, err := identity.NewDefaultCredential(nil)
	if err != nil {
		log.Fatal(err)
	}
	// client, err := azsecrets.NewClient("https://example.vault.azure.net", cred, nil)

	err = cred.Ready(context.Background(), "https://vault.azure.net/.default")
	fmt.Println(cred.Status().InUse, err)
	if evidence := cred.Status().Azure; evidence != "" {
		fmt.Println("no developer, because", evidence)
	}
}

// The next source is tried only when one is unavailable. After any other failure GetToken returns
// an error, so that no failure turns into another identity.
func ExampleNewChain() {
	cli, err := identity.NewAzureCLICredential(nil)
	if err != nil {
		log.Fatal(err)
	}
	managed, err := identity.NewCredential(nil)
	if err != nil {
		log.Fatal(err)
	}
	// The developer comes first, on purpose. NewDefaultCredential has them last.
	cred, err := identity.NewChain([]azcore.TokenCredential{cli, managed}, nil)
	if err != nil {
		log.Fatal(err)
	}
	err = cred.Ready(context.Background(), "https://vault.azure.net/.default")
	fmt.Println(cred.Status().InUse, err)
}

// The developer who is logged in with `az login`.
func ExampleNewAzureCLICredential() {
	cred, err := identity.NewAzureCLICredential(&identity.AzureCLICredentialOptions{
		TenantID: "contoso.onmicrosoft.com",
	})
	if err != nil {
		log.Fatal(err)
	}
	_, err = cred.GetToken(context.Background(), policy.TokenRequestOptions{
		Scopes: []string{"https://vault.azure.net/.default"}, EnableCAE: true,
	})
	if errors.Is(err, identity.ErrUnavailable) {
		fmt.Println("az is not installed, or nobody is logged in")
	}
}

// The developer who is logged in with `azd auth login`.
func ExampleNewAzureDeveloperCLICredential() {
	cred, err := identity.NewAzureDeveloperCLICredential(nil)
	if err != nil {
		log.Fatal(err)
	}
	_, err = cred.GetToken(context.Background(), policy.TokenRequestOptions{
		Scopes: []string{"https://vault.azure.net/.default"}, EnableCAE: true,
	})
	if errors.Is(err, identity.ErrUnavailable) {
		fmt.Println("azd is not installed, or nobody is logged in")
	}
}

package identity_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity"
)

// The default identity of the host that the program runs on, whichever host that is. Pass cred to
// any Azure SDK client.
func ExampleNewCredential() {
	cred, err := identity.NewCredential(nil)
	if err != nil {
		log.Fatal(err)
	}
	// client, err := azsecrets.NewClient("https://example.vault.azure.net", cred, nil)

	err = cred.Ready(context.Background(), "https://vault.azure.net/.default")
	fmt.Println(cred.Host(), err)
}

// One of the host's user-assigned identities, by what Azure calls "Client ID".
func ExampleClientID() {
	cred, err := identity.NewCredential(&identity.CredentialOptions{
		ID: identity.ClientID("b2f5a3c0-6f3b-4b5e-9a41-0d6c1c8f7e12"),
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(cred.Ready(context.Background(), "https://vault.azure.net/.default"))
}

// One of the host's user-assigned identities, by what Azure calls "Object (principal) ID".
func ExampleObjectID() {
	cred, err := identity.NewCredential(&identity.CredentialOptions{
		ID: identity.ObjectID("3c4d9e1f-58a7-4f0e-8a55-6b7c8d9e0f11"),
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(cred.Ready(context.Background(), "https://vault.azure.net/.default"))
}

// One of the host's user-assigned identities, by the ID that infrastructure as code knows before
// the identity exists.
func ExampleResourceID() {
	cred, err := identity.NewCredential(&identity.CredentialOptions{
		ID: identity.ResourceID("/subscriptions/00000000-0000-0000-0000-000000000000/resourcegroups/shop" +
			"/providers/Microsoft.ManagedIdentity/userAssignedIdentities/orders"),
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(cred.Ready(context.Background(), "https://vault.azure.net/.default"))
}

// Azure SDK clients call GetToken; other code can, too. Ask for each request: a held token costs
// nothing. With EnableCAE set, the token is the one that Azure SDK clients and Ready use.
func ExampleCredential_GetToken() {
	cred, err := identity.NewCredential(nil)
	if err != nil {
		log.Fatal(err)
	}
	token, err := cred.GetToken(context.Background(), policy.TokenRequestOptions{
		Scopes: []string{"https://management.azure.com/.default"}, EnableCAE: true,
	})
	if err != nil {
		log.Fatal(err)
	}
	req, err := http.NewRequest(http.MethodGet,
		"https://management.azure.com/subscriptions?api-version=2022-12-01", nil)
	if err != nil {
		log.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token.Token)
	fmt.Println("valid for", time.Until(token.ExpiresOn).Round(time.Hour))
}

// At start-up, wait up to a minute for the identity, rather than fail the first request.
func ExampleCredential_Ready() {
	cred, err := identity.NewCredential(nil)
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	err = cred.Ready(ctx, "https://vault.azure.net/.default", "https://storage.azure.com/.default")
	fmt.Println(err)
}

func ExampleCredential_Host() {
	cred, err := identity.NewCredential(&identity.CredentialOptions{Host: identity.HostIMDS})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(cred.Host())
	// Output: IMDS
}

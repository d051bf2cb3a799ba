package identity_test

import (
	"context"
	"fmt"
	"log"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity"
)

// In a pod with workload identity the service account's token is exchanged at Entra for one of the
// identity that AZURE_CLIENT_ID names, or of a ClientID in CredentialOptions.ID.
func ExampleNewCredential_workloadIdentity() {
	cred, err := identity.NewCredential(nil)
	if err != nil {
		log.Fatal(err)
	}
	err = cred.Ready(context.Background(), "https://vault.azure.net/.default")
	fmt.Println(cred.Host(), err)
}

// On a server that Azure Arc manages, the user that the service runs as must be allowed to read the
// agent's keys: on Linux as a member of the group himds, on Windows of the local group "Hybrid
// agent extension applications".
func ExampleNewCredential_azureArc() {
	cred, err := identity.NewCredential(nil)
	if err != nil {
		log.Fatal(err)
	}
	err = cred.Ready(context.Background(), "https://vault.azure.net/.default")
	fmt.Println(cred.Host(), err)
}

// On Service Fabric the application's manifest assigns the identity. With CredentialOptions.ID set,
// NewCredential returns an error.
func ExampleNewCredential_serviceFabric() {
	cred, err := identity.NewCredential(nil)
	if err != nil {
		log.Fatal(err)
	}
	err = cred.Ready(context.Background(), "https://vault.azure.net/.default")
	fmt.Println(cred.Host(), err)
}

// In a Windows container of Container Instances a user-assigned identity is selected by its object
// ID, which Azure calls the principal ID. Linux containers there ask IMDS, which takes all three.
func ExampleNewCredential_containerInstances() {
	cred, err := identity.NewCredential(&identity.CredentialOptions{
		ID: identity.ObjectID("3c4d9e1f-58a7-4f0e-8a55-6b7c8d9e0f11"),
	})
	if err != nil {
		log.Fatal(err)
	}
	err = cred.Ready(context.Background(), "https://vault.azure.net/.default")
	fmt.Println(cred.Host(), err)
}

// On the compute of Azure ML an identity is selected by its client ID, and by no other. If
// CredentialOptions.ID is nil, the variable DEFAULT_IDENTITY_CLIENT_ID names the identity.
func ExampleNewCredential_azureML() {
	cred, err := identity.NewCredential(&identity.CredentialOptions{
		ID: identity.ClientID("b2f5a3c0-6f3b-4b5e-9a41-0d6c1c8f7e12"),
	})
	if err != nil {
		log.Fatal(err)
	}
	err = cred.Ready(context.Background(), "https://vault.azure.net/.default")
	fmt.Println(cred.Host(), err)
}

// The legacy App Service, of before 2019, has the same variables as Azure ML and also selects by
// client ID. It needn't be told from Azure ML. If CredentialOptions.ID is nil, the token is of the
// app's system-assigned identity.
func ExampleNewCredential_legacyAppService() {
	cred, err := identity.NewCredential(nil)
	if err != nil {
		log.Fatal(err)
	}
	err = cred.Ready(context.Background(), "https://vault.azure.net/.default")
	fmt.Println(cred.Host(), err)
}

// In Cloud Shell a token is the signed-in user's. There is no identity to select, and roles are
// assigned to the user.
func ExampleNewCredential_cloudShell() {
	cred, err := identity.NewCredential(nil)
	if err != nil {
		log.Fatal(err)
	}
	err = cred.Ready(context.Background(), "https://vault.azure.net/.default")
	fmt.Println(cred.Host(), err)
}

// What would NewCredential do here? Detection.Endpoint says where it would ask.
func ExampleDetect() {
	d := identity.Detect()
	fmt.Printf("%v, because %s\n", d.Host, d.Reason)
}

// A vault may be of another tenant than the pod's identity. Its client then asks for a token of
// that tenant. Workload identity gets one only if AdditionallyAllowedTenants has the tenant.
func ExampleCredentialOptions_additionallyAllowedTenants() {
	cred, err := identity.NewCredential(&identity.CredentialOptions{
		AdditionallyAllowedTenants: []string{"fabrikam.onmicrosoft.com"}, // or "*"
	})
	if err != nil {
		log.Fatal(err)
	}
	_, err = cred.GetToken(context.Background(), policy.TokenRequestOptions{
		Scopes:    []string{"https://vault.azure.net/.default"},
		EnableCAE: true,
		TenantID:  "contoso.onmicrosoft.com",
	})
	fmt.Println(err) // it names the tenant and AdditionallyAllowedTenants
}

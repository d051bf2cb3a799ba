package identitytest_test

import (
	"log"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/keyless-go/identity"
	"github.com/keyless-go/identity/identitytest"
)

// vault is asked for as Azure SDK clients ask.
var vault = policy.TokenRequestOptions{
	Scopes: []string{"https://vault.azure.net/.default"}, EnableCAE: true,
}

// newCredential makes a credential that asks a fake host.
func newCredential(
	endpoint *identitytest.Endpoint, retry policy.RetryOptions,
) *identity.Credential {
	credential, err := identity.NewCredential(&identity.CredentialOptions{
		ClientOptions: azcore.ClientOptions{Transport: endpoint, Retry: retry},
		Host:          identity.HostIMDS,
	})
	if err != nil {
		log.Fatal(err)
	}
	return credential
}

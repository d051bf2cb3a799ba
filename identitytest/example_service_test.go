package identitytest_test

import (
	"context"
	"fmt"
	"log"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/keyless-go/identity"
	"github.com/keyless-go/identity/identitytest"
)

// service stands for the code under test: it takes a credential, as every client of an Azure SDK
// does.
type service struct{ credential azcore.TokenCredential }

func (s service) readSecret(ctx context.Context) (string, error) {
	_, err := s.credential.GetToken(ctx, policy.TokenRequestOptions{
		Scopes: []string{"https://vault.azure.net/.default"}, EnableCAE: true,
	})
	if err != nil {
		return "", fmt.Errorf("no secret today: %w", err)
	}
	return "the secret", nil
}

// To test a service, give it a credential that asks a fake host.
func Example() {
	credential, err := identity.NewCredential(&identity.CredentialOptions{
		ClientOptions: azcore.ClientOptions{Transport: identitytest.NewIMDS(nil)},
		Host:          identity.HostIMDS,
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(service{credential}.readSecret(context.Background()))
	// Output: the secret <nil>
}

package snippets

import (
	"context"
	"fmt"

	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"
	"github.com/keyless-go/identity"
)

// ReadSecret is what the README begins with.
func ReadSecret(ctx context.Context) error {
	cred, err := identity.NewCredential(nil)
	if err != nil {
		return err
	}
	client, err := azsecrets.NewClient("https://example.vault.azure.net", cred, nil)
	if err != nil {
		return err
	}
	secret, err := client.GetSecret(ctx, "database-password", "", nil)
	if err != nil {
		return err
	}
	_, err = fmt.Println(*secret.Value)
	return err
}

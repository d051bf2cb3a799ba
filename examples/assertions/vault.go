package assertions

import (
	"context"
	"errors"

	vault "github.com/hashicorp/vault/api"
	"github.com/keyless-go/identity"
)

// Vault makes assertions of the identity tokens that Vault signs for a role. The application's
// federated credential has Vault's issuer, ending in "/v1/identity/oidc", and the entity's ID as
// subject. The role decides on the audience: set its client_id to the one of the request.
func Vault(client *vault.Client, role string) identity.Assertion {
	return identity.AssertionFunc(func(ctx context.Context, r identity.AssertionRequest) (string, error) {
		secret, err := client.Logical().ReadWithContext(ctx, "identity/oidc/token/"+role)
		if err != nil {
			return "", err
		}
		if secret == nil {
			return "", errors.New("vault has no identity/oidc/role/" + role)
		}
		token, _ := secret.Data["token"].(string)
		return token, nil
	})
}

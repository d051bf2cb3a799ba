package assertions

import (
	"context"

	"github.com/keyless-go/identity"
	authentication "k8s.io/api/authentication/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	core "k8s.io/client-go/kubernetes/typed/core/v1"
)

// TokenRequest makes assertions in the name of a service account, as a controller does that acts
// for its tenants. The application's federated credential has the cluster's issuer, and
// "system:serviceaccount:NAMESPACE:NAME" as subject. The controller needs the verb create on
// serviceaccounts/token. client is a clientset's CoreV1().
func TokenRequest(client core.ServiceAccountsGetter, namespace, name string) identity.Assertion {
	return identity.AssertionFunc(func(ctx context.Context, r identity.AssertionRequest) (string, error) {
		answer, err := client.ServiceAccounts(namespace).CreateToken(ctx, name,
			&authentication.TokenRequest{
				Spec: authentication.TokenRequestSpec{Audiences: []string{r.Audience}},
			}, meta.CreateOptions{})
		if err != nil {
			return "", err
		}
		return answer.Status.Token, nil
	})
}

package assertions

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/keyless-go/identity"
)

// ForAWS assumes a role of AWS with the token of an identity of Azure. The account has an OIDC
// provider for the issuer "https://sts.windows.net/TENANT/" and the audience that the scope is for;
// the role's trust policy names the identity's object ID as sub.
func ForAWS(
	client *sts.Client, role string, cred *identity.Credential, scope string,
) aws.CredentialsProvider {
	return aws.NewCredentialsCache(stscreds.NewWebIdentityRoleProvider(client, role,
		webIdentity{cred, scope}))
}

type webIdentity struct {
	cred  *identity.Credential
	scope string
}

// GetIdentityToken implements stscreds.IdentityTokenRetriever, which hands over no context:
// GetToken ends by itself.
func (w webIdentity) GetIdentityToken() ([]byte, error) {
	token, err := w.cred.GetToken(context.Background(), request(w.scope))
	return []byte(token.Token), err
}

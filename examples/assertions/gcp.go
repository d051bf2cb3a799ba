package assertions

import (
	"context"

	"cloud.google.com/go/auth"
	"cloud.google.com/go/auth/credentials/externalaccount"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity"
)

// ForGoogle is a credential of Google Cloud by the token of an identity of Azure. The workload
// identity pool has a provider for the issuer "https://sts.windows.net/TENANT/". audience is the
// provider's, "//iam.googleapis.com/projects/…/providers/…"; scope is for the application whose
// App ID URI the provider allows as audience. Unlike a credential file with a URL of IMDS, it works
// on each host that this module knows.
func ForGoogle(
	cred *identity.Credential, scope, audience, tokenURL string,
) (*auth.Credentials, error) {
	return externalaccount.NewCredentials(&externalaccount.Options{
		Audience:             audience,
		SubjectTokenType:     "urn:ietf:params:oauth:token-type:jwt",
		TokenURL:             tokenURL,
		Scopes:               []string{"https://www.googleapis.com/auth/cloud-platform"},
		SubjectTokenProvider: subject{cred, scope},
	})
}

type subject struct {
	cred  *identity.Credential
	scope string
}

// SubjectToken implements externalaccount.SubjectTokenProvider.
func (s subject) SubjectToken(
	ctx context.Context, _ *externalaccount.RequestOptions,
) (string, error) {
	token, err := s.cred.GetToken(ctx, request(s.scope))
	return token.Token, err
}

// request asks as Ready does, so that one token serves both.
func request(scope string) policy.TokenRequestOptions {
	return policy.TokenRequestOptions{Scopes: []string{scope}, EnableCAE: true}
}

package assertions

import (
	"context"

	"github.com/keyless-go/identity"
	"github.com/spiffe/go-spiffe/v2/svid/jwtsvid"
	"github.com/spiffe/go-spiffe/v2/workloadapi"
)

// SPIFFE makes assertions of the workload's JWT-SVID. The application's federated credential has
// the trust domain's OIDC discovery URL as issuer and the SPIFFE ID as subject.
func SPIFFE(client *workloadapi.Client) identity.Assertion {
	return identity.AssertionFunc(func(ctx context.Context, r identity.AssertionRequest) (string, error) {
		svid, err := client.FetchJWTSVID(ctx, jwtsvid.Params{Audience: r.Audience})
		if err != nil {
			return "", err
		}
		return svid.Marshal(), nil
	})
}

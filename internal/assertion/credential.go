package assertion

import (
	"context"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

const (
	// CredentialBound is for one call of a credential. A managed identity's acquisition takes 75 s
	// at the longest, on IMDS.
	CredentialBound = 90 * time.Second
	// leastLeft is what a token has left to live that is sent as an assertion. It outlasts an
	// exchange with all its tries.
	leastLeft = time.Minute
)

// NewCredential makes a Source of a credential's tokens: judge is as in NewFunction.
//
// A credential may hand out a token to its last second, as this library's do while the host is out.
// One that is about to end, or that Entra has just refused as ended, is replaced where the
// credential can be told to: Refresh is this library's method for that.
func NewCredential(
	name string, cred azcore.TokenCredential, judge func(error) (ours, passes bool),
) *Function {
	return NewFunction(name, CredentialBound, func(ctx context.Context, r Request) (string, error) {
		scope := r.Audience + "/.default"
		got, err := cred.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{scope}})
		if err != nil {
			return "", err
		}
		if got.Token != r.Stale && time.Until(got.ExpiresOn) > leastLeft {
			return got.Token, nil
		}
		if c, ok := cred.(refresher); ok {
			// After a failure the held one may still do.
			if other, _, err := c.Refresh(ctx, scope); err == nil {
				got = other
			}
		}
		return got.Token, nil
	}, judge)
}

// refresher is a credential that can be told to get another token than the one it holds.
type refresher interface {
	Refresh(ctx context.Context, scope string) (token azcore.AccessToken, changed bool, err error)
}

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

// NewCredential makes a Source of a credential's tokens: get is its GetToken, and judge is as in
// NewFunction.
//
// A credential may hand out a token to its last second, as this library's do while the host is out.
// One that is about to end, or that Entra has just refused as ended, is replaced by anew, which
// asks the credential past what it holds; nil where that can't be done.
func NewCredential(
	name string,
	get func(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error),
	anew func(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, bool, error),
	judge func(error) (ours, passes bool),
) *Function {
	return NewFunction(name, CredentialBound, func(ctx context.Context, r Request) (string, error) {
		options := policy.TokenRequestOptions{Scopes: []string{r.Audience + "/.default"}}
		got, err := get(ctx, options)
		if err != nil {
			return "", err
		}
		if anew == nil || got.Token != r.Stale && time.Until(got.ExpiresOn) > leastLeft {
			return got.Token, nil
		}
		// After a failure the held one may still do.
		if other, _, err := anew(ctx, options); err == nil {
			got = other
		}
		return got.Token, nil
	}, judge)
}

package identity

import (
	"context"
	"errors"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// TokenFunc returns a function that gets a token of cred for one scope as text: the password of a
// database, the value of a header, or another issuer's assertion. Call it for each connection and
// keep no result of it, because a kept one ends. A held token costs nothing; else the function
// blocks and fails as cred's GetToken does, and ends with its ctx.
//
// It asks for tokens that can be challenged (EnableCAE), as Azure SDK clients, Ready, [Tokens] and
// [Transport] do, so that all of them share what is held. The function is safe for concurrent use
// if cred is.
func TokenFunc(cred azcore.TokenCredential, scope string) func(context.Context) (string, error) {
	ask := askFunc("TokenFunc", cred, scope)
	return func(ctx context.Context) (string, error) {
		token, err := ask(ctx, "")
		return token.Token, err
	}
}

// askFunc asks cred for a scope's token as Azure SDK clients ask, with the claims of a challenge or
// "". what names the caller in errors.
func askFunc(
	what string, cred azcore.TokenCredential, scope string,
) func(ctx context.Context, claims string) (azcore.AccessToken, error) {
	return func(ctx context.Context, claims string) (azcore.AccessToken, error) {
		if cred == nil {
			return azcore.AccessToken{}, errors.New("identity: " + what +
				": nil credential: want one, such as one of NewCredential")
		}
		token, err := cred.GetToken(ctx, policy.TokenRequestOptions{
			Scopes: []string{scope}, EnableCAE: true, Claims: claims})
		if err == nil && token.Token == "" {
			err = errors.New("identity: " + what + ": the credential returned an empty token")
		}
		return token, err
	}
}

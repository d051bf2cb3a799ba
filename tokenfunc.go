package identity

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity/internal/chain"
	"github.com/keyless-go/identity/internal/stream"
)

// TokenFunc returns a function that gets a token of cred for one scope as text: the password of a
// database, the value of a header, or another issuer's assertion. Call it for each connection: a
// result that is kept ends. It blocks and fails as cred's GetToken does, and ends with its ctx. It
// is safe for concurrent use if cred is.
//
// It asks for tokens that can be challenged (EnableCAE), as Azure SDK clients, Ready, [Tokens] and
// [Transport] do, so that all of them share what is held.
func TokenFunc(cred azcore.TokenCredential, scope string) func(context.Context) (string, error) {
	ask := askFunc("TokenFunc", cred, scope)
	return func(ctx context.Context) (string, error) {
		token, err := ask(ctx, "")
		return token.Token, err
	}
}

// Tokens yields cred's token for a scope at once, and each token that replaces it: for connections
// that have to be told of a new one, as Redis's. It runs in the goroutine of its loop, starts none,
// and ends with ctx, without an error, or with the loop.
//
// Between tokens it sleeps until a renewal is due, and yields what is new before the old one ends
// if the host has another by then. A renewal that fails is an error with a zero token, once each;
// what was yielded before is good until its ExpiresOn. (A [Chain]'s are heard of once no token is
// left.) Without a token it asks again after 1 s, then after up to 10 s.
func Tokens(
	ctx context.Context, cred azcore.TokenCredential, scope string,
) iter.Seq2[azcore.AccessToken, error] {
	ask := askFunc("Tokens", cred, scope)
	s := stream.Source{Get: func(ctx context.Context) (azcore.AccessToken, error) {
		return ask(ctx, "")
	}}
	if own, ok := cred.(interface {
		chainLink() chain.Link // of what embeds a credential the Source is that, and not cred
		lastFailure(string) (time.Time, error)
	}); ok && own.chainLink().Source == cred {
		s.Failed, s.Cheap = func() (time.Time, error) { return own.lastFailure(scope) }, true
	}
	return func(yield func(azcore.AccessToken, error) bool) { stream.Each(ctx, s, yield) }
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
		token, err := cred.GetToken(ctx, clientOptions(scope, claims))
		if err == nil && token.Token == "" {
			err = errors.New("identity: " + what + ": the credential returned an empty token")
		}
		return token, err
	}
}

// clientOptions are how Azure SDK clients ask.
func clientOptions(scope, claims string) policy.TokenRequestOptions {
	return policy.TokenRequestOptions{Scopes: []string{scope}, EnableCAE: true, Claims: claims}
}

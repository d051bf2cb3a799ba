package identity

import (
	"context"
	"iter"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/keyless-go/identity/internal/stream"
)

// TokenFunc returns a function that gets a token of cred for one scope as text: the password of a
// database, the value of a header, or another issuer's assertion. Call the function for each
// connection, and don't keep its result: tokens end. It blocks and fails as cred's GetToken does,
// and ends with its ctx. It is safe for concurrent use if cred is.
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
// Between tokens it sleeps until a renewal is due. If the host has another token by then, that is
// yielded before the old one ends. Each renewal that fails is yielded once, as an error with a zero
// token; the token before it is good until its ExpiresOn. (With a credential of another package,
// failures are yielded only when no valid token is left.) Without a token it asks again after 1 s,
// then after up to 10 s.
func Tokens(
	ctx context.Context, cred azcore.TokenCredential, scope string,
) iter.Seq2[azcore.AccessToken, error] {
	ask := askFunc("Tokens", cred, scope)
	s := stream.Source{Get: func(ctx context.Context) (azcore.AccessToken, error) {
		return ask(ctx, "")
	}}
	if link, ok := linkOf(cred); ok && link.Failed != nil {
		s.Failed = func() (time.Time, error) { return link.Failed(clientOptions(scope, "")) }
		s.Cheap = link.Source == cred // a chain's source may be of another package
	}
	return func(yield func(azcore.AccessToken, error) bool) { stream.Each(ctx, s, yield) }
}

package identity

import (
	"context"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity/internal/tokencache"
)

// Refresh asks the host for a token although a valid one is held, as after the identity was given a
// role or put into a group: that shows in a new token only. It returns the token that is held from
// then on, also by Azure SDK clients once they ask again, and whether that is another one than
// before.
//
// Most hosts have a cache of their own, for about a day, and nothing makes them look past it: then
// changed is false, and the log says when the token, and with it that cache's entry, ends. Workload
// identity has none, so that each Refresh brings another token.
//
// It sends at most one request in 30 s for a resource; calls in that time get what it brought. It
// blocks until ctx ends, and at most for the time that [NewCredential] documents, in which a
// request that is under way already is waited for first. A failure is returned and costs nothing:
// the held token stays in use. Errors are those of [Credential.GetToken]. It is safe for concurrent
// use.
func (c *Credential) Refresh(
	ctx context.Context, scope string,
) (token azcore.AccessToken, changed bool, err error) {
	// as Azure SDK clients ask
	v, scope, err := c.check("Refresh", ctx,
		policy.TokenRequestOptions{Scopes: []string{scope}, EnableCAE: true})
	if err != nil {
		return azcore.AccessToken{}, false, err
	}
	got, err := c.get(ctx, v, scope, tokencache.Request{Anew: true})
	return got.Token, got.Changed, err
}

package chain

import (
	"context"
	"errors"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// Refresh gets what options ask for from the source in use, past what that holds, and goes on to no
// other: the chain stays the identity that it is. If no source is in use yet, or the one in use has
// no Refresh, it is as Token is; changed then says whether another source has come into use.
func (c *Chain) Refresh(
	ctx context.Context, options policy.TokenRequestOptions,
) (token azcore.AccessToken, changed bool, err error) {
	if ctx == nil {
		return token, false, errors.New("identity: Refresh: nil Context")
	}
	i := c.inUse(&options)
	if i < 0 || c.links[i].Refresh == nil {
		err = c.Token(ctx, &options, &token)
		return token, err == nil && c.inUse(&options) != i, err
	}
	token, changed, err = c.links[i].Refresh(ctx, options)
	switch {
	case c.bar(i) != "": // it has been barred meanwhile
		err = c.Token(ctx, &options, &token)
		return token, err == nil, err
	case err != nil:
		a := c.judge(ctx, i, err)
		a.goesOn = false
		if ctx.Err() == nil {
			c.memory.failed(i, a.why, a.away)
		}
		return azcore.AccessToken{}, false, c.failure(options, []attempt{a}, ctx.Err())
	case i > 0:
		c.lookBack(c.known(&options), i, &options, &token)
	}
	return token, changed, nil
}

// Link is the chain as a source of another one.
func (c *Chain) Link() Link {
	return Link{Name: c.name, Source: c, Whole: c.whole, Refresh: c.Refresh, Failed: c.Failed}
}

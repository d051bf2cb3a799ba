package identity

import (
	"context"
	"errors"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// walkBudget is where the ctx of a walk ends for a source that lets nobody go on: twice what the
// slowest of the peers was seen to take.
const walkBudget = 3 * time.Minute

var errWalkBudget = errors.New("no answer within " + walkBudget.String())

// GetToken returns a token of the source that last brought one for the scope and tenant, or else of
// the first that is available. Azure SDK clients call it.
//
// It takes as long as the sources do that it has to ask, one after the other, and ends with ctx.
// Credentials of this package share requests among their callers, and their callers leave with ctx;
// see [NewChain] for those of others. The ctx of a walk along the sources ends after 3 minutes; the
// source in use gets the caller's. When a source other than the first is in use, those before it
// are asked again in the background, at most once a minute, and the first that brings a token is
// used from then on; RefreshOn is a minute away at most, so that Azure SDK clients, which keep a
// token until then, come to know of it.
//
// The error has a line for each source, with its own reason, and a method Summary as
// [AuthenticationError.Summary]. errors.Is and errors.As find those that ended the walk: the last
// one, or all if all sources are unavailable; never an *azcore.ResponseError.
func (c *Chain) GetToken(
	ctx context.Context, options policy.TokenRequestOptions,
) (azcore.AccessToken, error) {
	switch {
	case len(c.links) == 0:
		return azcore.AccessToken{},
			errors.New("identity: GetToken: this Chain was not made by NewChain or NewDefaultCredential")
	case ctx == nil:
		return azcore.AccessToken{}, errors.New("identity: GetToken: nil Context")
	}
	r := c.known(&options)
	if r == nil {
		return c.walk(ctx, options, unasked)
	}
	i := int(r.inUse.Load()) - 1
	if i < 0 || c.bar(i) != "" {
		return c.walk(ctx, options, unasked)
	}
	token, err := c.links[i].source.GetToken(ctx, options)
	switch {
	case c.bar(i) != "": // it has turned out meanwhile that this is Azure
		return c.walk(ctx, options, unasked)
	case err == nil && i > 0:
		return c.lookBack(r, i, options, token), nil
	case err == nil:
		return token, nil
	}
	a := c.links[i].judge(ctx, i, err, c.continueOn)
	if ctx.Err() != nil {
		return azcore.AccessToken{}, c.failure(options, []attempt{a}, ctx.Err())
	}
	c.state.memory.failed(i, a.why, a.away)
	if !a.goesOn {
		return azcore.AccessToken{}, c.failure(options, []attempt{a}, nil)
	}
	return c.walk(ctx, options, a)
}

// walk asks the sources in order, in the caller's goroutine and with the caller's values: what a
// source of another package makes of those is nobody else's. Those of this package share what they
// acquire by themselves, and go on with that when a caller leaves. known is a failure of the source
// in use that the caller has seen already, unasked for none.
func (c *Chain) walk(
	caller context.Context, options policy.TokenRequestOptions, known attempt,
) (azcore.AccessToken, error) {
	if caller.Err() != nil {
		return azcore.AccessToken{}, c.failure(options, nil, caller.Err())
	}
	defer c.state.walks.Add(-1)
	if c.state.walks.Add(1) > c.state.limit && !c.whole {
		return azcore.AccessToken{}, c.failure(options, nil, errCrowd)
	}
	ctx, cancel := context.WithTimeout(withDeadlineOf(caller), walkBudget)
	defer cancel()
	var before int32
	if r := c.known(&options); r != nil {
		before = r.inUse.Load()
	}
	var news func()
	defer func() { c.report(before, news) }()

	var failed []attempt
	order := c.order(known.index)
	for n := 0; n < len(order); n++ {
		i := order[n]
		if why := c.bar(i); why != "" {
			failed = append(failed, barredAttempt(i, why))
			continue
		}
		a := known
		var token azcore.AccessToken
		if i != known.index {
			token, a = c.ask(ctx, i, options)
		}
		switch {
		case a.err != nil && caller.Err() != nil:
			return azcore.AccessToken{}, c.failure(options, append(failed, a), caller.Err())
		case a.err != nil && ctx.Err() != nil: // our own limit must not look like the caller's
			a = attempt{index: i, err: errWalkBudget, why: errWalkBudget.Error(), passes: true}
			return azcore.AccessToken{}, c.failure(options, append(failed, a), errWalkBudget)
		case c.bar(i) != "":
			// It has turned out meanwhile that this is Azure: from the start, without the developer.
			n, failed, known = -1, nil, unasked
			continue
		// A challenge of one token says nothing of the scope's other tokens.
		case a.err == nil && options.Claims != "":
			if i > 0 {
				token = askedAgain(token, time.Now())
			}
			return token, nil
		case a.err == nil:
			r := c.routeFor(&options)
			news = c.use(r, i, before, failed, options)
			if i > 0 {
				token = c.lookBack(r, i, options, token)
			}
			return token, nil
		}
		failed = append(failed, a)
		if !a.goesOn {
			break
		}
	}
	return azcore.AccessToken{}, c.failure(options, failed, nil)
}

// order is in which the sources are asked: as they are, but for those that were just found
// unavailable for another scope and would be so for this one. They come last, so that a new scope
// doesn't cost the time to find that out again.
func (c *Chain) order(known int) []int {
	first, last := make([]int, 0, len(c.links)), []int(nil)
	for i := range c.links {
		if i != known && c.resting(i) {
			last = append(last, i)
		} else {
			first = append(first, i)
		}
	}
	return append(first, last...)
}

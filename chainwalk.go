package identity

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// walkBudget is where the ctx of a walk ends for a source that lets nobody go on: twice what the
// slowest of the peers was seen to take.
const walkBudget = 3 * time.Minute

var errWalkBudget = errors.New("no answer within " + walkBudget.String())

// maxWalks bounds the walks at once of a chain with sources of other packages. They are in
// goroutines of their callers, so this is not for those, but for a source that asks the chain it is
// in: without an end that ends the program, by a stack of a gigabyte. At this many it has taken
// some 30 MB.
const maxWalks = 10_000

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

// resting reports whether a source was found unavailable within the last minute, whatever the
// scope, and has brought no token since.
func (c *Chain) resting(i int) bool {
	return !c.whole && c.links[i].whole && c.state.memory.wasAway(i, lookEvery)
}

// ask asks one source, and remembers what that says of it.
func (c *Chain) ask(
	ctx context.Context, i int, options policy.TokenRequestOptions,
) (azcore.AccessToken, attempt) {
	token, err := c.links[i].source.GetToken(ctx, options)
	if err == nil {
		c.state.memory.granted(i)
		return token, attempt{index: i}
	}
	a := c.links[i].judge(ctx, i, err, c.continueOn)
	if ctx.Err() == nil {
		c.state.memory.failed(i, a.why, a.away)
	}
	return azcore.AccessToken{}, a
}

// use makes a source the one in use, after those before it have been asked. since is what was in
// use when that began. It returns what is to be logged, nil for nothing.
func (c *Chain) use(
	r *route, i int, since int32, reasons []attempt, options policy.TokenRequestOptions,
) (news func()) {
	before, taken := r.take(i, since)
	if !taken {
		return nil
	}
	r.next.Store(int64(time.Since(c.made) + lookEvery))
	if int(before) == i+1 {
		return nil
	}
	attrs := []slog.Attr{slog.String("source", c.links[i].name)}
	if before > 0 {
		attrs = append(attrs, slog.String("before", c.links[before-1].name))
	}
	if !c.whole {
		attrs = append(attrs, slog.String("resource", wanted(options)))
	}
	for j := range i {
		if why, _ := reasonFor(j, reasons, &c.state.memory); why != "" {
			attrs = append(attrs, slog.String("not "+c.links[j].name, why))
		}
	}
	return c.state.log.inUse(attrs)
}

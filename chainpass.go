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

// maxWalks bounds the walks at once of a chain with sources of other packages. They are in
// goroutines of their callers, so this is not for those, but for a source that asks the chain it is
// in: without an end that ends the program, by a stack of a gigabyte. At this many it has taken
// some 30 MB.
const maxWalks = 10_000

var errCrowd = errors.New("too many calls wait for its sources already: does one of them ask the chain itself?")

// deadlineKey is where a walk, whose context has a deadline of its own, carries its caller's.
type deadlineKey struct{}

func withDeadlineOf(caller context.Context) context.Context {
	deadline, _ := callersDeadline(caller)
	return context.WithValue(caller, deadlineKey{}, deadline)
}

// callersDeadline is that of the caller for whom a source is asked, whether or not a chain is in
// between.
func callersDeadline(ctx context.Context) (deadline time.Time, ok bool) {
	if deadline, ok := ctx.Value(deadlineKey{}).(time.Time); ok {
		return deadline, !deadline.IsZero()
	}
	return ctx.Deadline()
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
		case c.bar(i) != "": // it has turned out meanwhile that this is Azure: from the start, without the developer
			n, failed, known = -1, nil, unasked
			continue
		// a challenge of one token says nothing of the scope's other tokens
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
	if c.whole || !c.links[i].whole {
		return false
	}
	c.state.mu.Lock()
	defer c.state.mu.Unlock()
	away := c.state.away[i]
	return !away.IsZero() && time.Since(away) < lookEvery
}

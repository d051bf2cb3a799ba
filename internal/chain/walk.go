package chain

import (
	"context"
	"errors"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// walkBudget is when the ctx of a walk ends, so that a source that hangs doesn't hold the chain up
// for ever. It is twice what the slowest of the peers was seen to take.
const walkBudget = 3 * time.Minute

var errWalkBudget error = walkBudgetError{}

type walkBudgetError struct{}

func (walkBudgetError) Error() string { return "no answer within " + walkBudget.String() }

// GetToken implements azcore.TokenCredential; see Token.
func (c *Chain) GetToken(
	ctx context.Context, options policy.TokenRequestOptions,
) (token azcore.AccessToken, err error) {
	err = c.Token(ctx, &options, &token)
	return token, err
}

// Token gets a token of the source that last brought one for the scope and tenant, or else of the
// first that is available. It asks the sources one after the other, takes as long as they do, and
// ends with ctx; the ctx of a walk along the sources ends after walkBudget. An error is an
// *[Error], or a plain one about a nil ctx. It changes nothing in options. That it takes and gives
// by pointers saves a hit the copies.
func (c *Chain) Token(
	ctx context.Context, options *policy.TokenRequestOptions, token *azcore.AccessToken,
) (err error) {
	if ctx == nil {
		return errors.New("identity: GetToken: nil Context")
	}
	if r := c.known(options); r != nil {
		if i := int(r.inUse.Load()) - 1; i >= 0 && c.bar(i) == "" {
			held := c.links[i].held(options)
			if held != nil && i == 0 { // nearly all calls
				*token = *held
				return nil
			}
			if held != nil {
				*token = *held
			} else {
				*token, err = c.links[i].Source.GetToken(ctx, *options)
			}
			switch {
			case c.bar(i) != "": // it has been barred meanwhile
			case err != nil:
				*token, err = c.afterFailure(ctx, i, err, *options)
				return err
			case i > 0:
				c.lookBack(r, i, options, token)
				return nil
			default:
				return nil
			}
		}
	}
	*token, err = c.walk(ctx, *options, unasked)
	return err
}

// afterFailure goes on after the source in use has failed.
func (c *Chain) afterFailure(
	ctx context.Context, i int, err error, options policy.TokenRequestOptions,
) (azcore.AccessToken, error) {
	a := c.judge(ctx, i, err)
	if ctx.Err() != nil {
		return azcore.AccessToken{}, c.failure(options, []attempt{a}, ctx.Err())
	}
	c.memory.failed(i, a.why, a.away)
	if !a.goesOn {
		return azcore.AccessToken{}, c.failure(options, []attempt{a}, nil)
	}
	return c.walk(ctx, options, a)
}

// walk asks the sources in order, in the caller's goroutine and with the caller's values: what a
// source of another package makes of those is nobody else's. Those of ours share what they acquire
// by themselves, and go on with that when a caller leaves. known is a failure of the source
// in use that the caller has seen already, unasked for none.
func (c *Chain) walk(
	caller context.Context, options policy.TokenRequestOptions, known attempt,
) (azcore.AccessToken, error) {
	if caller.Err() != nil {
		return azcore.AccessToken{}, c.failure(options, nil, caller.Err())
	}
	defer c.walks.Add(-1)
	if c.walks.Add(1) > c.limit && !c.whole {
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
			failed = append(failed,
				attempt{index: i, goesOn: true, why: c.links[i].Bar.Line(why)})
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
			// It has been barred meanwhile: from the start, without such sources.
			n, failed, known = -1, nil, unasked
			continue
		// A challenge of one token says nothing of the scope's other tokens.
		case a.err == nil && options.Claims != "":
			if i > 0 {
				askedAgain(&token, time.Now())
			}
			return token, nil
		case a.err == nil:
			r := c.routeFor(&options)
			news = c.use(r, i, before, failed, options)
			if i > 0 {
				c.lookBack(r, i, &options, &token)
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

// failure is the error of a call; see newError.
func (c *Chain) failure(
	options policy.TokenRequestOptions, failed []attempt, ended error,
) *Error {
	return newError(c.name, c.links, &c.memory, options, failed, ended)
}

// order is in which the sources are asked: as they are, except that sources which were just found
// unavailable, whatever the scope, come last. So a new scope doesn't cost the time to find that out
// again.
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

// deadlineKey is where a chain's walk, whose context has a deadline of its own, carries its
// caller's. A developer's tool may take as long as that.
type deadlineKey struct{}

func withDeadlineOf(caller context.Context) context.Context {
	deadline, _ := CallersDeadline(caller)
	return context.WithValue(caller, deadlineKey{}, deadline)
}

// CallersDeadline is that of the caller for whom a source is asked, whether or not a chain is in
// between.
func CallersDeadline(ctx context.Context) (deadline time.Time, ok bool) {
	if deadline, ok := ctx.Value(deadlineKey{}).(time.Time); ok {
		return deadline, !deadline.IsZero()
	}
	return ctx.Deadline()
}

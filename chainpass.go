package identity

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// pass is one walk along a chain's sources, for all who want the same. It belongs to none of them: it goes on when they leave,
// so that whoever comes next finds what it found.
type pass struct {
	began time.Time
	done  chan struct{} // closed when token and err are set
	token azcore.AccessToken
	err   *chainError
	news  func() // what is to be logged after that, nil for nothing

	// The rest is guarded by chainState.mu.
	failed []attempt // so far
	asking int       // the source that is asked now
}

// passBudget is where a pass ends that a source doesn't let go on: twice what the slowest of the peers was seen to take.
const passBudget = 3 * time.Minute

var errPassBudget = errors.New("no answer within " + passBudget.String())

// passKey is what callers have in common who share a pass.
type passKey struct {
	scopes, claims, tenant string
	cae                    bool
}

// join waits for the pass that brings what options ask for, and starts it if there is none. known is a failure that the caller has
// seen already; its index is -1 for none.
func (c *Chain) join(ctx context.Context, options policy.TokenRequestOptions, known attempt) (azcore.AccessToken, error) {
	if ctx.Err() != nil {
		return azcore.AccessToken{}, c.failure(options, nil, -1, ctx.Err())
	}
	key := passKey{fmt.Sprintf("%q", options.Scopes), options.Claims, options.TenantID, options.EnableCAE}
	c.state.mu.Lock()
	p := c.state.passes[key]
	if p == nil || time.Since(p.began) >= passBudget+overtime { // stuck in a source that ignores its ctx
		p = &pass{began: time.Now(), done: make(chan struct{}), asking: -1}
		c.state.passes[key] = p
		options.Scopes = slices.Clone(options.Scopes)
		go c.run(ownValues{context.WithoutCancel(ctx)}, p, key, options, known)
	}
	c.state.mu.Unlock()

	overdue := time.NewTimer(passBudget + overtime - time.Since(p.began))
	defer overdue.Stop()
	ended := errPassBudget
	select {
	case <-p.done:
	case <-overdue.C:
	case <-ctx.Done():
		ended = ctx.Err()
	}
	select {
	case <-p.done:
		if p.err != nil {
			return azcore.AccessToken{}, p.err.forCaller()
		}
		return p.token, nil
	default:
	}
	return azcore.AccessToken{}, c.unfinished(p, options, ended)
}

// unfinished is the error of a pass that hasn't ended, or not as it should.
func (c *Chain) unfinished(p *pass, options policy.TokenRequestOptions, ended error) *chainError {
	c.state.mu.Lock()
	failed, asking := slices.Clone(p.failed), p.asking
	c.state.mu.Unlock()
	return c.failure(options, failed, asking, ended)
}

func (c *Chain) run(ctx context.Context, p *pass, key passKey, options policy.TokenRequestOptions, known attempt) {
	before := c.state.inUse.Load()
	ctx, cancel := context.WithTimeout(ctx, passBudget)
	defer cancel()
	ended := false
	defer func() {
		if !ended { // a source has ended this goroutine
			p.err = c.unfinished(p, options, errEnded)
		}
		c.state.mu.Lock()
		if c.state.passes[key] == p {
			delete(c.state.passes, key)
		}
		c.state.mu.Unlock()
		close(p.done)
		c.announce(before)
		if p.news != nil {
			p.news()
		}
	}()
	p.token, p.err = c.walk(ctx, p, options, known, before)
	ended = true
}

// walk asks the source in use, and then all in order.
func (c *Chain) walk(ctx context.Context, p *pass, options policy.TokenRequestOptions, known attempt, inUse int32) (azcore.AccessToken, *chainError) {
	if i := int(inUse) - 1; i >= 0 && known.err == nil && c.bar(i) == "" {
		c.asks(p, i)
		token, a := c.ask(ctx, i, options)
		switch {
		case a.err != nil && ctx.Err() != nil:
			return azcore.AccessToken{}, c.unfinished(p, options, errPassBudget)
		case c.bar(i) != "":
		case a.err == nil && i > 0:
			return c.lookBack(i, options, token), nil
		case a.err == nil:
			return token, nil
		case !a.goesOn:
			return azcore.AccessToken{}, c.failure(options, []attempt{a}, -1, nil)
		default:
			known = a
		}
	}
	for i := 0; i < len(c.links); i++ {
		if why := c.bar(i); why != "" {
			c.failed(p, barredAttempt(i, why))
			continue
		}
		a := known
		var token azcore.AccessToken
		if i != known.index {
			c.asks(p, i)
			token, a = c.ask(ctx, i, options)
		}
		switch {
		case a.err != nil && ctx.Err() != nil:
			return azcore.AccessToken{}, c.unfinished(p, options, errPassBudget)
		case c.bar(i) != "": // it has turned out meanwhile that this is Azure: from the start, without the developer
			c.state.mu.Lock()
			p.failed = nil
			c.state.mu.Unlock()
			i, known = -1, attempt{index: -1}
			continue
		case a.err == nil:
			p.news = c.use(i, inUse, p.failed)
			if i > 0 {
				token = c.lookBack(i, options, token)
			}
			return token, nil
		}
		c.failed(p, a)
		if !a.goesOn {
			break
		}
	}
	return azcore.AccessToken{}, c.failure(options, p.failed, -1, nil)
}

func (c *Chain) asks(p *pass, i int) {
	c.state.mu.Lock()
	defer c.state.mu.Unlock()
	p.asking = i
}

func (c *Chain) failed(p *pass, a attempt) {
	c.state.mu.Lock()
	defer c.state.mu.Unlock()
	p.failed = append(p.failed, a)
}

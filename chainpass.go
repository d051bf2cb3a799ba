package identity

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// pass is one walk along a chain's sources, for all who want the same. It belongs to none of them: it goes on when they leave,
// so that whoever comes next finds what it found.
type pass struct {
	done   chan struct{} // closed when token and err are set
	token  azcore.AccessToken
	err    *chainError
	failed []attempt // so far; guarded by Chain.mu
}

// passBudget is where a pass ends that a source doesn't let go on: twice what the slowest of the peers was seen to take.
const passBudget = 3 * time.Minute

var errPassBudget = errors.New("no answer within " + passBudget.String())

// passKey is what callers have in common who share a pass.
type passKey struct {
	scopes, claims, tenant string
	cae                    bool
}

// attempt is a source that brought no token.
type attempt struct {
	index int
	err   error // nil for a source that was not asked because it is barred
}

// join waits for the pass that brings what options ask for, and starts it if there is none. known is a failure that the caller has
// seen already; its index is -1 for none.
func (c *Chain) join(ctx context.Context, options policy.TokenRequestOptions, known attempt) (azcore.AccessToken, error) {
	if ctx.Err() != nil {
		return azcore.AccessToken{}, c.failure(options, nil, ctx.Err())
	}
	key := passKey{strings.Join(options.Scopes, "\n"), options.Claims, options.TenantID, options.EnableCAE}
	c.mu.Lock()
	p := c.passes[key]
	if p == nil {
		p = &pass{done: make(chan struct{})}
		c.passes[key] = p
		options.Scopes = slices.Clone(options.Scopes)
		go c.run(context.WithoutCancel(ctx), p, key, options, known)
	}
	c.mu.Unlock()

	select {
	case <-p.done:
	case <-ctx.Done():
	}
	select {
	case <-p.done:
		if p.err != nil {
			return azcore.AccessToken{}, p.err.forCaller()
		}
		return p.token, nil
	default:
	}
	c.mu.Lock()
	failed := slices.Clone(p.failed)
	c.mu.Unlock()
	return azcore.AccessToken{}, c.failure(options, failed, ctx.Err())
}

func (c *Chain) run(ctx context.Context, p *pass, key passKey, options policy.TokenRequestOptions, known attempt) {
	ctx, cancel := context.WithTimeout(ctx, passBudget)
	defer cancel()
	ended := false
	defer func() {
		if !ended { // a source has ended this goroutine
			p.err = c.failure(options, p.failed, errAborted)
		}
		c.mu.Lock()
		delete(c.passes, key)
		c.mu.Unlock()
		close(p.done)
	}()
	p.token, p.err = c.walk(ctx, p, options, known)
	ended = true
}

// walk asks the sources in order.
func (c *Chain) walk(ctx context.Context, p *pass, options policy.TokenRequestOptions, known attempt) (azcore.AccessToken, *chainError) {
	for i := 0; i < len(c.links); i++ {
		if c.bar(i) != "" {
			c.failed(p, attempt{i, nil})
			continue
		}
		err := known.err
		var token azcore.AccessToken
		if i != known.index {
			token, err = c.ask(ctx, i, options)
		}
		switch {
		case err != nil && ctx.Err() != nil:
			return azcore.AccessToken{}, c.failure(options, p.failed, errPassBudget)
		case c.bar(i) != "": // it has turned out meanwhile that this is Azure: from the start, without the developer
			c.mu.Lock()
			p.failed = nil
			c.mu.Unlock()
			i, known.index = -1, -1
			continue
		case err == nil:
			c.use(i, p.failed)
			if i > 0 {
				token = c.lookBack(i, options, token)
			}
			return token, nil
		}
		c.failed(p, attempt{i, err})
		if !c.goesOn(err) {
			break
		}
	}
	return azcore.AccessToken{}, c.failure(options, p.failed, nil)
}

func (c *Chain) failed(p *pass, a attempt) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p.failed = append(p.failed, a)
}

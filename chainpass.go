package identity

import (
	"context"
	"slices"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// pass is one walk along a chain's sources, for all who want the same. It ends when nobody waits for it any more.
type pass struct {
	cancel  context.CancelFunc
	done    chan struct{} // closed when token and err are set
	token   azcore.AccessToken
	err     *chainError
	waiting int       // guarded by Chain.mu
	failed  []attempt // so far; guarded by Chain.mu
}

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
		own, cancel := context.WithCancel(context.WithoutCancel(ctx))
		p = &pass{cancel: cancel, done: make(chan struct{})}
		c.passes[key] = p
		options.Scopes = slices.Clone(options.Scopes)
		go c.run(own, p, key, options, known)
	}
	p.waiting++
	c.mu.Unlock()

	select {
	case <-p.done:
	case <-ctx.Done():
	}
	c.mu.Lock()
	if p.waiting--; p.waiting == 0 {
		p.cancel()
		c.forget(key, p)
	}
	failed := slices.Clone(p.failed)
	c.mu.Unlock()
	select {
	case <-p.done:
		if p.err != nil {
			return azcore.AccessToken{}, p.err.forCaller()
		}
		return p.token, nil
	default:
		return azcore.AccessToken{}, c.failure(options, failed, ctx.Err())
	}
}

// forget lets the next caller start another pass. It is called under mu.
func (c *Chain) forget(key passKey, p *pass) {
	if c.passes[key] == p {
		delete(c.passes, key)
	}
}

func (c *Chain) run(ctx context.Context, p *pass, key passKey, options policy.TokenRequestOptions, known attempt) {
	ended := false
	defer func() {
		if !ended { // a source has ended this goroutine
			p.err = c.failure(options, p.failed, errAborted)
		}
		c.mu.Lock()
		c.forget(key, p)
		c.mu.Unlock()
		close(p.done)
		p.cancel()
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
		case ctx.Err() != nil: // nobody waits
			return azcore.AccessToken{}, c.failure(options, p.failed, ctx.Err())
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

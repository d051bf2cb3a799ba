package devtool

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/keyless-go/identity/internal/acquire"
	"github.com/keyless-go/identity/internal/check"
	"github.com/keyless-go/identity/internal/command"
	"github.com/keyless-go/identity/internal/failure"
	"github.com/keyless-go/identity/internal/redact"
	"github.com/keyless-go/identity/internal/token"
)

// raceWait is how long another process may take to write its cache, before the tool is asked once
// more.
const raceWait = time.Second

// Acquire is one run of the tool, when no other is under way, and a second one after a race for the
// tool's cache. It isn't repeated otherwise: the tool does that itself. It calls sent before each
// run, and takes budget at the longest, which is one of [Client.Budget]'s.
func (c *Client) Acquire(
	ctx context.Context, r acquire.Request, budget time.Duration, sent func(),
) (token.Token, *failure.Failure) {
	start := time.Now()
	total := budget - command.LongestEnd
	queue, cancel := context.WithTimeout(ctx, total-cmp.Or(c.timeout, leastRun))
	defer cancel()
	if c.running.Take(queue) != nil {
		f := c.failure(r, start)
		f.What = fmt.Sprintf("waited for other runs of %s, which don't end", c.Program)
		f.Verdict = failure.Later
		return token.Token{}, f
	}
	defer c.running.Leave()
	limit := cmp.Or(c.timeout, total-time.Since(start))
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for raced := false; ; {
		sent()
		got, err := c.runOnce(limited, r)
		if err == nil {
			return got, nil
		}
		var said complaint
		exit, exited := errors.AsType[*command.ExitError](err)
		if exited {
			said = c.complaintIn(exit.Stderr)
		}
		if exited && !raced && !r.Once && c.raced(said) {
			select {
			case <-time.After(raceWait):
				raced = true
				continue
			case <-limited.Done():
			}
		}
		f := c.failure(r, start)
		f.Attempts = 1
		if raced {
			f.Attempts = 2
		}
		c.explain(f, r, err, said, limit)
		if f.Reason == failure.Unavailable && (raced || c.raced(said)) {
			f.Reason = failure.NoReason // a moment ago somebody was logged in
		}
		return token.Token{}, f
	}
}

// runOnce runs the tool once, and reads what it prints.
func (c *Client) runOnce(ctx context.Context, r acquire.Request) (token.Token, error) {
	once := c.command
	once.Arguments = c.arguments(c.query(r))
	stdout, err := c.run(ctx, once)
	if err != nil {
		return token.Token{}, err
	}
	got, err := c.parse(stdout, time.Now())
	switch {
	case err != nil && ctx.Err() != nil: // it was ended while it printed, and calls that a success
		return token.Token{}, ctx.Err()
	case err != nil:
		return token.Token{}, &printedError{what: err.Error(),
			hint: "is " + c.Program + " on PATH the real one, and up to date?"}
	case c.Subscription != "" && check.IsGUID(r.Tenant) && check.IsGUID(got.tenant) &&
		!strings.EqualFold(r.Tenant, got.tenant):
		return token.Token{}, &printedError{
			what: fmt.Sprintf("the token is of tenant %s, that of subscription %s, and the resource is "+
				"of tenant %s", got.tenant, redact.Quoted(c.Subscription), r.Tenant),
			hint: "is the resource in another subscription?",
		}
	}
	return got.Token, nil
}

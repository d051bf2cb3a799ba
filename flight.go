package identity

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/keyless-go/identity/internal/redact"
	"github.com/keyless-go/identity/internal/usercode"
)

// flight is one request for one key, with all who wait for it. It belongs to none of them.
type flight struct {
	lane    *lane
	started time.Time
	budget  time.Duration // of the credential that started it
	forced  bool          // past the store
	once    bool          // a single try
	done    chan struct{} // closed when result and err are set
	result  result
	err     error
	tally   tally
}

// tally is what an acquisition has done so far.
type tally struct {
	requests, throttled atomic.Int64              // requests to the host, and its answers of 429
	last                atomic.Pointer[failedTry] // nil if none has failed
}

type failedTry struct {
	err error
	at  time.Time
}

// failed notes a failed try.
func (t *tally) failed(err error) { t.last.Store(&failedTry{err, time.Now()}) }

func (t *tally) lastTry() error {
	if last := t.last.Load(); last != nil {
		return last.err
	}
	return nil
}

// launch puts a flight that is to begin then on the caller's lane, which has none that is worth
// waiting for. start is to be called without mu: it takes what the flight needs of the caller's
// context, or nothing, if nobody waits for it.
func (c *cache) launch(
	e *entry, key string, w ask, a acquirer, background bool, began, now time.Time,
) (f *flight, start func(context.Context)) {
	l := e.ownLane(a.terms(), now)
	f = &flight{lane: l, started: began, budget: w.budget, forced: w.forced(), once: w.once,
		done: make(chan struct{})}
	// one before it that is stuck, if it ever returns, brings what it brings: see settle
	l.flight = f
	c.aloft++
	c.keep(key, e, withFlight)
	return f, func(ctx context.Context) {
		if background {
			go c.fly(context.Background(), nil, e, key, w, a, f)
			return
		}
		ctx, end := a.begin(ctx)
		go c.fly(ctx, end, e, key, w, a, f)
	}
}

// crowded reports whether so many flights are under way that no other may start.
func (c *cache) crowded() bool { return c.aloft >= max(c.limit/aloftShare, 1) }

// errAborted is what waiters get when an acquisition never returned: a panic in the user's code is recovered as net/http
// would in the caller's goroutine, and a runtime.Goexit (testing.T.FailNow in a fake) ends only the flight's.
var errAborted = errors.New("the request for a token was aborted by the Transport or a policy in CredentialOptions")

// panicError is the error of waiters after a panic.
func panicError(p any, secrets ...string) error {
	said := "something that can't be printed"
	// its own methods may do anything
	usercode.Shielded(func() { said = redact.Line(redact.Text(fmt.Sprint(p), secrets...)) })
	return &AuthenticationError{what: errAborted.Error() + ", which panicked: " + said,
		cause: errAborted}
}

// fly runs one flight to its end. end ends the span of the caller that started it; nil if nobody
// waits.
func (c *cache) fly(
	ctx context.Context, end func(error), e *entry, key string, w ask, a acquirer, f *flight,
) {
	var g grant
	var err error = &AuthenticationError{what: errAborted.Error(), cause: errAborted}
	defer func() {
		if p := recover(); p != nil {
			err = panicError(p)
		}
		complete(err, a, w.resource)
		if end != nil {
			end(err)
		}
		c.mu.Lock()
		outcome := c.settle(e, key, f, g, err, time.Now())
		c.mu.Unlock()
		// After that: a handler may be slow, or want a lock that the caller holds.
		outcome.challenged, outcome.refreshed, outcome.heeded = w.claims != "", w.anew, a.heedsClaims()
		outcome.log(a.logger(), w.resource)
	}()
	if wait := time.Until(f.started); wait > 0 {
		time.Sleep(wait)
	}
	growStack()
	if end == nil {
		ctx, end = a.begin(ctx)
	}
	g, err = a.acquire(ctx, w, &f.tally)
}

// growStack makes room at once for the way down through azcore's pipeline and net/http. A new goroutine's stack would double
// three times on it, each time with more frames to move: a tenth of what an acquisition over loopback costs.
//
//go:noinline
func growStack() {
	var room [12 << 10]byte
	runtime.KeepAlive(&room)
}

// settle puts a flight's result into the entry. It is called under mu.
func (c *cache) settle(e *entry, key string, f *flight, g grant, err error, now time.Time) outcome {
	c.aloft--
	e.requests += f.tally.requests.Load()
	e.throttled += f.tally.throttled.Load()
	if f.lane.flight == f {
		f.lane.flight = nil
	}
	before := e.held.Load()
	valid := before
	if before != nil && !now.Before(before.token.ExpiresOn) {
		valid = nil
	}
	if last := f.tally.last.Load(); last != nil { // perhaps overcome
		e.lastErr, e.lastErrAt = last.err.Error(), last.at
	}
	o := outcome{first: valid == nil, err: err}
	var keep time.Duration
	if err != nil {
		f.err = err
		o.blip = f.once && e.failures(f.lane) == 0
		p, all := e.fail(f, err, valid, c, now)
		o.next = p.until
		e.failed++
		e.lastErr, e.lastErrAt = err.Error(), now
		if before != nil { // also if it has expired: perhaps by a clock that is set right again
			next := now // the next caller may have other terms
			if all {
				next = p.until
			}
			after := before.until(next)
			if now.Before(before.token.RefreshOn) && !before.doubted() {
				// a failed challenge is no reason to renew earlier
				after.due, after.again = before.token.RefreshOn, nil
			}
			e.held.Store(after)
		}
		if valid != nil {
			o.expires = valid.token.ExpiresOn
		}
		keep = e.cooledUntil().Sub(now) + keepFailed
		if before != nil {
			keep = max(keep, keepUntil(before, now))
		}
	} else {
		e.succeed(f.started, now)
		if valid != nil && !valid.doubted() && !f.forced && g.expiresOn.Before(before.token.ExpiresOn) {
			// the one that lasts longer stays
			g.token, g.expiresOn, g.refreshIn, g.ofUser = before.token.Token,
				before.token.ExpiresOn, 0, before.ofUser
		}
		h := newHeld(g, before, now)
		e.held.Store(h)
		o.ofUser = g.ofUser && (before == nil || !before.ofUser)
		o.changed = before == nil || before.token.Token != g.token
		f.result = result{h.token, o.changed}
		o.expires, o.next = h.token.ExpiresOn, h.token.RefreshOn
		keep = keepUntil(h, now)
	}
	if e.tidy(now); e.aloft() {
		keep = withFlight
	}
	c.keep(key, e, keep)
	c.tend(key, err == nil, now)
	close(f.done)
	// after done: this flight's own callers take what it brought
	if err == nil && e.arrived != nil {
		close(e.arrived)
	}
	if err == nil || !e.aloft() { // nobody waits for one
		e.arrived = nil
	}
	return o
}

// fail notes a failure, and returns the cool-down that follows. all reports whether that is for all
// who ask for this key.
func (e *entry) fail(
	f *flight, err error, valid *held, c *cache, now time.Time,
) (p *pause, all bool) {
	p, all = &f.lane.pause, !c.mixed
	switch {
	case f.once && wantedWait(err) == 0:
		p = &e.renewal
		patience := patienceOf(err)
		if now.Before(p.until) {
			patience = max(patience, e.patience)
		}
		e.patience = patience
		all = all || patience >= c.patience
	case saidByHost(err):
		p, all = &e.said, true
	}
	until := now.Add(coolDown(err, e.failures(f.lane), valid, f, now))
	if until.After(p.until) { // a flight of other terms may have been asked for more
		p.until = until
	}
	p.failures++
	p.err = err
	return p, all
}

// succeed notes that the host has given a token: it is well, whatever was said before.
func (e *entry) succeed(asked, now time.Time) {
	e.granted++
	e.asked, e.lastUsed = asked, now
	e.said, e.renewal, e.patience = pause{}, pause{}, 0
	for _, l := range e.lanes {
		l.pause = pause{}
	}
}

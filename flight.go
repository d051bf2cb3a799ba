package identity

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"
)

// flight is one request for one key, with all who wait for it. It belongs to none of them.
type flight struct {
	started time.Time
	budget  time.Duration // of the credential that started it
	forced  bool          // past the store
	once    bool          // a single try
	done    chan struct{} // closed when result and err are set
	result  result
	err     error
	tally   tally
}

// stuck reports whether it is in a Transport that ignores its context.
func (f *flight) stuck(now time.Time) bool { return now.Sub(f.started) > f.budget+overtime }

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

// join returns the key's flight, and starts it if there is none.
func (c *cache) join(ctx context.Context, e *entry, key string, w ask, a acquirer, now time.Time) *flight {
	if e.flight != nil && e.flight.stuck(now) {
		e.flight = nil // if it ever returns, settle takes what it brings
	}
	if e.flight == nil {
		if !e.stored {
			c.makeRoom()
		}
		c.aloft++
		w.budget = a.budget(ctx)
		e.flight, e.stored = &flight{started: now, budget: w.budget, forced: w.forced(), once: w.once, done: make(chan struct{})}, true
		c.store.Set(key, e, withFlight)
		go c.fly(context.WithoutCancel(ctx), e, key, w, a, e.flight)
	}
	return e.flight
}

// crowded reports whether so many flights are under way that no other may start.
func (c *cache) crowded() bool { return c.aloft >= max(c.limit/aloftShare, 1) }

// errAborted is what waiters get when an acquisition never returned: a panic in the user's code is recovered as net/http
// would in the caller's goroutine, and a runtime.Goexit (testing.T.FailNow in a fake) ends only the flight's.
var errAborted = errors.New("the request for a token was aborted by the Transport or a policy in CredentialOptions")

// panicError is the error of waiters after a panic.
func panicError(p any, secrets ...string) error {
	return &AuthenticationError{what: errAborted.Error() + ", which panicked: " + oneLine(redact(fmt.Sprint(p), secrets...)), cause: errAborted}
}

// fly runs one flight to its end.
func (c *cache) fly(ctx context.Context, e *entry, key string, w ask, a acquirer, f *flight) {
	var g grant
	var err error = &AuthenticationError{what: errAborted.Error(), cause: errAborted}
	defer func() {
		if p := recover(); p != nil {
			err = panicError(p)
		}
		complete(err, a, w.resource)
		c.mu.Lock()
		outcome := c.settle(e, key, f, g, err, time.Now())
		c.mu.Unlock()
		close(f.done) // before logging: a handler may be slow, or want a lock that the caller holds
		outcome.challenged, outcome.refreshed, outcome.heeded = w.claims != "", w.anew, a.heedsClaims()
		outcome.log(a.logger(), w.resource)
	}()
	growStack()
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
	if e.flight == f {
		e.flight = nil
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
		wait := coolDown(err, e.failures, valid, f, now)
		o.blip = f.once && e.failures == 0
		e.failures++
		e.failed++
		e.err, e.cooling, e.light = err, now.Add(wait), f.once && wantedWait(err) == 0
		e.lastErr, e.lastErrAt = err.Error(), now
		o.next = e.cooling
		keep = wait + keepFailed
		if valid != nil {
			after := before.until(e.cooling)
			if now.Before(before.token.RefreshOn) && !before.doubted() { // a failed challenge is no reason to renew earlier
				after.due, after.again = before.token.RefreshOn, nil
			}
			e.held.Store(after)
			o.expires = before.token.ExpiresOn
		}
		if before != nil {
			keep = max(keep, keepUntil(before, now))
		}
	} else {
		e.failures, e.err, e.cooling, e.light = 0, nil, time.Time{}, false
		e.granted++
		if valid != nil && !valid.doubted() && !f.forced && g.expiresOn.Before(before.token.ExpiresOn) {
			g.token, g.expiresOn, g.refreshIn, g.ofUser = before.token.Token, before.token.ExpiresOn, 0, before.ofUser // the one that lasts longer stays
		}
		h := newHeld(g, before, now)
		e.held.Store(h)
		o.ofUser = g.ofUser && (before == nil || !before.ofUser)
		o.changed = before == nil || before.token.Token != g.token
		f.result = result{h.token, o.changed}
		o.expires, o.next = h.token.ExpiresOn, h.token.RefreshOn
		keep = keepUntil(h, now)
	}
	if e.flight == nil {
		c.store.Set(key, e, keep)
	}
	if now.Sub(c.swept) >= sweepEvery {
		c.swept = now
		c.store.DeleteExpired()
	}
	return o
}

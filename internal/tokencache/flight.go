package tokencache

import (
	"context"
	"runtime"
	"time"
)

// launch puts a flight on the caller's lane, which has no other that is worth waiting for. The
// flight begins when start is called, without mu. start takes from the caller's context what the
// flight needs, or nothing if nobody waits for the flight.
func (c *Cache) launch(
	e *entry, key string, t Terms, r Request, s Source, background bool, began, now time.Time,
) (f *flight, start func(context.Context)) {
	l := e.ownLane(t, now)
	f = &flight{lane: l, started: began, budget: r.Budget, forced: r.forced(), once: r.Once,
		done: make(chan struct{})}
	if l.flight != nil { // it is stuck; if it ever returns, it brings what it brings: see settle
		e.count(&l.flight.progress)
	}
	l.flight = f
	c.flying++
	c.keep(key, e, withFlight)
	return f, func(ctx context.Context) {
		s.Launched()
		if background {
			go c.fly(nil, e, key, r, s, f)
			return
		}
		go c.fly(s.Begin(ctx, r), e, key, r, s, f)
	}
}

// fly runs one flight to its end. acquire is nil if nobody waits for it.
//
// The acquisition may run code of the user's. A panic in it is recovered, as net/http would in the
// caller's goroutine, and a runtime.Goexit (testing.T.FailNow in a fake) ends only the flight's.
func (c *Cache) fly(
	acquire Acquisition, e *entry, key string, r Request, s Source, f *flight,
) {
	var g Grant
	var err error = &Error{Why: Aborted}
	defer func() {
		_ = recover() // then, too, err is as above
		c.mu.Lock()
		event := c.settle(e, key, f, g, failureOf(err), time.Now())
		c.mu.Unlock()
		// After that: a handler may be slow, or want a lock that the caller holds.
		s.Report(r, event)
		if f.told != nil {
			close(f.told)
		}
	}()
	if wait := time.Until(f.started); wait > 0 {
		time.Sleep(wait)
	}
	growStack()
	if acquire == nil {
		acquire = s.Begin(context.Background(), r)
	}
	g, err = acquire(&f.progress)
}

// telling is how long callers who get an error wait until the Source has heard of it. A log's line
// takes microseconds. A handler that hangs, or wants a lock that the caller holds, costs this much
// for a call that has failed, and nothing for one with a token.
const telling = 100 * time.Millisecond

// hear waits until told is closed, if there is one: a failure is in the log then, so that a program
// that ends because of it has said why.
func hear(ctx context.Context, told <-chan struct{}) {
	if told == nil {
		return
	}
	select {
	case <-told:
		return
	default:
	}
	timer := time.NewTimer(telling)
	defer timer.Stop()
	select {
	case <-told:
	case <-ctx.Done():
	case <-timer.C:
	}
}

// growStack makes room at once for the way down through azcore's pipeline and net/http. A new
// goroutine's stack would double three times on it, each time with more frames to move: a tenth of
// what an acquisition over loopback costs.
//
//go:noinline
func growStack() {
	var room [12 << 10]byte
	runtime.KeepAlive(&room)
}

// settle puts a flight's result into the entry. It is called under mu. failure is nil for a token.
func (c *Cache) settle(
	e *entry, key string, f *flight, g Grant, failure *Failure, now time.Time,
) Event {
	c.flying--
	e.count(&f.progress)
	e.took += now.Sub(f.started)
	if f.lane.flight == f {
		f.lane.flight = nil
	}
	before := e.held.Load()
	valid := before
	if before != nil && !now.Before(before.token.ExpiresOn) {
		valid = nil
	}
	if last := f.progress.last.Load(); last != nil { // perhaps overcome
		e.failedOn(last.at, bare(last.err))
	}
	event := Event{First: valid == nil}
	var keep time.Duration
	if failure != nil {
		f.err, f.saidByHost, f.told = failure.Err, failure.saidByHost(), make(chan struct{})
		event.Err, event.Blip = failure.Err, f.once && e.failures(f.lane) == 0
		e.failedOn(now, failure.Err)
		cool, all := e.fail(f, failure, valid, c.patience, now)
		event.Next = cool.until
		e.failed++
		if before != nil { // also if it has expired: perhaps by a clock that is set right again
			next := now // the next caller may have other terms
			if all || !c.mixed {
				next = cool.until
			}
			after := before.until(next)
			if now.Before(before.token.RefreshOn) && !before.distrusted() {
				// a failed challenge is no reason to renew earlier
				after.quietUntil, after.quietMonotonic = before.token.RefreshOn, nil
			}
			e.held.Store(after)
		}
		if valid != nil {
			event.Expires = valid.token.ExpiresOn
		}
		keep = e.cooledUntil().Sub(now) + keepFailed
		if before != nil {
			keep = max(keep, keepUntil(before, now))
		}
	} else {
		e.succeed(f.started, now)
		if valid != nil && !valid.distrusted() && !f.forced &&
			g.ExpiresOn.Before(before.token.ExpiresOn) {
			// the one that lasts longer stays
			g = Grant{Token: before.token.Token, ExpiresOn: before.token.ExpiresOn,
				OfUser: before.ofUser}
		}
		h := newHeld(g, before, now)
		e.held.Store(h)
		event.OfUser = g.OfUser && (before == nil || !before.ofUser)
		event.Changed = before == nil || before.token.Token != g.Token
		f.result = Result{h.token, event.Changed}
		event.Expires, event.Next = h.token.ExpiresOn, h.token.RefreshOn
		keep = keepUntil(h, now)
	}
	if e.tidy(now); e.flying() {
		keep = withFlight
	}
	c.keep(key, e, keep)
	c.tend(key, failure == nil, now)
	close(f.done)
	// after done: this flight's own callers take what it brought
	if failure == nil && e.arrived != nil {
		close(e.arrived)
	}
	if failure == nil || !e.flying() { // nobody waits for one
		e.arrived = nil
	}
	return event
}

package tokencache

import (
	"context"
	"time"
)

// plan is what a caller is to do: take the token or the error, or wait for the flight.
type plan struct {
	Result
	err  error
	told <-chan struct{} // with err, if a flight has failed by it: closed when that is in the log
	// starts a flight, with the caller's context. To be called first, without mu
	start  func(context.Context)
	flight *flight
	// valid now: what the caller gets when patience ends before the flight, or the flight fails
	fallback *held
	patience time.Duration   // with fallback
	arrived  <-chan struct{} // closed when any flight brings a token: then decide anew
	again    bool            // after the flight, decide anew
}

// decide is the table of states in the package's comment. ended is the error of the caller's
// context, nil while that goes on.
func (c *Cache) decide(ended error, v *View, scope string, r *Request, first bool, s Source) plan {
	key, forced := v.key(r.Resource), r.forced()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.meet(v.terms)
	now := time.Now()
	e := c.entry(key)
	l := e.lane(v.terms)
	h := e.held.Load()
	valid := h != nil && now.Before(h.token.ExpiresOn)
	if r.Claims != "" && valid && first {
		// a flight may bring another meanwhile, which nobody has rejected
		r.Rejected = h.token.Token
	}
	switch {
	case (forced || !valid) && ended != nil: // nobody would wait for it
		return plan{err: &Error{Why: Left, Last: e.lastFailure(l), Cause: ended}}
	case forced:
		return c.force(e, l, key, v, *r, s, now, valid)
	case !valid:
		p := plan{flight: l.underWay(now)}
		if p.flight == nil {
			if cool := e.refusal(l, now); cool != nil {
				return plan{err: cool.err, told: cool.told}
			}
			if c.crowded() {
				return plan{err: &Error{Why: Crowded, UnderWay: c.flying}}
			}
			began := now
			if next := e.asked.Add(leastEvery); next.After(now) {
				began = next
			}
			p.flight, p.start = c.launch(e, key, v.terms, *r, s, false, began, now)
		}
		if e.arrived == nil {
			e.arrived = make(chan struct{})
		}
		p.again, p.arrived = p.flight.once, e.arrived
		return p
	}

	v.remember(scope, e)
	e.used.Store(true)
	held := plan{Result: Result{Token: h.token}}
	if h.rests(now) {
		return held
	}
	// While the token outlives an acquisition one renewal is enough for all, and nobody waits for
	// it.
	if now.Before(h.expiring) {
		r.Budget = v.terms.Budget
	}
	r.Once = outlives(h, r.Budget, now)
	f := l.underWay(now)
	if f == nil && r.Once {
		f = e.underWay(v.terms.Patience, now)
	}
	if f == nil {
		if e.rests(l, v.terms.Patience, now) || c.crowded() ||
			now.Sub(e.asked) < leastEvery && !h.distrusted() {
			return held
		}
		f, held.start = c.launch(e, key, v.terms, *r, s, now.Before(h.expiring), now, now)
	}
	if now.Before(h.expiring) {
		quiet := whileRenewed(h, min(f.budget, r.Budget), now)
		if own := f.started.Add(c.leastPatience + overtime); c.mixed && own.Before(quiet) {
			// from then on a credential that waits less long for an answer makes a renewal of its
			// own
			quiet = own
		}
		e.held.Store(h.until(quiet))
		return held
	}
	if waited := now.Sub(f.started); waited < expiringWait {
		return plan{start: held.start, flight: f, fallback: h, patience: expiringWait - waited}
	}
	return held // those who came first have waited long enough
}

// meet notes that credentials ask whose terms differ: what one of them concludes doesn't hold for
// all.
func (c *Cache) meet(t Terms) {
	if c.met == nil {
		rules := t.Rules // so that t itself isn't moved to the heap
		c.met, c.leastPatience = &rules, t.Patience
	}
	c.mixed = c.mixed || t.Owner != nil || t.Rules != *c.met
	c.patience, c.leastPatience = max(c.patience, t.Patience), min(c.leastPatience, t.Patience)
}

// force asks past the store, at most once in claimsEvery: whoever comes within that time gets what
// it brought. A flight that was under way before is no answer, so that it is waited for and
// followed by another.
func (c *Cache) force(
	e *entry, l *lane, key string, v *View, r Request, s Source, now time.Time, valid bool,
) plan {
	claims := r.Claims != ""
	for _, other := range e.lanes {
		last := other.forcing(claims)
		if !last.recent(now) {
			continue
		}
		switch f := last.flight; {
		case other.flight == f && other == l:
			return plan{flight: f}
		case valid && e.granted > last.on: // it, or a later flight, brought what is held
			token := e.held.Load().token
			return plan{Result: Result{token, token.Token != last.before}}
		case f.err != nil && (other == l || f.saidByHost):
			return plan{flight: f}
		}
	}
	if f := l.underWay(now); f != nil {
		return plan{flight: f, again: true}
	}
	if cool := e.refusal(l, now); cool != nil {
		return plan{err: cool.err, told: cool.told}
	}
	if c.crowded() {
		return plan{err: &Error{Why: Crowded, UnderWay: c.flying}}
	}
	f, start := c.launch(e, key, v.terms, r, s, false, now, now)
	last := f.lane.forcing(claims)
	*last = forcing{flight: f, at: now, on: e.granted}
	if h := e.held.Load(); h != nil {
		last.before = h.token.Token
	}
	return plan{flight: f, start: start}
}

package tokencache

import (
	"strings"
	"time"
)

// Stat is what is known of the tokens for one resource and variant, at one moment.
type Stat struct {
	Resource string
	Variant
	ExpiresOn, RefreshOn time.Time // zero if no token was had yet
	OfUser               bool      // see Grant.OfUser

	LastErr   error // the last failure, also of a try that is repeated, and if it was overcome since
	LastErrAt time.Time
	NextTry   time.Time // no request before, for credentials with the View's Terms; zero for none
	InFlight  bool      // an acquisition is under way

	Requests, Throttles int64         // to the host, and its answers that ask for fewer
	Granted, Failures   int           // acquisitions with and without a token
	Took                time.Duration // all of these together
}

// Stats lists what is held for the View's identity, in all variants, in no order. It takes time in
// proportion to the size of the cache.
func (c *Cache) Stats(v *View) []Stat {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	var list []Stat
	for key, item := range c.store.Items() {
		rest, ok := strings.CutPrefix(key, v.identity)
		if !ok {
			continue
		}
		s := item.Object.(*entry).stat(v.terms, now)
		var cae string
		s.Tenant, rest, _ = strings.Cut(rest, "\n")
		cae, rest, _ = strings.Cut(rest, "\n")
		s.CAE, s.Resource = cae == "true", strings.Clone(rest)
		list = append(list, s)
	}
	return list
}

// stat is called under Cache.mu.
func (e *entry) stat(t Terms, now time.Time) Stat {
	s := Stat{
		LastErr:   e.lastErr,
		LastErrAt: e.lastErrAt,
		Requests:  e.requests,
		Throttles: e.throttled,
		Granted:   e.granted,
		Failures:  e.failed,
		Took:      e.took,
	}
	if h := e.held.Load(); h != nil {
		s.ExpiresOn, s.RefreshOn = h.token.ExpiresOn, h.token.RefreshOn
		s.OfUser = h.ofUser
	}
	if next := e.nextTry(e.lane(t), t.Patience); now.Before(next) {
		s.NextTry = next
	}
	for _, l := range e.lanes {
		f := l.flight
		if f == nil {
			continue
		}
		s.InFlight = true
		if last := f.progress.last.Load(); last != nil && !last.at.Before(s.LastErrAt) {
			s.LastErr, s.LastErrAt = last.err, last.at
		}
		s.Requests += f.progress.requests.Load()
		s.Throttles += f.progress.throttled.Load()
	}
	return s
}

// ShiftClock moves all that is held by the clock, as if this machine's clock had jumped by d. It is
// for tests: the clock of a synctest bubble can't be set.
func (c *Cache) ShiftClock(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for key, item := range c.store.Items() {
		e := item.Object.(*entry)
		if h := e.held.Load(); h != nil {
			moved := *h
			moved.token.ExpiresOn = h.token.ExpiresOn.Add(-d)
			moved.token.RefreshOn = h.token.RefreshOn.Add(-d)
			moved.quietUntil = h.quietUntil.Add(-d)
			if !h.distrusted() {
				moved.expiring = h.expiring.Add(-d)
			}
			e.held.Store(&moved)
		}
		if item.Expiration > 0 {
			left := time.Until(time.Unix(0, item.Expiration)) - d
			c.store.Set(key, e, max(left, time.Nanosecond))
		}
	}
}

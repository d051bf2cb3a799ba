package identity

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	gocache "github.com/patrickmn/go-cache"
)

// cache holds tokens, and sees to it that each is asked for once. It knows no HTTP: a token comes from an acquirer.
//
// A token is in one of these states:
//
//	fresh     before RefreshOn: handed out
//	stale     from RefreshOn: handed out, and renewed in the background
//	expiring  in the last 5 minutes of a token that lived over 10: a caller waits up to 2 s for the renewal
//	expired   from ExpiresOn, by the wall clock: a caller waits for a new one
//
// Nothing valid is dropped because of a failure. mu is never held over I/O, nor over code of the
// user's: methods of contexts and of errors that aren't ours, tracers, log handlers.
type cache struct {
	mu sync.Mutex
	// identity and resource -> *entry. It is always used under mu, its own lock is never contended
	store  *gocache.Cache
	swept  time.Time
	limit  int // of tokens
	others int // keys without a valid token or a flight, when room was made last
	aloft  int // flights

	rules    string        // of the first credential that asked
	met      bool          // one has
	mixed    bool          // others have asked with other terms
	patience time.Duration // of the most patient credential that asked

	leastPatience time.Duration // of the least patient one
}

// acquirer asks a host for tokens.
type acquirer interface {
	// begin takes what an acquisition needs of the context of the caller that starts it, in that
	// caller's goroutine. The context that it returns doesn't end, and calls no method of the
	// caller's any more. The function ends the span.
	begin(ctx context.Context) (context.Context, func(error))
	// acquire blocks for a bounded time, and keeps the tally meanwhile.
	acquire(ctx context.Context, a ask, t *tally) (grant, error)
	// budget is how long acquire takes at the longest, if it starts for a caller with ctx. It asks
	// ctx for its deadline.
	budget(ctx context.Context) time.Duration
	// patience is how long a single try waits for an answer.
	patience() time.Duration
	// terms are the rules by which acquire tries.
	terms() terms
	// logger is where the cache says what became of it, with the attributes that identify the host and the identity.
	logger() *slog.Logger
	// heedsClaims reports whether a challenge changes what acquire brings. Otherwise the host's own cache decides.
	heedsClaims() bool
	// sign makes an error of the cache's one of who was asked.
	sign(*AuthenticationError)
}

// entry is all that is known of one key.
type entry struct {
	held atomic.Pointer[held] // the token; nil before the first and after the entry has left the store
	used atomic.Bool          // handed out since lastUsed

	// The rest is guarded by cache.mu.
	lastUsed time.Time // about: see sweepEvery
	stored   bool      // it is in the store
	lanes    []*lane   // what is under way, and what has failed
	asked    time.Time // when the flight began that brought the last token

	// Cool-downs of all lanes.
	said pause // by the host: see saidByHost
	// after the single try of a renewal, which nobody waited for. A caller without a usable token
	// starts a flight all the same.
	renewal  pause
	patience time.Duration // renewal is for those who wait no longer for an answer

	arrived chan struct{} // closed when a token comes; nil while nobody waits for one

	granted, failed     int    // tokens so far, and flights without one
	requests, throttled int64  // of all flights that have ended: to the host, and its answers of 429
	lastErr             string // the last failure, also after a success
	lastErrAt           time.Time
}

// withFlight is for how long a key with a flight stays.
const withFlight = gocache.NoExpiration

func newCache() *cache {
	// No janitor: it would be a goroutine that only a finalizer stops.
	c := &cache{store: gocache.New(gocache.NoExpiration, 0), swept: time.Now(), limit: maxKeys}
	c.store.OnEvicted(func(_ string, x any) {
		e := x.(*entry)
		e.stored = false
		e.held.Store(nil) // whoever has it in an index looks further
	})
	return c
}

// result is what a caller gets.
type result struct {
	token   azcore.AccessToken
	changed bool // it is another than the one held before the flight that brought it
}

// get returns a token for one key: from the store, or from a flight that it starts or joins. It
// blocks until ctx ends, and for the acquirer's budget at the longest, whoever's flight it is and
// however long that may last. w says why a held token will not do: claims, or an explicit refresh.
// get fills in the rest.
func (c *cache) get(ctx context.Context, v *view, scope string, w ask, a acquirer) (result, error) {
	began := time.Now()
	w.resource, w.variant = resourceOf(scope), v.variant
	budget := a.budget(ctx) // methods of a caller's context are not called under mu
	var overdue <-chan time.Time
	for first := true; ; first = false {
		w.budget = budget
		p := c.decide(ctx.Err() != nil, v, scope, &w, first, a)
		if p.start != nil {
			p.start(ctx)
		}
		switch {
		case p.left:
			return result{}, leaveError(ctx, 0, p.err)
		case p.flight == nil:
			return p.result, p.err
		}
		if overdue == nil {
			timer := time.NewTimer(budget + overtime)
			defer timer.Stop()
			overdue = timer.C
		}
		var patience <-chan time.Time
		if p.fallback != nil {
			timer := time.NewTimer(p.patience)
			defer timer.Stop()
			patience = timer.C
		}
		select {
		case <-p.flight.done:
		case <-p.arrived:
		case <-patience:
		case <-ctx.Done():
		case <-overdue:
			return result{}, overdueError(time.Since(began), p.flight.tally.lastTry())
		}
		select {
		case <-p.flight.done:
			switch {
			case p.again:
				continue
			case p.flight.err == nil || p.fallback == nil:
				return p.flight.result, p.flight.err
			}
		default:
		}
		if p.fallback != nil && time.Now().Before(p.fallback.token.ExpiresOn) {
			return result{token: p.fallback.token}, nil
		}
		if ctx.Err() != nil {
			return result{}, leaveError(ctx, time.Since(began), p.flight.tally.lastTry())
		}
	}
}

// plan is what a caller is to do: take the token or the error, or wait for the flight.
type plan struct {
	result
	err error
	// the caller's context has ended; err is the last failure, if any
	left bool
	// starts a flight, with the caller's context. To be called first, without mu
	start  func(context.Context)
	flight *flight
	// valid now: what the caller gets when patience ends before the flight, or the flight fails
	fallback *held
	patience time.Duration   // with fallback
	arrived  <-chan struct{} // closed when any flight brings a token: then decide anew
	again    bool            // after the flight, decide anew
}

// decide is the table of states at the head of this file.
func (c *cache) decide(left bool, v *view, scope string, w *ask, first bool, a acquirer) plan {
	key, forced, own := v.identity+w.resource, w.forced(), a.terms()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.meet(own, a.patience())
	now := time.Now()
	e := c.entry(key)
	l := e.lane(own)
	h := e.held.Load()
	valid := h != nil && now.Before(h.token.ExpiresOn)
	if w.claims != "" && valid && first { // a flight may bring another meanwhile, which nobody has rejected
		w.rejected = h.token.Token
	}
	switch {
	case (forced || !valid) && left: // nobody would wait for it
		return plan{left: true, err: e.lastFailure(l)}
	case forced:
		return c.force(e, l, key, *w, a, now, valid)
	case !valid:
		p := plan{flight: l.flying(now)}
		if p.flight == nil {
			if err := e.refusal(l, now); err != nil {
				return plan{err: err}
			}
			if c.crowded() {
				return plan{err: crowdError(c.aloft)}
			}
			began := now
			if next := e.asked.Add(leastEvery); next.After(now) {
				began = next
			}
			p.flight, p.start = c.launch(e, key, *w, a, false, began, now)
		}
		if e.arrived == nil {
			e.arrived = make(chan struct{})
		}
		p.again, p.arrived = p.flight.once, e.arrived
		return p
	}

	v.remember(scope, e)
	e.used.Store(true)
	held := plan{result: result{token: h.token}}
	if h.rests(now) {
		return held
	}
	// While the token outlives an acquisition one renewal is enough for all, and nobody waits for
	// it.
	if now.Before(h.expiring) {
		w.budget = a.budget(context.Background())
	}
	w.once = outlives(h, w.budget, now)
	f := l.flying(now)
	if f == nil && w.once {
		f = e.flying(a.patience(), now)
	}
	if f == nil {
		if e.rests(l, a.patience(), now) || c.crowded() ||
			now.Sub(e.asked) < leastEvery && !h.doubted() {
			return held
		}
		f, held.start = c.launch(e, key, *w, a, now.Before(h.expiring), now, now)
	}
	if now.Before(h.expiring) {
		quiet := whileRenewed(h, min(f.budget, w.budget), now)
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

// meet notes whose terms differ: what one of them concludes is then not for all.
func (c *cache) meet(t terms, patience time.Duration) {
	if !c.met {
		c.met, c.rules, c.leastPatience = true, t.rules, patience
	}
	c.mixed = c.mixed || t.owner != nil || t.rules != c.rules
	c.patience, c.leastPatience = max(c.patience, patience), min(c.leastPatience, patience)
}

// force asks past the store, at most once in claimsEvery: whoever comes within that time gets what it brought. A flight
// that was under way before is no answer, so that it is waited for and followed by another.
func (c *cache) force(
	e *entry, l *lane, key string, w ask, a acquirer, now time.Time, valid bool,
) plan {
	claims := w.claims != ""
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
			return plan{result: result{token, token.Token != last.before}}
		case f.err != nil && (other == l || saidByHost(f.err)):
			return plan{flight: f}
		}
	}
	if f := l.flying(now); f != nil {
		return plan{flight: f, again: true}
	}
	if err := e.refusal(l, now); err != nil {
		return plan{err: err}
	}
	if c.crowded() {
		return plan{err: crowdError(c.aloft)}
	}
	f, start := c.launch(e, key, w, a, false, now, now)
	last := f.lane.forcing(claims)
	*last = forcing{flight: f, at: now, on: e.granted}
	if h := e.held.Load(); h != nil {
		last.before = h.token.Token
	}
	return plan{flight: f, start: start}
}

// doubt makes the next use of a held token that a resource has refused wait for another, for a moment: the token itself is
// not lost, since other requests may do with it.
func (c *cache) doubt(v *view, scope string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.entry(v.identity + resourceOf(scope))
	if h := e.held.Load(); h != nil {
		doubted := *h
		doubted.due, doubted.expiring = time.Time{}, time.Time{}
		e.held.Store(&doubted)
	}
}

// entry finds a key's entry, or makes one that a flight will put into the store.
func (c *cache) entry(key string) *entry {
	if e, ok := c.store.Get(key); ok {
		return e.(*entry)
	}
	c.store.Delete(key) // if it is there it has expired, and replacing it would not tell OnEvicted
	return &entry{}
}

package identity

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
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
// Nothing valid is dropped because of a failure, and mu is never held over I/O.
type cache struct {
	mu    sync.Mutex
	store *gocache.Cache // identity and resource -> *entry. It is always used under mu, its own lock is never contended
	swept time.Time
	limit int // of keys
	aloft int // keys with a flight
}

// acquirer asks a host for tokens.
type acquirer interface {
	// acquire blocks for a bounded time, and keeps the tally meanwhile.
	acquire(ctx context.Context, a ask, t *tally) (grant, error)
	// budget is how long acquire takes at the longest, if it starts for a caller with ctx.
	budget(ctx context.Context) time.Duration
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

	// The rest is guarded by cache.mu.
	stored   bool      // it is in the store
	flight   *flight   // the request under way, nil if none
	failures int       // in a row
	cooling  time.Time // no request before this time (monotonic: a clock step must not stretch it)
	err      error     // the last failure, which callers without a token get until then
	light    bool      // that was a single try while a token was held: no reason to fail who can't do with that token

	challenged, refreshed forcing // the last flight that claims asked for, and that Refresh did

	granted, failed     int    // tokens so far, and flights without one
	requests, throttled int64  // of all flights that have ended: to the host, and its answers of 429
	lastErr             string // the last failure, also after a success
	lastErrAt           time.Time
}

// forcing is a flight that was to go past the store.
type forcing struct {
	flight *flight
	at     time.Time // its start
	on     int       // granted at its start
	before string    // the token that was held then
}

const (
	// maxKeys bounds the store: a service that asks for tokens of resources that its callers name must not grow for
	// ever. 10,000 tokens of 2 KiB are 20 MB.
	maxKeys = 10_000
	// evictShare: one in a hundred leaves at once when it is full, so that sorting them costs little per key.
	evictShare = 100
	// aloftShare: one in ten may have a flight, which holds a goroutine and can't be dropped to make room. A thousand of
	// them are nearly what IMDS, at 20 requests a second, could serve within the budget.
	aloftShare = 10
	// keepExpired is how long an expired token stays in the store, unused: a clock that was an hour fast and is set
	// right again makes it valid again.
	keepExpired = time.Hour
	// keepFailed is how long a key without a token is remembered beyond its cool-down, so that the next one is longer.
	keepFailed = time.Minute
	// withFlight is for how long a key with a flight stays.
	withFlight = gocache.NoExpiration
	// sweepEvery bounds how often the store is searched for what has expired.
	sweepEvery = 10 * time.Minute
)

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

// get returns a token for one key: from the store, or from a flight that it starts or joins. It blocks until ctx ends, and
// for the acquirer's budget at the longest, whoever's flight it is and however long that may last. w says what is wrong with
// what the store holds, if anything; the rest of it is the view's and the scope's.
func (c *cache) get(ctx context.Context, v *view, scope string, w ask, a acquirer) (result, error) {
	began := time.Now()
	w.resource, w.variant = resourceOf(scope), v.variant
	var overdue <-chan time.Time
	for first := true; ; first = false {
		p := c.decide(ctx, v, scope, &w, first, a)
		if p.flight == nil {
			return p.result, p.err
		}
		if overdue == nil {
			timer := time.NewTimer(a.budget(ctx) + overtime)
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
	err      error
	flight   *flight
	fallback *held         // valid now: what the caller gets when patience ends before the flight, or the flight fails
	patience time.Duration // with fallback
	again    bool          // after the flight, decide anew
}

// decide is the table of states at the head of this file.
func (c *cache) decide(ctx context.Context, v *view, scope string, w *ask, first bool, a acquirer) plan {
	key, forced := v.identity+w.resource, w.forced()
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	e := c.entry(key)
	h := e.held.Load()
	valid := h != nil && now.Before(h.token.ExpiresOn)
	cooling := now.Before(e.cooling)
	if forced || !valid {
		cooling = cooling && !e.light
	}
	if w.claims != "" && valid && first { // a flight may bring another meanwhile, which nobody has rejected
		w.rejected = h.token.Token
	}
	switch {
	case (forced || !valid) && ctx.Err() != nil: // nobody would wait for it
		return plan{err: leaveError(ctx, 0, e.err)}
	case forced:
		return c.force(ctx, e, key, *w, a, now, valid, cooling)
	case !valid && e.flight == nil && cooling:
		return plan{err: e.err}
	case !valid && e.flight == nil && c.crowded():
		return plan{err: crowdError(c.aloft)}
	case !valid:
		f := c.join(ctx, e, key, *w, a, now)
		return plan{flight: f, again: f.once}
	}

	v.remember(scope, e)
	if h.rests(now) {
		return plan{result: result{token: h.token}}
	}
	if e.flight == nil && (cooling || c.crowded()) {
		return plan{result: result{token: h.token}}
	}
	if now.Before(h.expiring) {
		ctx = context.Background() // nobody waits: the caller's values may be recycled by then
	}
	w.once = outlives(h, a.budget(ctx), now)
	f := c.join(ctx, e, key, *w, a, now)
	if now.Before(h.expiring) {
		e.held.Store(h.until(whileRenewed(h, f, now)))
		return plan{result: result{token: h.token}}
	}
	if waited := now.Sub(f.started); waited < expiringWait {
		return plan{flight: f, fallback: h, patience: expiringWait - waited}
	}
	return plan{result: result{token: h.token}} // those who came first have waited long enough
}

// force asks past the store, at most once in claimsEvery: whoever comes within that time gets what it brought. A flight
// that was under way before is no answer, so that it is waited for and followed by another.
func (c *cache) force(ctx context.Context, e *entry, key string, w ask, a acquirer, now time.Time, valid, cooling bool) plan {
	last := &e.challenged
	if w.claims == "" {
		last = &e.refreshed
	}
	if f := last.flight; f != nil && now.Sub(last.at) < claimsEvery {
		switch {
		case e.flight == f:
			return plan{flight: f}
		case valid && e.granted > last.on: // it, or a later flight, brought what is held
			token := e.held.Load().token
			return plan{result: result{token, token.Token != last.before}}
		case f.err != nil:
			return plan{flight: f}
		}
	}
	switch {
	case e.flight != nil && !e.flight.stuck(now):
		return plan{flight: e.flight, again: true}
	case cooling:
		return plan{err: e.err}
	case c.crowded():
		return plan{err: crowdError(c.aloft)}
	}
	*last = forcing{flight: c.join(ctx, e, key, w, a, now), at: now, on: e.granted}
	if h := e.held.Load(); h != nil {
		last.before = h.token.Token
	}
	return plan{flight: last.flight}
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

// makeRoom drops the entries that are nearest to their end when the store is full. Those with a flight stay.
func (c *cache) makeRoom() {
	if c.store.ItemCount() < c.limit {
		return
	}
	c.store.DeleteExpired()
	excess := c.store.ItemCount() - c.limit
	if excess < 0 {
		return
	}
	type end struct {
		key string
		at  int64
	}
	var ends []end
	for key, item := range c.store.Items() {
		if item.Expiration > 0 {
			ends = append(ends, end{key, item.Expiration})
		}
	}
	slices.SortFunc(ends, func(a, b end) int { return cmp.Compare(a.at, b.at) })
	for _, e := range ends[:min(len(ends), excess+max(c.limit/evictShare, 1))] {
		c.store.Delete(e.key)
	}
}

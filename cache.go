package identity

import (
	"cmp"
	"context"
	"errors"
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
	limit int
}

// acquirer asks a host for tokens.
type acquirer interface {
	// acquire blocks for a bounded time. report receives each failed try.
	acquire(ctx context.Context, resource string, report func(error)) (grant, error)
	// logger is where the cache says what became of it, with the attributes that identify the host and the identity.
	logger() *slog.Logger
}

// entry is all that is known of one key.
type entry struct {
	held atomic.Pointer[held] // the token; nil before the first and after the entry has left the store

	// The rest is guarded by cache.mu.
	flight   *flight   // the request under way, nil if none
	failures int       // in a row
	cooling  time.Time // no request before this time (monotonic: a clock step must not stretch it)
	err      error     // the last failure, which callers without a token get until then
	forced   *flight   // the last flight that claims asked for
	forcedAt time.Time // its start
}

// held is a token with its times. It is replaced, never changed.
type held struct {
	token    azcore.AccessToken
	due      time.Time // until then and until ExpiresOn a caller gets the token without looking any further
	expiring time.Time // ExpiresOn less 5 minutes for a token that lived over 10 when it came; otherwise ExpiresOn
}

// flight is one request for one key, with all who wait for it. It belongs to none of them.
type flight struct {
	started time.Time
	done    chan struct{} // closed when token and err are set
	token   azcore.AccessToken
	err     error
	last    atomic.Pointer[error] // the last failed try so far
}

const (
	// maxKeys bounds the store: a service that asks for tokens of resources that its callers name must not grow for
	// ever. 10,000 tokens of 2 KiB are 20 MB.
	maxKeys = 10_000
	// evictShare: one in a hundred leaves at once when it is full, so that sorting them costs little per key.
	evictShare = 100
	// keepExpired is how long an expired token stays in the store, unused: a clock that was an hour fast and is set
	// right again makes it valid again.
	keepExpired = time.Hour
	// keepFailed is how long a key without a token is remembered beyond its cool-down, so that the next one is longer.
	keepFailed = time.Minute
	// sweepEvery bounds how often the store is searched for what has expired.
	sweepEvery = 10 * time.Minute

	// expiringWindow and longLived: azcore's clients also begin to press for a new token 5 minutes before the end. A
	// token that lives 10 minutes or less spends its life near the end, and waiting would be the rule.
	expiringWindow = 5 * time.Minute
	longLived      = 10 * time.Minute
	// expiringWait is what a caller pays for a token that outlives its own request.
	expiringWait = 2 * time.Second

	// minRenewal keeps a host that repeats its own cached token to its end from being asked ever faster.
	minRenewal = 30 * time.Second
	// claimsEvery: azcore, too, asks again at most every 30 s, and no host can do better than repeat itself.
	claimsEvery = 30 * time.Second

	// Cool-downs after failures: long enough that a flood of callers is a trickle at the host, short enough that a
	// token is renewed within a minute of the host's recovery.
	renewalCoolDown    = 5 * time.Second
	maxRenewalCoolDown = 30 * time.Second
	coldCoolDown       = time.Second
	maxColdCoolDown    = 10 * time.Second
)

func newCache() *cache {
	// No janitor: it would be a goroutine that only a finalizer stops.
	c := &cache{store: gocache.New(gocache.NoExpiration, 0), swept: time.Now(), limit: maxKeys}
	c.store.OnEvicted(func(_ string, e any) { e.(*entry).held.Store(nil) })
	return c
}

// get returns a token for one key: from the store, or from a flight that it starts or joins. It blocks until ctx ends at
// the longest. forced is a claims challenge: what the store holds was rejected by the resource.
func (c *cache) get(ctx context.Context, v *view, resource string, forced bool, a acquirer) (azcore.AccessToken, error) {
	began := time.Now()
	for {
		p := c.decide(ctx, v, resource, forced, a)
		if p.flight == nil {
			return p.token, p.err
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
		}
		select {
		case <-p.flight.done:
			switch {
			case p.again:
				continue
			case p.flight.err == nil || p.fallback == nil:
				return p.flight.token, p.flight.err
			}
		default:
		}
		if p.fallback != nil && time.Now().Before(p.fallback.token.ExpiresOn) {
			return p.fallback.token, nil
		}
		if ctx.Err() != nil {
			return azcore.AccessToken{}, leaveError(ctx, time.Since(began), p.flight.lastTry())
		}
	}
}

// plan is what a caller is to do: take the token or the error, or wait for the flight.
type plan struct {
	token    azcore.AccessToken
	err      error
	flight   *flight
	fallback *held         // valid now: what the caller gets when patience ends before the flight, or the flight fails
	patience time.Duration // with fallback
	again    bool          // after the flight, decide anew
}

// decide is the table of states at the head of this file.
func (c *cache) decide(ctx context.Context, v *view, resource string, forced bool, a acquirer) plan {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	key := v.identity + resource
	e := c.entry(key)
	h := e.held.Load()
	valid := h != nil && now.Before(h.token.ExpiresOn)
	cooling := now.Before(e.cooling)
	switch {
	case forced:
		return c.force(ctx, e, key, resource, a, now, cooling)
	case !valid && e.flight == nil && cooling:
		return plan{err: e.err}
	case !valid && e.flight == nil && ctx.Err() != nil: // nobody would wait for it
		return plan{err: leaveError(ctx, 0, e.err)}
	case !valid:
		return plan{flight: c.join(ctx, e, key, resource, a, now)}
	}

	v.remember(key, e)
	if now.Before(h.due) {
		return plan{token: h.token}
	}
	if e.flight == nil && cooling {
		return plan{token: h.token}
	}
	f := c.join(ctx, e, key, resource, a, now)
	if now.Before(h.expiring) {
		e.held.Store(&held{token: h.token, due: h.expiring, expiring: h.expiring})
		return plan{token: h.token}
	}
	if waited := now.Sub(f.started); waited < expiringWait {
		return plan{flight: f, fallback: h, patience: expiringWait - waited}
	}
	return plan{token: h.token} // those who came first have waited long enough
}

// force asks past the store, at most once in claimsEvery: whoever comes within that time gets what it brought. A flight
// that was under way before is no answer to the challenge, so that it is waited for and followed by another.
func (c *cache) force(ctx context.Context, e *entry, key, resource string, a acquirer, now time.Time, cooling bool) plan {
	if f := e.forced; f != nil && now.Sub(e.forcedAt) < claimsEvery {
		if e.flight == f || f.err != nil || now.Before(f.token.ExpiresOn) {
			return plan{flight: f}
		}
	}
	switch {
	case e.flight != nil:
		return plan{flight: e.flight, again: true}
	case cooling:
		return plan{err: e.err}
	case ctx.Err() != nil:
		return plan{err: leaveError(ctx, 0, e.err)}
	}
	e.forced, e.forcedAt = c.join(ctx, e, key, resource, a, now), now
	return plan{flight: e.forced}
}

// entry finds a key's entry, or makes one that a flight will put into the store.
func (c *cache) entry(key string) *entry {
	if e, ok := c.store.Get(key); ok {
		return e.(*entry)
	}
	c.makeRoom()
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

// join returns the key's flight, and starts it if there is none.
func (c *cache) join(ctx context.Context, e *entry, key, resource string, a acquirer, now time.Time) *flight {
	if e.flight == nil {
		e.flight = &flight{started: now, done: make(chan struct{})}
		c.store.Set(key, e, gocache.NoExpiration)
		go c.fly(context.WithoutCancel(ctx), e, key, resource, a, e.flight)
	}
	return e.flight
}

// errAborted is what waiters get when an acquisition never returned: a panic in a Transport goes on to end the process,
// a runtime.Goexit (testing.T.FailNow in a fake) ends only its goroutine.
var errAborted = errors.New("identity: the request for a token was aborted by the Transport or a policy in CredentialOptions")

// fly runs one flight to its end.
func (c *cache) fly(ctx context.Context, e *entry, key, resource string, a acquirer, f *flight) {
	var g grant
	err := errAborted
	defer func() {
		c.mu.Lock()
		outcome := c.settle(e, key, f, g, err, time.Now())
		c.mu.Unlock()
		defer close(f.done) // also if the user's slog.Handler panics
		outcome.log(a.logger(), resource)
	}()
	g, err = a.acquire(ctx, resource, func(err error) { f.last.Store(&err) })
}

func (f *flight) lastTry() error {
	if err := f.last.Load(); err != nil {
		return *err
	}
	return nil
}

// settle puts a flight's result into the entry. It is called under mu.
func (c *cache) settle(e *entry, key string, f *flight, g grant, err error, now time.Time) outcome {
	e.flight = nil
	before := e.held.Load()
	valid := before != nil && now.Before(before.token.ExpiresOn)
	o := outcome{first: !valid, err: err}
	var keep time.Duration
	if err != nil {
		f.err = err
		wait := coolDown(err, e.failures, valid)
		e.failures++
		e.err, e.cooling = err, now.Add(wait)
		o.next = e.cooling
		keep = wait + keepFailed
		if valid {
			due := e.cooling
			if now.Before(before.token.RefreshOn) { // a failed challenge is no reason to renew earlier
				due = before.token.RefreshOn
			}
			e.held.Store(&held{token: before.token, due: due, expiring: before.expiring})
			o.expires = before.token.ExpiresOn
		}
		if before != nil {
			keep = max(keep, keepUntil(before, now))
		}
	} else {
		e.failures, e.err, e.cooling = 0, nil, time.Time{}
		h := newHeld(g, before, now)
		e.held.Store(h)
		f.token = h.token
		o.expires, o.next = h.token.ExpiresOn, h.token.RefreshOn
		o.changed = before == nil || before.token.Token != g.token
		keep = keepUntil(h, now)
	}
	c.store.Set(key, e, keep)
	if now.Sub(c.swept) >= sweepEvery {
		c.swept = now
		c.store.DeleteExpired()
	}
	return o
}

// keepUntil is how long a token stays in the store. The limit keeps a host that dates a token to the year 9999 from
// overflowing the sum, which go-cache would take for "for ever".
func keepUntil(h *held, now time.Time) time.Duration {
	return min(h.token.ExpiresOn.Sub(now), maxSeconds*time.Second) + keepExpired
}

// newHeld decides when a token is renewed: when the host said (refresh_in), otherwise at half of its remaining life, give
// or take a tenth, so that a fleet that started together does not renew together. An example: a token that comes with
// 24 hours to live is renewed between 10 h 48 min and 13 h 12 min, and covers an outage of half a day.
func newHeld(g grant, before *held, now time.Time) *held {
	life := g.expiresOn.Sub(now)
	repeated := before != nil && before.token.Token == g.token
	wait := life/2 - life/20 + jitter(life/10)
	if g.refreshIn > 0 && g.refreshIn < life {
		wait = max(g.refreshIn, min(minRenewal, life/2))
	}
	if repeated { // by the host's own cache: it will have another one nearer to the end, or only after it
		wait = min(max(wait, minRenewal), life)
	}
	renewAt := now.Add(wait).Round(0).UTC()
	h := &held{
		token:    azcore.AccessToken{Token: g.token, ExpiresOn: g.expiresOn, RefreshOn: renewAt},
		due:      renewAt,
		expiring: g.expiresOn,
	}
	switch {
	case repeated && before.token.ExpiresOn.Equal(g.expiresOn):
		h.expiring = before.expiring
	case life > longLived:
		h.expiring = g.expiresOn.Add(-expiringWindow)
	}
	return h
}

// coolDown is how long a key is left alone after a failure: doubling with each in a row, jittered down to its half so that
// processes part, and not shorter than the host's Retry-After.
func coolDown(err error, failures int, valid bool) time.Duration {
	wait, limit := coldCoolDown, maxColdCoolDown
	if valid {
		wait, limit = renewalCoolDown, maxRenewalCoolDown
	}
	wait = min(wait<<min(failures, 10), limit)
	wait = wait/2 + jitter(wait/2)
	if ae, ok := errors.AsType[*AuthenticationError](err); ok {
		wait = max(wait, ae.retryAfter)
	}
	return wait
}

// outcome is what the log says of a flight.
type outcome struct {
	first   bool // no valid token was held
	changed bool // the host gave a token other than the one held
	expires time.Time
	next    time.Time // renewal, or the earliest next try
	err     error
}

func (o outcome) log(to *slog.Logger, resource string) {
	ctx := context.Background()
	attrs := []slog.Attr{slog.String("resource", resource)}
	if !o.expires.IsZero() {
		attrs = append(attrs, slog.Time("expires", o.expires))
	}
	switch {
	case o.err != nil:
		message := "token request failed"
		if !o.first {
			message = "token renewal failed, the held token stays in use"
		}
		if errors.Is(o.err, ErrIdentityMismatch) {
			message = "token of another identity refused"
		}
		to.LogAttrs(ctx, slog.LevelWarn, message, append(attrs, slog.Time("next_try", o.next.Round(0).UTC()), slog.String("error", o.err.Error()))...)
	case o.first:
		to.LogAttrs(ctx, slog.LevelInfo, "token acquired", append(attrs, slog.Time("renewal", o.next))...)
	default:
		to.LogAttrs(ctx, slog.LevelDebug, "token renewed", append(attrs, slog.Time("renewal", o.next), slog.Bool("changed", o.changed))...)
	}
}

package tokencache

import (
	"context"
	"time"
)

// Get returns a token for the Request's resource, which is what scope is for: from the store, or
// from a flight that it starts or joins. It blocks until ctx ends, and for the Request's Budget and
// a second at the longest, whoever's flight it is and however long that may last. No Budget means
// that of the View's Terms. The Request says why a held token will not do: claims, or Anew. Get
// fills in the rest of it.
//
// Errors are an [*Error], or what the Source's acquisition has returned, which all who waited for
// it share.
func (c *Cache) Get(
	ctx context.Context, v *View, scope string, r Request, s Source,
) (Result, error) {
	began := time.Now()
	r.Variant = v.variant
	if r.Budget == 0 {
		r.Budget = v.terms.Budget
	}
	budget := r.Budget
	var overdue <-chan time.Time
	for first := true; ; first = false {
		r.Budget = budget
		p := c.decide(ctx.Err(), v, scope, &r, first, s)
		if p.start != nil {
			p.start(ctx)
		}
		if p.flight == nil {
			hear(ctx, p.told)
			return p.Result, p.err
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
			return Result{}, &Error{Why: Overdue, Waited: time.Since(began),
				Last: p.flight.progress.lastErr()}
		}
		select {
		case <-p.flight.done:
			switch {
			case p.again:
				continue
			case p.flight.err == nil:
				return p.flight.result, nil
			case p.fallback == nil:
				hear(ctx, p.flight.told)
				return Result{}, p.flight.err
			}
		default:
		}
		if p.fallback != nil && time.Now().Before(p.fallback.token.ExpiresOn) {
			return Result{Token: p.fallback.token}, nil
		}
		if err := ctx.Err(); err != nil {
			return Result{}, &Error{Why: Left, Waited: time.Since(began),
				Last: p.flight.progress.lastErr(), Cause: err}
		}
	}
}

// Distrust is for a held token that a resource has refused: the next use waits a moment for another
// one. The token stays, because other requests may still use it.
func (c *Cache) Distrust(v *View, resource string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.entry(v.key(resource))
	if h := e.held.Load(); h != nil {
		distrusted := *h
		distrusted.quietUntil, distrusted.expiring = time.Time{}, time.Time{}
		e.held.Store(&distrusted)
	}
}

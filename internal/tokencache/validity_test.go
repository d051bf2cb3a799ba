package tokencache

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"testing"
	"time"
)

// between is a time whose logarithm is uniformly distributed: as many seconds as hours.
func between(random *rand.Rand, low, high time.Duration) time.Duration {
	return time.Duration(float64(low) * math.Pow(float64(high)/float64(low), random.Float64()))
}

// whim is a host that is up, slow, throttling or down for a while each, and grants tokens that live
// from 20 s to 24 h.
type whim struct {
	mu     sync.Mutex
	random *rand.Rand
	until  time.Time // the mood lasts
	mood   int
	issued int
	ends   time.Time // of the token that was granted last, which it may repeat
}

func (w *whim) answer(r Request, p *Progress) (Grant, error) {
	w.mu.Lock()
	if !time.Now().Before(w.until) {
		w.mood, w.until = w.random.IntN(8), time.Now().Add(between(w.random, time.Second, 4*time.Hour))
	}
	mood, delay := w.mood, between(w.random, time.Millisecond, time.Minute)
	life, repeats := between(w.random, 20*time.Second, 24*time.Hour), w.random.IntN(3) == 0
	refresh := time.Duration(w.random.IntN(86400)) * time.Second * time.Duration(w.random.IntN(2))
	w.mu.Unlock()
	switch mood {
	case 0:
		return refuses(r, p)
	case 1:
		return asksFor(7*time.Second)(r, p)
	case 2:
		return ailments["for good"](r, p)
	case 3, 4:
		time.Sleep(delay)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if now := time.Now(); !repeats || w.ends.Before(now.Add(20*time.Second)) {
		w.issued++
		w.ends = now.Add(life).UTC()
	}
	return Grant{Token: fmt.Sprint("token-", w.issued), ExpiresOn: w.ends, RefreshIn: refresh}, nil
}

// TestValidity: whatever the host does and whenever it is asked, no call brings a token that has
// expired, and while a valid one is held none brings an error, or waits, but for 2 s at most where
// the token is about to end, or is distrusted.
func TestValidity(t *testing.T) {
	runs, calls := 60, 150
	if testing.Short() {
		runs = 10
	}
	for run := range runs {
		seed := rand.Uint64()
		t.Run(fmt.Sprint(run), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := newClient()
				c.ill = (&whim{random: rand.New(rand.NewPCG(seed, 0))}).answer
				var group sync.WaitGroup
				callers := 1 + run%3
				for caller := range callers {
					random := rand.New(rand.NewPCG(seed, 1+uint64(caller)))
					group.Go(func() {
						for range calls {
							time.Sleep(between(random, time.Millisecond, 3*time.Hour))
							if callers == 1 && random.IntN(20) == 0 {
								c.cache.ShiftClock(time.Duration(random.IntN(121)-60) * time.Minute)
							}
							c.callOnce(t, random)
						}
					})
				}
				group.Wait()
				if t.Failed() {
					t.Logf("the host's and the callers' seed: %d", seed)
				}
			})
		})
	}
}

// held is what the store holds for the vault, valid or not; nil for nothing.
func (c client) held() *held {
	c.cache.mu.Lock()
	defer c.cache.mu.Unlock()
	return c.cache.entry(c.view.key(vault)).held.Load()
}

// callOnce is a call of one kind or another, judged by what was held before.
func (c client) callOnce(t *testing.T, random *rand.Rand) {
	ctx, cancel := context.WithTimeout(t.Context(), between(random, time.Nanosecond, time.Hour))
	defer cancel()
	before, began := c.held(), time.Now()
	if before != nil && before.quietUntil.After(before.token.ExpiresOn) {
		t.Errorf("a hit would outlive its token: quiet until %v, ends at %v", before.quietUntil,
			before.token.ExpiresOn)
	}
	var r Request
	switch random.IntN(20) {
	case 0:
		r.Claims = "{}"
	case 1:
		r.Anew = true
	case 2:
		c.cache.Distrust(c.view, vault)
		before = c.held()
	}
	held := c.view.Hit(vault)
	if held == nil || r.forced() {
		got, err := c.ask(ctx, vault, r)
		if err != nil {
			if !r.forced() && before != nil && time.Now().Before(before.token.ExpiresOn) {
				t.Errorf("an error while a token is held that has %v to live: %v",
					time.Until(before.token.ExpiresOn), err)
			}
			return // a failure of these is an error, and so is one without a valid token
		}
		held = &got.Token
	}
	now := time.Now()
	took := now.Sub(began)
	switch {
	case !now.Before(held.ExpiresOn):
		t.Errorf("%+v brought a token that ended %v ago", r, now.Sub(held.ExpiresOn))
	case r.forced() || before == nil || !now.Before(before.token.ExpiresOn):
	case took > expiringWait, took > 0 && began.Before(before.expiring):
		t.Errorf("waited %v with a token that had %v to live, expiring in %v", took,
			before.token.ExpiresOn.Sub(began), before.expiring.Sub(began))
	}
}

package tokencache

import (
	"context"
	"errors"
	"fmt"
	"math"
	"testing"
	"testing/synctest"
	"time"
)

// limited is a client of a small cache.
func limited(limit int) client {
	c := newClient()
	c.cache.limit = limit
	return c
}

// fill asks for n more resources, one a minute, and counts the failures.
func (c client) fill(name string, n int, between func()) (failed int) {
	for i := range n {
		time.Sleep(time.Minute)
		if _, err := c.get(fmt.Sprint(name, i)); err != nil {
			failed++
		}
		between()
	}
	return failed
}

// requestsFor counts those for one resource.
func (c client) requestsFor(resource string) (n int) {
	for _, r := range c.requests() {
		if r.Resource == resource {
			n++
		}
	}
	return n
}

// TestNothingValidIsDroppedForAFailure: with a full store and a host that is down, failures are
// remembered beside the tokens, up to a limit of their own, and leave first.
func TestNothingValidIsDroppedForAFailure(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := limited(100)
		c.fill("held", 100, func() {})
		sent := len(c.requests())
		c.enqueue(late(time.Second, refuses))
		c.suffer(refuses, time.Hour)
		go func() { _, _ = c.get("slow") }()
		synctest.Wait()
		for i := range 500 {
			if _, err := c.get(fmt.Sprint("new", i)); err == nil {
				t.Fatal("got a token of a host that is down")
			}
			if n := c.cache.store.ItemCount(); n > 100+10+2 {
				t.Fatalf("%d keys, want at most the 100 tokens, 10 failures and 2 more", n)
			}
		}
		for _, again := range []string{"new499", "slow"} { // remembered, and joined
			if _, err := c.get(again); err == nil {
				t.Errorf("%s: got a token", again)
			}
		}
		if n := len(c.requests()) - sent; n != 501 {
			t.Errorf("%d requests for 501 new resources", n)
		}
		sent = len(c.requests())
		if failed := c.fill("held", 100, func() {}); failed != 0 || len(c.requests()) != sent {
			t.Errorf("%d of 100 valid tokens are gone", failed)
		}
		time.Sleep(time.Hour)
		c.fill("later", 10, func() {})
		valid := 0
		for _, s := range c.cache.Stats(c.view) {
			if time.Now().Before(s.ExpiresOn) {
				valid++
			}
		}
		if valid != 100 {
			t.Errorf("%d tokens are held, want 100", valid)
		}
	})
}

// TestFullStoreDropsWhatWasUsedLongestAgo: however old a token is that is in use, and however soon
// it ends.
func TestFullStoreDropsWhatWasUsedLongestAgo(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := limited(50)
		use := func() {
			if _, took := c.must(t); took != 0 {
				t.Fatalf("a token in constant use was dropped: another one took %v", took)
			}
		}
		use()
		c.fill("once", 40, use)
		c.fill("other", 200, use)
		synctest.Wait()
		if n := c.requestsFor(vault); n != 1 {
			t.Errorf("%d requests for a token in constant use, want 1", n)
		}
		if n := c.cache.store.ItemCount(); n > 50 || n < 45 {
			t.Errorf("the store holds %d keys, want up to 50", n)
		}
	})
}

// TestStoreIsBounded: of tokens that were used at one time those leave first that end first.
func TestStoreIsBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const limit = 200
		c := limited(limit)
		for i, resource := range resources(3 * limit) {
			c.life = time.Hour + time.Duration(i%2)*10*time.Hour
			if _, err := c.get(resource); err != nil {
				t.Fatal(err)
			}
			if n := c.cache.store.ItemCount(); n > limit {
				t.Fatalf("the store holds %d entries, want at most %d", n, limit)
			}
		}
		short := 0
		for _, s := range c.cache.Stats(c.view) {
			if time.Until(s.ExpiresOn) < 2*time.Hour {
				short++
			}
		}
		if short > 2 {
			t.Errorf("%d tokens near their end are held although others had to go", short)
		}
	})
}

func TestExpiredTokensLeaveTheStore(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newClient()
		c.life = 30 * time.Minute
		for _, resource := range resources(500) {
			if _, err := c.get(resource); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(30*time.Minute + keepExpired + time.Minute)
		c.must(t)
		if n := c.cache.store.ItemCount(); n != 1 {
			t.Errorf("the store holds %d entries, want the 1 that is valid", n)
		}
	})
}

// TestTokensThatNeverEnd leave, too, and are renewed.
func TestTokensThatNeverEnd(t *testing.T) {
	for _, end := range []int64{32503680000, 253402300799, math.MaxInt32 << 8} {
		t.Run(fmt.Sprint(end), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := limited(10)
				c.suffer(func(Request, *Progress) (Grant, error) {
					return Grant{ExpiresOn: time.Unix(end, 0).UTC()}, nil
				}, time.Hour)
				for _, resource := range resources(100) {
					tk, err := c.get(resource)
					if err != nil || time.Until(tk.RefreshOn) > longestRenewal {
						t.Fatalf("renewed in %v (%v), want a day at most", time.Until(tk.RefreshOn), err)
					}
				}
				if n := c.cache.store.ItemCount(); n > 10 {
					t.Errorf("the store holds %d entries, its limit is 10", n)
				}
			})
		})
	}
}

// TestEvictedKeyIsAskedForAgain: it leaves the index with the store.
func TestEvictedKeyIsAskedForAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := limited(10)
		all := resources(50)
		for _, resource := range all {
			for range 3 { // the second look-up puts it into the index
				if _, err := c.get(resource); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(time.Second)
		}
		served := 0
		for _, resource := range all {
			if c.view.Hit(resource) != nil {
				served++
			}
		}
		if served > 10 || served == 0 || len(c.cache.Stats(c.view)) != 10 {
			t.Errorf("%d keys are served from the index, %d are held, want 10 at most",
				served, len(c.cache.Stats(c.view)))
		}
		if _, err := c.get(all[0]); err != nil || len(c.requests()) != 51 {
			t.Errorf("a key that was pushed out: %v, %d requests, want one more", err,
				len(c.requests()))
		}
	})
}

// TestKeyWithAFlightStays in the store however full it is, so that nobody starts another.
func TestKeyWithAFlightStays(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := limited(20)
		c.enqueue(late(30*time.Second, nil))
		for range 2 {
			go func() { _, _ = c.get(vault) }()
			synctest.Wait()
			for _, resource := range resources(100) {
				if _, err := c.get(resource); err != nil {
					t.Fatal(err)
				}
			}
		}
		c.must(t)
		if n := c.requestsFor(vault); n != 1 {
			t.Errorf("%d requests for one token, want 1", n)
		}
	})
}

func TestFlightsAreBoundedAndPushNothingOut(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := limited(200)
		first, _ := c.must(t)
		c.suffer(late(10*time.Minute, refuses), 10*time.Minute)
		crowded := 0
		for _, resource := range resources(2000) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			_, err := c.ask(ctx, resource, Request{})
			cancel()
			e, ok := errors.AsType[*Error](err)
			switch {
			case ok && e.Why == Crowded && e.UnderWay == 20:
				crowded++
			case !ok || e.Why != Left || !errors.Is(err, context.DeadlineExceeded):
				t.Fatalf("got %v", err)
			}
		}
		if n := c.cache.flights(); n != 20 || crowded == 0 {
			t.Errorf("%d flights, want 20, and %d refused", n, crowded)
		}
		if tk, took := c.must(t); tk != first || took != 0 {
			t.Error("the valid token was pushed out by keys that have none")
		}
		time.Sleep(10 * time.Minute)
		if n := c.cache.flights(); n != 0 {
			t.Errorf("%d flights are counted after all have ended", n)
		}
	})
}

// TestMomentaryTokens: a host whose tokens end at once is asked for one a second, and each caller
// has one that is valid.
func TestMomentaryTokens(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newClient()
		c.life = 20 * time.Millisecond
		c.suffer(late(5*time.Millisecond, nil), time.Hour)
		for start := time.Now(); time.Since(start) < 10*time.Second; time.Sleep(time.Millisecond) {
			if _, took := c.must(t); took > time.Second+10*time.Millisecond {
				t.Errorf("a caller has waited for %v", took)
			}
		}
		if n := len(c.requests()); n < 9 || n > 11 {
			t.Errorf("%d requests in 10 s, want one a second", n)
		}
	})
}

func TestLimitsAreTheDocumentedOnes(t *testing.T) {
	t.Parallel()
	if c := New(); c.limit != 10_000 || c.limit/flyingShare != 1000 || expiringWait != 2*time.Second {
		t.Error("a documented constant has changed: say so where it is documented")
	}
}

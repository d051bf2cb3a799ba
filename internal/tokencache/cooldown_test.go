package tokencache

import (
	"testing"
	"testing/synctest"
	"time"
)

// gaps polls every 10 ms, and returns the time between requests.
func (c client) gaps(t *testing.T, n int) (gaps []time.Duration) {
	t.Helper()
	before := len(c.requests())
	for len(c.requests()) < before+n+1 {
		_, _ = c.get(vault)
		synctest.Wait()
		time.Sleep(10 * time.Millisecond)
	}
	sent := c.requests()[before:]
	for i := range n {
		gaps = append(gaps, sent[i+1].at.Sub(sent[i].at))
	}
	return gaps
}

func TestCoolDowns(t *testing.T) {
	const s = time.Second
	type row struct {
		held bool // there is a token, which is to be renewed
		ill  answer
		want []time.Duration // at most, and half of that at least
	}
	bubbles(t, map[string]row{
		"without a token": {ill: refuses,
			want: []time.Duration{1 * s, 2 * s, 4 * s, 8 * s, 10 * s, 10 * s}},
		"with a token": {held: true, ill: refuses,
			want: []time.Duration{5 * s, 10 * s, 20 * s, 30 * s, 30 * s}},
		"for good": {ill: ailments["for good"], want: []time.Duration{1 * s, 2 * s, 4 * s}},
	}, func(t *testing.T, tt row) {
		c := newClient()
		if tt.held {
			tk, _ := c.must(t)
			time.Sleep(time.Until(tk.RefreshOn))
		}
		c.suffer(tt.ill, time.Hour)
		for i, got := range c.gaps(t, len(tt.want)) {
			if want := tt.want[i]; got < want/2 || got > want+20*time.Millisecond {
				t.Errorf("cool-down %d was %v, want from %v to %v", i+1, got, want/2, want)
			}
		}
	})
	t.Run("the host's wish", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			c := newClient()
			c.enqueue(asksFor(17 * s))
			if got := c.gaps(t, 1)[0]; got < 17*s || got > 18*s {
				t.Errorf("asked again after %v, want 17s", got)
			}
		})
	})
	t.Run("a mixture", func(t *testing.T) { // they double with the failures, whatever kind each is of
		bubble(t, func(t *testing.T) {
			c := newClient()
			first, _ := c.must(t)
			for range 4 {
				c.enqueue(refuses, asksFor(s))
			}
			time.Sleep(time.Until(first.RefreshOn))
			for i, gap := range c.gaps(t, 8) {
				if least := min(renewalCoolDown<<i, maxRenewalCoolDown) / 2; gap < least {
					t.Errorf("a request %v after failure %d, want at least %v", gap, i+1, least)
				}
			}
		})
	})
}

func TestCoolDownIsJittered(t *testing.T) {
	t.Parallel()
	seen := map[time.Duration]bool{}
	for range 100 {
		now := time.Now()
		wait := coolDownAfter(0, 3, &held{expiring: now.Add(time.Hour)},
			now, now)
		if wait < 15*time.Second || wait > 30*time.Second {
			t.Errorf("cool-down is %v, want 15 to 30 s", wait)
		}
		seen[wait] = true
		if wait := coolDownAfter(0, 3, &held{expiring: now}, time.Time{}, now); wait > 10*time.Second {
			t.Errorf("cool-down is %v in the last minutes of a token, want at most 10 s", wait)
		}
	}
	if len(seen) < 50 {
		t.Errorf("100 cool-downs have %d values: processes would ask in step", len(seen))
	}
}

// TestCoolDownIsMonotonic: a step of the wall clock must not stretch it. A bubble's clock has no
// monotonic reading.
func TestCoolDownIsMonotonic(t *testing.T) {
	t.Parallel()
	c := newClient()
	c.suffer(refuses, time.Hour)
	c.fails(t)
	c.cache.mu.Lock()
	defer c.cache.mu.Unlock()
	if end := c.cache.entry(c.view.key(vault)).cooledUntil(); end == end.Round(0) {
		t.Errorf("it ends at %v, without a monotonic reading", end)
	}
}

// TestSuccessResetsTheCoolDown: whichever that was.
func TestSuccessResetsTheCoolDown(t *testing.T) {
	type row struct {
		held bool
		ill  answer
	}
	bubbles(t, map[string]row{
		"without a token":  {ill: refuses},
		"a renewal":        {held: true, ill: refuses},
		"said by the host": {ill: asksFor(9 * time.Second)},
	}, func(t *testing.T, tt row) {
		c := newClient()
		if tt.held {
			tk, _ := c.must(t)
			time.Sleep(time.Until(tk.RefreshOn))
		}
		remembered := func() int {
			c.cache.mu.Lock()
			defer c.cache.mu.Unlock()
			e := c.cache.entry(c.view.key(vault))
			n := e.said.failures + e.renewal.failures
			for _, l := range e.lanes {
				n += l.failures
			}
			return n
		}
		poll := func(n int) {
			for range n {
				_, _ = c.get(vault)
				time.Sleep(20 * time.Millisecond)
			}
		}
		c.suffer(tt.ill, 30*time.Second)
		poll(1250)
		if n := remembered(); n < 2 {
			t.Fatalf("%d failures are remembered in an outage", n)
		}
		poll(2000) // it is well again in 5 s, and asked after another 30 at the latest
		synctest.Wait()
		if n := remembered(); n != 0 {
			t.Errorf("%d failures are remembered after a success", n)
		}
	})
}

// TestRecoveryOfAHostThatHung: a renewal that waits in vain for an answer makes the next one no
// later.
func TestRecoveryOfAHostThatHung(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newClient()
		first, _ := c.must(t)
		time.Sleep(time.Until(first.RefreshOn))
		c.suffer(hangs, time.Hour)
		for i, gap := range c.gaps(t, 50)[7:] { // where cool-downs are at their longest
			if gap < 40*time.Second || gap > 44*time.Second {
				t.Errorf("request %d came %v after the one before, want 40 s for the try and a short wait",
					i+8, gap)
			}
		}
	})
}

package tokencache

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
)

func TestRenewalTime(t *testing.T) {
	bubble(t, func(t *testing.T) {
		seen := map[time.Duration]bool{}
		for range 200 {
			c := newClient()
			tk, _ := c.must(t)
			wait := time.Until(tk.RefreshOn)
			seen[wait] = true
			if wait < 648*time.Minute || wait > 792*time.Minute {
				t.Errorf("RefreshOn is in %v, want half of 24 h ± 10 %%", wait)
			}
			for range 3 { // by the slow and by the fast path
				if again, _ := c.must(t); again != tk {
					t.Errorf("a hit differs from the first result: %v, %v", again.RefreshOn, tk.RefreshOn)
				}
			}
			for want := 1; want <= 2; want++ {
				time.Sleep(time.Until(tk.RefreshOn) - time.Duration(2-want)*time.Second)
				c.must(t)
				synctest.Wait()
				if n := len(c.requests()); n != want {
					t.Fatalf("%d requests %v before RefreshOn", n, time.Until(tk.RefreshOn))
				}
			}
		}
		if len(seen) < 150 {
			t.Errorf("200 tokens have %d different renewal times: no jitter", len(seen))
		}
	})
}

func TestRefreshIn(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name                 string
		refreshIn, low, high time.Duration
	}{
		{name: "honoured", refreshIn: 2 * time.Hour, low: 2 * time.Hour, high: 2 * time.Hour},
		{name: "later than half", refreshIn: 80000 * time.Second, low: 80000 * time.Second,
			high: 80000 * time.Second},
		{name: "not before 30 s", refreshIn: time.Second, low: 30 * time.Second,
			high: 30 * time.Second},
		{name: "beyond the end", refreshIn: 25 * time.Hour, low: 648 * time.Minute,
			high: 792 * time.Minute},
		{name: "zero", low: 648 * time.Minute, high: 792 * time.Minute},
		{name: "negative", refreshIn: -5, low: 648 * time.Minute, high: 792 * time.Minute},
	} {
		now := time.Now()
		h := newHeld(Grant{ExpiresOn: now.Add(24 * time.Hour), RefreshIn: tt.refreshIn}, nil, now)
		if got := h.token.RefreshOn.Sub(now); got < tt.low || got > tt.high {
			t.Errorf("%s: RefreshOn is in %v, want from %v to %v", tt.name, got, tt.low, tt.high)
		}
	}
}

// TestHostRepeatsItsCachedToken: a host with a cache of its own is asked at each half of what
// remains of the token's life, and not ever faster.
func TestHostRepeatsItsCachedToken(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newClient()
		end := time.Now().Add(24 * time.Hour).UTC()
		c.suffer(func(Request, *Progress) (Grant, error) {
			return Grant{Token: "cached", ExpiresOn: end}, nil
		}, 24*time.Hour)
		for time.Now().Before(end.Add(time.Minute)) {
			tk, took := c.must(t)
			if took > expiringWait {
				t.Fatalf("waited %v", took)
			}
			if tk.Token == "cached" && tk.ExpiresOn != end {
				t.Fatal("the same token with another end")
			}
			time.Sleep(time.Second)
		}
		sent := c.requests()
		if n := len(sent); n < 8 || n > 30 {
			t.Errorf("%d requests in the life of a token that the host repeats, want about 12", n)
		}
		for i := 1; i < len(sent); i++ {
			if gap := sent[i].at.Sub(sent[i-1].at); gap < 29*time.Second && sent[i].at.Before(end) {
				t.Errorf("asked again after %v for the same token, want at least 30 s", gap)
			}
		}
	})
}

// TestRepeatedTokenKeepsExpiring: it is long-lived although it has come again with little to live.
func TestRepeatedTokenKeepsExpiring(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newClient()
		first, _ := c.must(t)
		repeat := func(Request, *Progress) (Grant, error) {
			return Grant{Token: first.Token, ExpiresOn: first.ExpiresOn}, nil
		}
		time.Sleep(time.Until(first.ExpiresOn) - 8*time.Minute)
		c.enqueue(repeat, late(10*time.Second, repeat))
		c.must(t)
		synctest.Wait()
		time.Sleep(time.Until(first.ExpiresOn) - 3*time.Minute)
		if _, took := c.must(t); took != expiringWait {
			t.Errorf("took %v, want the wait of a long-lived token near its end", took)
		}
	})
}

func TestRenewalNeverShortens(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newClient()
		first, _ := c.must(t)
		time.Sleep(14 * time.Hour)
		c.life = 2 * time.Second
		c.must(t)
		synctest.Wait()
		time.Sleep(time.Minute)
		if tk, _ := c.must(t); tk.Token != first.Token || len(c.requests()) != 2 {
			t.Errorf("got %s after %d requests, want the token that lasts longer", tk.Token,
				len(c.requests()))
		}
		// A challenge is different: the longer-lived one was rejected.
		c.life = time.Hour
		if got, err := c.ask(t.Context(), vault, Request{Claims: "{}"}); err != nil ||
			got.Token.Token != "token-3" {
			t.Errorf("got %v (%v), want the third", got, err)
		}
		if tk, _ := c.must(t); tk.Token != "token-3" {
			t.Errorf("got %s after a challenge, want the third", tk.Token)
		}
	})
}

func TestStaleTokenAtOnceWhileTheHostIsSlow(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newClient()
		first, _ := c.must(t)
		time.Sleep(14 * time.Hour)
		c.enqueue(late(30*time.Second, nil))
		for range 29 {
			if tk, took := c.must(t); took != 0 || tk != first {
				t.Fatalf("got %v after %v, want the held token at once", tk.Token, took)
			}
			time.Sleep(time.Second)
		}
		time.Sleep(2 * time.Second)
		if tk, took := c.must(t); tk.Token == first.Token || took != 0 || len(c.requests()) != 2 {
			t.Errorf("after the host answered: %v after %v", tk.Token, took)
		}
	})
}

// TestStaleTokenAndAnAcquisitionThatHangs: a renewal that never ends is given up, and another one
// starts hours before the token ends.
func TestStaleTokenAndAnAcquisitionThatHangs(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newClient()
		first, _ := c.must(t)
		c.enqueue(late(20*time.Hour, nil))
		time.Sleep(time.Until(first.RefreshOn))
		for range 7 * 60 {
			if _, took := c.must(t); took != 0 {
				t.Fatalf("waited %v with a token that has hours to live", took)
			}
			time.Sleep(time.Minute)
		}
		if tk, _ := c.must(t); tk.Token == first.Token || len(c.requests()) != 3 {
			t.Errorf("7 h after a renewal has hung: got %s, %d requests", tk.Token, len(c.requests()))
		}
		time.Sleep(20 * time.Hour)
	})
}

// TestExpiringToken: in the last 5 minutes a caller waits for the renewal, for 2 s at most.
func TestExpiringToken(t *testing.T) {
	type row struct {
		life           time.Duration
		left, answered time.Duration // of its life; after so long
		ill            answer
		want           time.Duration
		renewed        bool
	}
	bubbles(t, map[string]row{
		"waits": {left: 4 * time.Minute, answered: 1500 * time.Millisecond,
			want: 1500 * time.Millisecond, renewed: true},
		"not for long": {left: 4 * time.Minute, answered: time.Minute, want: expiringWait},
		"fails":        {left: 4 * time.Minute, answered: time.Second, ill: refuses, want: time.Second},
		"ends meanwhile": {left: time.Second, answered: 3 * time.Second,
			want: 3 * time.Second, renewed: true},
		"short-lived": {life: 4 * time.Minute, left: 10 * time.Second, answered: time.Second},
	}, func(t *testing.T, tt row) {
		c := newClient()
		c.life = tt.life
		first, _ := c.must(t)
		time.Sleep(time.Until(first.ExpiresOn) - tt.left)
		c.enqueue(late(tt.answered, tt.ill))
		if tk, took := c.must(t); took != tt.want || (tk.Token != first.Token) != tt.renewed {
			t.Errorf("got %s after %v, want after %v, renewed: %v", tk.Token, took, tt.want,
				tt.renewed)
		}
	})
}

func TestExpiredTokenIsNeverReturned(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newClient()
		first, _ := c.must(t)
		c.suffer(func(Request, *Progress) (Grant, error) {
			return Grant{}, &Failure{Err: errRefused, Final: true}
		}, 25*time.Hour)
		time.Sleep(time.Until(first.ExpiresOn) - time.Nanosecond)
		c.must(t)
		time.Sleep(time.Nanosecond)
		c.fails(t)
	})
}

// TestClockJumps: a token that has expired by a wrong clock is held for an hour, and is good again
// once the clock is right.
func TestClockJumps(t *testing.T) {
	type row struct {
		after, jump time.Duration
		expired     bool
	}
	bubbles(t, map[string]row{
		"ahead": {jump: time.Hour}, "back": {jump: -time.Hour},
		"past the end":           {jump: 25 * time.Hour, expired: true},
		"an hour fast for a day": {after: 24*time.Hour + 50*time.Minute, expired: true},
	}, func(t *testing.T, tt row) {
		c := newClient()
		first, _ := c.must(t)
		c.suffer(refuses, 100*time.Hour)
		time.Sleep(tt.after)
		c.cache.ShiftClock(tt.jump)
		if tk, err := c.get(vault); (err != nil) != tt.expired {
			t.Errorf("got %v, %v", tk.Token, err)
		}
		if tt.after > 0 {
			tt.jump = time.Hour
		}
		c.cache.ShiftClock(-tt.jump)
		if tk, _ := c.must(t); tk.Token != first.Token {
			t.Error("the token was lost")
		}
	})
}

// TestTimesAreByTheWallClock: with a monotonic reading a token would outlive a suspend.
func TestTimesAreByTheWallClock(t *testing.T) {
	t.Parallel()
	now := time.Now() // outside of a bubble, whose clock has no monotonic reading
	h := newHeld(Grant{Token: "t", ExpiresOn: now.Add(time.Hour).Round(0)}, nil, now)
	for name, at := range map[string]time.Time{"renewal": h.quietUntil, "RefreshOn": h.token.RefreshOn,
		"expiring": h.expiring, "until": h.until(now).quietUntil} {
		if at != at.Round(0) {
			t.Errorf("%s has a monotonic reading: %v", name, at)
		}
	}
	if until := h.until(now).quietMonotonic; *until == until.Round(0) {
		t.Errorf("the end of a cool-down has no monotonic reading: %v", until)
	}
}

// TestClockSetBackInACoolDown: a renewal that has failed is tried again in time although the wall
// clock says that its cool-down lasts for another hour. A token that is fresh again by the clock is
// renewed when it is due by that.
func TestClockSetBackInACoolDown(t *testing.T) {
	type row struct {
		takes     time.Duration // the renewal, which fails
		then      []time.Duration
		beyond    time.Duration
		afterEach time.Duration
	}
	bubbles(t, map[string]row{
		"failed": {then: []time.Duration{-time.Hour}},
		"under way": {takes: 10 * time.Second, then: []time.Duration{-time.Hour},
			beyond: time.Hour},
		"ahead while it failed": {takes: 10 * time.Second, afterEach: 10 * time.Second,
			then: []time.Duration{14 * time.Hour, -14 * time.Hour}},
	}, func(t *testing.T, tt row) {
		c := newClient()
		first, _ := c.must(t)
		time.Sleep(time.Until(first.RefreshOn))
		c.enqueue(late(tt.takes, refuses))
		c.must(t)
		synctest.Wait()
		for _, jump := range tt.then {
			c.cache.ShiftClock(jump)
			if len(tt.then) > 1 && jump > 0 {
				time.Sleep(tt.afterEach)
			}
		}
		within := tt.beyond + renewalCoolDown + 2*time.Second
		for began := time.Now(); time.Since(began) < within; time.Sleep(time.Second) {
			if tk, took := c.must(t); took != 0 {
				t.Errorf("waited %v", took)
			} else if tk.Token != first.Token {
				return
			}
		}
		t.Errorf("not renewed within %v", within)
	})
}

// hangs is silent for as long as a try may take.
func hangs(Request, *Progress) (Grant, error) {
	time.Sleep(usual.Patience)
	return Grant{}, &Failure{Err: errRefused, Waited: usual.Patience}
}

// ailments are the ways in which a host can be down.
var ailments = map[string]answer{
	"refuses": refuses,
	"for good": func(Request, *Progress) (Grant, error) {
		return Grant{}, &Failure{Err: errRefused, Final: true}
	},
	"asks for silence": asksFor(7 * time.Second),
	"hangs":            hangs,
}

// TestFourMinutesLeftAndTheHostDown: few callers wait, and none for long.
func TestFourMinutesLeftAndTheHostDown(t *testing.T) {
	bubbles(t, ailments, func(t *testing.T, ill answer) {
		c := newClient()
		first, _ := c.must(t)
		time.Sleep(time.Until(first.ExpiresOn) - 4*time.Minute)
		c.suffer(ill, 4*time.Minute)
		waits := 0
		for time.Until(first.ExpiresOn) > 2*time.Second {
			tk, took := c.must(t)
			if tk.Token != first.Token || took > expiringWait {
				t.Fatalf("got %s after %v", tk.Token, took)
			}
			if took > 0 {
				waits++
			}
			time.Sleep(time.Second)
		}
		if waits > 48 { // one caller for each renewal, of which there is one in 5 s
			t.Errorf("%d calls waited, want few of 240", waits)
		}
	})
}

// TestOutageCoveredByADaysToken: the host is asked seldom, nobody waits for long, and the token is
// renewed within a minute of the host's recovery.
func TestOutageCoveredByADaysToken(t *testing.T) {
	bubbles(t, ailments, func(t *testing.T, ill answer) {
		for _, from := range []time.Duration{time.Second, 12 * time.Hour} {
			const up = 23*time.Hour + 59*time.Minute
			c := newClient()
			start := time.Now()
			first, _ := c.must(t)
			time.Sleep(from)
			c.suffer(ill, up-from)
			before := len(c.requests())
			for time.Since(start) < up {
				if _, took := c.must(t); took > expiringWait {
					t.Fatalf("a caller waited %v during the outage", took)
				}
				time.Sleep(17 * time.Second)
			}
			n, hours := len(c.requests())-before, (up - from).Hours()
			if float64(n) > 240*hours+150 { // one in 15 s, more at the end
				t.Errorf("%d requests in an outage of %.0f hours: not a trickle", n, hours)
			}
			for tk := first; tk.Token == first.Token; tk, _ = c.must(t) {
				if time.Since(start)-up > time.Minute {
					t.Fatal("not renewed within a minute of the recovery")
				}
				time.Sleep(time.Second)
			}
		}
	})
}

// TestRenewalIsASingleTry: while the held token outlives an acquisition, the host is asked once
// between two cool-downs. When the token could end within one, it is asked as for a caller who has
// none.
func TestRenewalIsASingleTry(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newClient()
		first, _ := c.must(t)
		time.Sleep(time.Until(first.RefreshOn))
		c.suffer(refuses, 24*time.Hour)
		outlived := first.ExpiresOn.Add(-expiringWindow - usual.Budget - overtime)
		for time.Now().Before(first.ExpiresOn.Add(-expiringWait - time.Second)) {
			c.must(t)
			time.Sleep(time.Second)
		}
		var last time.Time
		single, late := 0, 0
		for i, r := range c.requests()[1:] {
			if r.Once != r.at.Before(outlived) {
				t.Fatalf("%v before the end a single try: %v", first.ExpiresOn.Sub(r.at), r.Once)
			}
			if !r.Once {
				late++
				continue
			}
			single++
			least := renewalCoolDown / 2
			if i > 3 {
				least = maxRenewalCoolDown / 2
			}
			if gap := r.at.Sub(last); i > 0 && (gap < least || gap > maxRenewalCoolDown+time.Second) {
				t.Fatalf("request %d came %v after the one before, want at least %v", i+1, gap, least)
			}
			last = r.at
		}
		hours := outlived.Sub(first.RefreshOn).Hours()
		if float64(single) < 120*hours || float64(single) > 240*hours {
			t.Errorf("%d requests in %.1f hours, want one in 15 to 30 s", single, hours)
		}
		if late < 20 { // one for each cool-down of up to 10 s
			t.Errorf("%d requests in the last six minutes, want at least 20", late)
		}
	})
}

// failedRenewal is a credential whose token has hours to live and whose renewal has just failed.
func failedRenewal(t *testing.T, ill answer) (client, azcore.AccessToken) {
	t.Helper()
	c := newClient()
	first, _ := c.must(t)
	time.Sleep(time.Until(first.RefreshOn))
	c.enqueue(ill)
	c.must(t)
	synctest.Wait()
	if got := c.stat(); got.Failures != 1 || got.Requests != 2 || got.NextTry.IsZero() {
		t.Fatalf("not a failed renewal: %+v", got)
	}
	return c, first
}

// TestFailedRenewalIsNoReasonToRefuse: a caller who can't do with the held token gets a full
// acquisition after a renewal's single try has failed, and not that failure. It does get it while
// the host wants silence, and after a full acquisition.
func TestFailedRenewalIsNoReasonToRefuse(t *testing.T) {
	const past = 14 * time.Hour // the clock jumps past the end
	rows := map[string]func(t *testing.T){
		"the clock has jumped": func(t *testing.T) {
			c, _ := failedRenewal(t, refuses)
			c.cache.ShiftClock(past)
			if c.must(t); c.requests()[2].Once {
				t.Error("a single try")
			}
		},
		"it jumps before the renewal has failed": func(t *testing.T) {
			c := newClient()
			first, _ := c.must(t)
			time.Sleep(time.Until(first.RefreshOn))
			c.enqueue(late(5*time.Second, refuses))
			c.must(t)
			time.Sleep(time.Second)
			c.cache.ShiftClock(past)
			if _, took := c.must(t); took != 4*time.Second {
				t.Errorf("waited %v, want to the end of the renewal", took)
			}
		},
		"the host wants silence": func(t *testing.T) {
			c, _ := failedRenewal(t, asksFor(20*time.Second))
			time.Sleep(10 * time.Second)
			if _, err := c.ask(t.Context(), vault, Request{Anew: true}); !errors.Is(err, errRefused) {
				t.Errorf("anew: %v, want the failure", err)
			}
			c.cache.ShiftClock(past)
			if took, err := c.fails(t); !errors.Is(err, errRefused) || took != 0 ||
				len(c.requests()) != 2 {
				t.Errorf("%v after %v, want the failure at once", err, took)
			}
		},
		"after a full acquisition": func(t *testing.T) {
			c, _ := failedRenewal(t, refuses)
			c.suffer(refuses, 10*time.Hour)
			c.cache.ShiftClock(past)
			c.fails(t)
			before := len(c.requests())
			if took, _ := c.fails(t); took != 0 || len(c.requests()) != before {
				t.Errorf("failed after %v, want the cool-down to hold", took)
			}
		},
	}
	for name, r := range forced {
		rows[name] = func(t *testing.T) {
			c, first := failedRenewal(t, refuses)
			got, err := c.ask(t.Context(), vault, r)
			if err != nil || !got.Changed || got.Token.Token == first.Token || c.requests()[2].Once {
				t.Errorf("got %v, %v, want another token", got, err)
			}
		}
	}
	bubbles(t, rows, func(t *testing.T, row func(t *testing.T)) { row(t) })
}

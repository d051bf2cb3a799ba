package tokencache

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestOneRequestPerIdentityAndResource(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h, cache := newHost(), New()
		var all []client
		for _, identity := range []string{"one\n", "two\n", "one\n"} {
			for _, v := range []Variant{{}, {CAE: true}, {Tenant: "t"}} {
				view := NewView(identity, v, usual)
				all = append(all, client{h, cache, &view})
			}
		}
		h.suffer(late(3*time.Second, nil), time.Hour)
		var wg sync.WaitGroup
		for i := range 1000 {
			wg.Go(func() {
				if _, err := all[i%len(all)].get([]string{"a", "b"}[rand.N(2)]); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if n := len(h.requests()); n != 2*3*2 {
			t.Errorf("%d requests for 2 identities, 3 variants and 2 resources", n)
		}
	})
}

func TestHitAllocatesNothing(t *testing.T) { // not parallel: AllocsPerRun counts the whole process
	c := newClient()
	for range 3 {
		c.must(t)
	}
	if n := testing.AllocsPerRun(1000, func() { c.view.Hit(vault) }); n != 0 {
		t.Errorf("a hit allocates %v times, want 0", n)
	}
}

// TestCallersLeave: each when its own context ends, and the flight goes on.
func TestCallersLeave(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newClient()
		c.enqueue(func(_ Request, p *Progress) (Grant, error) {
			p.Failed(errRefused)
			time.Sleep(10 * time.Second)
			return Grant{}, nil
		})
		var wg sync.WaitGroup
		for _, limit := range []time.Duration{5 * time.Second, 50 * time.Millisecond} {
			wg.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), limit)
				defer cancel()
				_, err := c.ask(ctx, vault, Request{})
				e, ok := err.(*Error)
				if !ok || e.Why != Left || e.Waited != limit || e.Last != errRefused ||
					!errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("got %+v, want that the caller has left after %v", err, limit)
				}
			})
		}
		for range 10 {
			wg.Go(func() { c.must(t) })
		}
		wg.Wait()
		if n := len(c.requests()); n != 1 {
			t.Errorf("%d requests, want 1", n)
		}
	})
}

func TestEndedContextStartsNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		c := newClient()
		left := func(want error, r Request) {
			t.Helper()
			_, err := c.ask(ended, vault, r)
			if e, ok := err.(*Error); !ok || e.Why != Left || e.Last != want {
				t.Errorf("got %+v, want that the caller has left", err)
			}
		}
		left(nil, Request{})
		c.enqueue(refuses)
		c.fails(t)
		left(errRefused, Request{}) // in a cool-down: with what has failed
		time.Sleep(time.Minute)
		c.must(t)
		if _, err := c.ask(ended, vault, Request{}); err != nil {
			t.Errorf("a held token with an ended context: %v", err)
		}
		left(nil, Request{Anew: true})
		left(nil, Request{Claims: "{}"})
		if n := len(c.requests()); n != 2 {
			t.Errorf("%d requests, want none for callers that had left", n)
		}
	})
}

// TestExpiringTokenWhenTheContextEnds: a valid token is held, so there is no error.
func TestExpiringTokenWhenTheContextEnds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newClient()
		first, _ := c.must(t)
		time.Sleep(time.Until(first.ExpiresOn) - 4*time.Minute)
		c.enqueue(late(10*time.Second, nil))
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if got, err := c.ask(ctx, vault, Request{}); err != nil || got.Token != first {
			t.Errorf("got %v: a valid token was held", err)
		}
		time.Sleep(10 * time.Second)
	})
}

// TestAcquisitionThatHangs: callers are told after the budget, and another one starts. One that was
// forced isn't waited for either, by those who come after.
func TestAcquisitionThatHangs(t *testing.T) {
	bubbles(t, map[string]Request{"usual": {}, "anew": {Anew: true}}, func(t *testing.T, r Request) {
		c := newClient()
		if r.Anew {
			c.must(t)
		}
		c.enqueue(late(3*time.Hour, refuses))
		start := time.Now()
		_, err := c.ask(t.Context(), vault, r)
		if e, ok := err.(*Error); !ok || e.Why != Overdue || time.Since(start) != usual.Budget+overtime {
			t.Errorf("got %v after %v, want an error of the cache's after the budget", err,
				time.Since(start))
		}
		time.Sleep(time.Second)
		before := c.stat()
		if got, err := c.ask(t.Context(), vault, r); err != nil || !got.Changed {
			t.Errorf("got %v, %v, want another token", got, err)
		}
		after := c.stat()
		if after.Requests != before.Requests+1 {
			t.Errorf("%d requests after %d, and another one", after.Requests, before.Requests)
		}
		time.Sleep(3 * time.Hour)
		if s := c.stat(); s.Requests != after.Requests || s.Took != after.Took+3*time.Hour {
			t.Errorf("once the one that hung has ended: %d requests, which took %v, after %d and %v",
				s.Requests, s.Took, after.Requests, after.Took)
		}
		if n := c.cache.flights(); n != 0 {
			t.Errorf("%d flights are counted after all have ended", n)
		}
	})
}

// TestBudgetOfARequest is the longest that its caller waits, also for a flight that may take more.
func TestBudgetOfARequest(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newClient()
		c.enqueue(late(time.Minute, nil))
		go func() { _, _ = c.get(vault) }()
		synctest.Wait()
		start := time.Now()
		_, err := c.ask(t.Context(), vault, Request{Budget: 3 * time.Second})
		if e, ok := err.(*Error); !ok || e.Why != Overdue || time.Since(start) != 4*time.Second {
			t.Errorf("got %v after %v, want that it is overdue after 4 s", err, time.Since(start))
		}
	})
}

// TestAborted: whatever an acquisition does, its callers get an error, and so does the report.
func TestAborted(t *testing.T) {
	bubbles(t, map[string]answer{
		"panic": func(Request, *Progress) (Grant, error) { panic("no") },
		"exit":  func(Request, *Progress) (Grant, error) { runtime.Goexit(); return Grant{}, nil },
	}, func(t *testing.T, ill answer) {
		c := newClient()
		c.enqueue(ill)
		took, err := c.fails(t)
		if e, ok := err.(*Error); !ok || e.Why != Aborted || took != 0 {
			t.Errorf("got %v after %v, want that it was aborted", err, took)
		}
		synctest.Wait()
		if e := c.reported(); len(e) != 1 || e[0].Err != err || c.stat().LastErr != err {
			t.Errorf("reported %+v, known %v", e, c.stat().LastErr)
		}
		if n := c.cache.flights(); n != 0 {
			t.Errorf("%d flights are counted", n)
		}
		time.Sleep(time.Second)
		c.must(t)
	})
}

// TestForced: claims and Anew go past the store, at most once in 30 s, and are counted apart.
func TestForced(t *testing.T) {
	bubbles(t, forced, func(t *testing.T, r Request) {
		c := newClient()
		first, _ := c.must(t)
		second, err := c.ask(t.Context(), vault, r)
		if err != nil || second.Token.Token == first.Token || !second.Changed {
			t.Fatalf("got %v, %v, want another token", second, err)
		}
		sent := c.requests()[1]
		if rejected := sent.Rejected; (rejected == first.Token) != (r.Claims != "") {
			t.Errorf("the request says that %q was rejected", rejected)
		}
		if tk, _ := c.must(t); tk != second.Token {
			t.Error("the new token is not the one that is held now")
		}
		for range 100 {
			if got, err := c.ask(t.Context(), vault, r); err != nil || got != second {
				t.Fatalf("within 30 s: got %v, %v, want the same", got, err)
			}
			time.Sleep(290 * time.Millisecond)
		}
		if n := len(c.requests()); n != 2 {
			t.Errorf("%d requests, want 2", n)
		}
		time.Sleep(2 * time.Second)
		if got, err := c.ask(t.Context(), vault, r); err != nil || got.Token == second.Token {
			t.Errorf("after 30 s: got %v, %v, want another", got, err)
		}
	})
}

// TestForcedJoinsNoEarlierFlight: that is no answer, and is followed by another.
func TestForcedJoinsNoEarlierFlight(t *testing.T) {
	bubbles(t, forced, func(t *testing.T, r Request) {
		c := newClient()
		c.enqueue(late(10*time.Second, nil), late(5*time.Second, nil))
		var wg sync.WaitGroup
		wg.Go(func() { c.must(t) })
		time.Sleep(time.Second)
		for range 5 {
			wg.Go(func() {
				start := time.Now()
				got, err := c.ask(t.Context(), vault, r)
				if took := time.Since(start); err != nil || got.Token.Token != "token-2" ||
					took != 14*time.Second {
					t.Errorf("got %v, %v after %v, want the second after 14 s", got, err, took)
				}
			})
		}
		wg.Wait()
		if n := len(c.requests()); n != 2 {
			t.Errorf("%d requests, want 2", n)
		}
	})
}

// TestForcedAreCountedApart: neither kind is an answer to the other. Within 30 s of both, each gets
// what came last.
func TestForcedAreCountedApart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newClient()
		anew, claims := Request{Anew: true}, Request{Claims: "{}"}
		for i, r := range []Request{anew, claims, anew, claims} {
			want := min(i+1, 2)
			got, err := c.ask(t.Context(), vault, r)
			if err != nil || len(c.requests()) != want || got.Token.Token != fmt.Sprint("token-", want) {
				t.Errorf("%d: got %v, %v and %d requests, want %d", i, got, err, len(c.requests()), want)
			}
		}
		c.life = 10 * time.Second
		time.Sleep(31 * time.Second)
		if got, err := c.ask(t.Context(), vault, anew); err != nil || !got.Changed {
			t.Errorf("got %v, %v, want another token", got, err)
		}
		time.Sleep(11 * time.Second) // it has ended, so that it is no answer although 30 s aren't over
		if got, err := c.ask(t.Context(), vault, anew); err != nil || got.Token.Token != "token-4" {
			t.Errorf("got %v, %v, want a token that lasts", got, err)
		}
	})
}

// TestFailedForcedKeepsTheToken, and is repeated once in 30 s.
func TestFailedForcedKeepsTheToken(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newClient()
		first, _ := c.must(t)
		c.suffer(refuses, time.Hour)
		for range 1000 {
			if _, err := c.ask(t.Context(), vault, Request{Claims: "{}"}); err != errRefused {
				t.Fatalf("got %v, want the failure", err)
			}
			if tk, took := c.must(t); tk.Token != first.Token || took != 0 {
				t.Fatal("the held token was lost")
			}
			time.Sleep(60 * time.Millisecond) // a minute in all
		}
		if n := len(c.requests()) - 1; n < 2 || n > 3 {
			t.Errorf("%d requests in a minute, want one in 30 s", n)
		}
		if tk, _ := c.must(t); !tk.RefreshOn.Equal(first.RefreshOn) {
			t.Error("a failed challenge has moved the renewal")
		}
	})
}

// TestDistrust: a token that a resource has refused is replaced at its next use.
func TestDistrust(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newClient()
		c.cache.Distrust(c.view, vault) // nothing is held
		first, _ := c.must(t)
		c.cache.Distrust(c.view, vault)
		if tk, took := c.must(t); tk.Token == first.Token || took != 0 {
			t.Errorf("got %s after %v, want another token", tk.Token, took)
		}
		c.cache.Distrust(c.view, vault)
		c.enqueue(late(time.Minute, nil))
		if tk, took := c.must(t); tk.Token != "token-2" || took != expiringWait {
			t.Errorf("got %s after %v, want the held one after %v", tk.Token, took, expiringWait)
		}
	})
}

// TestErrors: their texts are for developers.
func TestErrors(t *testing.T) {
	t.Parallel()
	for why, want := range map[Why]string{Left: "left", Overdue: "no token in time",
		Crowded: "too many", Aborted: "aborted"} {
		if got := (&Error{Why: why}).Error(); !strings.Contains(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	f := &Failure{Err: errRefused}
	if f.Error() != "refused" || !errors.Is(f, errRefused) {
		t.Errorf("got %q", f)
	}
}

// TestLaunched: also a renewal that nobody waits for is known before its caller goes on, and each
// that is launched is reported.
func TestLaunched(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newClient()
		tk, _ := c.must(t)
		launched := func(want int) {
			t.Helper()
			c.mu.Lock()
			defer c.mu.Unlock()
			if c.launched != want || len(c.sent) == want && want > 1 {
				t.Errorf("%d launched and %d sent, want %d that aren't all sent", c.launched,
					len(c.sent), want)
			}
		}
		launched(1)
		for i, ill := range []answer{refuses, func(Request, *Progress) (Grant, error) { panic("no") },
			late(time.Second, nil)} {
			time.Sleep(time.Until(tk.RefreshOn) + time.Duration(i)*time.Minute)
			c.enqueue(ill)
			c.must(t)
			launched(i + 2)
			time.Sleep(time.Minute)
		}
		if n := len(c.reported()); n != 4 {
			t.Errorf("%d of 4 are reported", n)
		}
	})
}

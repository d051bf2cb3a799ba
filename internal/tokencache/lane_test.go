package tokencache

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Terms of other credentials.
var (
	hasty   = Terms{Rules: "hasty", Patience: 500 * time.Millisecond, Budget: 6 * time.Second}
	single  = Terms{Rules: "single", Patience: 40 * time.Second, Budget: 75 * time.Second}
	patient = Terms{Rules: "patient", Patience: 50 * time.Minute, Budget: time.Hour}
)

// owned are the terms of a credential whose rules can't be compared with any others.
func owned() Terms {
	return Terms{Owner: new(int), Patience: usual.Patience, Budget: usual.Budget}
}

// poll asks for tokens until ctx ends, whatever comes.
func (c client) poll(ctx context.Context, pause time.Duration) {
	for ctx.Err() == nil {
		if c.view.Hit(vault) == nil {
			_, _ = c.ask(ctx, vault, Request{})
		}
		time.Sleep(pause)
	}
}

// TestTermsOfOthers: whatever terms other credentials have, and however hard they are used, one
// with the defaults has its token within its own time.
func TestTermsOfOthers(t *testing.T) {
	many := make([]Terms, 3*maxLanes)
	for i := range many {
		many[i] = Terms{Rules: fmt.Sprint(i), Patience: time.Minute, Budget: time.Hour}
		if i%2 == 0 {
			many[i] = owned()
		}
	}
	type row struct {
		others []Terms
		first  answer        // for the others
		wait   time.Duration // before the credential with the defaults asks
	}
	bubbles(t, map[string]row{
		"patient ones": {others: []Terms{patient}, first: late(time.Hour, refuses),
			wait: 2 * time.Second},
		"that have failed": {others: []Terms{single}, first: refuses, wait: 100 * time.Millisecond},
		"functions": {others: []Terms{owned(), owned()}, first: refuses,
			wait: 100 * time.Millisecond},
		"more than there are lanes": {others: many, first: late(time.Hour, refuses),
			wait: time.Second},
	}, func(t *testing.T, tt row) {
		c := newClient()
		ctx, cancel := context.WithCancel(t.Context())
		for _, terms := range tt.others {
			c.enqueue(tt.first)
			go c.with(terms).poll(ctx, 2*tt.wait)
		}
		time.Sleep(tt.wait)
		c.recover()
		if _, took := c.must(t); took != 0 {
			t.Errorf("a credential with the defaults has waited for %v", took)
		}
		cancel()
		time.Sleep(2 * time.Hour)
		if n := c.cache.flights(); n != 0 {
			t.Errorf("%d flights are counted after all have ended", n)
		}
	})
}

// slow answers after 700 ms, if the credential waits for that long.
func slow(r Request, _ *Progress) (Grant, error) {
	if r.Budget == hasty.Budget {
		time.Sleep(hasty.Patience)
		return Grant{}, &Failure{Err: errRefused, Waited: hasty.Patience}
	}
	time.Sleep(700 * time.Millisecond)
	return Grant{}, nil
}

// TestRenewalsOfOthers: a credential whose tries are too short to renew the token, and that is
// always the first to try, keeps no other from renewing it.
func TestRenewalsOfOthers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newClient()
		other := c.with(hasty)
		first, _ := c.must(t)
		other.must(t)
		c.suffer(slow, 100*time.Hour)
		time.Sleep(time.Until(first.RefreshOn))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		go other.poll(ctx, 10*time.Millisecond)
		time.Sleep(500 * time.Millisecond)
		for ctx.Err() == nil {
			if _, took := c.must(t); took != 0 {
				t.Fatalf("waited for %v with a token that is good for long", took)
			}
			time.Sleep(time.Second)
		}
		if tk, _ := c.must(t); tk.Token == first.Token {
			t.Error("the token was not renewed in a minute")
		}
	})
}

// TestLongRenewalsOfOthers: a renewal whose single try may wait for an hour keeps others from
// theirs no longer than one of theirs would have taken.
func TestLongRenewalsOfOthers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newClient()
		other := c.with(patient)
		first, _ := c.must(t)
		other.must(t)
		time.Sleep(time.Until(first.RefreshOn))
		c.enqueue(late(45*time.Minute, nil)) // the one request that the host forgets
		if tk, took := other.must(t); tk.Token != first.Token || took != 0 {
			t.Fatalf("got another token after %v, want the held one at once", took)
		}
		within := usual.Patience + overtime
		for time.Since(first.RefreshOn) <= within {
			time.Sleep(time.Second)
			c.must(t)
		}
		synctest.Wait()
		if tk, _ := c.must(t); tk.Token == first.Token {
			t.Errorf("the token was not renewed in %v", within)
		}
		time.Sleep(time.Hour) // for the patient one's
	})
}

// TestRenewalsAreShared: while a token is good for long, credentials with different terms make one
// renewal, and in an outage no more requests than one credential would.
func TestRenewalsAreShared(t *testing.T) {
	type row struct {
		ill         answer
		least, most int // requests in 10 minutes
	}
	bubbles(t, map[string]row{
		"renewed":       {ill: late(500*time.Millisecond, nil), least: 1, most: 1},
		"refused":       {ill: refuses, least: 20, most: 45},
		"asked to wait": {ill: asksFor(2 * time.Minute), least: 4, most: 6},
	}, func(t *testing.T, tt row) {
		c := newClient()
		all := []client{c}
		for i := range 9 {
			terms := owned()
			if i%2 == 0 {
				terms = Terms{Rules: fmt.Sprint(i), Budget: time.Minute,
					Patience: time.Duration(i+1) * time.Second}
			}
			all = append(all, c.with(terms))
		}
		first, _ := c.must(t)
		for _, each := range all {
			each.must(t)
		}
		time.Sleep(time.Until(first.RefreshOn))
		c.suffer(tt.ill, time.Hour)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		for _, each := range all {
			go each.poll(ctx, 100*time.Millisecond)
		}
		<-ctx.Done()
		if n := len(c.requests()) - 1; n < tt.least || n > tt.most {
			t.Errorf("%d requests in 10 minutes, want %d to %d", n, tt.least, tt.most)
		}
	})
}

// TestRenewalBesideAFailedChallenge: while a renewal is under way, a challenge that fails is no
// reason for credentials with other terms to renew the token once more.
func TestRenewalBesideAFailedChallenge(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newClient()
		rejected, other := c.with(single), c.with(patient)
		first, _ := c.must(t)
		rejected.must(t)
		other.must(t)
		time.Sleep(time.Until(first.RefreshOn))
		c.enqueue(late(5*time.Second, nil), refuses)
		c.must(t) // begins the renewal
		synctest.Wait()
		if _, err := rejected.ask(t.Context(), vault, Request{Claims: "{}"}); err == nil {
			t.Fatal("the challenge has not failed")
		}
		if _, took := other.must(t); took != 0 {
			t.Errorf("waited for %v beside a valid token", took)
		}
		time.Sleep(10 * time.Second)
		if n := len(c.requests()); n != 3 {
			t.Errorf("%d requests, want the first, the renewal and the challenge", n)
		}
	})
}

// TestWhatTheHostSaysHoldsForAll: also for a credential with other terms than the one that was
// told.
func TestWhatTheHostSaysHoldsForAll(t *testing.T) {
	bubbles(t, map[string]answer{
		"leave me alone": asksFor(100 * time.Second), "never": ailments["for good"],
	}, func(t *testing.T, ill answer) {
		c := newClient()
		c.enqueue(ill)
		c.with(single).fails(t)
		if took, err := c.fails(t); took != 0 || err != errRefused {
			t.Errorf("got %v after %v, want what the other was told", err, took)
		}
		if _, err := c.ask(t.Context(), vault, Request{Claims: "{}"}); err != errRefused {
			t.Errorf("challenge: got %v", err)
		}
		if n := len(c.requests()); n != 1 || c.stat().NextTry.IsZero() {
			t.Errorf("%d requests, the next at %v", n, c.stat().NextTry)
		}
		time.Sleep(2 * time.Minute)
		c.must(t)
	})
}

// TestLongestWishHolds: of two credentials that the host asks to wait, the one that is told less
// doesn't end the other's time.
func TestLongestWishHolds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newClient()
		other := c.with(single)
		c.enqueue(late(time.Second, asksFor(100*time.Second)),
			late(3*time.Second, asksFor(2*time.Second)))
		var wg sync.WaitGroup
		wg.Go(func() { c.fails(t) })
		synctest.Wait()
		wg.Go(func() { other.fails(t) })
		wg.Wait()
		for range 9 { // to the 93rd second
			time.Sleep(10 * time.Second)
			c.fails(t)
			other.fails(t)
		}
		if n := len(c.requests()); n != 2 {
			t.Errorf("%d requests, want the first two", n)
		}
		time.Sleep(10 * time.Second)
		other.must(t)
	})
}

// TestEqualTermsShare: a flight and its failure are shared by credentials with equal terms, and by
// no others.
func TestEqualTermsShare(t *testing.T) {
	mine := owned()
	type row struct {
		terms    func(i int) Terms
		requests int // of ten
	}
	bubbles(t, map[string]row{
		"defaults":  {terms: func(int) Terms { return usual }, requests: 1},
		"equal":     {terms: func(int) Terms { return hasty }, requests: 1},
		"one owner": {terms: func(int) Terms { return mine }, requests: 1},
		"two kinds": {terms: func(i int) Terms { return []Terms{hasty, usual}[i%2] },
			requests: 2},
		"owners": {terms: func(int) Terms { return owned() }, requests: 10},
	}, func(t *testing.T, tt row) {
		c := newClient()
		c.suffer(late(100*time.Millisecond, refuses), time.Minute)
		var wg sync.WaitGroup
		for i := range 10 {
			wg.Go(func() { c.with(tt.terms(i)).fails(t) })
		}
		wg.Wait()
		if n := len(c.requests()); n != tt.requests {
			t.Errorf("%d requests, want %d", n, tt.requests)
		}
	})
}

// TestTokenOfAnotherLane: a caller who waits for a flight of its own terms takes a token that
// another's has brought.
func TestTokenOfAnotherLane(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newClient()
		c.enqueue(late(50*time.Minute, refuses))
		served := make(chan time.Duration, 1)
		go func() {
			_, took := c.with(patient).must(t)
			served <- took
		}()
		time.Sleep(2 * time.Second)
		c.must(t)
		if took := <-served; took != 2*time.Second {
			t.Errorf("took %v, want the token that has come after 2 s", took)
		}
		time.Sleep(time.Hour)
	})
}

// TestChallengesOfOthers: a challenge, too, waits for no other's tries, and takes what they have
// brought.
func TestChallengesOfOthers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		challenge := Request{Claims: "{}"}
		c := newClient()
		first, _ := c.must(t)
		c.enqueue(late(50*time.Minute, refuses))
		go func() { _, _ = c.with(patient).ask(t.Context(), vault, challenge) }()
		time.Sleep(2 * time.Second)
		start := time.Now()
		second, err := c.ask(t.Context(), vault, challenge)
		if err != nil || second.Token.Token == first.Token || time.Since(start) != 0 {
			t.Fatalf("got %v after %v, want another token at once", err, time.Since(start))
		}
		third, err := c.with(single).ask(t.Context(), vault, challenge)
		if err != nil || third.Token != second.Token || len(c.requests()) != 3 {
			t.Errorf("within 30 s: got %v (%v), %d requests", third, err, len(c.requests()))
		}
		time.Sleep(time.Hour)
	})
}

// TestLanesAreBounded: a program that makes credentials with terms of their own all the time pays
// for some, and none is kept.
func TestLanesAreBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		lanes := func(c client) int {
			c.cache.mu.Lock()
			defer c.cache.mu.Unlock()
			return len(c.cache.entry(c.view.key(vault)).lanes)
		}
		c := newClient()
		c.suffer(late(time.Minute, refuses), 5*time.Minute)
		for range 2000 {
			other := c.with(owned())
			go func() { _, _ = other.get(vault) }()
		}
		synctest.Wait()
		if n := c.cache.flights(); n > maxLanes+1 {
			t.Errorf("%d flights for one token, want at most %d", n, maxLanes+1)
		}
		c.fails(t)
		time.Sleep(10 * time.Minute)
		c.must(t)
		synctest.Wait()
		if n := lanes(c); n != 0 {
			t.Errorf("%d lanes are kept beside the token, and their credentials", n)
		}
		time.Sleep(12 * time.Hour)
		c.suffer(refuses, time.Hour)
		for i := range 100 { // one after the other, each of which fails
			_, _ = c.with(owned()).ask(t.Context(), vault, Request{Claims: fmt.Sprint(i)})
		}
		if n := lanes(c); n > maxLanes+2 {
			t.Errorf("%d lanes are kept", n)
		}
	})
}

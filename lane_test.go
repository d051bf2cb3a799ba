package identity

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity/identitytest"
)

// flightOf is the flight under way for a key, nil if there is none.
func flightOf(e *entry) *flight {
	for _, l := range e.lanes {
		if l.flight != nil {
			return l.flight
		}
	}
	return nil
}

// failuresOf counts the failures in a row that a key remembers.
func failuresOf(e *entry) int {
	n := e.said.failures + e.renewal.failures
	for _, l := range e.lanes {
		n += l.pause.failures
	}
	return n
}

// retries sets a credential's Retry.
func retries(o policy.RetryOptions) func(*CredentialOptions) {
	return func(options *CredentialOptions) { options.Retry = o }
}

// poll asks for tokens without end, whatever comes.
func poll(ctx context.Context, cred *Credential, pause time.Duration) {
	for ctx.Err() == nil {
		_, _ = getToken(ctx, cred)
		time.Sleep(pause)
	}
}

// TestOptionsOfOthers: whatever Retry one credential has, and however hard it is used, another one
// with the defaults has its token within its own time.
func TestOptionsOfOthers(t *testing.T) {
	never := func(*http.Response, error) bool { return false }
	for _, tt := range []struct {
		name   string
		others []policy.RetryOptions
		ill    identitytest.Response // of the host, at first
		wait   time.Duration         // before the credential with the defaults asks
		within time.Duration         // that
	}{
		{"waits of ten minutes", []policy.RetryOptions{{MaxRetries: 5, RetryDelay: 10 * time.Minute, MaxRetryDelay: 10 * time.Minute}},
			identitytest.Response{Status: 503, For: time.Second}, 2 * time.Second, 0},
		{"waits of ten minutes, asked at the same time", []policy.RetryOptions{{MaxRetries: 5, RetryDelay: 10 * time.Minute, MaxRetryDelay: 10 * time.Minute}},
			identitytest.Response{Status: 503, For: time.Second}, 0, 8 * time.Second},
		{"a single short try", []policy.RetryOptions{{MaxRetries: -1, TryTimeout: 500 * time.Millisecond}},
			identitytest.Response{Delay: 700 * time.Millisecond, For: time.Hour}, time.Second, 700 * time.Millisecond},
		{"a single try of a host that fails", []policy.RetryOptions{{MaxRetries: -1}},
			identitytest.Response{Status: 503, For: 20 * time.Second}, 10 * time.Second, 16 * time.Second},
		{"a long try", []policy.RetryOptions{{MaxRetries: -1, TryTimeout: time.Hour}},
			identitytest.Response{Delay: 30 * time.Minute}, time.Second, 0},
		{"functions", []policy.RetryOptions{{ShouldRetry: never}, {ShouldRetry: func(*http.Response, error) bool { panic("no") }}},
			identitytest.Response{Status: 503, For: 20 * time.Second}, 10 * time.Second, 16 * time.Second},
		{"statuses", []policy.RetryOptions{{StatusCodes: []int{418}}, {StatusCodes: []int{}}},
			identitytest.Response{Status: 503, For: 20 * time.Second}, 10 * time.Second, 16 * time.Second},
		{"more than there are lanes", make([]policy.RetryOptions, 3*maxLanes),
			identitytest.Response{Status: 503, For: 20 * time.Second}, 10 * time.Second, 16 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				ep := identitytest.NewIMDS(nil)
				usual := onIMDS(t, ep)
				ep.Enqueue(tt.ill)
				ctx, cancel := context.WithCancel(t.Context())
				for i, o := range tt.others {
					if len(tt.others) > maxLanes {
						o.MaxRetries, o.ShouldRetry = -1, never
						if i%2 == 0 {
							o = policy.RetryOptions{MaxRetries: int32(i + 1), RetryDelay: time.Minute}
						}
					}
					go poll(ctx, sameCache(t, usual, ep, retries(o)), 50*time.Millisecond)
				}
				time.Sleep(tt.wait)
				if _, took := mustToken(t, usual); took > tt.within {
					t.Errorf("a credential with the defaults has waited for %v, want %v at most", took, tt.within)
				}
				cancel()
				time.Sleep(2 * time.Hour)
				if n := aloft(usual.tokens); n != 0 {
					t.Errorf("%d flights are counted after all have ended", n)
				}
			})
		})
	}
}

// TestRenewalsOfOthers: one whose tries are too short to renew the token, and who is always first
// to try, keeps nobody from it.
func TestRenewalsOfOthers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ep := identitytest.NewIMDS(nil)
		usual := onIMDS(t, ep)
		hasty := sameCache(t, usual, ep, retries(policy.RetryOptions{MaxRetries: -1, TryTimeout: 500 * time.Millisecond}))
		first, _ := mustToken(t, usual)
		mustToken(t, hasty)
		ep.Enqueue(identitytest.Response{Delay: 700 * time.Millisecond, For: 100 * time.Hour})
		time.Sleep(time.Until(first.RefreshOn))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		go poll(ctx, hasty, 10*time.Millisecond)
		time.Sleep(500 * time.Millisecond)
		for ctx.Err() == nil {
			if _, took := mustToken(t, usual); took != 0 {
				t.Fatalf("waited for %v with a token that is good for long", took)
			}
			time.Sleep(time.Second)
		}
		if tk, _ := mustToken(t, usual); tk.Token == first.Token {
			t.Error("the token was not renewed in a minute")
		}
	})
}

// TestLongRenewalsOfOthers: a renewal whose single try may wait for an hour keeps others from
// theirs no longer than one of theirs would have taken.
func TestLongRenewalsOfOthers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ep := identitytest.NewIMDS(nil)
		usual := onIMDS(t, ep)
		patient := sameCache(t, usual, ep, retries(policy.RetryOptions{TryTimeout: 50 * time.Minute}))
		first, _ := mustToken(t, usual)
		mustToken(t, patient)
		time.Sleep(time.Until(first.RefreshOn))
		ep.Enqueue(identitytest.Response{Delay: 45 * time.Minute}) // the one request that the host forgets
		if tk, took := mustToken(t, patient); tk.Token != first.Token || took != 0 {
			t.Fatalf("got another token after %v, want the held one at once", took)
		}
		synctest.Wait()
		within := usual.sender.rules.TryTimeout + overtime
		for time.Since(first.RefreshOn) <= within {
			time.Sleep(time.Second)
			mustToken(t, usual)
		}
		synctest.Wait()
		if tk, _ := mustToken(t, usual); tk.Token == first.Token {
			t.Errorf("the token was not renewed in %v", within)
		}
		time.Sleep(time.Hour) // for the patient one's
	})
}

// TestRenewalsAreShared: while a token is good for long, credentials with different options make
// one renewal, and in an outage no more requests than one credential would.
func TestRenewalsAreShared(t *testing.T) {
	options := func(i int) policy.RetryOptions {
		switch {
		case i == 0:
			return policy.RetryOptions{}
		case i%2 == 0:
			return policy.RetryOptions{MaxRetries: int32(i), TryTimeout: time.Duration(i) * time.Second}
		}
		return policy.RetryOptions{ShouldRetry: func(*http.Response, error) bool { return true }}
	}
	for _, tt := range []struct {
		name        string
		ill         identitytest.Response
		least, most int // requests in 10 minutes
	}{
		{"renewed", identitytest.Response{Delay: 500 * time.Millisecond, For: time.Hour}, 1, 1},
		{"refused", identitytest.Response{Status: 503, For: time.Hour}, 20, 45},
		{"nobody there", identitytest.Response{Err: syscall.ECONNREFUSED, For: time.Hour}, 20, 45},
		{"asked to wait", identitytest.Response{Status: 429, Header: http.Header{"Server": {"IMDS/1"}, "Retry-After": {"120"}}, For: time.Hour}, 4, 6},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				ep := identitytest.NewIMDS(nil)
				creds := []*Credential{onIMDS(t, ep)}
				first, _ := mustToken(t, creds[0])
				for i := 1; i < 10; i++ {
					creds = append(creds, sameCache(t, creds[0], ep, retries(options(i))))
					mustToken(t, creds[i])
				}
				time.Sleep(time.Until(first.RefreshOn))
				ep.Enqueue(tt.ill)
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
				defer cancel()
				for _, cred := range creds {
					go poll(ctx, cred, 100*time.Millisecond)
				}
				<-ctx.Done()
				if n := len(ep.Requests()) - 1; n < tt.least || n > tt.most {
					t.Errorf("%d requests in 10 minutes, want %d to %d", n, tt.least, tt.most)
				}
			})
		})
	}
}

// TestRenewalBesideAFailedChallenge: while a renewal is under way, a challenge that fails is no reason for credentials with other
// options to renew the token once more.
func TestRenewalBesideAFailedChallenge(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ep := identitytest.NewIMDS(nil)
		cred := onIMDS(t, ep)
		rejected := sameCache(t, cred, ep, retries(policy.RetryOptions{MaxRetries: -1}))
		other := sameCache(t, cred, ep, retries(policy.RetryOptions{MaxRetries: 7}))
		first, _ := mustToken(t, cred)
		mustToken(t, rejected)
		mustToken(t, other)
		time.Sleep(time.Until(first.RefreshOn))
		ep.Enqueue(identitytest.Response{Delay: 5 * time.Second}, identitytest.Response{Status: 503})
		mustToken(t, cred) // begins the renewal
		synctest.Wait()
		if _, err := challenged(t.Context(), rejected); err == nil {
			t.Fatal("the challenge has not failed")
		}
		if _, took := mustToken(t, other); took != 0 {
			t.Errorf("waited for %v beside a valid token", took)
		}
		time.Sleep(10 * time.Second)
		if n := len(ep.Requests()); n != 3 {
			t.Errorf("%d requests, want the first, the renewal and the challenge", n)
		}
	})
}

// TestWhatTheHostSaysHoldsForAll: also for a credential with other options than the one that was
// told.
func TestWhatTheHostSaysHoldsForAll(t *testing.T) {
	for name, answer := range map[string]identitytest.Response{
		"leave me alone": {Status: 429, Header: http.Header{"Server": {"IMDS/1"}, "Retry-After": {"100"}}},
		"never":          {Status: 400, Header: http.Header{"Server": {"IMDS/1"}}, Body: imdsError},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				ep := identitytest.NewIMDS(nil)
				odd := onIMDS(t, ep, retries(policy.RetryOptions{MaxRetries: -1}))
				usual := sameCache(t, odd, ep)
				ep.Enqueue(answer)
				want, _ := mustFail(t, odd)
				got, took := mustFail(t, usual)
				if took != 0 || got.StatusCode != want.StatusCode || len(ep.Requests()) != 1 {
					t.Errorf("got %v after %v and %d requests, want what the other was told", got, took, len(ep.Requests()))
				}
				if _, err := challenged(t.Context(), usual); err == nil || len(ep.Requests()) != 1 {
					t.Errorf("challenge: got %v and %d requests", err, len(ep.Requests()))
				}
				if next := usual.Status().Resources[0].NextTry; next.IsZero() {
					t.Error("Status doesn't tell until when")
				}
				time.Sleep(2 * time.Minute)
				mustToken(t, usual)
			})
		})
	}
}

// TestLongestWishHolds: of two credentials that the host asks to wait, the one that is told less
// doesn't end the other's time.
func TestLongestWishHolds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		wish := func(seconds string, after time.Duration) identitytest.Response {
			return identitytest.Response{Status: 429, Delay: after, Header: http.Header{"Server": {"IMDS/1"}, "Retry-After": {seconds}}}
		}
		ep := identitytest.NewIMDS(nil)
		first := onIMDS(t, ep, retries(policy.RetryOptions{MaxRetries: -1}))
		second := sameCache(t, first, ep, retries(policy.RetryOptions{MaxRetries: -1, TryTimeout: time.Minute}))
		ep.Enqueue(wish("100", time.Second), wish("2", 3*time.Second))
		var wg sync.WaitGroup
		wg.Go(func() { mustFail(t, first) })
		synctest.Wait()
		wg.Go(func() { mustFail(t, second) })
		wg.Wait()
		for range 9 { // to the 93rd second
			time.Sleep(10 * time.Second)
			mustFail(t, first)
			mustFail(t, second)
		}
		if n := len(ep.Requests()); n != 2 {
			t.Errorf("%d requests, want the first two", n)
		}
		time.Sleep(10 * time.Second)
		mustToken(t, second)
	})
}

// TestCoolDownsOfOneKindAndAnother: cool-downs double with the failures in a row, also where the
// host says of some for how long to leave it alone.
func TestCoolDownsOfOneKindAndAnother(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ep := identitytest.NewIMDS(nil)
		var asked []time.Time
		cred := onIMDS(t, ep, func(o *CredentialOptions) {
			o.PerRetryPolicies = []policy.Policy{policyFunc(func(r *policy.Request) (*http.Response, error) {
				asked = append(asked, time.Now())
				return r.Next()
			})}
		})
		first, _ := mustToken(t, cred)
		for i := range 8 {
			header := http.Header{"Server": {"IMDS/1"}}
			if i%2 == 1 {
				header.Set("Retry-After", "1")
			}
			ep.Enqueue(identitytest.Response{Status: 503, Header: header})
		}
		time.Sleep(time.Until(first.RefreshOn))
		asked = nil
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()
		poll(ctx, cred, 100*time.Millisecond)
		for i := range 8 {
			least := min(renewalCoolDown<<i, maxRenewalCoolDown) / 2
			if gap := asked[i+1].Sub(asked[i]); gap < least {
				t.Errorf("a request %v after failure %d, want at least %v", gap, i+1, least)
			}
		}
	})
}

// TestEqualOptionsShare: a flight and its failure are shared by credentials with equal options, and
// by no others.
func TestEqualOptionsShare(t *testing.T) {
	never := func(*http.Response, error) bool { return false }
	for _, tt := range []struct {
		name     string
		options  func(i int) policy.RetryOptions
		requests int // of ten
	}{
		{"defaults", func(int) policy.RetryOptions { return policy.RetryOptions{} }, 1},
		{"equal", func(int) policy.RetryOptions {
			return policy.RetryOptions{MaxRetries: -1, TryTimeout: time.Second, StatusCodes: []int{500, 503}}
		}, 1},
		{"two kinds", func(i int) policy.RetryOptions {
			return policy.RetryOptions{MaxRetries: -1, TryTimeout: time.Duration(1+i%2) * time.Second}
		}, 2},
		{"no statuses, and the default ones", func(i int) policy.RetryOptions {
			o := policy.RetryOptions{MaxRetries: -1}
			if i%2 == 0 {
				o.StatusCodes = []int{}
			}
			return o
		}, 2},
		{"functions can't be compared", func(int) policy.RetryOptions { return policy.RetryOptions{ShouldRetry: never} }, 10},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				ep := identitytest.NewIMDS(nil)
				ep.Enqueue(identitytest.Response{Status: 400, Delay: 100 * time.Millisecond, For: time.Minute})
				var first *Credential
				var wg sync.WaitGroup
				for i := range 10 {
					cred := onIMDS(t, ep, retries(tt.options(i)))
					if first == nil {
						first = cred
					}
					cred.tokens, cred.sender.node = first.tokens, first.sender.node
					wg.Go(func() { mustFail(t, cred) })
				}
				wg.Wait()
				if n := len(ep.Requests()); n != tt.requests {
					t.Errorf("%d requests, want %d", n, tt.requests)
				}
			})
		})
	}
}

// TestTokenOfAnotherLane: whoever waits for tries of its own takes a token that another
// credential's have brought.
func TestTokenOfAnotherLane(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ep := identitytest.NewIMDS(nil)
		ep.Enqueue(identitytest.Response{Status: 503, For: time.Second})
		patient := onIMDS(t, ep, retries(policy.RetryOptions{MaxRetries: 5, RetryDelay: 10 * time.Minute, MaxRetryDelay: 10 * time.Minute}))
		usual := sameCache(t, patient, ep)
		served := make(chan time.Duration, 1)
		go func() {
			_, took := mustToken(t, patient)
			served <- took
		}()
		time.Sleep(2 * time.Second)
		mustToken(t, usual)
		if took := <-served; took > 2*time.Second {
			t.Errorf("took %v, want the token that has come after 2 s", took)
		}
		time.Sleep(time.Hour)
	})
}

// TestChallengesOfOthers: a challenge, too, waits for no other's tries, and takes what they have
// brought.
func TestChallengesOfOthers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ep := identitytest.NewIMDS(nil)
		patient := onIMDS(t, ep, retries(policy.RetryOptions{MaxRetries: 5, RetryDelay: 10 * time.Minute, MaxRetryDelay: 10 * time.Minute}))
		usual := sameCache(t, patient, ep)
		first, _ := mustToken(t, usual)
		ep.Enqueue(identitytest.Response{Status: 503, For: time.Second})
		go func() { _, _ = challenged(t.Context(), patient) }()
		time.Sleep(2 * time.Second)
		start := time.Now()
		second, err := challenged(t.Context(), usual)
		if err != nil || second.Token == first.Token || time.Since(start) != 0 {
			t.Fatalf("got %v after %v, want another token at once", err, time.Since(start))
		}
		before := len(ep.Requests())
		third := sameCache(t, patient, ep, retries(policy.RetryOptions{MaxRetries: -1}))
		if tk, err := challenged(t.Context(), third); err != nil || tk.Token != second.Token || len(ep.Requests()) != before {
			t.Errorf("within 30 s: got another token %v (%v), %d requests", tk.Token != second.Token, err, len(ep.Requests())-before)
		}
		time.Sleep(time.Hour)
	})
}

// TestLanesAreBounded: a program that makes credentials with options of their own all the time pays
// for some, and none is kept.
func TestLanesAreBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ep := identitytest.NewIMDS(nil)
		ep.Enqueue(identitytest.Response{Status: 503, For: 5 * time.Minute})
		usual := onIMDS(t, ep)
		var most atomic.Int64
		for range 2000 {
			cred := sameCache(t, usual, ep, retries(policy.RetryOptions{ShouldRetry: func(*http.Response, error) bool { return true }}))
			go func() { _, _ = getToken(t.Context(), cred) }()
			most.Store(max(most.Load(), int64(aloft(usual.tokens))))
		}
		synctest.Wait()
		if n := aloft(usual.tokens); n > maxLanes+1 {
			t.Errorf("%d flights for one token, want at most %d", n, maxLanes+1)
		}
		if e, _ := mustFail(t, usual); !errors.Is(e, ErrThrottled) && e.StatusCode != 503 {
			t.Errorf("got %v, want the host's words", e)
		}
		time.Sleep(10 * time.Minute)
		mustToken(t, usual)
		synctest.Wait()
		for key, item := range usual.tokens.store.Items() {
			if n := len(item.Object.(*entry).lanes); n != 0 {
				t.Errorf("%q keeps %d lanes beside its token, and their credentials", key, n)
			}
		}
		time.Sleep(12 * time.Hour)
		for i := range 100 { // one after the other, each of which fails
			ep.Enqueue(identitytest.Response{Status: 500, For: time.Hour})
			cred := sameCache(t, usual, ep, retries(policy.RetryOptions{MaxRetries: -1, ShouldRetry: func(*http.Response, error) bool { return false }}))
			_, _ = cred.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{vaultScope}, Claims: fmt.Sprintf("{%d}", i)})
		}
		for key, item := range usual.tokens.store.Items() {
			if n := len(item.Object.(*entry).lanes); n > maxLanes+2 {
				t.Errorf("%q keeps %d lanes", key, n)
			}
		}
	})
}

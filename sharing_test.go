package identity

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity/identitytest"
)

// manyTerms are as many as the cache tells apart.
const manyTerms = 16

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
		{name: "waits of ten minutes",
			others: []policy.RetryOptions{{MaxRetries: 5, RetryDelay: 10 * time.Minute, MaxRetryDelay: 10 * time.Minute}},
			ill:    identitytest.Response{Status: 503, For: time.Second}, wait: 2 * time.Second},
		{name: "waits of ten minutes, asked at the same time",
			others: []policy.RetryOptions{{MaxRetries: 5, RetryDelay: 10 * time.Minute, MaxRetryDelay: 10 * time.Minute}},
			ill:    identitytest.Response{Status: 503, For: time.Second}, within: 8 * time.Second},
		{name: "a single short try",
			others: []policy.RetryOptions{{MaxRetries: -1, TryTimeout: 500 * time.Millisecond}},
			ill:    identitytest.Response{Delay: 700 * time.Millisecond, For: time.Hour},
			wait:   time.Second, within: 700 * time.Millisecond},
		{name: "a single try of a host that fails",
			others: []policy.RetryOptions{{MaxRetries: -1}},
			ill:    identitytest.Response{Status: 503, For: 20 * time.Second}, wait: 10 * time.Second,
			within: 16 * time.Second},
		{name: "a long try",
			others: []policy.RetryOptions{{MaxRetries: -1, TryTimeout: time.Hour}},
			ill:    identitytest.Response{Delay: 30 * time.Minute}, wait: time.Second},
		{name: "functions",
			others: []policy.RetryOptions{{ShouldRetry: never}, {ShouldRetry: func(*http.Response, error) bool { panic("no") }}},
			ill:    identitytest.Response{Status: 503, For: 20 * time.Second}, wait: 10 * time.Second,
			within: 16 * time.Second},
		{name: "statuses",
			others: []policy.RetryOptions{{StatusCodes: []int{418}}, {StatusCodes: []int{}}},
			ill:    identitytest.Response{Status: 503, For: 20 * time.Second}, wait: 10 * time.Second,
			within: 16 * time.Second},
		{name: "more than there are lanes", others: make([]policy.RetryOptions, 3*manyTerms),
			ill: identitytest.Response{Status: 503, For: 20 * time.Second}, wait: 10 * time.Second,
			within: 16 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				ep := identitytest.NewIMDS(nil)
				usual := onIMDS(t, ep)
				ep.Enqueue(tt.ill)
				ctx, cancel := context.WithCancel(t.Context())
				for i, o := range tt.others {
					if len(tt.others) > manyTerms {
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
				if n := inFlight(usual); n != 0 {
					t.Errorf("%d flights are counted after all have ended", n)
				}
			})
		})
	}
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
		{name: "defaults", options: func(int) policy.RetryOptions { return policy.RetryOptions{} },
			requests: 1},
		{name: "equal", options: func(int) policy.RetryOptions {
			return policy.RetryOptions{MaxRetries: -1, TryTimeout: time.Second, StatusCodes: []int{500, 503}}
		}, requests: 1},
		{name: "two kinds", options: func(i int) policy.RetryOptions {
			return policy.RetryOptions{MaxRetries: -1, TryTimeout: time.Duration(1+i%2) * time.Second}
		}, requests: 2},
		{name: "no statuses, and the default ones", options: func(i int) policy.RetryOptions {
			o := policy.RetryOptions{MaxRetries: -1}
			if i%2 == 0 {
				o.StatusCodes = []int{}
			}
			return o
		}, requests: 2},
		{name: "functions can't be compared",
			options:  func(int) policy.RetryOptions { return policy.RetryOptions{ShouldRetry: never} },
			requests: 10},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				ep := identitytest.NewIMDS(nil)
				ep.Enqueue(identitytest.Response{Status: 400, Delay: 100 * time.Millisecond, For: time.Minute})
				var first *Credential
				var wg sync.WaitGroup
				for i := range 10 {
					if first == nil {
						first = onIMDS(t, ep)
					}
					cred := sameCache(t, first, ep, retries(tt.options(i)))
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

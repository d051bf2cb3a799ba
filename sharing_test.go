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

// What credentials with different terms do to each other is tested in internal/tokencache. Here it
// is which options make different terms, and that these reach the cache.

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
	down := func(d time.Duration) identitytest.Response {
		return identitytest.Response{Status: 503, For: d}
	}
	for name, tt := range map[string]struct {
		other        policy.RetryOptions
		ill          identitytest.Response // of the host, at first
		wait, within time.Duration         // before the credential with the defaults asks, and then
	}{
		"waits of ten minutes": {ill: down(time.Second), within: 8 * time.Second,
			other: policy.RetryOptions{MaxRetries: 5, RetryDelay: 10 * time.Minute,
				MaxRetryDelay: 10 * time.Minute}},
		"a single short try": {wait: time.Second, within: 700 * time.Millisecond,
			ill:   identitytest.Response{Delay: 700 * time.Millisecond, For: time.Hour},
			other: policy.RetryOptions{MaxRetries: -1, TryTimeout: 500 * time.Millisecond}},
		"a single try of a host that fails": {ill: down(20 * time.Second), wait: 10 * time.Second,
			within: 16 * time.Second, other: policy.RetryOptions{MaxRetries: -1}},
		"a long try": {wait: time.Second, ill: identitytest.Response{Delay: 30 * time.Minute},
			other: policy.RetryOptions{MaxRetries: -1, TryTimeout: time.Hour}},
		"statuses": {ill: down(20 * time.Second), wait: 10 * time.Second, within: 16 * time.Second,
			other: policy.RetryOptions{StatusCodes: []int{418}}},
	} {
		bubbleIn(t, name, func(t *testing.T) {
			ep := identitytest.NewIMDS(nil)
			usual := onIMDS(t, ep)
			ep.Enqueue(tt.ill)
			ctx, cancel := context.WithCancel(t.Context())
			go poll(ctx, sameCache(t, usual, ep, retries(tt.other)), 50*time.Millisecond)
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
	}
}

// TestEqualOptionsShare: a flight and its failure are shared by credentials with equal options, and
// by no others.
func TestEqualOptionsShare(t *testing.T) {
	for name, tt := range map[string]struct {
		options  func(i int) policy.RetryOptions
		requests int // of ten
	}{
		"defaults": {func(int) policy.RetryOptions { return policy.RetryOptions{} }, 1},
		"equal": {func(int) policy.RetryOptions {
			return policy.RetryOptions{MaxRetries: -1, TryTimeout: time.Second, StatusCodes: []int{500, 503}}
		}, 1},
		"two kinds": {func(i int) policy.RetryOptions {
			return policy.RetryOptions{MaxRetries: -1, TryTimeout: time.Duration(1+i%2) * time.Second}
		}, 2},
		"no statuses, and the default ones": {func(i int) policy.RetryOptions {
			return policy.RetryOptions{MaxRetries: -1, StatusCodes: [][]int{nil, {}}[i%2]}
		}, 2},
		"functions can't be compared": {func(int) policy.RetryOptions {
			return policy.RetryOptions{ShouldRetry: neverAgain}
		}, 10},
	} {
		bubbleIn(t, name, func(t *testing.T) {
			ep := identitytest.NewIMDS(nil)
			ep.Enqueue(identitytest.Response{Status: 400, Delay: 100 * time.Millisecond, For: time.Minute})
			first := onIMDS(t, ep)
			var wg sync.WaitGroup
			for i := range 10 {
				cred := sameCache(t, first, ep, retries(tt.options(i)))
				wg.Go(func() { mustFail(t, cred) })
			}
			wg.Wait()
			if n := len(ep.Requests()); n != tt.requests {
				t.Errorf("%d requests, want %d", n, tt.requests)
			}
		})
	}
}

func neverAgain(*http.Response, error) bool { return false }

// TestRenewalsOfOthers: a credential whose tries are too short to renew the token, and that is
// always the first to try, keeps no other from renewing it.
func TestRenewalsOfOthers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ep := identitytest.NewIMDS(nil)
		usual := onIMDS(t, ep)
		hasty := sameCache(t, usual, ep,
			retries(policy.RetryOptions{MaxRetries: -1, TryTimeout: 500 * time.Millisecond}))
		first, _ := mustToken(t, usual)
		mustToken(t, hasty)
		ep.Enqueue(identitytest.Response{Delay: 700 * time.Millisecond, For: 100 * time.Hour})
		time.Sleep(time.Until(first.RefreshOn))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		go poll(ctx, hasty, 10*time.Millisecond)
		time.Sleep(500 * time.Millisecond)
		poll(ctx, usual, time.Second)
		if tk, _ := mustToken(t, usual); tk.Token == first.Token {
			t.Error("the token was not renewed in a minute")
		}
	})
}

// TestWhatTheHostSaysHoldsForAll: also for a credential with other options than the one that was
// told.
func TestWhatTheHostSaysHoldsForAll(t *testing.T) {
	for name, answer := range map[string]identitytest.Response{
		"leave me alone": {Status: 429,
			Header: http.Header{"Server": {"IMDS/1"}, "Retry-After": {"100"}}},
		"never": {Status: 400, Header: http.Header{"Server": {"IMDS/1"}}, Body: imdsError},
	} {
		bubbleIn(t, name, func(t *testing.T) {
			ep := identitytest.NewIMDS(nil)
			odd := onIMDS(t, ep, once)
			usual := sameCache(t, odd, ep)
			ep.Enqueue(answer)
			want, _ := mustFail(t, odd)
			got, took := mustFail(t, usual)
			_, err := challenged(t.Context(), usual)
			if took != 0 || got.StatusCode != want.StatusCode || err == nil || len(ep.Requests()) != 1 {
				t.Errorf("got %v after %v, challenge: %v, and %d requests, want what the other was told",
					got, took, err, len(ep.Requests()))
			}
			if usual.Status().Resources[0].NextTry.IsZero() {
				t.Error("Status doesn't tell until when")
			}
			time.Sleep(2 * time.Minute)
			mustToken(t, usual)
		})
	}
}

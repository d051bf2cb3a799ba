package retry

import (
	"math"
	"net/http"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/google/go-cmp/cmp"
)

// sameRetries compares functions that no option changes.
var sameRetries = cmp.Comparer(func(a, b func(int) bool) bool { return a(429) == b(429) })

// ofIMDS are rules as a host has them.
var ofIMDS = Rules{
	Budget:      75 * time.Second,
	Unanswered:  5 * time.Second,
	TryTimeout:  40 * time.Second,
	Delay:       1750 * time.Millisecond,
	MaxDelay:    5 * time.Second,
	ServerDelay: time.Second,
	Passes:      410,
	Retries:     Anywhere,
}

func TestAnywhere(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]bool{
		0: true, 200: false, 302: false, 400: false, 401: false, 404: false, 408: true, 410: false,
		421: false, 429: true, 500: true, 503: true, 599: true, 600: true, 999: true, -1: true,
	} {
		if got := Anywhere(status); got != want {
			t.Errorf("%d: got %v, want %v", status, got, want)
		}
	}
}

// TestWith: what each option makes of a host's rules.
func TestWith(t *testing.T) {
	t.Parallel()
	const second = time.Second
	for _, tt := range []struct {
		name    string
		options policy.RetryOptions
		change  func(*Rules)
		err     string
	}{
		{name: "none", change: func(*Rules) {}},
		{name: "MaxRetries 2", options: policy.RetryOptions{MaxRetries: 2},
			change: func(r *Rules) { r.MaxTries, r.Budget = 3, 133750*time.Millisecond }},
		{name: "MaxRetries -1", options: policy.RetryOptions{MaxRetries: -1},
			change: func(r *Rules) { r.MaxTries = 1 }},
		{name: "TryTimeout", options: policy.RetryOptions{TryTimeout: 2 * second},
			change: func(r *Rules) { r.TryTimeout = 2 * second }},
		{name: "TryTimeout beyond the budget", options: policy.RetryOptions{TryTimeout: 100 * second},
			change: func(r *Rules) { r.TryTimeout, r.Budget = 100*second, 105*second }},
		{name: "RetryDelay", options: policy.RetryOptions{RetryDelay: 9 * second},
			change: func(r *Rules) { r.Delay, r.MaxDelay, r.ServerDelay = 9*second, 9*second, 0 }},
		{name: "no RetryDelay", options: policy.RetryOptions{RetryDelay: -1},
			change: func(r *Rules) { r.Delay, r.ServerDelay, r.MaxTries = 0, 0, 4 }},
		{name: "MaxRetryDelay", options: policy.RetryOptions{MaxRetryDelay: second},
			change: func(r *Rules) { r.Delay, r.MaxDelay, r.MaxRetryAfter = second, second, second }},
		{name: "a tiny MaxRetryDelay", options: policy.RetryOptions{MaxRetryDelay: 1},
			change: func(r *Rules) { r.Delay, r.MaxDelay, r.MaxRetryAfter, r.MaxTries = 1, 1, 1, 4 }},
		{name: "no MaxRetryDelay", options: policy.RetryOptions{MaxRetryDelay: -1},
			change: func(r *Rules) { r.MaxDelay = math.MaxInt64 }},
		{name: "StatusCodes", options: policy.RetryOptions{StatusCodes: []int{418}},
			change: func(r *Rules) { r.StatusCodes = []int{418} }},
		{name: "ShouldRetry",
			options: policy.RetryOptions{ShouldRetry: func(*http.Response, error) bool { return true }},
			change:  func(r *Rules) { r.ShouldRetry = func(*http.Response, error) bool { return true } }},
		{name: "a negative TryTimeout", options: policy.RetryOptions{TryTimeout: -1},
			err: "TryTimeout: negative: leave it 0 for the default"},
		{name: "no status", options: policy.RetryOptions{StatusCodes: []int{99}},
			err: "StatusCodes: 99 is not an HTTP status"},
	} {
		got, err := ofIMDS.With(tt.options)
		if tt.err != "" {
			if err == nil || err.Error() != tt.err {
				t.Errorf("%s: got %v, want %s", tt.name, err, tt.err)
			}
			continue
		}
		want := ofIMDS
		tt.change(&want)
		isSet := cmp.Comparer(func(a, b func(*http.Response, error) bool) bool {
			return (a == nil) == (b == nil)
		})
		if diff := cmp.Diff(want, got, isSet, sameRetries); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", tt.name, err, diff)
		}
	}
}

// TestManyRetries: to make room for them takes no time, even if none of them does.
func TestManyRetries(t *testing.T) {
	t.Parallel()
	for _, o := range []policy.RetryOptions{
		{RetryDelay: -1, TryTimeout: 1},
		{RetryDelay: 1, TryTimeout: 1},
		{RetryDelay: 1, TryTimeout: 1, MaxRetryDelay: 1},
		{RetryDelay: 1, TryTimeout: 1, MaxRetryDelay: -1},
		{RetryDelay: math.MaxInt64, TryTimeout: math.MaxInt64, MaxRetryDelay: math.MaxInt64},
	} {
		quickest := func(retries int32) time.Duration { // of five, because the machine may be busy
			o.MaxRetries = retries
			best := time.Hour
			for range 5 {
				began := time.Now()
				_, _ = ofIMDS.With(o)
				best = min(best, time.Since(began))
			}
			return best
		}
		// A step for each retry would be two million times as many.
		few, many := quickest(1000), quickest(math.MaxInt32)
		if many > 1000*max(few, time.Microsecond) {
			t.Errorf("%+v: took %v, and %v with 1,000 retries", o, many, few)
		}
		r, err := ofIMDS.With(o)
		if err != nil {
			t.Errorf("%+v: %v", o, err)
		}
		if r.Budget < ofIMDS.Budget || r.Budget > LongestBudget {
			t.Errorf("%+v: a budget of %v, want 75 s to %v", o, r.Budget, LongestBudget)
		}
		// Two billion tries of a nanosecond fit into the default.
		if o.RetryDelay < 0 && r.Budget != ofIMDS.Budget {
			t.Errorf("%+v: a budget of %v, want 75 s", o, r.Budget)
		}
	}
}

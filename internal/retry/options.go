package retry

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

const (
	// LongestBudget is where an acquisition ends whatever the options ask for.
	LongestBudget = time.Hour
	// leastDelay: if the longest wait is shorter, the time budget alone would allow thousands of
	// tries, so that azcoreRetries limits them.
	leastDelay = 100 * time.Millisecond
	// azcoreRetries is what policy.RetryOptions documents as the default of MaxRetries.
	azcoreRetries = 3
)

// With applies the user's options on top of a host's rules, field by field. An error begins with
// the name of the field in RetryOptions.
func (r Rules) With(o policy.RetryOptions) (Rules, error) {
	if o.TryTimeout < 0 {
		return r, errors.New("TryTimeout: negative: leave it 0 for the default")
	}
	for _, status := range o.StatusCodes {
		if status < 100 || status > 999 {
			return r, fmt.Errorf("StatusCodes: %d is not an HTTP status", status)
		}
	}
	if o.TryTimeout > 0 {
		r.TryTimeout = o.TryTimeout
		r.Budget = max(r.Budget, min(o.TryTimeout, LongestBudget-LastTry)+LastTry)
	}
	switch {
	case o.RetryDelay < 0:
		r.Delay, r.ServerDelay = 0, 0
	case o.RetryDelay > 0:
		r.Delay, r.ServerDelay = o.RetryDelay, 0
		// A user who wants to wait long is not held to our default.
		r.MaxDelay = max(r.MaxDelay, r.Delay)
	}
	switch {
	case o.MaxRetryDelay < 0:
		r.MaxDelay = math.MaxInt64
	case o.MaxRetryDelay > 0:
		r.MaxDelay, r.MaxRetryAfter = o.MaxRetryDelay, o.MaxRetryDelay
	}
	r.Delay = min(r.Delay, r.MaxDelay)
	r.ShouldRetry = o.ShouldRetry
	r.StatusCodes = slices.Clone(o.StatusCodes)
	switch {
	case o.MaxRetries < 0:
		r.MaxTries = 1
	// A time budget alone would be a flood.
	case o.MaxRetries == 0 && (r.MaxDelay < leastDelay || o.RetryDelay < 0):
		r.MaxTries = 1 + azcoreRetries
	case o.MaxRetries > 0:
		r.MaxTries = int(min(o.MaxRetries, math.MaxInt32-1)) + 1
		r.Budget = max(r.Budget, r.longest())
	}
	return r, nil
}

// longest is how long MaxTries tries can take. A user who asks for many tries gets the time for
// them, up to LongestBudget.
func (r Rules) longest() time.Duration {
	total := min(r.TryTimeout+LastTry, LongestBudget)
	for left := r.MaxTries - 1; left > 0 && total < LongestBudget; left-- {
		wait := r.Delay
		if left < r.MaxTries-1 {
			wait = r.upper(total)
		}
		each := min(wait, LongestBudget) + r.ServerDelay + min(r.TryTimeout, LongestBudget)
		if wait == r.MaxDelay || r.Delay <= 0 { // it grows no more
			total += time.Duration(min(float64(left)*float64(each), float64(LongestBudget)))
			break
		}
		total += each
	}
	return min(total, LongestBudget)
}

package identity

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/cenkalti/backoff/v4"
)

// rules say when a host is asked again. The budgets are times, not counts: what matters to a caller is how long it waits.
type rules struct {
	budget      time.Duration         // for one acquisition, all tries and waits together
	unanswered  time.Duration         // the same while nothing has ever answered as the host would
	unavailable bool                  // is that ErrUnavailable, or was the endpoint named and should be there?
	tryTimeout  time.Duration         // for one try, without the wait for a place
	delay       time.Duration         // the first wait's upper end; it grows, see schedule
	maxDelay    time.Duration         // the upper end's limit
	serverDelay time.Duration         // least wait after a 5xx
	retries     func(status int) bool // statuses worth another try
	concurrent  int                   // requests at once per process, 0 for maxConcurrent

	maxRetryAfter time.Duration                    // the user's: a longer Retry-After ends the acquisition, as in azcore; 0 is none
	maxTries      int                              // 0: as many as the budget allows
	shouldRetry   func(*http.Response, error) bool // the user's; decides alone
	statusCodes   []int                            // the user's; not nil: replaces retries
}

// retriesAnywhere are the statuses that any host's endpoint is asked again after. Status 0 or 600 and above is no HTTP
// status at all: something broke in between.
func retriesAnywhere(status int) bool {
	return status == http.StatusTooManyRequests || status == http.StatusRequestTimeout || status >= 500 || status <= 0
}

// enough is for how long an endpoint that has never answered is tried: the rest of unanswered is
// for the last try.
func (r rules) enough() time.Duration { return r.unanswered * 4 / 5 }

// lastTry is how long before the end of the budget the last try starts, so that it can be answered.
const lastTry = 5 * time.Second

// with applies the user's options on top of a host's rules, field by field.
func (r rules) with(o policy.RetryOptions) (rules, error) {
	const field = "identity: CredentialOptions.Retry."
	if o.TryTimeout < 0 {
		return r, errors.New(field + "TryTimeout: negative: leave it 0 for the default")
	}
	for _, status := range o.StatusCodes {
		if status < 100 || status > 999 {
			return r, fmt.Errorf("%sStatusCodes: %d is not an HTTP status", field, status)
		}
	}
	if o.TryTimeout > 0 {
		r.tryTimeout = o.TryTimeout
		r.budget = max(r.budget, min(o.TryTimeout, longestBudget-lastTry)+lastTry)
	}
	switch {
	case o.RetryDelay < 0:
		r.delay, r.serverDelay = 0, 0
	case o.RetryDelay > 0:
		r.delay, r.serverDelay = o.RetryDelay, 0
		r.maxDelay = max(r.maxDelay, r.delay) // who wants to wait long is not held to our default
	}
	switch {
	case o.MaxRetryDelay < 0:
		r.maxDelay = math.MaxInt64
	case o.MaxRetryDelay > 0:
		r.maxDelay, r.maxRetryAfter = o.MaxRetryDelay, o.MaxRetryDelay
	}
	r.delay = min(r.delay, r.maxDelay)
	r.shouldRetry = o.ShouldRetry
	r.statusCodes = slices.Clone(o.StatusCodes)
	switch {
	case o.MaxRetries < 0:
		r.maxTries = 1
	case o.MaxRetries == 0 && r.maxDelay < leastDelay || o.MaxRetries == 0 && o.RetryDelay < 0: // a time budget alone would be a flood
		r.maxTries = 1 + azcoreRetries
	case o.MaxRetries > 0:
		r.maxTries = int(min(o.MaxRetries, math.MaxInt32-1)) + 1
		r.budget = max(r.budget, r.longest())
	}
	return r, nil
}

const (
	// longestBudget is where an acquisition ends whatever the options ask for.
	longestBudget = time.Hour
	// leastDelay: whose waits don't grow to this much gets azcoreRetries.
	leastDelay = 100 * time.Millisecond
	// azcoreRetries is what policy.RetryOptions documents as the default of MaxRetries.
	azcoreRetries = 3
)

// longest is how long maxTries tries can take. A user who asks for many tries gets the time for them, up to longestBudget.
func (r rules) longest() time.Duration {
	total := min(r.tryTimeout+lastTry, longestBudget)
	for left := r.maxTries - 1; left > 0 && total < longestBudget; left-- {
		wait := r.delay
		if left < r.maxTries-1 {
			wait = r.upper(total)
		}
		each := min(wait, longestBudget) + r.serverDelay + min(r.tryTimeout, longestBudget)
		if wait == r.maxDelay || r.delay <= 0 { // it grows no more
			total += time.Duration(min(float64(left)*float64(each), float64(longestBudget)))
			break
		}
		total += each
	}
	return min(total, longestBudget)
}

// retryPolicy stands in the pipeline where azcore's own would: below PerCallPolicies, above PerRetryPolicies.
type retryPolicy struct{}

func (retryPolicy) Do(req *policy.Request) (*http.Response, error) {
	var t *trial
	if !req.OperationValue(&t) {
		return req.Next()
	}
	return t.run(req)
}

// trial is one acquisition: its tries and what became of them.
type trial struct {
	sender   *sender
	ask      ask
	endpoint string   // the one asked last: App Service's can move
	firstURL string   // as the pipeline's request was made; a policy of the user's may have changed it there
	secrets  []string // of all requests so far: a host may remember
	start    time.Time
	tally    *tally

	attempts int
	tried    time.Duration // from start to the beginning of the last try
	asked    time.Duration // the same without waits for a place
	waited   atomic.Int64  // for places so far, as a time.Duration
	// the header of the source's, a string, that the last request went out without; "" for none
	lost    atomic.Value
	last    *failure // kept here, because backoff drops it when the context ends
	grant   grant
	granted bool
}

// run tries until there is a token, a final failure, or no time left.
func (t *trial) run(req *policy.Request) (*http.Response, error) {
	ctx := req.Raw().Context()
	operation := func() (*http.Response, error) {
		resp, f := t.send(req, t.tryTimeout())
		if f == nil {
			return resp, nil
		}
		f.rule(t.overrule(f))
		t.last = f
		f.Attempts, f.Elapsed = t.attempts, time.Since(t.start)
		t.tally.failed(f.forCaller()) // a copy: final changes this one later
		if f.verdict != again {
			return nil, backoff.Permanent(f)
		}
		return nil, f
	}
	var b backoff.BackOff = &schedule{trial: t}
	n := t.sender.rules.maxTries
	if t.ask.once {
		n = 1
	}
	if n > 0 {
		b = backoff.WithMaxRetries(b, uint64(n-1))
	}
	return backoff.RetryWithData(operation, backoff.WithContext(b, ctx))
}

// asking is the time since the start without waits for a place, which say nothing of the endpoint.
func (t *trial) asking() time.Duration {
	return time.Since(t.start) - time.Duration(t.waited.Load())
}

// unanswered reports whether nothing has answered yet as the host would, at this endpoint, in this process.
func (t *trial) unanswered() bool {
	return (t.last == nil || t.last.silent) && !t.sender.node.answered.Load()
}

// tryTimeout is the rules', but not longer than the time that is left to a place where nothing answers. The first try
// gets the full time, because a real host can be slow.
func (t *trial) tryTimeout() time.Duration {
	r := t.sender.rules
	if t.last != nil && t.unanswered() {
		return min(r.tryTimeout, max(r.unanswered-t.asking(), 100*time.Millisecond))
	}
	return r.tryTimeout
}

// schedule is the wait before each next try. The first is anywhere from 0 to the rules' delay, so that the processes of a
// node, which start together and are refused together, part. Each later one is from half to the whole of an upper end that
// grows with the time the acquisition has taken, up to the rules' maxDelay: having parted, they keep their distance, which
// costs fewer requests than drawing from 0 every time, and leaves none waiting for long at the end. The growth follows the
// time and not the count of tries, because the time tells how many others there are: in 5 s of refusals a hundred of them got
// a token.
//
// IMDS's numbers (1.75 s, growing to 5 s) are the outcome of a sweep on virtual time, docs/backoff.md: processes that start
// at once on a VM with IMDS's limits are done within 1.6 × the ideal (20 tokens a second) if they are 50, 1.3 × if 200, 1.1
// × if 1,000, with 2.0, 3.5 and 9 requests per token, and no 100 ms see more than 5 times the mean after the first second.
// Full jitter of 1 s doubling to 10 s, which stood here before, takes 2.1, 1.6 and 1.1 × with 2.5, 4.2 and 8.4 requests, and
// up to 8 times the mean. A lone process that meets one 429 waits 0.9 s on average; the limit's window is one second.
//
// A wait never outlasts the budget: the last one is cut so that one more try fits.
type schedule struct {
	trial   *trial
	waits   int
	lastTry time.Duration // when the last try starts, if the waits don't end before: jittered, too
}

// Reset implements backoff.BackOff. backoff calls it before the first try.
func (s *schedule) Reset() {
	r := s.trial.sender.rules
	reserve := min(lastTry, r.budget/2)
	s.lastTry = r.budget - reserve + jitter(reserve/2)
	s.waits = 0
}

// NextBackOff implements backoff.BackOff. It never returns 0: a timer that is due already when it is waited for can crash
// Go 1.26's race detector inside a testing/synctest bubble.
func (s *schedule) NextBackOff() time.Duration {
	if wait := s.next(); wait != 0 {
		return wait
	}
	return time.Nanosecond
}

func (s *schedule) next() time.Duration {
	t, r, f := s.trial, s.trial.sender.rules, s.trial.last
	elapsed := time.Since(t.start)
	s.waits++
	latest, tried := s.lastTry, t.tried
	if t.unanswered() && r.unanswered < r.budget {
		latest = r.enough()
		// others have found out while this one waited for a place
		if elapsed >= latest && t.sender.node.deserted(latest) {
			return backoff.Stop
		}
		tried, elapsed = t.asked, t.asking()
	}
	left := latest - elapsed
	low, high := time.Duration(0), r.delay
	if s.waits > 1 {
		high = r.upper(elapsed)
		low = high / 2
	}
	high = min(high, longestBudget) // so that no sum overflows
	least := f.wait
	// what something in the host's place asks for is heeded as far as the budget and the options go
	if f.silent {
		least = max(min(least, left, cmp.Or(r.maxRetryAfter, left)), 0)
	}
	if f.status >= 500 {
		least = max(least, r.serverDelay)
		low = max(low, r.serverDelay)
		high = max(high, low)
	}
	// a minimum that all who failed together got alike, so that the jitter goes on top of it
	if f.wait > 0 {
		low, high = least, least+high
	}
	wait := low + jitter(high-low)
	switch {
	case tried >= latest, t.unanswered() && elapsed >= r.unanswered,
		r.maxRetryAfter > 0 && f.retryAfter > r.maxRetryAfter:
		return backoff.Stop
	case wait <= left:
		return wait
	case f.status == http.StatusGone || least <= r.serverDelay: // IMDS is back after 70 s, whatever it said before
		return max(left, min(least, r.serverDelay))
	case least > left:
		return backoff.Stop
	}
	return left
}

// upper is the longest wait of an acquisition that has taken so long, from the second wait on. The second is to begin
// about where the first ends: half of 7/4. The growth, 5/4 of the time taken so far, makes the tries of a process about
// exponential until maxDelay ends it.
func (r rules) upper(elapsed time.Duration) time.Duration {
	if r.delay <= 0 {
		return 0
	}
	if grown := max(1.75*float64(r.delay), 1.25*float64(elapsed)); grown < float64(r.maxDelay) {
		return time.Duration(grown)
	}
	return r.maxDelay
}

// jitter is a uniformly distributed time from 0 to limit.
func jitter(limit time.Duration) time.Duration {
	if limit <= 0 {
		return 0
	}
	return rand.N(limit)
}

// maxRetryAfter bounds what a host can ask for. A date seen through a wrong clock must not silence us for hours.
const maxRetryAfter = 5 * time.Minute

// retryAfter reads the three headers that hosts and gateways use, most precise first; 0 if there is none.
func retryAfter(header http.Header, now time.Time) time.Duration {
	for _, h := range []struct {
		name string
		unit time.Duration
	}{{"Retry-After-Ms", time.Millisecond}, {"X-Ms-Retry-After-Ms", time.Millisecond}, {"Retry-After", time.Second}} {
		value := strings.TrimSpace(header.Get(h.name))
		if value == "" {
			continue
		}
		if strings.Trim(value, "0123456789") == "" { // first, because ParseUint calls a number too large before it has seen all of it
			n, err := strconv.ParseUint(value, 10, 64)
			switch {
			case err != nil || n > uint64(maxRetryAfter/h.unit):
				return maxRetryAfter
			case n > 0:
				return time.Duration(n) * h.unit
			}
			continue
		}
		if h.unit == time.Second {
			if sent, err := http.ParseTime(header.Get("Date")); err == nil {
				now = sent // by the host's own clock: ours may be wrong
			}
			if at, err := http.ParseTime(value); err == nil && at.After(now) {
				return min(at.Sub(now), maxRetryAfter)
			}
		}
	}
	return 0
}

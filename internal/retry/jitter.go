package retry

import (
	"math/rand/v2"
	"time"
)

// Range is what the n-th wait of an acquisition is drawn from, evenly; n is 1 for the first.
// elapsed is how long the acquisition has taken so far.
//
// The first wait is anywhere from 0 to Delay, so that the processes of a node, which start together
// and are refused together, part. Each later one is from half to the whole of an upper end that
// grows with the time the acquisition has taken, up to MaxDelay: having parted, they keep their
// distance. That costs fewer requests than drawing from 0 every time, and leaves none waiting for
// long at the end. The growth follows the time and not the count of tries, because the time tells
// how many others there are: in 5 s of refusals a hundred of them got a token.
//
// IMDS's numbers (1.75 s, growing to 5 s) are the outcome of a sweep on virtual time,
// docs/backoff.md. Processes that start at once on a VM with IMDS's limits are done within 1.6 ×
// the ideal (20 tokens a second) if they are 50, 1.3 × if 200, and 1.1 × if 1,000. That takes 2.0,
// 3.5 and 9 requests per token, and no 100 ms see more than 5 times the mean after the first
// second. Full jitter of 1 s doubling to 10 s, which stood here before, takes 2.1, 1.6 and 1.1 ×
// with 2.5, 4.2 and 8.4 requests, and up to 8 times the mean. A lone process that meets one 429
// waits 0.9 s on average; the limit's window is one second.
func (r Rules) Range(n int, elapsed time.Duration) (low, high time.Duration) {
	if n <= 1 {
		return 0, r.Delay
	}
	high = r.upper(elapsed)
	return high / 2, high
}

// upper is the longest wait of an acquisition that has taken so long, from the second wait on. The
// second is to begin about where the first ends: half of 7/4. The growth, 5/4 of the time taken so
// far, makes the tries of a process about exponential until MaxDelay ends it.
func (r Rules) upper(elapsed time.Duration) time.Duration {
	if r.Delay <= 0 {
		return 0
	}
	grown := max(1.75*float64(r.Delay), 1.25*float64(elapsed))
	if grown < float64(r.MaxDelay) {
		return time.Duration(grown)
	}
	return r.MaxDelay
}

// jitter is a uniformly distributed time from 0 to limit.
func jitter(limit time.Duration) time.Duration {
	if limit <= 0 {
		return 0
	}
	return rand.N(limit)
}

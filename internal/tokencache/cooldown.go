package tokencache

import "time"

// coolDown is a time in which nothing is asked for.
type coolDown struct {
	until    time.Time // no request before this time (monotonic: a clock step must not stretch it)
	failures int       // in a row
	err      error     // the last one, which callers without a token get until then
}

const (
	// Cool-downs after failures: long enough that a flood of callers is a trickle at the host,
	// short enough that a token is renewed within a minute of the host's recovery.
	renewalCoolDown    = 5 * time.Second
	maxRenewalCoolDown = 30 * time.Second
	coldCoolDown       = time.Second
	maxColdCoolDown    = 10 * time.Second

	// keepFailed is how long a key without a token is remembered beyond its cool-down, so that the
	// next one is longer.
	keepFailed = time.Minute
)

// coolDownAfter is how long a key is left alone after a failure: doubling with each in a row,
// jittered down to its half so that processes part, and not shorter than the host's Retry-After.
// valid is the token that is held, or nil; near its end the host is asked more often, so that one
// that recovers in the last minute is in time. single is when the try began, of a failure that was
// the only one. If it took long, the host was left alone meanwhile: otherwise one that hangs would
// be asked again 70 s later, and its recovery noticed as late.
func coolDownAfter(
	wanted time.Duration, failures int, valid *held, single, now time.Time,
) time.Duration {
	wait, limit := coldCoolDown, maxColdCoolDown
	if valid != nil {
		wait = renewalCoolDown
		if now.Before(valid.expiring) {
			limit = maxRenewalCoolDown
		}
	}
	wait = min(wait<<min(failures, 10), limit)
	wait = wait/2 + jitter(wait/2)
	if !single.IsZero() {
		wait = max(wait-now.Sub(single), renewalCoolDown/2)
	}
	return max(wait, wanted)
}

package tokencache

import "time"

// coolDown is a time in which nothing is asked for.
type coolDown struct {
	until    time.Time     // no request before this time (monotonic: a clock step must not stretch it)
	failures int           // in a row
	err      error         // the last one, which callers without a token get until then
	told     chan struct{} // closed when the Source has heard of err
}

const (
	// Cool-downs after failures: long enough that the host gets few requests however many callers ask,
	// short enough that a token is renewed within a minute of the host's recovery.
	renewalCoolDown    = 5 * time.Second
	maxRenewalCoolDown = 30 * time.Second
	coldCoolDown       = time.Second
	maxColdCoolDown    = 10 * time.Second

	// keepFailed is how long a key without a token is remembered beyond its cool-down, so that the
	// next one is longer.
	keepFailed = time.Minute
)

// LongestCoolDown is the longest time for which a key is left alone after a failure. It doubles
// with each failure in a row, up to limit while a held token is good for long. Near the token's end
// the limit is lower, so that a host that recovers in the last minute is asked in time.
func LongestCoolDown(failures int, held, expiring bool, limit time.Duration) time.Duration {
	wait := renewalCoolDown
	switch {
	case !held:
		wait, limit = coldCoolDown, maxColdCoolDown
	case expiring:
		limit = maxColdCoolDown
	}
	return min(wait<<min(failures, 10), limit)
}

// coolDownAfter is random, from half of that to the whole, so that processes don't ask in step. It
// is not shorter than the host asks for. single is when the only try of a failed renewal began, and
// the cool-down counts from then: otherwise a host that hangs would be asked again only every 70 s.
func coolDownAfter(
	wanted time.Duration, failures int, valid *held, single, now time.Time,
) time.Duration {
	expiring := valid != nil && !now.Before(valid.expiring)
	wait := LongestCoolDown(failures, valid != nil, expiring, maxRenewalCoolDown)
	wait = wait/2 + jitter(wait/2)
	if !single.IsZero() {
		wait = max(wait-now.Sub(single), renewalCoolDown/2)
	}
	return max(wait, wanted)
}

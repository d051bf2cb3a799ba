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

// LongestCoolDown is how long a key is left alone after a failure at the longest. It doubles with
// those that the failure follows, to limit while the token that is held is good for long. Near the
// token's end the host is asked more often, so that one that recovers in the last minute is in
// time.
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

// coolDownAfter jitters that down to its half, so that processes part. It is not shorter than the
// host's wish. single is when the try began, of a failure that was the only one: if it took long,
// the host was left alone meanwhile, and one that hangs would be asked again 70 s later otherwise.
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

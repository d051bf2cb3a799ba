package identitytest

import "time"

// The limits of IMDS for tokens, per virtual machine:
// https://learn.microsoft.com/azure/virtual-machines/instance-metadata-service#rate-limiting
const (
	maxPerSecond = 20
	maxAtOnce    = 5
)

// limiter counts requests over a sliding second and those that are being handled. The Endpoint's
// mutex guards it.
type limiter struct {
	active int
	recent []time.Time // when those of the last second were admitted, oldest first
}

// enter reports whether a request that arrives now is admitted. If so, leave must follow.
func (l *limiter) enter(now time.Time) bool {
	for len(l.recent) > 0 && now.Sub(l.recent[0]) >= time.Second {
		l.recent = l.recent[1:]
	}
	if l.active >= maxAtOnce || len(l.recent) >= maxPerSecond {
		return false
	}
	l.active++
	l.recent = append(l.recent, now)
	return true
}

func (l *limiter) leave() { l.active-- }

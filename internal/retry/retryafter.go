package retry

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// MaxAfter bounds what a host can ask for. A date seen through a wrong clock must not silence us
// for hours.
const MaxAfter = 5 * time.Minute

// After reads the three headers that hosts and gateways use to say when to ask again, the most
// precise first. It is 0 if there is none, and MaxAfter at most.
func After(header http.Header, now time.Time) time.Duration {
	for _, h := range []struct {
		name string
		unit time.Duration
	}{
		{"Retry-After-Ms", time.Millisecond},
		{"X-Ms-Retry-After-Ms", time.Millisecond},
		{"Retry-After", time.Second},
	} {
		value := strings.TrimSpace(header.Get(h.name))
		if value == "" {
			continue
		}
		// First, because ParseUint calls a number too large before it has seen all of it.
		if strings.Trim(value, "0123456789") == "" {
			n, err := strconv.ParseUint(value, 10, 64)
			switch {
			case err != nil || n > uint64(MaxAfter/h.unit):
				return MaxAfter
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
				return min(at.Sub(now), MaxAfter)
			}
		}
	}
	return 0
}

package retry

import (
	"context"
	"time"

	"github.com/cenkalti/backoff/v4"
)

// Stop is Next's answer when there is to be no other try.
const Stop = backoff.Stop

// Run calls try until it has a value, fails for good, the schedule says Stop, or ctx ends. Of a
// failure that may pass, try returns what there is to know of it; nil means that it is final. The
// error is the last one of try's, or the context's.
func Run[T any](
	ctx context.Context, s *Schedule, try func() (value T, failed *Past, err error),
) (T, error) {
	waits := &waits{schedule: s}
	return backoff.RetryWithData(func() (T, error) {
		value, failed, err := try()
		if err != nil && failed == nil {
			return value, backoff.Permanent(err)
		}
		waits.failed = failed
		return value, err
	}, backoff.WithContext(waits, ctx))
}

// waits are a schedule in backoff's terms.
type waits struct {
	schedule *Schedule
	failed   *Past // the last try
}

// Reset implements backoff.BackOff. A schedule is used once.
func (w *waits) Reset() {}

// NextBackOff implements backoff.BackOff.
func (w *waits) NextBackOff() time.Duration { return w.schedule.Next(*w.failed) }

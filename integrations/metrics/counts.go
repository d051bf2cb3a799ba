package identitymetrics

import (
	"time"

	"github.com/keyless-go/identity"
)

// Counts are what has happened since the Set first read a series, and what its credential had
// counted until then. They never go back.
type Counts struct {
	Requests     int64 // sent to the host, retries included
	Failures     int64 // acquisitions that brought no token, with all their retries
	Throttles    int64 // answers of 429, also those that a retry overcame
	Acquisitions int64 // finished acquisitions, failed ones included
	// how long those took together, retries included
	AcquisitionTime time.Duration
}

// countsOf are those of a credential, which begin anew when it has forgotten a resource.
func countsOf(r identity.ResourceStatus) Counts {
	return Counts{r.Requests, r.Failures, r.Throttles, r.Acquisitions, r.AcquisitionTime}
}

// each makes Counts of two, field by field.
func (c Counts) each(d Counts, f func(a, b int64) int64) Counts {
	return Counts{
		Requests:        f(c.Requests, d.Requests),
		Failures:        f(c.Failures, d.Failures),
		Throttles:       f(c.Throttles, d.Throttles),
		Acquisitions:    f(c.Acquisitions, d.Acquisitions),
		AcquisitionTime: time.Duration(f(int64(c.AcquisitionTime), int64(d.AcquisitionTime))),
	}
}

func larger(a, b int64) int64 { return max(a, b) }
func sum(a, b int64) int64    { return a + b }

// counter adds up what credentials have counted for some Labels, over their resets.
type counter struct {
	total   Counts
	last    Counts    // as the credentials had it; zero once they have forgotten the resource
	failed  time.Time // the newest failure that was read
	members int       // of the Set that have had these Labels; without one the series is gone
}

// read takes what the credentials have now, and returns by how much that has grown. If the resource
// was forgotten and asked for again since the last reading, they have begun anew. So it is where no
// token can be had, after each failure: then the counts are the same each time, and only the
// failure is another one.
func (c *counter) read(now Counts, failed time.Time) (grown Counts) {
	another := failed.After(c.failed) && now.Requests <= c.last.Requests
	if now.Acquisitions < c.last.Acquisitions || another && now.Acquisitions == c.last.Acquisitions {
		c.last = Counts{}
	}
	if failed.After(c.failed) {
		c.failed = failed
	}
	grown = now.each(c.last, func(now, last int64) int64 { return max(now-last, 0) })
	c.total = c.total.each(grown, sum)
	// Requests can dip: those of an acquisition that hangs are missing until it has ended.
	c.last = now.each(c.last, larger)
	return grown
}

// leave notes that a member has left the Set. It may go on counting, and come back.
func (c *counter) leave() {
	if c.members--; c.members == 0 {
		c.total = Counts{}
	}
}

package acquire

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/keyless-go/identity/internal/failure"
)

// Progress is where an acquisition writes what it has done so far, for those who wait for it. Its
// methods may be called by several goroutines at once.
type Progress interface {
	Sent()                   // a request to the host
	Throttled()              // an answer of 429
	Failed(*failure.Failure) // of a try; it changes no more
}

// course is what all tries of an acquisition have in common.
type course struct {
	rules    Rules
	progress Progress
	start    time.Time
	waited   atomic.Int64 // for places so far, as a time.Duration
	// the header of the host's, a string, that the last request went out without; "" for none
	lost atomic.Value
}

// asking is the time since the start without waits for a place, which say nothing of the endpoint.
func (c *course) asking() time.Duration {
	return time.Since(c.start) - time.Duration(c.waited.Load())
}

// try is one try on its way through the user's policies to the Transport. Its context ends after
// the time that a try may take. That time stands still while the try waits for a place: that this
// process asks for much says nothing of the endpoint.
type try struct {
	of         *course
	unanswered bool        // nothing had answered yet when it began
	connecting atomic.Bool // the Transport looks for a connection

	mu      sync.Mutex // guards the rest
	waiting int        // round trips that wait for a place; a policy may make several at once
	since   time.Time  // when the time last began to stand still, or to go on
	limits  []*limit
	sent    bool        // a request, so that the next is urgent
	counted bool        // the request that is under way
	header  http.Header // of the host's, which that request has to have
}

// limit is something that happens after a time.
type limit struct {
	left  time.Duration
	timer *time.Timer
}

// tryKey is the key for a request's *try in its context, or for the mark of the probe.
type tryKey struct{}

type probing struct{}

// after has f called when the try has taken so long, waits for places not counted.
func (y *try) after(d time.Duration, f func()) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.limits = append(y.limits, &limit{d, time.AfterFunc(d, f)})
}

// stop ends all that after has begun.
func (y *try) stop() {
	y.mu.Lock()
	defer y.mu.Unlock()
	for _, l := range y.limits {
		l.timer.Stop()
	}
	y.limits = nil
}

// pause lets the try's time stand still. It reports whether a request was sent before.
func (y *try) pause() (sent bool) {
	y.mu.Lock()
	defer y.mu.Unlock()
	if y.waiting++; y.waiting > 1 {
		return y.sent
	}
	now := time.Now()
	for _, l := range y.limits {
		if l.left -= now.Sub(y.since); !l.timer.Stop() {
			l.left = -1 // it has come already
		}
	}
	y.since = now
	return y.sent
}

// goOn lets it run again.
func (y *try) goOn() {
	y.mu.Lock()
	defer y.mu.Unlock()
	if y.waiting--; y.waiting > 0 {
		return
	}
	now := time.Now()
	y.of.waited.Add(int64(now.Sub(y.since)))
	for _, l := range y.limits {
		if l.left >= 0 {
			l.timer.Reset(l.left)
		}
	}
	y.since = now
}

// next says that another request follows, with this header of the host's.
func (y *try) next(header http.Header) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.counted, y.header = false, header
	y.of.lost.Store("")
}

// inspect looks at a request on its way to the Transport: a policy of the user's may have taken out
// what the host wants.
func (y *try) inspect(header http.Header) {
	y.mu.Lock()
	defer y.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(y.header)) {
		if !slices.Equal(header[name], y.header[name]) {
			y.of.lost.Store(name)
			return
		}
	}
}

// count counts a request, once.
func (y *try) count() {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.sent = true
	if !y.counted {
		y.counted = true
		y.of.progress.Sent()
	}
}

// enter waits for a place. A request that follows up the host's answer, such as one with a key that
// lives for a moment, doesn't queue up again.
func (y *try) enter(ctx context.Context, n *Node) error {
	if !n.places.takeFree() {
		if err := y.wait(ctx, n); err != nil {
			return err
		}
	}
	y.count()
	n.enter(&y.connecting)
	return nil
}

func (y *try) wait(ctx context.Context, n *Node) error {
	urgent := y.pause()
	defer y.goOn()
	if r := y.of.rules; y.unanswered && r.Unanswered < r.Budget {
		var over func()
		ctx, over = y.untilDeserted(ctx, n)
		defer over()
	}
	err := n.places.take(ctx, urgent)
	if err != nil && context.Cause(ctx) == errDeserted {
		return errDeserted
	}
	return err
}

// lookAgain is how often a request that waits for a place looks at what became of the requests that
// have one.
const lookAgain = 500 * time.Millisecond

// untilDeserted is a context that ends with errDeserted once the time to find somebody there is
// over, and the requests that had the places have found nobody. Without it, many resources at a
// dead address would be asked for one after the other.
func (y *try) untilDeserted(ctx context.Context, n *Node) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	r := y.of.rules
	over := make(chan struct{})
	go func() {
		timer := time.NewTimer(max(r.Unanswered-time.Since(y.of.start), lookAgain))
		defer timer.Stop()
		for {
			select {
			case <-over:
				return
			case <-timer.C:
			}
			if n.deserted(r.Enough()) {
				cancel(errDeserted)
				return
			}
			timer.Reset(lookAgain)
		}
	}()
	return ctx, func() {
		close(over)
		cancel(nil)
	}
}

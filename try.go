package identity

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// try is one try on its way through the user's policies to the Transport. Its context ends after
// the time that a try may take. That time stands still while the try waits for a place: that this
// process asks for much says nothing of the endpoint.
type try struct {
	trial      *trial
	silent     bool        // nothing had answered yet when it began
	connecting atomic.Bool // the Transport looks for a connection

	mu      sync.Mutex // guards the rest
	waiting int        // round trips that wait for a place; a policy may make several at once
	since   time.Time  // when the time last began to stand still, or to go on
	limits  []*limit
	sent    bool        // a request, so that the next is urgent
	counted bool        // the request that is under way
	header  http.Header // of the source's, which that request has to have
}

// limit is something that happens after a time.
type limit struct {
	left  time.Duration
	timer *time.Timer
}

// tryKey is by what a request's context has its *try, or that it is the probe.
type tryKey struct{}

type probing struct{}

// after has f called when the try has taken so long, waits for places not counted.
func (w *try) after(d time.Duration, f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.limits = append(w.limits, &limit{d, time.AfterFunc(d, f)})
}

// stop ends all that after has begun.
func (w *try) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, l := range w.limits {
		l.timer.Stop()
	}
	w.limits = nil
}

// pause lets the try's time stand still. It reports whether a request was sent before.
func (w *try) pause() (sent bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.waiting++; w.waiting > 1 {
		return w.sent
	}
	now := time.Now()
	for _, l := range w.limits {
		if l.left -= now.Sub(w.since); !l.timer.Stop() {
			l.left = -1 // it has come already
		}
	}
	w.since = now
	return w.sent
}

// goOn lets it run again.
func (w *try) goOn() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.waiting--; w.waiting > 0 {
		return
	}
	now := time.Now()
	w.trial.waited.Add(int64(now.Sub(w.since)))
	for _, l := range w.limits {
		if l.left >= 0 {
			l.timer.Reset(l.left)
		}
	}
	w.since = now
}

// next says that another request follows, with this header of the source's.
func (w *try) next(header http.Header) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.counted, w.header = false, header
	w.trial.lost.Store("")
}

// inspect looks at a request on its way to the Transport: a policy of the user's may have taken out
// what the host wants.
func (w *try) inspect(header http.Header) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(w.header)) {
		if !slices.Equal(header[name], w.header[name]) {
			w.trial.lost.Store(name)
			return
		}
	}
}

// count counts a request, once.
func (w *try) count() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sent = true
	if !w.counted {
		w.counted = true
		w.trial.progress.Sent()
	}
}

// enter waits for a place. A request that follows up the host's answer, such as one with a key that
// lives for a moment, doesn't queue up again.
func (w *try) enter(ctx context.Context, n *node) error {
	if !n.places.takeFree() {
		if err := w.wait(ctx, n); err != nil {
			return err
		}
	}
	w.count()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.underWay[w] = time.Now()
	return nil
}

func (w *try) wait(ctx context.Context, n *node) error {
	urgent := w.pause()
	defer w.goOn()
	if r := w.trial.sender.rules; w.silent && r.Unanswered < r.Budget {
		var over func()
		ctx, over = w.untilDeserted(ctx, n)
		defer over()
	}
	err := n.places.take(ctx, urgent)
	if err != nil && context.Cause(ctx) == errDeserted {
		return errDeserted
	}
	return err
}

// leave gives the place back.
func (w *try) leave(n *node) {
	n.mu.Lock()
	delete(n.underWay, w)
	n.mu.Unlock()
	n.places.leave()
}

// lookAgain is how often a request that waits for a place looks at what became of those that have
// one.
const lookAgain = 500 * time.Millisecond

// untilDeserted is a context that ends with errDeserted once the time for finding out whether
// anybody is there is over, and others have done so, who had the places: many resources at a dead
// address are not to be asked for one after the other.
func (w *try) untilDeserted(ctx context.Context, n *node) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	r := w.trial.sender.rules
	over := make(chan struct{})
	go func() {
		timer := time.NewTimer(max(r.Unanswered-time.Since(w.trial.start), lookAgain))
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

package identity

import (
	"context"
	"net/http"
	"slices"
	"sync"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// queue hands out places: how many requests an endpoint gets at once, or the one for runs of a tool.
// They are given in the order in which they are asked for, but to urgent requests first. It has no
// channel while nobody waits: a program's tests in bubbles (testing/synctest) share it, one after the
// other, and a channel belongs to its bubble.
type queue struct {
	mu     sync.Mutex // guards the rest; never held while anybody waits
	free   int
	urgent []chan struct{} // closed when its turn comes
	others []chan struct{}
}

// noPlaceError means that no place became free in time: nothing was sent.
type noPlaceError struct {
	deserted bool // others, who had the places meanwhile, have found nobody there
}

func (*noPlaceError) Error() string { return "no place" }

var errNoPlace, errDeserted = &noPlaceError{}, &noPlaceError{deserted: true}

// takeFree takes a place if one is free.
func (q *queue) takeFree() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.free == 0 {
		return false
	}
	q.free--
	return true
}

// take waits for a place, and fails with errNoPlace when ctx ends before.
func (q *queue) take(ctx context.Context, urgent bool) error {
	q.mu.Lock()
	if q.free > 0 {
		q.free--
		q.mu.Unlock()
		return nil
	}
	line, turn := &q.others, make(chan struct{})
	if urgent {
		line = &q.urgent
	}
	*line = append(*line, turn)
	q.mu.Unlock()
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
	}
	q.mu.Lock()
	i := slices.Index(*line, turn)
	if i >= 0 {
		*line = slices.Delete(*line, i, i+1)
	}
	q.mu.Unlock()
	if i < 0 { // its turn came at the same moment
		q.leave()
	}
	return errNoPlace
}

// leave gives a place back, to whichever request is next.
func (q *queue) leave() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, line := range []*[]chan struct{}{&q.urgent, &q.others} {
		if len(*line) > 0 {
			close((*line)[0])
			*line = (*line)[1:]
			return
		}
	}
	q.free++
}

// placed gives each round trip a place. It stands below the user's policies, so that what these do
// holds nobody's place.
type placed struct {
	next policy.Transporter
	node *node
}

func (p placed) Do(req *http.Request) (*http.Response, error) {
	ctx := req.Context()
	switch w := ctx.Value(tryKey{}).(type) {
	case *try:
		if err := w.enter(ctx, p.node); err != nil {
			return nil, err
		}
		defer w.leave(p.node) // deferred, because a Transport may panic, or end this goroutine
		w.inspect(req.Header)
	case probing:
		if err := p.node.probes.take(ctx, false); err != nil {
			return nil, err
		}
		defer p.node.probes.leave()
		if p.node.answered.Load() { // the probe before this one has found out
			return nil, errNoPlace
		}
	default: // a policy of the user's has exchanged the context
		if err := p.node.places.take(ctx, false); err != nil {
			return nil, err
		}
		defer p.node.places.leave()
	}
	return p.next.Do(req)
}

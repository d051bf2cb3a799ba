package acquire

import (
	"context"
	"slices"
	"sync"
)

// Places are handed out: as many as an endpoint gets requests at once, or one for the runs of a
// tool. They are given in the order in which they are asked for, but to urgent requests first.
// There is no channel while nobody waits: a program's tests in bubbles (testing/synctest) share
// Places, one after the other, and a channel belongs to its bubble.
type Places struct {
	mu     sync.Mutex // guards the rest; never held while anybody waits
	free   int
	urgent []chan struct{} // closed when its turn comes
	others []chan struct{}
}

// NewPlaces makes as many as n.
func NewPlaces(n int) *Places { return &Places{free: n} }

// noPlaceError means that no place became free in time: nothing was sent.
type noPlaceError struct {
	deserted bool // others, who had the places meanwhile, have found nobody there
}

func (*noPlaceError) Error() string { return "no place" }

var errNoPlace, errDeserted = &noPlaceError{}, &noPlaceError{deserted: true}

// takeFree takes a place if one is free.
func (p *Places) takeFree() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.free == 0 {
		return false
	}
	p.free--
	return true
}

// Take waits for a place, and fails when ctx ends before.
func (p *Places) Take(ctx context.Context) error { return p.take(ctx, false) }

func (p *Places) take(ctx context.Context, urgent bool) error {
	p.mu.Lock()
	if p.free > 0 {
		p.free--
		p.mu.Unlock()
		return nil
	}
	line, turn := &p.others, make(chan struct{})
	if urgent {
		line = &p.urgent
	}
	*line = append(*line, turn)
	p.mu.Unlock()
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
	}
	p.mu.Lock()
	i := slices.Index(*line, turn)
	if i >= 0 {
		*line = slices.Delete(*line, i, i+1)
	}
	p.mu.Unlock()
	if i < 0 { // its turn came at the same moment
		p.Leave()
	}
	return errNoPlace
}

// Leave gives a place back, to whichever request is next.
func (p *Places) Leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, line := range []*[]chan struct{}{&p.urgent, &p.others} {
		if len(*line) > 0 {
			close((*line)[0])
			*line = (*line)[1:]
			return
		}
	}
	p.free++
}

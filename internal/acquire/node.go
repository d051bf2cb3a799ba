package acquire

import (
	"sync"
	"sync/atomic"
	"time"
)

// Node is what one process knows of one endpoint, whichever client asks it.
type Node struct {
	limit    int         // requests for tokens at once
	places   Places      // of those
	probes   Places      // of the probe, which is to find out while those are all taken
	answered atomic.Bool // see Answered

	mu sync.Mutex // guards the rest
	// tries that have a place, by whether they look for a connection, and since when they have it
	underWay    map[*atomic.Bool]time.Time
	silentSince time.Time // when the silence began that was last noticed at silentAt
	silentAt    time.Time
	failedAt    time.Time // when a try last gave its place back without an answer
}

// NewNode makes the node of an endpoint that nothing is known of, with places for so many requests
// at once.
func NewNode(atOnce int) *Node {
	return &Node{limit: atOnce, places: Places{free: atOnce}, probes: Places{free: 1},
		underWay: map[*atomic.Bool]time.Time{}}
}

// Answered reports whether the endpoint has answered as the host would. Its silence is then a fault
// and not another place.
func (n *Node) Answered() bool { return n.answered.Load() }

// NoteAnswer notes that it has.
func (n *Node) NoteAnswer() { n.answered.Store(true) }

// slowly: a request that has been under way for so long has reached something that works on it,
// because transport.Node finds out within a second that nothing is there.
const slowly = 2 * time.Second

// silent notes that a request has found nobody there.
func (n *Node) silent() {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := time.Now()
	if now.Sub(n.silentAt) > slowly {
		n.silentSince = now
	}
	n.silentAt = now
}

// FoundNobody reports whether a request has found nobody there since, or waits for an answer. One
// that has just come back without an answer counts before the acquisition has read its error.
func (n *Node) FoundNobody(since time.Time) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.underWay) > 0 || !n.silentAt.Before(since) || !n.failedAt.Before(since)
}

// deserted reports whether all requests have found nobody there for so long, and none is waiting
// for an answer.
func (n *Node) deserted(d time.Duration) bool {
	if n.Answered() {
		return false
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	now := time.Now()
	for connecting, began := range n.underWay {
		if now.Sub(began) >= slowly && !connecting.Load() {
			n.silentAt = time.Time{}
			return false
		}
	}
	return now.Sub(n.silentAt) <= slowly && now.Sub(n.silentSince) >= d
}

// enter notes a try that has a place.
func (n *Node) enter(connecting *atomic.Bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.underWay[connecting] = time.Now()
}

// leave gives its place back. failed says that the try has no answer.
func (n *Node) leave(connecting *atomic.Bool, failed bool) {
	n.mu.Lock()
	delete(n.underWay, connecting)
	if failed {
		n.failedAt = time.Now()
	}
	n.mu.Unlock()
	n.places.Leave()
}

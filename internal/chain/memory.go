package chain

import (
	"sync"
	"time"
)

// memory is what a chain remembers: which source is in use for a scope, and how each source
// failed last.
type memory struct {
	routes routes

	mu   sync.Mutex    // guards the rest; not held over I/O, nor over anything that isn't ours
	last []lastFailure // of each source
	// when each was last found unavailable, whatever the scope; zero if it has brought a token
	// since
	away []time.Time
}

// lastFailure is kept as text: an error may hold an answer's body, and its methods may do anything.
type lastFailure struct {
	why string // "" for none
	at  time.Time
}

// failed remembers a source's failure, and for other scopes if it is about them, too.
func (m *memory) failed(i int, why string, away bool) {
	now := time.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.last[i] = lastFailure{why, now}
	if away {
		m.away[i] = now
	}
}

// granted remembers that a source has brought a token.
func (m *memory) granted(i int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.away[i] = time.Time{}
}

func (m *memory) lastFailure(i int) lastFailure {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.last[i]
}

// wasAway reports whether a source was found unavailable within a time, whatever the scope, and has
// brought no token since.
func (m *memory) wasAway(i int, within time.Duration) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return !m.away[i].IsZero() && time.Since(m.away[i]) < within
}

package identitymetrics

import (
	"time"

	"github.com/keyless-go/identity"
)

// patience is how long the credentials of a Set may take for their Statuses, all at once. Those of
// package identity take milliseconds. A scrape of Prometheus ends after 10 s by default.
const patience = 5 * time.Second

// member is a credential of a Set.
type member struct {
	name     string
	reporter identity.Reporter
	has      map[Labels]bool        // which it has ever had, other than Other
	answer   chan []identity.Status // of a call under way; closed without one if that panicked
}

// ask calls Statuses in a goroutine of its own: it may be code of the user's, which may panic, hang
// or end its goroutine. A member has one at most.
func (m *member) ask() {
	if m.answer != nil {
		select {
		case <-m.answer: // it came too late for the last reading, and is old by now
		default:
			return // it still hangs
		}
	}
	m.answer = make(chan []identity.Status, 1)
	go func(r identity.Reporter, answer chan<- []identity.Status) {
		defer close(answer)
		defer func() { _ = recover() }()
		answer <- r.Statuses() // of a nil Reporter, a panic
	}(m.reporter, m.answer)
}

// statuses are the answer to ask; not ok if it panicked, or doesn't come before late is closed.
func (m *member) statuses(late <-chan struct{}) (list []identity.Status, ok bool) {
	select {
	case list, ok = <-m.answer:
	case <-late:
		select {
		case list, ok = <-m.answer:
		default:
			return nil, false
		}
	}
	m.answer = nil
	return list, ok
}

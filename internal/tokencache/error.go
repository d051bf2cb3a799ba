package tokencache

import "time"

// Why is the reason for which Get returns an [*Error].
type Why uint8

const (
	Left    Why = iota + 1 // the caller's context has ended
	Overdue                // the caller has waited for as long as an acquisition may take
	Crowded                // too many acquisitions are under way already
	Aborted                // the acquisition has ended its goroutine, or has panicked
)

// Error is why a caller got no token where that is no failure of the Source's. It doesn't change
// once it is made.
type Error struct {
	Why      Why
	Waited   time.Duration // Left, Overdue: for how long the caller has waited
	UnderWay int           // Crowded: the number of acquisitions
	Last     error         // Left, Overdue: the last failure so far, nil for none
	Cause    error         // Left: what ctx.Err() says
}

// Error is a text for developers. The package that shows it to users has better words.
func (e *Error) Error() string {
	return "tokencache: " + [...]string{Left: "the caller has left", Overdue: "no token in time",
		Crowded: "too many acquisitions", Aborted: "the acquisition was aborted"}[e.Why]
}

// Unwrap returns the error of the caller's context, if it is that.
func (e *Error) Unwrap() error { return e.Cause }

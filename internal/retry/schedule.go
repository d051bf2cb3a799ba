package retry

import (
	"cmp"
	"time"
)

// Past is what an acquisition knows when a try has failed.
type Past struct {
	Elapsed time.Duration // since the acquisition began
	Tried   time.Duration // from its beginning to that of the last try
	Status  int           // of the last answer, -1 for none
	Wait    time.Duration // what the last answer asks for before the next try, 0 for nothing
	OfHost  bool          // the host itself has asked for Wait, not something in its place

	// Stranger says that the last try brought nothing of the host's.
	Stranger bool
	// Unanswered says that nothing ever has, from this endpoint.
	Unanswered bool
	// Deserted says that others have found nobody there for [Rules.Enough]. It counts while
	// Unanswered.
	Deserted bool
	// Queued is the part of Elapsed that went by in waits for a place, which say nothing of the
	// endpoint, and QueuedBefore that of Tried.
	Queued, QueuedBefore time.Duration
}

// Schedule is the wait before each next try of one acquisition. A wait never outlasts the budget:
// the last one is cut so that one more try fits.
type Schedule struct {
	rules Rules
	waits int           // so far
	last  time.Duration // when the last try starts, if the waits don't end before: jittered, too
}

// NewSchedule begins an acquisition.
func NewSchedule(r Rules) *Schedule {
	reserve := min(LastTry, r.Budget/2)
	return &Schedule{rules: r, last: r.Budget - reserve + jitter(reserve/2)}
}

// Next is the wait before the next try, or Stop. It is never 0: a timer that is due already when it
// is waited for can crash Go 1.26's race detector inside a testing/synctest bubble.
func (s *Schedule) Next(p Past) time.Duration {
	s.waits++
	if s.rules.MaxTries > 0 && s.waits >= s.rules.MaxTries {
		return Stop
	}
	if wait := s.next(p); wait != 0 {
		return wait
	}
	return time.Nanosecond
}

func (s *Schedule) next(p Past) time.Duration {
	r := s.rules
	latest, tried, elapsed := s.last, p.Tried, p.Elapsed
	if p.Unanswered && r.Unanswered < r.Budget {
		latest = r.Enough()
		// Others have found out while this one waited for a place.
		if elapsed >= latest && p.Deserted {
			return Stop
		}
		tried, elapsed = tried-p.QueuedBefore, elapsed-p.Queued
	}
	left := latest - elapsed
	low, high := r.Range(s.waits, elapsed)
	high = min(high, LongestBudget) // so that no sum overflows
	least := p.Wait
	// What something in the host's place asks for is heeded as far as the budget and the options
	// go.
	if p.Stranger {
		least = max(min(least, left, cmp.Or(r.MaxRetryAfter, left)), 0)
	}
	if p.Status >= 500 {
		least = max(least, r.ServerDelay)
		low = max(low, r.ServerDelay)
		high = max(high, low)
	}
	// A minimum that all who failed together were given alike, so that the jitter goes on top.
	if p.Wait > 0 {
		low, high = least, least+high
	}
	wait := low + jitter(high-low)
	switch {
	case tried >= latest, p.Unanswered && elapsed >= r.Unanswered,
		r.MaxRetryAfter > 0 && p.OfHost && p.Wait > r.MaxRetryAfter:
		return Stop
	case wait <= left:
		return wait
	case r.Passes != 0 && p.Status == r.Passes || least <= r.ServerDelay:
		return max(left, min(least, r.ServerDelay))
	case least > left:
		return Stop
	}
	return left
}

package tokencache

import (
	"cmp"
	"errors"
	"math"
	"slices"
	"sync/atomic"
	"time"
)

// entry is all that is known of one key.
type entry struct {
	held atomic.Pointer[held] // the token; nil before the first and after the entry has left the store
	used atomic.Bool          // handed out since lastUsed

	// The rest is guarded by Cache.mu.
	lastUsed time.Time // about: see sweepEvery
	stored   bool      // it is in the store
	lanes    []*lane   // what is under way, and what has failed
	asked    time.Time // when the flight began that brought the last token

	*trouble               // its own from the first failure on; until then calm, which all share
	arrived  chan struct{} // closed when a token comes; nil while nobody waits for one

	granted, failed     int           // tokens so far, and flights without one
	took                time.Duration // all of these flights together
	requests, throttled int64         // see count
}

// trouble is what is known of failures. Most keys never have any, so that they don't pay for it.
type trouble struct {
	// Cool-downs of all lanes.
	said coolDown // by the host: see Failure.saidByHost
	// after the single try of a renewal, which nobody waited for. A caller without a usable token
	// starts a flight all the same.
	renewal   coolDown
	patience  time.Duration // renewal is for those who wait no longer for an answer
	lastErr   error         // the last failure, also after a success; see bare
	lastErrAt time.Time
}

// calm is the trouble of entries that never had any. It never changes.
var calm trouble

// failedOn notes the last failure. From then on the entry has a trouble of its own.
func (e *entry) failedOn(at time.Time, err error) {
	if e.trouble == &calm {
		e.trouble = &trouble{}
	}
	e.lastErr, e.lastErrAt = err, at
}

// maxLanes bounds what a key costs, in requests as well as in memory, when a program makes
// credentials with ever other options. A program has a handful of libraries that use Azure;
// credentials beyond that share a lane, but none has to share with the default options.
const maxLanes = 16

// sharedTerms are the terms of the one lane that is shared, by credentials that came when all other
// lanes were taken.
var sharedTerms = Terms{Rules: "others"}

// lane finds the lane of terms, nil if there is none.
func (e *entry) lane(t Terms) *lane {
	var shared *lane
	for _, l := range e.lanes {
		switch l.terms {
		case t:
			return l
		case sharedTerms:
			shared = l
		}
	}
	if !t.usual() && len(e.lanes) >= maxLanes {
		return shared
	}
	return nil
}

// ownLane finds the lane of terms, or makes it.
func (e *entry) ownLane(t Terms, now time.Time) *lane {
	if l := e.lane(t); l != nil {
		return l
	}
	e.tidy(now)
	if !t.usual() && len(e.lanes) >= maxLanes {
		t = sharedTerms
	}
	l := &lane{terms: t}
	e.lanes = append(e.lanes, l)
	return l
}

// tidy drops the lanes that have no flight, no failure and no challenge to remember, and with them
// what refers to their credentials.
func (e *entry) tidy(now time.Time) {
	e.lanes = slices.DeleteFunc(e.lanes, func(l *lane) bool {
		failed := l.err != nil && now.Sub(l.until) < keepFailed
		return l.flight == nil && !failed && !l.challenged.recent(now) && !l.refreshed.recent(now)
	})
}

// underWay is a flight of any lane to which a caller may leave a renewal, nil for none. The flight
// counts for as long as the caller's own single try would wait for an answer.
func (e *entry) underWay(patience time.Duration, now time.Time) *flight {
	for _, l := range e.lanes {
		if f := l.underWay(now); f != nil && now.Sub(f.started) < patience+overtime {
			return f
		}
	}
	return nil
}

// flying reports whether any lane has a flight.
func (e *entry) flying() bool {
	return slices.ContainsFunc(e.lanes, func(l *lane) bool { return l.flight != nil })
}

// count adds what a flight has sent to the host, and the host's answers of 429, as far as that
// isn't in the entry's counts yet. It is called for a flight that leaves its lane, also if it is
// stuck, and once more when it ends: no count ever falls.
func (e *entry) count(p *Progress) {
	e.requests += p.requests.Swap(0)
	e.throttled += p.throttled.Swap(0)
}

// fail notes a failure, and returns the cool-down that follows. all reports whether it also holds
// for credentials with other terms: those whose tries wait no longer than most for an answer.
func (e *entry) fail(
	f *flight, failure *Failure, valid *held, most time.Duration, now time.Time,
) (cool *coolDown, all bool) {
	cool = &f.lane.coolDown
	var single time.Time
	if f.once {
		single = f.started
	}
	wait := coolDownAfter(failure.RetryAfter, e.failures(f.lane), valid, single, now)
	switch {
	case f.once && failure.RetryAfter == 0:
		cool = &e.renewal
		// More patient ones may succeed where a try was cut short by its own options.
		patience := cmp.Or[time.Duration](failure.Waited, math.MaxInt64)
		if now.Before(cool.until) {
			patience = max(patience, e.patience)
		}
		e.patience = patience
		all = patience >= most
	case failure.saidByHost():
		cool, all = &e.said, true
	}
	// a flight of other terms may have been asked for more
	if until := now.Add(wait); until.After(cool.until) {
		cool.until = until
	}
	cool.failures++
	cool.err, cool.told = failure.Err, f.told
	return cool, all
}

// succeed notes that the host has given a token: it is well, whatever was said before.
func (e *entry) succeed(asked, now time.Time) {
	e.granted++
	e.asked, e.lastUsed = asked, now
	if e.trouble != &calm {
		e.said, e.renewal, e.patience, e.lastErr = coolDown{}, coolDown{}, 0, bare(e.lastErr)
	}
	for _, l := range e.lanes {
		l.coolDown = coolDown{}
	}
}

// failures is the number of failures in a row that concern a lane, whichever cool-down followed
// each. Cool-downs double with it.
func (e *entry) failures(l *lane) int {
	return e.said.failures + e.renewal.failures + l.failures
}

// refusal is the cool-down whose error is for callers on a lane for which a held token won't do;
// nil when a flight may start for them.
func (e *entry) refusal(l *lane, now time.Time) *coolDown {
	switch {
	case now.Before(e.said.until):
		return &e.said
	case l != nil && now.Before(l.until):
		return &l.coolDown
	}
	return nil
}

// rests reports whether a credential on a lane has to leave a held token as it is for now. patience
// is how long its tries wait for an answer.
func (e *entry) rests(l *lane, patience time.Duration, now time.Time) bool {
	return e.refusal(l, now) != nil || now.Before(e.renewal.until) && patience <= e.patience
}

// nextTry is when a credential on a lane may ask again: the end of its cool-downs.
func (e *entry) nextTry(l *lane, patience time.Duration) time.Time {
	next := e.said.until
	if l != nil && l.until.After(next) {
		next = l.until
	}
	if patience <= e.patience && e.renewal.until.After(next) {
		next = e.renewal.until
	}
	return next
}

// lastFailure is the last failure that concerns a lane, nil for none.
func (e *entry) lastFailure(l *lane) error {
	if l != nil && l.err != nil {
		return l.err
	}
	return cmp.Or(e.said.err, e.renewal.err)
}

// cooledUntil is the end of all cool-downs.
func (e *entry) cooledUntil() time.Time {
	end := e.said.until
	if e.renewal.until.After(end) {
		end = e.renewal.until
	}
	for _, l := range e.lanes {
		if l.until.After(end) {
			end = l.until
		}
	}
	return end
}

// bare is what an entry keeps of an error that is overcome: the text, without what the error holds,
// such as the body of an answer. An Error is small, and the Source may have better words for it.
func bare(err error) error {
	if _, ok := err.(*Error); ok || err == nil {
		return err
	}
	return errors.New(err.Error())
}

package identity

import (
	"fmt"
	"math"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// terms are the rules by which a credential tries to get a token, as far as its options set them.
// Credentials of one identity share its tokens whatever their terms are, but flights and cool-downs
// only with equals: nobody waits for the tries of a credential that is more patient, or gets the
// error of one that is less. The zero value is the default.
type terms struct {
	rules string
	owner *sender // whose rules they are, of those that can't be compared
}

// termsOf are the terms of a credential with these options.
func termsOf(o policy.RetryOptions, owner *sender) terms {
	var t terms
	if o.MaxRetries != 0 || o.TryTimeout != 0 || o.RetryDelay != 0 || o.MaxRetryDelay != 0 ||
		o.StatusCodes != nil {
		t.rules = fmt.Sprint(o.MaxRetries, o.TryTimeout, o.RetryDelay, o.MaxRetryDelay,
			o.StatusCodes, o.StatusCodes == nil)
	}
	if o.ShouldRetry != nil {
		t.owner = owner
	}
	return t
}

// lane is what credentials with equal terms do about one key. It is guarded by cache.mu, and
// dropped once there is nothing to say of it: a token in use has none.
type lane struct {
	terms  terms
	flight *flight // the request under way, nil if none
	pause  pause   // after a flight that brought nothing

	challenged, refreshed forcing // the last flight that claims asked for, and that Refresh did
}

// pause is a cool-down.
type pause struct {
	until    time.Time // no request before this time (monotonic: a clock step must not stretch it)
	failures int       // in a row
	err      error     // the last one, which callers without a token get until then
}

// forcing is a flight that was to go past the store.
type forcing struct {
	flight *flight
	at     time.Time // its start
	on     int       // entry.granted at its start
	before string    // the token that was held then
}

// recent reports whether the flight is an answer to whoever would force another one now.
func (f *forcing) recent(now time.Time) bool {
	return f.flight != nil && now.Sub(f.at) < claimsEvery
}

// forcing is the lane's record of challenges, or of Refresh.
func (l *lane) forcing(claims bool) *forcing {
	if claims {
		return &l.challenged
	}
	return &l.refreshed
}

// flying is the flight under way that is worth waiting for, nil for none: one that has taken longer
// than its budget may be in a Transport that ignores its context.
func (l *lane) flying(now time.Time) *flight {
	if l == nil || l.flight == nil || now.Sub(l.flight.started) > l.flight.budget+overtime {
		return nil
	}
	return l.flight
}

// maxLanes bounds what a key costs, in requests as well as in memory, when a program makes
// credentials with ever other options. A program has a handful of libraries that use Azure;
// credentials beyond that share a lane, but none has to share with the default options.
const maxLanes = 16

// sharedTerms are those of the lane that credentials share which have come too late for one of
// their own.
var sharedTerms = terms{rules: "others"}

// lane finds the lane of terms, nil if there is none.
func (e *entry) lane(t terms) *lane {
	var shared *lane
	for _, l := range e.lanes {
		switch l.terms {
		case t:
			return l
		case sharedTerms:
			shared = l
		}
	}
	if t != (terms{}) && len(e.lanes) >= maxLanes {
		return shared
	}
	return nil
}

// ownLane finds the lane of terms, or makes it.
func (e *entry) ownLane(t terms, now time.Time) *lane {
	if l := e.lane(t); l != nil {
		return l
	}
	e.tidy(now)
	if t != (terms{}) && len(e.lanes) >= maxLanes {
		t = sharedTerms
	}
	l := &lane{terms: t}
	e.lanes = append(e.lanes, l)
	return l
}

// tidy drops the lanes of which there is nothing to say any more, and with them the credentials
// that they belong to.
func (e *entry) tidy(now time.Time) {
	var kept []*lane
	for _, l := range e.lanes {
		if l.flight != nil || l.pause.err != nil && now.Sub(l.pause.until) < keepFailed ||
			l.challenged.recent(now) || l.refreshed.recent(now) {
			kept = append(kept, l)
		}
	}
	e.lanes = kept
}

// flying is a flight of any lane that a caller may leave a renewal to, nil for none: for as long as
// the caller's own single try would wait for an answer.
func (e *entry) flying(patience time.Duration, now time.Time) *flight {
	for _, l := range e.lanes {
		if f := l.flying(now); f != nil && now.Sub(f.started) < patience+overtime {
			return f
		}
	}
	return nil
}

// aloft reports whether any lane has a flight.
func (e *entry) aloft() bool {
	for _, l := range e.lanes {
		if l.flight != nil {
			return true
		}
	}
	return false
}

// failures are those in a row that concern a lane, whichever cool-down followed each: cool-downs
// double with them.
func (e *entry) failures(l *lane) int {
	return e.said.failures + e.renewal.failures + l.pause.failures
}

// refusal is the error of callers on a lane who can't do with a held token, nil when a flight may
// start for them.
func (e *entry) refusal(l *lane, now time.Time) error {
	switch {
	case now.Before(e.said.until):
		return e.said.err
	case l != nil && now.Before(l.pause.until):
		return l.pause.err
	}
	return nil
}

// rests reports whether a held token is not to be renewed now by a credential on a lane, whose
// tries wait so long.
func (e *entry) rests(l *lane, patience time.Duration, now time.Time) bool {
	return e.refusal(l, now) != nil || now.Before(e.renewal.until) && patience <= e.patience
}

// nextTry is when a credential on a lane may ask again: the end of its cool-downs.
func (e *entry) nextTry(l *lane, patience time.Duration) time.Time {
	next := e.said.until
	if l != nil && l.pause.until.After(next) {
		next = l.pause.until
	}
	if patience <= e.patience && e.renewal.until.After(next) {
		next = e.renewal.until
	}
	return next
}

// lastFailure is the last failure that concerns a lane, nil for none.
func (e *entry) lastFailure(l *lane) error {
	switch {
	case l != nil && l.pause.err != nil:
		return l.pause.err
	case e.said.err != nil:
		return e.said.err
	}
	return e.renewal.err
}

// cooledUntil is the end of all cool-downs.
func (e *entry) cooledUntil() time.Time {
	end := e.said.until
	if e.renewal.until.After(end) {
		end = e.renewal.until
	}
	for _, l := range e.lanes {
		if l.pause.until.After(end) {
			end = l.pause.until
		}
	}
	return end
}

// saidByHost reports whether a failure is what the host said, so that it holds for all who would
// ask it: for how long to leave it alone, or no for good. What a credential's own options have made
// of a silence, or of a failure that passes, does not.
func saidByHost(err error) bool {
	e, ok := err.(*AuthenticationError)
	return ok && e.cause != errAborted && (e.retryAfter > 0 || !e.transient)
}

// patienceOf is how patient a credential may be to which a single try that failed says something:
// longer ones may succeed where one was cut short by its own options.
func patienceOf(err error) time.Duration {
	if e, ok := err.(*AuthenticationError); ok && e.waited > 0 {
		return e.waited
	}
	return math.MaxInt64
}

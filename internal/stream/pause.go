package stream

import (
	"errors"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
)

const (
	// least is the shortest sleep: whatever a source says, it is asked once a second at most.
	least = time.Second
	// lookEvery is how long a token that somebody else has had renewed may stay unseen, and a
	// suspend of the machine unnoticed.
	lookEvery = time.Minute
	// A renewal that is due runs in the background, where it takes milliseconds if all is well: it is
	// looked for after 1 s, and then at twice the time up to maxLook; near the token's end, where the
	// source itself tries more often, up to lateLook.
	maxLook  = 30 * time.Second
	lateLook = 5 * time.Second
	late     = 5 * time.Minute
	// maxFailing is as long as this library's own silence after a failure without a token: one that
	// is asked then has an answer that is new.
	maxFailing = 10 * time.Second
)

// errEnded is a source's mistake.
var errEnded = errors.New("identity: Tokens: the credential returned a token that has ended")

// pause is how long to sleep before the next look, after a token was got: until its renewal is due
// or, if it is due already, for as long as a renewal may take. due says which. looks is the number
// of looks since it was due. It never sleeps past the token's end by more than least.
func pause(t azcore.AccessToken, now time.Time, looks int) (wait time.Duration, due bool) {
	left := t.ExpiresOn.Sub(now)
	wait = t.RefreshOn.Sub(now)
	if t.RefreshOn.IsZero() {
		wait = left / 2
	}
	if wait <= 0 {
		limit := maxLook
		if left < late {
			limit = lateLook
		}
		wait, due = min(least<<min(looks, 10), limit), true
	}
	if left-wait < least { // the rest is too short for another sleep
		wait = left
	}
	return max(wait, least), due
}

// afterFailure is how long to sleep after a number of failures in a row without a token.
func afterFailure(failures int) time.Duration {
	return min(least<<min(failures-1, 10), maxFailing)
}

package retry

import (
	"net/http"
	"time"
)

// Rules say when a host is asked again. The budgets are times, not counts: what matters to a caller
// is how long it waits.
type Rules struct {
	// Budget is for one acquisition, all tries and waits together.
	Budget time.Duration
	// Unanswered is the same while nothing has ever answered as the host would.
	Unanswered time.Duration
	// TryTimeout is for one try, without the wait for a place.
	TryTimeout time.Duration
	// Delay is the first wait's upper end. It grows up to MaxDelay: see [Rules.Range].
	Delay, MaxDelay time.Duration
	// ServerDelay is the least wait after a 5xx.
	ServerDelay time.Duration
	// Retries reports whether a status is worth another try.
	Retries func(status int) bool
	// Passes is a status that ends within the budget for certain, so that the last try is made
	// whatever Retry-After came with it; 0 for none.
	Passes int

	// The user's, which With sets.

	// MaxRetryAfter is what a Retry-After may ask for: a longer one ends the acquisition, as in
	// azcore; 0 for any time.
	MaxRetryAfter time.Duration
	// MaxTries is how many tries there are; 0 for as many as the budget allows.
	MaxTries int
	// ShouldRetry decides alone; nil for nobody.
	ShouldRetry func(*http.Response, error) bool
	// StatusCodes replace Retries; nil for none.
	StatusCodes []int
}

// Anywhere reports whether any host's endpoint is asked again after a status. Status 0 or 600 and
// above is no HTTP status at all: something broke in between.
func Anywhere(status int) bool {
	return status == http.StatusTooManyRequests || status == http.StatusRequestTimeout ||
		status >= 500 || status <= 0
}

// Usual are the rules of an endpoint that should be there because a variable or an option names it,
// and of Entra. At start-up it may come up after the program, so that silence is retried for the
// whole budget. Only the statuses that pass on every host are retried: Microsoft documents no
// others for these.
func Usual() Rules {
	return Rules{
		Budget:     30 * time.Second,
		Unanswered: 30 * time.Second,
		TryTimeout: 20 * time.Second,
		Delay:      500 * time.Millisecond,
		MaxDelay:   5 * time.Second,
		Retries:    Anywhere,
	}
}

// Enough is for how long an endpoint that has never answered is tried: the rest of Unanswered is
// for the last try.
func (r Rules) Enough() time.Duration { return r.Unanswered * 4 / 5 }

// LastTry is how long before the end of the budget the last try starts at the earliest, so that it
// can be answered.
const LastTry = 5 * time.Second

package tokencache

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
)

// Source is what a Cache asks for tokens. Its methods are called without any lock, and may take
// their time.
type Source interface {
	// Begin prepares an acquisition. It is called in the goroutine of the caller who starts it,
	// and takes what it needs of that caller's ctx at once: the acquisition outlives the caller,
	// and must not use ctx. For a renewal that nobody waits for, ctx is the background's. The
	// Cache calls the function that it returns once, in another goroutine.
	Begin(ctx context.Context, r Request) Acquisition
	// Launched says, before Get goes on, that an acquisition is on its way. Report follows once,
	// when those who waited have their token, and tells what became of it.
	Launched()
	Report(r Request, e Event)
}

// Acquisition brings a token, or the error that all who wait for it get. That is a [*Failure]
// where it says anything of asking again. An Acquisition ends within about the Request's Budget;
// one that doesn't is left alone a second later. What panics is recovered, as [Aborted].
type Acquisition func(p *Progress) (Grant, error)

// Result is what a caller gets.
type Result struct {
	Token   azcore.AccessToken
	Changed bool // it is another than the one held before the acquisition that brought it
}

// Progress is what an acquisition has done so far. The acquisition writes it, and those who wait
// for the token read it. It is safe for concurrent use.
type Progress struct {
	requests, throttled atomic.Int64
	last                atomic.Pointer[failedTry] // nil if no try has failed
}

// failedTry is what is kept of a try without a token.
type failedTry struct {
	err error
	at  time.Time
}

// Sent counts a request to the host.
func (p *Progress) Sent() { p.requests.Add(1) }

// Throttled counts an answer by which the host asks for fewer requests.
func (p *Progress) Throttled() { p.throttled.Add(1) }

// Failed notes that a try has failed, of which there may be others. A caller who leaves is told
// of the last one. The error must not change any more.
func (p *Progress) Failed(err error) { p.last.Store(&failedTry{err, time.Now()}) }

// lastErr is the error of the last try that has failed, nil if none has.
func (p *Progress) lastErr() error {
	if last := p.last.Load(); last != nil {
		return last.err
	}
	return nil
}

// Request is what a token is wanted for.
type Request struct {
	Resource string
	Variant
	Claims   string        // of a challenge, "" for none
	Rejected string        // the token that was held when the challenge came, "" for none
	Anew     bool          // whatever is held
	Once     bool          // a single try: a failure costs nobody anything
	Budget   time.Duration // for the acquisition
}

// forced reports whether a held token is no answer.
func (r *Request) forced() bool { return r.Claims != "" || r.Anew }

// Terms are the rules by which a credential's Source tries to get a token, as far as its options
// set them. Credentials of one identity share its tokens whatever their terms are, but flights and
// cool-downs only with equals: nobody waits for the tries of a credential that is more patient, or
// gets the error of one that is less.
type Terms struct {
	Rules string // of the options, in any form that tells them apart; "" for the defaults
	Owner any    // whose rules they are, of those that can't be compared: a pointer, or nil

	// What follows from host and rules. It is equal where they are.
	Patience time.Duration // how long a single try waits for an answer
	Budget   time.Duration // how long an acquisition takes at the longest
}

// usual reports whether the terms are those of credentials without options.
func (t Terms) usual() bool { return t.Rules == "" && t.Owner == nil }

// Variant tells the tokens for one identity and resource apart. The zero value is right for hosts
// that have but one.
type Variant struct {
	Tenant string // "" is the identity's own
	CAE    bool   // the caller understands claims challenges
}

// Grant is a token as a host has granted it.
type Grant struct {
	Token     string
	ExpiresOn time.Time     // without a monotonic reading
	RefreshIn time.Duration // when the host says to renew it; 0 if it doesn't
	OfUser    bool          // the token is a person's where it should be a managed identity's
}

// Failure is a Source's error with what it says of asking again. Get returns Err, whose text is
// taken under a lock.
type Failure struct {
	Err        error
	RetryAfter time.Duration // for how long the host asks to be left alone, 0 if it doesn't say
	Final      bool          // the host has refused for good
	Waited     time.Duration // how long the last try was let wait, where that ended it; otherwise 0
}

// Error returns Err's text.
func (f *Failure) Error() string { return f.Err.Error() }

// Unwrap returns Err.
func (f *Failure) Unwrap() error { return f.Err }

// failureOf is what an error says of asking again, nil for nil.
func failureOf(err error) *Failure {
	if f, ok := err.(*Failure); ok || err == nil {
		return f
	}
	return &Failure{Err: err}
}

// saidByHost reports whether a failure is what the host said, so that it holds for all who would
// ask it: for how long to leave it alone, or no for good. What a credential's own options have made
// of a silence, or of a failure that passes, does not.
func (f *Failure) saidByHost() bool { return f.RetryAfter > 0 || f.Final }

// Event is what became of an acquisition.
type Event struct {
	First   bool      // no valid token was held
	Changed bool      // the host gave another token than the one held
	Expires time.Time // the held token's end; zero if none is valid
	Next    time.Time // the renewal, or after a failure the earliest next try
	Err     error     // as Get returns it; nil for a token
	OfUser  bool      // see Grant.OfUser; the token before was none
	Blip    bool      // the first failure, of a renewal that nobody waited for
}

// Package failure says what went wrong when no token could be had.
//
// It reads the words of a host (said.go), what Entra's numbers mean (entra.go) and what a
// certificate's refusal means (certificate.go), and makes one line of all (line.go) and one that
// stays the same while the cause does (summary.go, unvarying.go). What asking again is good for is a
// Verdict (verdict.go).
//
// It doesn't know a host, how often it was asked, or who waits for the token. Who asks a host makes a
// [Failure] of one try; the consumer makes its own error of that, for each caller. What a Failure
// says has been cleaned of secrets by who made it: Read takes a function for that, since the texts
// have to be clean before they are cut.
//
// All functions may be called by many goroutines at once. A Failure is changed by its maker only.
package failure

import (
	"net/http"
	"time"
)

// Reason is one of those that programs act on.
type Reason uint8

const (
	NoReason         Reason = iota // none of them
	Unavailable                    // nothing that is a managed identity endpoint answers
	IdentityNotFound               // the identity isn't assigned
	IdentityMismatch               // the token is of another identity
	Throttled                      // the host answered 429
)

// Failure is a try, and in the end an acquisition, that brought no token.
type Failure struct {
	Line
	Endpoint string // that was asked, without its query; "" for a tool
	Reason   Reason
	// what a Transport said, or the caller's context; nil for nothing. It may be used by many
	// goroutines
	Cause   error
	Verdict Verdict
	Settled bool // the user's options for retries have no say in it
	Silent  bool // nothing answered as the host would
	Status  int  // which the user's options may judge; -1 where there is none
	// Wait is what is asked for before the next try, by the host or by something in its place; 0 for
	// nothing
	Wait       time.Duration
	RetryAfter time.Duration // the same, where the host itself asks for it
	Waited     time.Duration // how long the last try was let wait, where that ended it; 0 elsewhere
	// the last answer if it was an error, nil otherwise: without its body and the request's headers
	Answer *http.Response
	Body   string // of it, bounded
}

// Error returns the line.
func (f *Failure) Error() string { return f.String() }

// Package failure says what went wrong when no token could be had.
//
// It reads the words of a host (said.go, retryafter.go), what Entra's numbers mean (entra.go) and
// what a certificate's refusal means (certificate.go), and makes one line of all (line.go) and one
// that stays the same while the cause does (summary.go, unvarying.go). What asking again is good
// for is a Verdict (verdict.go).
//
// It doesn't know any host, how often one was asked, or which callers wait for the token. Package
// acquire makes a [Failure] of each try without a token; the root makes an error of the last one,
// for each caller. A Failure has no secret in it: its maker has cleaned the texts. Read takes the
// function that does so, since texts have to be clean before they are cut.
//
// All functions may be called by many goroutines at once. A Failure is changed by its maker only.
package failure

import (
	"errors"
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
	// Cause is what a Transport or the caller's context said, nil for nothing. Many goroutines may
	// use it.
	Cause   error
	Verdict Verdict
	Settled bool // the user's options for retries have no say in it
	Silent  bool // nothing answered as the host would
	Status  int  // which the user's options may judge; -1 where there is none
	// Wait is what is asked for before the next try, by the host or by something in its place; 0
	// for nothing.
	Wait       time.Duration
	RetryAfter time.Duration // the same, where the host itself asks for it
	Waited     time.Duration // how long the last try was let wait, where that ended it; 0 elsewhere
	// Answer is the last answer if it was an error, nil otherwise. It has no body, and its request
	// no headers.
	Answer *http.Response
	Body   string // the answer's, bounded
}

// Error returns the line.
func (f *Failure) Error() string { return f.String() }

// Heed makes a failure say what an error was marked with.
func (f *Failure) Heed(err error) {
	if p, ok := errors.AsType[*Passing](err); ok {
		f.Verdict, f.Settled = p.Verdict, p.Verdict != Again
		f.Wait, f.RetryAfter = p.Wait, p.Wait
	}
	if c, ok := errors.AsType[*Caused](err); ok {
		f.Cause = c.Cause
	}
}

package identity

import (
	"cmp"
	"context"
	"log/slog"
	"strings"
	"time"

	"github.com/keyless-go/identity/internal/failure"
	"github.com/keyless-go/identity/internal/token"
	"github.com/keyless-go/identity/internal/tokencache"
	"github.com/keyless-go/identity/internal/wording"
)

// tokenSource is what the cache asks for tokens, with what this package wants to know of it.
type tokenSource interface {
	tokencache.Source
	// budget is how long an acquisition takes at the longest, if it starts for a caller with ctx.
	// It asks ctx for its deadline.
	budget(ctx context.Context) time.Duration
	// sign makes an error one of who was asked.
	sign(*AuthenticationError)
}

// acquisition runs an acquisition of s's for the cache, and calls end with the error that callers
// get. end ends the span.
//
// A panic is recovered here, where its text can be told: net/http, too, would not let one in the
// user's Transport or policy end the program. After a runtime.Goexit (testing.T.FailNow in a fake)
// the cache itself says that the acquisition was aborted.
func acquisition(
	s tokenSource, resource string, end func(error),
	acquire func() (tokencache.Grant, *failure.Failure),
) (g tokencache.Grant, err error) {
	failed := failure.Aborted()
	defer func() {
		if p := recover(); p != nil {
			failed = failure.Panicked(p)
		}
		if failed == nil {
			end(nil)
			return
		}
		end(publicError(failed, s, resource))
		err = &tokencache.Failure{
			Err:        failed,
			RetryAfter: failed.RetryAfter,
			Final:      failed.Verdict == failure.Never && failed.Cause != failure.ErrAborted,
			Waited:     failed.Waited,
		}
	}()
	g, failed = acquire()
	return g, nil
}

// grantFrom makes a token one for the cache.
func grantFrom(t token.Token) tokencache.Grant {
	return tokencache.Grant{Token: t.Value, ExpiresOn: t.ExpiresOn, RefreshIn: t.RefreshIn}
}

// publicError makes the error of a failure, for one caller of s, who asked for a token for a
// resource. It is the only function that makes one of an acquisition's.
func publicError(f *failure.Failure, s tokenSource, resource string) *AuthenticationError {
	e := &AuthenticationError{
		Resource:      cmp.Or(f.Resource, resource),
		StatusCode:    f.StatusCode,
		Code:          f.Code,
		Message:       f.Message,
		CorrelationID: f.CorrelationID,
		Attempts:      f.Attempts,
		Elapsed:       f.Elapsed,
		RawResponse:   f.Answer,
		reason:        sentinel(f.Reason),
		cause:         f.Cause,
		what:          f.What,
		hint:          f.Hint,
		transient:     f.Verdict != failure.Never,
		body:          f.Body,
	}
	s.sign(e)
	e.Endpoint = cmp.Or(f.Endpoint, e.Endpoint) // App Service's can move
	return e.forCaller()
}

// callersError makes the error that one caller gets of what the cache says, which all callers
// share. It is called while that caller is there: ctx is asked for its cause.
func callersError(ctx context.Context, err error, s tokenSource, resource string) error {
	switch e := err.(type) {
	case *failure.Failure:
		return publicError(e, s, resource)
	case *tokencache.Error:
		if e.Why == tokencache.Aborted {
			return publicError(failure.Aborted(), s, resource)
		}
		own := &AuthenticationError{Resource: resource, transient: true}
		s.sign(own)
		own.what, own.cause = wording.ForCaller(ctx, e)
		if e.Last != nil {
			own.answered(sharedError(e.Last, s, resource))
		}
		return own
	}
	return err
}

// sharedError is the error of an acquisition for all who want to know of it.
func sharedError(err error, s tokenSource, resource string) error {
	switch e := err.(type) {
	case *failure.Failure:
		return publicError(e, s, resource)
	case *tokencache.Error: // the only one that all share
		return publicError(failure.Aborted(), s, resource)
	}
	return err
}

// answered adds the last failure to the error of a caller who gave up.
func (e *AuthenticationError) answered(last error) {
	e.soFar = answeredSoFar(last)
	e.hint = failure.SoFar + strings.TrimPrefix(last.Error(), "identity: ")
}

// logEvent says what became of an acquisition. heeds reports whether a challenge's claims reach
// whoever grants the token.
func logEvent(
	to *slog.Logger, s tokenSource, r tokencache.Request, e tokencache.Event, heeds bool,
) {
	if e.Err == nil {
		wording.LogToken(to, r, e, heeds)
		return
	}
	// errors.Is would call methods of an error of the user's Transport, and a panic in one would
	// end the program here.
	f, ok := e.Err.(*failure.Failure)
	wording.LogFailure(to, r, e, ok && f.Reason == failure.IdentityMismatch,
		sharedError(e.Err, s, r.Resource).Error())
}

package identity

import (
	"cmp"
	"context"
	"io"
	"strings"

	"github.com/keyless-go/identity/internal/failure"
	"github.com/keyless-go/identity/internal/tokencache"
	"github.com/keyless-go/identity/internal/wording"
)

// signer writes into an error who was asked.
type signer interface{ sign(*AuthenticationError) }

// publicError makes the error that one caller of s gets of an acquisition's failure. The caller
// asked for a token for the resource. No other function makes such an error.
func publicError(f *failure.Failure, s signer, resource string) *AuthenticationError {
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
		cutShort:      f.CutShort,
		hint:          f.Hint,
		transient:     f.Verdict != failure.Never,
		body:          f.Body,
	}
	if inner, ok := f.Cause.(*AuthenticationError); ok { // of the credential whose tokens are assertions
		e.cause = inner.forCaller()
	}
	s.sign(e)
	e.Endpoint = cmp.Or(f.Endpoint, e.Endpoint) // App Service's can move
	return e.forCaller()
}

// callersError makes the error that one caller gets of the cache's, which all callers share. It is
// called while that caller is there, because it asks ctx for its cause.
func callersError(ctx context.Context, err error, s signer, resource string) error {
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
		if last, ok := sharedError(e.Last, s, resource).(*AuthenticationError); ok {
			own.answered(last)
		}
		return own
	}
	return err
}

// sharedError is the error of an acquisition for all who want to know of it.
func sharedError(err error, s signer, resource string) error {
	switch e := err.(type) {
	case *failure.Failure:
		return publicError(e, s, resource)
	case *tokencache.Error: // the only one that all share
		return publicError(failure.Aborted(), s, resource)
	}
	return err
}

// answered adds the last failure to the error of a caller who gave up.
func (e *AuthenticationError) answered(last *AuthenticationError) {
	e.soFar = answeredSoFar(last)
	e.hint = failure.SoFar + last.line().Text()
}

// answeredSoFar is the last failed try, for the error of a caller who gave up. It is nil if that
// try says nothing of the host, because it was still waited for.
func answeredSoFar(last *AuthenticationError) *AuthenticationError {
	if last.StatusCode == 0 && last.cause == nil {
		return nil
	}
	return last
}

// forCaller copies the error for one caller: many callers wait for one request, and each may read
// the body.
func (e *AuthenticationError) forCaller() *AuthenticationError {
	own := *e
	if e.RawResponse != nil {
		raw := *e.RawResponse
		raw.Header = raw.Header.Clone()
		raw.Body = io.NopCloser(strings.NewReader(e.body))
		own.RawResponse = &raw
	}
	return &own
}

// sentinel is the error that programs find with errors.Is, nil for none.
func sentinel(r failure.Reason) error {
	switch r {
	case failure.Unavailable:
		return ErrUnavailable
	case failure.IdentityNotFound:
		return ErrIdentityNotFound
	case failure.IdentityMismatch:
		return ErrIdentityMismatch
	case failure.Throttled:
		return ErrThrottled
	}
	return nil
}

package identity

import (
	"github.com/keyless-go/identity/internal/tokencache"
)

// progress is where an acquisition writes what it has done so far, for those who wait for it.
type progress interface {
	Sent()            // a request to the host, or a run of the tool
	Throttled()       // an answer of 429
	Failed(err error) // of a try; err changes no more
}

// acquisition runs an acquisition of s's for the cache, and calls end with the error that callers
// get. end ends the span.
//
// A panic is recovered here, where its text can be told: net/http, too, would not let one in the
// user's Transport or policy end the program. After a runtime.Goexit (testing.T.FailNow in a fake)
// the cache itself says that the acquisition was aborted.
func acquisition(
	s tokenSource, resource string, end func(error), acquire func() (grant, error),
) (_ tokencache.Grant, err error) {
	var failed error = aborted(s, resource)
	defer func() {
		if p := recover(); p != nil {
			failed = panicError(p)
		}
		if e, ok := failed.(*AuthenticationError); ok && e.Host == "" && e.tool == "" {
			s.sign(e)
			e.Resource = resource
		}
		end(failed)
		err = failureOf(failed)
	}()
	var g grant
	g, failed = acquire()
	return tokencache.Grant{Token: g.token, ExpiresOn: g.expiresOn, RefreshIn: g.refreshIn,
		OfUser: g.ofUser}, nil
}

// failureOf is what an error tells the cache of asking again.
func failureOf(err error) error {
	e, ok := err.(*AuthenticationError)
	if !ok {
		return err
	}
	return &tokencache.Failure{
		Err:        e,
		RetryAfter: e.retryAfter,
		Final:      !e.transient && e.cause != errAborted,
		Waited:     e.waited,
	}
}

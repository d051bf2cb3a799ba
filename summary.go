package identity

import "github.com/keyless-go/identity/internal/failure"

// Summary returns the error in one line that stays the same while the cause does, for a status, a
// condition or a group of log lines: what Error says, and the identity that was asked for, without
// times, counts, ports, and the IDs of requests, in the host's own words, too. Another status,
// code, message, identity or resource makes another line. Where a caller has given up, it is what
// the host answered before. Like Error, it holds no secret.
//
// The errors of a [Chain] have this method, too. Both are found by
//
//	var summarized interface{ Summary() string }
//	if errors.As(err, &summarized) {
func (e *AuthenticationError) Summary() string {
	if e.soFar != nil {
		return e.soFar.Summary()
	}
	return e.line().Summary(inWords(e.ID))
}

// answeredSoFar is the last failed try, for the error of a caller who gave up; nil for one that was
// only waited for, which says no more than that.
func answeredSoFar(last error) *AuthenticationError {
	e, ok := last.(*AuthenticationError)
	if !ok || e.StatusCode == 0 && e.cause == nil {
		return nil
	}
	return e
}

// notReady is what Ready adds to the last failure that it waited over.
const notReady = failure.NotReady

// unvarying is a text without what varies from one failure of the same cause to the next.
func unvarying(text string) string { return failure.Unvarying(text) }

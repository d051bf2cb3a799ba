package failure

import (
	"crypto/x509"
	"errors"
	"net/http"
	"time"
)

// Verdict is what a failed try says of asking again. A try gets one verdict. Three things follow
// from it: whether another try is made within the budget, whether Ready waits, and what callers are
// told until the cool-down ends.
type Verdict uint8

const (
	// Never: asking again can't help. The caller gets the error at once, from Ready, too.
	Never Verdict = iota
	// Later: it may pass, but not because the host is asked again at once. GetToken returns, Ready
	// waits.
	Later
	// Again: another try may help. It is made within the budget, and Ready waits.
	Again
)

// Passing marks an error of a host's that may be gone at once or after a while, without anybody's
// doing: a key that is being replaced, a file that is yet to come.
type Passing struct {
	error
	Verdict Verdict       // Again or Later
	Wait    time.Duration // that was asked for before the next try; 0 for nothing
}

// Unwrap returns the error that is marked.
func (p *Passing) Unwrap() error { return p.error }

// AtNextTry marks an error that may be gone at the next try.
func AtNextTry(err error) error { return &Passing{error: err, Verdict: Again} }

// After is AtNextTry where the other side has said how long to wait; 0 for nothing.
func After(err error, wait time.Duration) error {
	return &Passing{error: err, Verdict: Again, Wait: wait}
}

// InAWhile marks an error that may be gone after a while.
func InAWhile(err error) error { return &Passing{error: err, Verdict: Later} }

// Caused is an error of a host's with what programs may find in it.
type Caused struct {
	error
	Cause error
}

// Unwrap returns the error that has a cause. The cause is not in the chain of it: who makes a
// Failure of the error puts it there.
func (c *Caused) Unwrap() error { return c.error }

// CausedBy gives an error a cause, nil for none. Many goroutines may use the cause.
func CausedBy(cause, err error) error { return &Caused{error: err, Cause: cause} }

// OfAnswer is the verdict on a host's refusal. Entra's number decides where there is one that is
// known. The status decides otherwise, by retries. A 429 is a 429 whatever its text says. ours is
// whether the answer was the host's: if not, the status is something else's and says nothing.
func OfAnswer(status int, ours bool, s Said, retries func(status int) bool) Verdict {
	meaning, known := EntraMeaning(s.Entra)
	switch {
	case !ours:
		return Again
	case status >= 400 && status != http.StatusTooManyRequests && known:
		return meaning.Verdict
	case status >= 400 && s.Code == "temporarily_unavailable" || retries(status):
		return Again
	}
	return Never
}

// OfTransport is the verdict on a request that brought no answer. A certificate doesn't become
// right by asking again; one whose dates are wrong by this machine's clock does once the clock is
// set.
func OfTransport(err error) Verdict {
	var nonRetriable interface{ NonRetriable() }
	invalid, _ := errors.AsType[x509.CertificateInvalidError](err)
	passing, marked := errors.AsType[*Passing](err)
	switch {
	case errors.As(err, &nonRetriable): // azcore's way to say so
		return Never
	case marked:
		return passing.Verdict
	case invalid.Reason == x509.Expired && invalid.Cert != nil: // or not valid yet
		return Later
	case IsCertificate(err):
		return Never
	}
	return Again
}

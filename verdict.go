package identity

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"slices"
)

// verdict is what a failed try says of asking again. A try gets one verdict. Three things follow
// from it: whether another try is made within the budget, whether Ready waits, and what callers are
// told until the cool-down ends.
type verdict uint8

const (
	// Asking again can't help. The caller gets the error at once, from Ready, too.
	never verdict = iota
	// It may pass, but not because the host is asked again at once: GetToken returns, Ready waits.
	later
	again // Another try may help. It is made within the budget, and Ready waits.
)

// rule gives the failure its verdict. AuthenticationError.transient, which Ready reads, is set here
// and nowhere else for a failed try.
func (f *failure) rule(v verdict) { f.verdict, f.transient = v, v != never }

// pending is an error of a source's that may be gone after a while, without anybody's doing: a file
// that is yet to come.
type pending struct{ error }

func (p *pending) Unwrap() error { return p.error }

// ofAnswer is the verdict on a host's refusal. Entra's number decides where there is one that is
// known. The status decides otherwise. A 429 is a 429 whatever its text says.
func (r rules) ofAnswer(status int, ours bool, f fault) verdict {
	meaning, known := entraNumbers[f.entra]
	switch {
	case !ours: // the status is something else's and says nothing
		return again
	case status >= 400 && status != http.StatusTooManyRequests && known:
		return meaning.verdict
	case status >= 400 && f.code == "temporarily_unavailable" || r.Retries(status):
		return again
	}
	return never
}

// ofTransport is the verdict on a request that brought no answer. A certificate doesn't become
// right by asking again; one whose dates are wrong by this machine's clock does once the clock is
// set.
func ofTransport(err error) verdict {
	var nonRetriable interface{ NonRetriable() }
	invalid, _ := errors.AsType[x509.CertificateInvalidError](err)
	_, awaited := errors.AsType[*pending](err)
	switch {
	case errors.As(err, &nonRetriable): // azcore's way to say so
		return never
	case awaited || invalid.Reason == x509.Expired && invalid.Cert != nil: // or not valid yet
		return later
	case isCertificateError(err):
		return never
	}
	return again
}

// isCertificateError reports whether the server's certificate was not accepted. A Transport of the
// user's may not wrap the reason as crypto/tls does.
func isCertificateError(err error) bool {
	_, unverified := errors.AsType[*tls.CertificateVerificationError](err)
	_, unknown := errors.AsType[x509.UnknownAuthorityError](err)
	_, noRoots := errors.AsType[x509.SystemRootsError](err)
	_, otherName := errors.AsType[x509.HostnameError](err)
	_, invalid := errors.AsType[x509.CertificateInvalidError](err)
	return unverified || unknown || noRoots || otherName || invalid
}

// overrule applies the user's options to a verdict, in azcore's order: what is settled by itself,
// then the user's function, then the user's statuses. They say whether another try is made. Ready
// waits over what either they or we think passes.
func (t *trial) overrule(f *failure) verdict {
	r := t.sender.rules
	var wanted bool
	switch {
	case f.settled:
		return f.verdict
	case r.ShouldRetry != nil && f.RawResponse != nil:
		wanted = r.ShouldRetry(f.forCaller().RawResponse, nil)
	case r.ShouldRetry != nil:
		wanted = r.ShouldRetry(nil, f.forCaller())
	case f.status >= 0 && r.StatusCodes != nil:
		wanted = slices.Contains(r.StatusCodes, f.status)
	default:
		return f.verdict
	}
	if wanted {
		return again
	}
	return min(f.verdict, later)
}

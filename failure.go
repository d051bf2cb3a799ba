package identity

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
)

// failure is a try that brought no token.
type failure struct {
	*AuthenticationError
	final  bool // another try can't help
	silent bool // nothing answered as the host would
	status int  // by which to decide on another try; -1 where it says nothing
}

// failure makes a failed try of an error of ours. It is final.
func (t *trial) failure(err error) *failure {
	return &failure{
		AuthenticationError: &AuthenticationError{
			Host:     t.sender.source.host(),
			Endpoint: t.endpoint,
			ID:       t.sender.source.identity(),
			Resource: t.resource,
			what:     strings.TrimPrefix(err.Error(), "identity: "),
		},
		final:  true,
		status: -1,
	}
}

// silence is a try without an answer.
func (t *trial) silence(err error, secret string, timedOut bool, timeout time.Duration) *failure {
	var body *bodyError
	var nonRetriable interface{ NonRetriable() }
	f := t.failure(errors.New("no answer from " + t.endpoint + ": " + t.plain(err, secret)))
	f.final = errors.As(err, &nonRetriable) // azcore's way for a policy to say so
	f.cause = t.cause(err, secret)
	switch {
	case errors.As(err, &body):
		f.StatusCode = body.status
		f.what = t.plain(err, secret)
		f.final = f.final || errors.Is(err, errTooLarge)
	case timedOut:
		f.what = "no answer from " + t.endpoint + " within " + round(timeout).String()
		f.silent = t.last != nil && t.last.silent // slow, unless this place has only been silent so far
	default:
		f.silent = true
	}
	f.transient = !f.final
	return f
}

// refusal is an answer without a token.
func (t *trial) refusal(a answer, secret string, ours bool) *failure {
	src := t.sender.source
	success := a.status >= 200 && a.status < 300
	body := ""
	if !success { // a success may be a token in an unknown wrapping: not a byte of it is shown
		body = redact(string(a.body), secret)
	}
	fa := parseFault(a.header, body).each(func(text string) string { return redact(text, secret) }) // again: it may have been escaped
	f := t.failure(errors.New(""))
	f.final, f.transient = false, true
	f.StatusCode, f.status, f.silent = a.status, a.status, !ours
	f.Code, f.Message, f.CorrelationID = fa.code, fa.message, fa.correlationID
	f.retryAfter = retryAfter(a.header, time.Now())
	f.body = []byte(body)
	f.RawResponse = rawResponse(a, body, secret)
	f.hint = src.hint(a.status, fa)
	switch {
	case !ours:
		f.what = "not an answer of " + src.host().String()
		if location := a.header.Get("Location"); a.status >= 300 && a.status < 400 && location != "" {
			f.what += " but a redirect, which is not followed"
		}
	case success:
		f.what = "unexpected status"
	case a.status == http.StatusTooManyRequests:
		f.reason = ErrThrottled
	case src.notAssigned(a.status, fa):
		f.reason = ErrIdentityNotFound
	}
	if ours && !success && fa.code == "" && fa.message == "" {
		f.what = "without a word, from " + t.endpoint
	}
	if ours && !t.sender.rules.retries(a.status) {
		f.transient = false
	}
	if f.hint == "" && fa.fromEntra() {
		f.hint = "Entra refused: is the scope a resource of this tenant and cloud?"
	}
	return f
}

// rawResponse is what of an answer may be shown: not its request, which has the secret header.
func rawResponse(a answer, body, secret string) *http.Response {
	header := http.Header{}
	for name, values := range a.header {
		for _, value := range values {
			header.Add(name, redact(value, secret))
		}
	}
	return &http.Response{
		Status:        strconv.Itoa(a.status) + " " + http.StatusText(a.status),
		StatusCode:    a.status,
		Proto:         a.raw.Proto,
		ProtoMajor:    a.raw.ProtoMajor,
		ProtoMinor:    a.raw.ProtoMinor,
		Header:        header,
		Body:          io.NopCloser(strings.NewReader(body)),
		ContentLength: int64(len(body)),
	}
}

// final is the error of the whole acquisition, made of its last failure.
func (t *trial) final() *AuthenticationError {
	e := t.last.AuthenticationError
	e.Attempts, e.Elapsed = t.attempts, time.Since(t.start)
	src := t.sender.source
	switch {
	case t.unanswered() && t.sender.rules.unavailable && !t.last.final:
		e.reason = ErrUnavailable
		e.hint = "nothing at " + t.endpoint + " is " + src.host().String() + ": is this an Azure VM, and may this process reach that address?"
	case t.unanswered() && !t.last.final:
		e.hint = "is the token endpoint of " + src.host().String() + " at " + t.endpoint + " up, and is that where " + envEndpoint + " should point?"
	}
	return e
}

// plain is an error's text as it can be shown: one line, no URL with its query, no secret.
func (t *trial) plain(err error, secret string) string {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	return oneLine(redact(err.Error(), secret))
}

// cause is what an error may unwrap to. A deadline of our own must not look like the caller's, an HTTP error not like the
// one of the caller's request, and a text that holds the secret must not come back through the chain.
func (t *trial) cause(err error, secret string) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	var response *azcore.ResponseError
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) || errors.As(err, &response) || redact(err.Error(), secret) != err.Error() {
		return nil
	}
	return err
}

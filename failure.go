package identity

import (
	"context"
	"errors"
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
	f := t.failure(errors.New("no answer from " + t.endpoint + ": " + t.plain(err, secret)))
	var nonRetriable interface{ NonRetriable() }
	f.final = errors.As(err, &nonRetriable) // azcore's way for a policy to say so
	f.cause = t.cause(err, secret)
	var body *bodyError
	var transport *transportError
	switch {
	case errors.As(err, &body): // it began to answer: who?
		f.StatusCode = body.status
		f.what = t.plain(err, secret)
		f.silent = !t.sender.source.recognises(answer{status: body.status, header: body.header})
		f.final = f.final || !f.silent && errors.Is(err, errTooLarge)
		if !f.silent {
			t.sender.node.answered.Store(true)
		}
	case timedOut:
		f.what = "no answer from " + t.endpoint + " within " + round(timeout).String()
		f.silent = t.last != nil && t.last.silent // slow, unless this place has only been silent so far
	case errors.As(err, &transport):
		f.silent = true
	default: // says nothing of the endpoint
		f.what = "a policy in CredentialOptions failed: " + t.plain(err, secret)
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
	if ours { // a proxy's wish is none of the host's
		f.retryAfter = retryAfter(a.header, time.Now())
	}
	f.body = body[:min(len(body), maxKeptBody)]
	f.RawResponse = rawResponse(a, len(f.body), secret)
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

// maxKeptBody bounds what an error keeps of an answer, since thousands of keys may hold one.
const maxKeptBody = 16 << 10

// rawResponse is what of an answer may be shown: its request without headers, of which one is secret. The body is added
// for each caller.
func rawResponse(a answer, length int, secret string) *http.Response {
	header := http.Header{}
	for name, values := range a.header {
		for _, value := range values {
			header.Add(name, redact(value, secret))
		}
	}
	raw := &http.Response{
		Status:        strconv.Itoa(a.status) + " " + http.StatusText(a.status),
		StatusCode:    a.status,
		Proto:         a.raw.Proto,
		ProtoMajor:    a.raw.ProtoMajor,
		ProtoMinor:    a.raw.ProtoMinor,
		Header:        header,
		Body:          http.NoBody,
		ContentLength: int64(length),
	}
	if a.raw.Request != nil && a.raw.Request.URL != nil {
		u := *a.raw.Request.URL
		raw.Request = &http.Request{Method: a.raw.Request.Method, URL: &u, Host: u.Host, Header: http.Header{}}
	}
	return raw
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
	return oneLine(redact(bare(err).Error(), secret))
}

// cause is what an error may unwrap to. A deadline of our own must not look like the caller's, an HTTP error not like the
// one of the caller's request, and a text that holds the secret must not come back through the chain.
func (t *trial) cause(err error, secret string) error {
	err = bare(err)
	var response *azcore.ResponseError
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) || errors.As(err, &response) || redact(err.Error(), secret) != err.Error() {
		return nil
	}
	return err
}

// bare removes the wrapping that says nothing: net/http's, which repeats the URL, and our own mark.
func bare(err error) error {
	var marked *transportError
	if errors.As(err, &marked) {
		err = marked.error
	}
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	return err
}

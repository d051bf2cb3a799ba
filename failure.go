package identity

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/keyless-go/identity/internal/redact"
	"github.com/keyless-go/identity/internal/retry"
	"github.com/keyless-go/identity/internal/token"
	"github.com/keyless-go/identity/internal/transport"
	"github.com/keyless-go/identity/internal/usercode"
)

// failure is a try that brought no token.
type failure struct {
	*AuthenticationError
	verdict verdict // on asking again: see rule
	settled bool    // the user's options for retries have no say in it
	silent  bool    // nothing answered as the host would
	status  int     // which the user's options may judge; -1 where there is none
	// what is asked for before the next try, by the host or by something in its place; 0 for
	// nothing
	wait time.Duration
}

// failure makes a failed try of an error of ours. It is final, unless the error says otherwise.
func (t *trial) failure(err error) *failure {
	f := &failure{
		AuthenticationError: &AuthenticationError{
			Host:     t.sender.source.host(),
			Endpoint: t.endpoint,
			ID:       t.sender.source.identity(),
			Resource: t.ask.resource,
			what:     redact.Token(redact.Conceal(strings.TrimPrefix(err.Error(), "identity: "), t.secrets...)),
		},
		settled: true,
		status:  -1,
	}
	if _, ok := errors.AsType[*pending](err); ok {
		f.rule(later)
	}
	if _, ok := errors.AsType[*passing](err); ok {
		f.settled = false
		f.rule(again)
	}
	return f
}

// silence is a try without an answer.
func (t *trial) silence(err error, timedOut bool, timeout time.Duration) *failure {
	f := t.failure(errors.New("no answer from " + t.endpoint + ": " + t.plain(err)))
	f.rule(ofTransport(err))
	f.cause = t.cause(err)
	var body *transport.BodyError
	var failed *transport.Error
	switch {
	case errors.As(err, &body): // it began to answer: who?
		f.StatusCode = body.StatusCode
		f.what = t.plain(err)
		f.silent = !t.sender.source.recognises(answer{status: body.StatusCode, header: body.Header})
		if !f.silent {
			t.sender.node.answered.Store(true)
		}
		if !f.silent && errors.Is(err, transport.ErrTooLarge) {
			f.rule(never)
		}
	case timedOut:
		f.what = "no answer from " + t.endpoint + " within " + redact.Round(timeout).String()
		f.silent = t.last != nil && t.last.silent // slow, unless this place has only been silent so far
	case errors.As(err, &failed):
		f.silent = true
		t.sender.node.silent()
		f.what += certificateAdvice(err)
		if isCertificateError(err) {
			f.hint = t.sender.source.hint(t.ask, noAnswer, fault{})
		}
	default: // says nothing of the endpoint
		f.what = "a policy in CredentialOptions failed: " + t.plain(err)
	}
	f.settled = f.verdict != again
	return f
}

// timeWasUp begins what is said of a try that was cut short.
const timeWasUp = "and no answer in the "

// outOfTime is what becomes of a try that our own budget has cut short: what came before says more
// of the host.
func (t *trial) outOfTime(had time.Duration) *failure {
	f, e := *t.last, *t.last.AuthenticationError
	e.what = strings.TrimLeft(e.what+", "+timeWasUp+redact.Round(had).String()+" that were left", ", ")
	f.AuthenticationError = &e
	return &f
}

// certificateAdvice is what to check after a certificate was not accepted.
func certificateAdvice(err error) string {
	invalid, _ := errors.AsType[x509.CertificateInvalidError](err)
	_, unknown := errors.AsType[x509.UnknownAuthorityError](err)
	_, noRoots := errors.AsType[x509.SystemRootsError](err)
	_, otherName := errors.AsType[x509.HostnameError](err)
	switch {
	case otherName:
		return " (is the endpoint's name right, or does a proxy intercept TLS?)"
	case unknown || noRoots:
		return " (has this image its CA certificates, the package ca-certificates or SSL_CERT_FILE, or does a proxy intercept TLS?)"
	case invalid.Reason == x509.Expired && invalid.Cert != nil:
		return " (is this machine's clock right? It says " + time.Now().UTC().Format(time.RFC3339) + ")"
	}
	return ""
}

// refusal is an answer without a token.
func (t *trial) refusal(a answer, ours bool) *failure {
	src := t.sender.source
	success := a.status >= 200 && a.status < 300
	secrets := slices.Concat(t.secrets, token.In(a.body))
	hidden, header := redact.NewIndex(secrets), redact.Header(a.header, secrets)
	body, fa := "", parseFault(header, "")
	if !success { // a success may be a token in an unknown wrapping: not a byte of it is shown
		body = hidden.Conceal(string(a.body))
		// Each text by itself: the escapes of JSON are gone.
		fa = parseFault(header, body, hidden.Text)
		body = redact.Text(body)
		if fa.entra == "" { // beyond what was read for people
			fa.entra = string(entraNumber.Find(a.body))
		}
	}
	f := t.failure(errors.New(""))
	f.settled = false
	f.rule(t.sender.rules.ofAnswer(a.status, ours, fa))
	f.StatusCode, f.status, f.silent = a.status, a.status, !ours
	if !ours {
		t.sender.node.silent()
	}
	f.Code, f.Message, f.CorrelationID = fa.code, fa.message, fa.correlationID
	f.wait = retry.After(a.header, time.Now())
	if ours {
		if s, ok := src.(impatient); ok && f.wait == 0 {
			f.wait = s.patience(a.status, body)
		}
		f.retryAfter = f.wait // which outlasts the acquisition
	}
	f.body = strings.Clone(body[:min(len(body), maxKeptBody)]) // the rest is let go
	f.RawResponse = rawResponse(a, header, len(f.body), secrets)
	if f.hint = src.hint(t.ask, a.status, fa); !ours {
		f.hint = "something answers in the place of " + answerer(src) + ": is a proxy or a gateway in the way of " + t.endpoint + "?"
	}
	lost, _ := t.lost.Load().(string)
	if lost = cmp.Or(lost, fa.misses()); a.status < 400 || a.status >= 500 ||
		a.status == http.StatusTooManyRequests {
		lost = ""
	}
	if lost != "" {
		f.hint = "the request came without the header " + lost +
			" that it was made with: did a policy or the Transport in CredentialOptions remove it?"
	}
	switch {
	case a.redirects() && ours:
		f.what = "a redirect, which is not followed"
	case a.redirects():
		f.what = "not an answer of " + answerer(src) + " but a redirect, which is not followed"
	case !ours:
		f.what = "not an answer of " + answerer(src)
	case success:
		f.what = "unexpected status"
	case a.status == http.StatusTooManyRequests:
		f.reason = ErrThrottled
		t.progress.Throttled()
	case lost == "" && src.notAssigned(a.status, fa) || fa.noSuchClient():
		f.reason = ErrIdentityNotFound
	}
	if ours && !success && !a.redirects() && fa.code == "" && fa.message == "" {
		f.what = "without a word, from " + t.endpoint
	}
	if f.hint == "" && fa.fromEntra() && a.status >= 400 &&
		a.status != http.StatusTooManyRequests &&
		(f.verdict != again || entraNumbers[fa.entra].topic != noTopic) {
		f.hint = entraHint(src.identity(), fa)
	}
	return f
}

// answerer is who should have answered.
func answerer(src source) string {
	if src.host() == HostWorkloadIdentity {
		return "Entra"
	}
	return src.host().String()
}

// maxKeptBody bounds what an error keeps of an answer, since thousands of keys may hold one.
const maxKeptBody = 16 << 10

// rawResponse is what of an answer may be shown: its request without headers, of which one is secret. The body is added
// for each caller.
func rawResponse(a answer, header http.Header, length int, secrets []string) *http.Response {
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
		query := u.Query()
		for name := range query {
			if !transport.IsShown(name) { // the endpoint's own may be a key
				query.Del(name)
			}
		}
		u.User, u.RawQuery, u.Fragment = nil, query.Encode(), ""
		if text := u.String(); redact.Text(text, secrets...) != text { // of a redirect that the user's client has followed
			u = url.URL{Scheme: u.Scheme, Host: redact.Mark}
		}
		raw.Request = &http.Request{Method: a.raw.Request.Method, URL: &u, Host: u.Host, Header: http.Header{}}
	}
	return raw
}

// final is the error of the whole acquisition, made of its last failure.
func (t *trial) final() *AuthenticationError {
	e := t.last.AuthenticationError
	e.Attempts, e.Elapsed = t.attempts, time.Since(t.start)
	switch unavailable := t.sender.rules.unavailable; {
	case t.last.settled:
	case t.unanswered():
		e.hint = t.sender.source.hint(t.ask, noAnswer, fault{})
		if unavailable {
			e.reason = ErrUnavailable
		}
	case e.StatusCode == 0 && e.hint == "" && !unavailable: // it has answered before
		e.hint = t.sender.source.hint(t.ask, noAnswer, fault{})
	}
	return e
}

// plain is an error's text as it can be shown: one line, no URL with its query, no secret.
func (t *trial) plain(err error) string {
	return redact.Line(redact.Text(bare(err).Error(), t.secrets...))
}

// cause is what an error may unwrap to. A deadline of our own must not look like the caller's, an HTTP error not like the
// one of the caller's request, and a text that holds the secret must not come back through the chain. Nor must an object
// whose methods only one goroutine may call: the cause is shared by all who wait.
func (t *trial) cause(err error) error {
	err = bare(err)
	var response *azcore.ResponseError
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) || errors.As(err, &response) || redact.Reveals(err, t.secrets) {
		return nil
	}
	return usercode.Share(err)
}

// bare removes the wrapping that says nothing: net/http's, which repeats the URL, and our own mark.
func bare(err error) error {
	var marked *transport.Error
	if errors.As(err, &marked) {
		err = marked.Err
	}
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	return err
}

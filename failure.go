package identity

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/keyless-go/identity/internal/failure"
	"github.com/keyless-go/identity/internal/redact"
	"github.com/keyless-go/identity/internal/retry"
	"github.com/keyless-go/identity/internal/token"
	"github.com/keyless-go/identity/internal/transport"
	"github.com/keyless-go/identity/internal/usercode"
)

// failure makes a failed try of an error of ours. It is final, unless the error says otherwise.
func (t *trial) failure(err error) *failure.Failure {
	f := &failure.Failure{
		Line: failure.Line{
			Who:      t.sender.source.host().String(),
			Resource: t.ask.resource,
			What: redact.Token(redact.Conceal(strings.TrimPrefix(err.Error(), "identity: "),
				t.secrets...)),
		},
		Endpoint: t.endpoint,
		Settled:  true,
		Status:   -1,
	}
	if p, ok := errors.AsType[*failure.Passing](err); ok {
		f.Verdict, f.Settled = p.Verdict, p.Verdict != failure.Again
	}
	return f
}

// silence is a try without an answer.
func (t *trial) silence(err error, timedOut bool, timeout time.Duration) *failure.Failure {
	f := t.failure(errors.New("no answer from " + t.endpoint + ": " + t.plain(err)))
	f.Verdict = failure.OfTransport(err)
	f.Cause = t.cause(err)
	var body *transport.BodyError
	var failed *transport.Error
	switch {
	case errors.As(err, &body): // it began to answer: who?
		f.StatusCode = body.StatusCode
		f.What = t.plain(err)
		f.Silent = !t.sender.source.recognises(answer{status: body.StatusCode, header: body.Header})
		if !f.Silent {
			t.sender.node.answered.Store(true)
		}
		if !f.Silent && errors.Is(err, transport.ErrTooLarge) {
			f.Verdict = failure.Never
		}
	case timedOut:
		f.What = "no answer from " + t.endpoint + " within " + redact.Round(timeout).String()
		f.Silent = t.last != nil && t.last.Silent // slow, unless this place has only been silent so far
	case errors.As(err, &failed):
		f.Silent = true
		t.sender.node.silent()
		f.What += failure.CertificateAdvice(err)
		if failure.IsCertificate(err) {
			f.Hint = t.sender.source.hint(t.ask, noAnswer, failure.Said{})
		}
	default: // says nothing of the endpoint
		f.What = "a policy in CredentialOptions failed: " + t.plain(err)
	}
	f.Settled = f.Verdict != failure.Again
	return f
}

// outOfTime is what becomes of a try that our own budget has cut short: what came before says more
// of the host.
func (t *trial) outOfTime(had time.Duration) *failure.Failure {
	f := *t.last
	f.What = strings.TrimLeft(f.What+", "+failure.TimeWasUp+redact.Round(had).String()+
		" that were left", ", ")
	return &f
}

// refusal is an answer without a token.
func (t *trial) refusal(a answer, ours bool) *failure.Failure {
	src := t.sender.source
	success := a.status >= 200 && a.status < 300
	secrets := slices.Concat(t.secrets, token.In(a.body))
	hidden, header := redact.NewIndex(secrets), redact.Header(a.header, secrets)
	body, said := "", failure.Read(header, "")
	if !success { // a success may be a token in an unknown wrapping: not a byte of it is shown
		body = hidden.Conceal(string(a.body))
		// Each text by itself: the escapes of JSON are gone.
		said = failure.Read(header, body, hidden.Text)
		body = redact.Text(body)
		if said.Entra == "" { // beyond what was read for people
			said.Entra = failure.EntraNumber(a.body)
		}
	}
	f := t.failure(errors.New(""))
	f.Settled = false
	f.Verdict = failure.OfAnswer(a.status, ours, said, t.sender.rules.Retries)
	f.StatusCode, f.Status, f.Silent = a.status, a.status, !ours
	if !ours {
		t.sender.node.silent()
	}
	f.Code, f.Message, f.CorrelationID = said.Code, said.Message, said.CorrelationID
	f.Wait = retry.After(a.header, time.Now())
	if ours {
		if s, ok := src.(impatient); ok && f.Wait == 0 {
			f.Wait = s.patience(a.status, body)
		}
		f.RetryAfter = f.Wait // which outlasts the acquisition
	}
	f.Body = strings.Clone(body[:min(len(body), maxKeptBody)]) // the rest is let go
	f.Answer = rawResponse(a, header, len(f.Body), secrets)
	if f.Hint = src.hint(t.ask, a.status, said); !ours {
		f.Hint = "something answers in the place of " + answerer(src) + ": is a proxy or a gateway in the way of " + t.endpoint + "?"
	}
	lost, _ := t.lost.Load().(string)
	if lost = cmp.Or(lost, said.MissingHeader()); a.status < 400 || a.status >= 500 ||
		a.status == http.StatusTooManyRequests {
		lost = ""
	}
	if lost != "" {
		f.Hint = "the request came without the header " + lost +
			" that it was made with: did a policy or the Transport in CredentialOptions remove it?"
	}
	switch {
	case a.redirects() && ours:
		f.What = "a redirect, which is not followed"
	case a.redirects():
		f.What = "not an answer of " + answerer(src) + " but a redirect, which is not followed"
	case !ours:
		f.What = "not an answer of " + answerer(src)
	case success:
		f.What = "unexpected status"
	case a.status == http.StatusTooManyRequests:
		f.Reason = failure.Throttled
		t.progress.Throttled()
	case lost == "" && src.notAssigned(a.status, said) || said.NoSuchClient():
		f.Reason = failure.IdentityNotFound
	}
	if ours && !success && !a.redirects() && said.Code == "" && said.Message == "" {
		f.What = "without a word, from " + t.endpoint
	}
	if f.Hint == "" && said.FromEntra() && a.status >= 400 &&
		a.status != http.StatusTooManyRequests &&
		(f.Verdict != failure.Again || said.Topic() != failure.NoTopic) {
		f.Hint = said.EntraHint(inWords(src.identity()))
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

// final is the failure of the whole acquisition, made of its last try's.
func (t *trial) final() *failure.Failure {
	f := t.last
	f.Attempts, f.Elapsed = t.attempts, time.Since(t.start)
	switch unavailable := t.sender.rules.unavailable; {
	case f.Settled:
	case t.unanswered():
		f.Hint = t.sender.source.hint(t.ask, noAnswer, failure.Said{})
		if unavailable {
			f.Reason = failure.Unavailable
		}
	case f.StatusCode == 0 && f.Hint == "" && !unavailable: // it has answered before
		f.Hint = t.sender.source.hint(t.ask, noAnswer, failure.Said{})
	}
	return f
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

// overrule applies the user's options to a verdict, in azcore's order: what is settled by itself,
// then the user's function, then the user's statuses. They say whether another try is made. Ready
// waits over what either they or we think passes.
func (t *trial) overrule(f *failure.Failure) failure.Verdict {
	r := t.sender.rules
	var wanted bool
	switch {
	case f.Settled:
		return f.Verdict
	case r.ShouldRetry != nil && f.Answer != nil:
		wanted = r.ShouldRetry(t.sender.public(f).RawResponse, nil)
	case r.ShouldRetry != nil:
		wanted = r.ShouldRetry(nil, t.sender.public(f))
	case f.Status >= 0 && r.StatusCodes != nil:
		wanted = slices.Contains(r.StatusCodes, f.Status)
	default:
		return f.Verdict
	}
	if wanted {
		return failure.Again
	}
	return min(f.Verdict, failure.Later)
}

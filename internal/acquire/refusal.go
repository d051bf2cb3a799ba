package acquire

import (
	"cmp"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/keyless-go/identity/internal/failure"
	"github.com/keyless-go/identity/internal/redact"
	"github.com/keyless-go/identity/internal/retry"
	"github.com/keyless-go/identity/internal/token"
	"github.com/keyless-go/identity/internal/transport"
)

// refusal is an answer without a token. lost is the header that the request went out without.
func (q *inquiry) refusal(got Answer, ours bool, lost string) *failure.Failure {
	success := got.Status >= 200 && got.Status < 300
	secrets := slices.Concat(q.secrets, token.In(got.Body))
	hidden, header := redact.NewIndex(secrets), redact.Header(got.Header, secrets)
	body, said := "", failure.Read(header, "")
	if !success { // a success may be a token in an unknown wrapping: not a byte of it is shown
		body = hidden.Conceal(string(got.Body))
		// Each text by itself: the escapes of JSON are gone.
		said = failure.Read(header, body, hidden.Text)
		body = redact.Text(body)
		if said.Entra == "" { // beyond what was read for people
			said.Entra = failure.EntraNumber(got.Body)
		}
	}
	f := q.failure(errors.New(""))
	f.Settled = false
	f.Verdict = failure.OfAnswer(got.Status, ours, said, q.retries)
	f.StatusCode, f.Status, f.Silent = got.Status, got.Status, !ours
	if !ours {
		q.node.silent()
	}
	f.Code, f.Message, f.CorrelationID = said.Code, said.Message, said.CorrelationID
	f.Wait = retry.After(got.Header, time.Now())
	if ours {
		if h, ok := q.host.(SaysWhen); ok && f.Wait == 0 {
			f.Wait = h.Patience(got.Status, body)
		}
		f.RetryAfter = f.Wait // which outlasts the acquisition
	}
	f.Body = strings.Clone(body[:min(len(body), maxKeptBody)]) // the rest is let go
	f.Answer = transport.Shown(got.Raw, header, int64(len(f.Body)), secrets)
	q.explain(f, got, said, ours, lost)
	return f
}

// explain says what a refusal means and what to check.
func (q *inquiry) explain(
	f *failure.Failure, got Answer, said failure.Said, ours bool, lost string,
) {
	h, status := q.host, got.Status
	if f.Hint = h.Hint(q.request, status, said); !ours {
		f.Hint = "something answers in the place of " + h.Answerer() +
			": is a proxy or a gateway in the way of " + q.endpoint + "?"
	}
	lost = cmp.Or(lost, said.MissingHeader())
	if status < 400 || status >= 500 || status == http.StatusTooManyRequests {
		lost = ""
	}
	if lost != "" {
		f.Hint = "the request came without the header " + lost + " that it was made with: " +
			"did a policy or the Transport in CredentialOptions remove it?"
	}
	success := status >= 200 && status < 300
	switch {
	case got.redirects() && ours:
		f.What = "a redirect, which is not followed"
	case got.redirects():
		f.What = "not an answer of " + h.Answerer() + " but a redirect, which is not followed"
	case !ours:
		f.What = "not an answer of " + h.Answerer()
	case success:
		f.What = "unexpected status"
	case status == http.StatusTooManyRequests:
		f.Reason = failure.Throttled
	case lost == "" && h.NotAssigned(status, said) || said.NoSuchClient():
		f.Reason = failure.IdentityNotFound
	}
	if ours && !success && !got.redirects() && said.Code == "" && said.Message == "" {
		f.What = "without a word, from " + q.endpoint
	}
	if f.Hint == "" && said.FromEntra() && status >= 400 &&
		status != http.StatusTooManyRequests &&
		(f.Verdict != failure.Again || said.Topic() != failure.NoTopic) {
		f.Hint = said.EntraHint(h.Identity())
	}
}

// maxKeptBody bounds what an error keeps of an answer, since thousands of keys may hold one.
const maxKeptBody = 16 << 10

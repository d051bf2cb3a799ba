package acquire

import (
	"errors"
	"time"

	"github.com/keyless-go/identity/internal/failure"
	"github.com/keyless-go/identity/internal/redact"
	"github.com/keyless-go/identity/internal/transport"
)

// silence is a try without an answer. timedOut says that it took all of timeout; last is the try
// before it, nil for none.
func (q *inquiry) silence(
	err error, timedOut bool, timeout time.Duration, last *failure.Failure,
) *failure.Failure {
	f := q.failure(errors.New("no answer from " + q.endpoint + ": " + q.plain(err)))
	f.Verdict = failure.OfTransport(err)
	f.Cause = q.cause(err)
	var body *transport.BodyError
	var failed *transport.Error
	switch {
	case errors.As(err, &body): // it began to answer: who?
		f.StatusCode = body.StatusCode
		f.What = q.plain(err)
		f.Silent = !q.host.Recognises(Answer{Status: body.StatusCode, Header: body.Header})
		if !f.Silent {
			q.node.NoteAnswer()
		}
		if !f.Silent && errors.Is(err, transport.ErrTooLarge) {
			f.Verdict = failure.Never
		}
	case timedOut:
		f.What = "no answer from " + q.endpoint + " within " + redact.Round(timeout).String()
		// Slow, unless this place has only been silent so far.
		f.Silent = last != nil && last.Silent
	case errors.As(err, &failed):
		f.Silent = true
		q.node.silent()
		f.What += failure.CertificateAdvice(err)
		if failure.IsCertificate(err) {
			f.Hint = q.host.Hint(q.request, NoAnswer, failure.Said{})
		}
	default: // says nothing of the endpoint
		f.What = "a policy in CredentialOptions failed: " + q.plain(err)
	}
	f.Settled = f.Verdict != failure.Again
	return f
}

// outOfTime is what becomes of a try that our own budget has cut short: what came before says more
// of the host.
func outOfTime(last *failure.Failure, had time.Duration) *failure.Failure {
	f := *last
	f.CutShort = "and no answer in the " + redact.Round(had).String() + " that were left"
	return &f
}

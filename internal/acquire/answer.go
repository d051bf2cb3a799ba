package acquire

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/keyless-go/identity/internal/failure"
	"github.com/keyless-go/identity/internal/redact"
	"github.com/keyless-go/identity/internal/token"
)

// reading is what an answer comes to: one of the three.
type reading struct {
	next   *Call // to be sent at once
	token  token.Token
	failed *failure.Failure
}

// read reads a response. sent is the call that it answers, nil if it may bring no other. lost is
// the header that the call went out without, and last the try before, nil for none.
func (q *inquiry) read(
	ctx context.Context, resp *http.Response, sent *Call, lost string, last *failure.Failure,
) reading {
	body, err := runtime.Payload(resp)
	if err != nil { // only a policy of the user's can have exchanged the body for one that breaks
		return reading{failed: q.silence(err, false, 0, last)}
	}
	got := Answer{Status: resp.StatusCode, Header: resp.Header, Body: body, Raw: resp}
	// A refusal with a number of Entra's is the host's, whatever shape it has: only what asks Entra
	// has one to pass on.
	ours := q.host.Recognises(got) || got.Status >= 400 && failure.EntraNumber(got.Body) != ""
	if ours && sent != nil {
		if next, f := q.follow(ctx, *sent, got); next != nil {
			return reading{next: next}
		} else if f != nil {
			q.node.NoteAnswer()
			return reading{failed: f}
		}
	}
	if ours {
		q.node.NoteAnswer()
	}
	t, f := q.judge(got, ours, lost)
	return reading{token: t, failed: f}
}

// follow decides whether an answer of the host's is a reason to ask again at once: to a host that
// follows answers, or because the secret has changed.
func (q *inquiry) follow(
	ctx context.Context, sent Call, got Answer,
) (*Call, *failure.Failure) {
	h := q.host
	follows, ok := h.(Follows)
	if !ok && sent.Secret != "" &&
		(got.Status == http.StatusUnauthorized || got.Status == http.StatusForbidden) {
		// Perhaps it was rotated on its way.
		if next, err := h.Call(ctx, q.request); err == nil && next.Secret != sent.Secret {
			return &next, nil
		}
	}
	if !ok {
		return nil, nil
	}
	next, again, err := follows.Follow(ctx, q.request, got)
	switch {
	case err != nil:
		f := q.failure(err)
		f.StatusCode = got.Status
		return nil, f
	case again:
		return &next, nil
	}
	return nil, nil
}

// errMismatch is of a token that is thrown away.
var errMismatch = errors.New("the host returned a token of another identity")

// judge finds the token in an answer, or the failure that it is.
func (q *inquiry) judge(got Answer, ours bool, lost string) (token.Token, *failure.Failure) {
	if got.Status != http.StatusOK && got.Status != http.StatusAccepted || !ours {
		return token.Token{}, q.refusal(got, ours, lost)
	}
	granted, err := token.Parse(got.Body, time.Now())
	if err != nil {
		return token.Token{}, q.unusable(got, err)
	}
	if other := q.host.Mismatch(granted); other != "" {
		f := q.failure(errMismatch)
		f.StatusCode, f.Reason = got.Status, failure.IdentityMismatch
		f.Hint = "asked for " + q.host.Identity() + ", got the token of " +
			redact.Text(other, q.secrets...) +
			": is the identity assigned, and does this host support selecting one?"
		return token.Token{}, f
	}
	return granted, nil
}

// unusable is an answer that should be a token response.
func (q *inquiry) unusable(got Answer, err error) *failure.Failure {
	f := q.failure(err)
	f.StatusCode = got.Status
	f.Hint = "the answer of " + q.endpoint + " is no usable token response"
	switch {
	case errors.Is(err, token.ErrNotJSON): // cut short on its way, most likely
		f.Settled, f.Verdict = false, failure.Again
	case errors.Is(err, token.ErrExpired): // the host will have another one
		f.Verdict = failure.Later
		f.Hint = "is this machine's clock right? It says " + time.Now().UTC().Format(time.RFC3339)
	}
	return f
}

// Package bearer sends requests with a token in their Authorization header, and answers a server's
// claims challenge.
//
// A request goes through [RoundTrip]: it is refused unless it is https, and gets no token if a
// redirect has led it to another host (redirect.go). Then a token is asked for, and a clone of the
// request has it. An answer of 401 is looked at for a claims challenge (challenge.go), for which
// another token is asked for, and the request is sent a second time, but not a third.
//
// The package doesn't know credentials or where tokens come from, and keeps none. It has no state,
// and all of it may be used by several goroutines at once.
package bearer

import (
	"context"
	"errors"
	"io"
	"net/http"

	"github.com/keyless-go/identity/internal/redact"
)

// Get gets a token, for a challenge's claims if they aren't "". It ends with ctx.
type Get func(ctx context.Context, claims string) (string, error)

// RoundTrip sends a request with a token, as an http.RoundTripper does: it changes nothing in r,
// and closes its body, also if it fails. No error has the token in it.
func RoundTrip(r *http.Request, base http.RoundTripper, get Get) (*http.Response, error) {
	switch {
	case r.URL == nil || r.URL.Scheme != "https":
		closeBody(r)
		return nil, errors.New("identity: Transport: no token is sent over plain http: want an https URL")
	case led(r):
		return base.RoundTrip(r)
	}
	token, err := get(r.Context(), "")
	if err != nil {
		closeBody(r)
		return nil, err
	}
	resp, err := send(r, r.Body, base, token)
	if err != nil || resp.StatusCode != http.StatusUnauthorized {
		return resp, err
	}
	challenge := claims(resp.Header)
	if challenge == "" {
		return resp, nil
	}
	body, ok := again(r)
	if !ok {
		return resp, nil
	}
	if token, err = get(r.Context(), challenge); err != nil {
		if body != nil {
			_ = body.Close()
		}
		discard(resp)
		return nil, err
	}
	discard(resp)
	return send(r, body, base, token)
}

// send sends a clone of r with that body and a token. The answer's Request is r, which has no
// token.
func send(
	r *http.Request, body io.ReadCloser, base http.RoundTripper, token string,
) (*http.Response, error) {
	own := r.Clone(r.Context())
	if own.Header == nil {
		own.Header = http.Header{}
	}
	own.Body = body
	own.Header.Set("Authorization", "Bearer "+token)
	resp, err := base.RoundTrip(own)
	if err != nil {
		return nil, redact.Error(err, []string{token})
	}
	resp.Request = r
	return resp, nil
}

// again is the body of a second try. It is false if r can't be sent again.
func again(r *http.Request) (io.ReadCloser, bool) {
	if r.Body == nil || r.Body == http.NoBody {
		return r.Body, true
	}
	if r.GetBody == nil {
		return nil, false
	}
	body, err := r.GetBody()
	return body, err == nil
}

// maxDiscarded is what is read of an answer that nobody wants, so that its connection can be used
// again.
const maxDiscarded = 64 << 10

func discard(resp *http.Response) {
	_, _ = io.CopyN(io.Discard, resp.Body, maxDiscarded)
	_ = resp.Body.Close()
}

func closeBody(r *http.Request) {
	if r.Body != nil {
		_ = r.Body.Close()
	}
}

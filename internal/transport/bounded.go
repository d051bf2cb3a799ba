package transport

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity/internal/redact"
	"github.com/keyless-go/identity/internal/seam"
)

// MaxBody is the number of bytes that an answer may have. It is ample: a token with all its claims
// stays below 10 KiB.
const MaxBody = 1 << 20

// bounded reads answers wholly, and none larger than MaxBody.
type bounded struct{ next policy.Transporter }

// ErrTooLarge is what a BodyError wraps if the answer is larger than MaxBody.
var ErrTooLarge error = tooLargeError{}

type tooLargeError struct{}

func (tooLargeError) Error() string {
	return fmt.Sprintf("the answer is larger than %d bytes", MaxBody)
}

// BodyError means that the host began to answer and the body could not be had.
type BodyError struct {
	StatusCode int
	Header     http.Header
	Err        error
}

// Error returns Err's text.
func (e *BodyError) Error() string { return e.Err.Error() }

// Unwrap returns Err.
func (e *BodyError) Unwrap() error { return e.Err }

// Error marks what the Transport said, as opposed to a policy.
type Error struct{ Err error }

// Error returns Err's text.
func (e *Error) Error() string { return e.Err.Error() }

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// Do implements policy.Transporter.
func (b bounded) Do(req *http.Request) (*http.Response, error) {
	secrets := secretsOf(req)
	seam.MeetAt(req.Context(), req.URL.Path)
	resp, err := b.next.Do(req)
	switch {
	case err != nil:
		if resp != nil && resp.Body != nil {
			_ = resp.Body.Close()
		}
		return nil, &Error{clean(err, secrets)}
	case resp == nil:
		return nil, &Error{errors.New("the Transport returned neither a response nor an error")}
	case resp.Body == nil:
		resp.Body = http.NoBody
	}
	refuseUpgrade(resp)
	body, err := readBody(req.Context(), resp.Body, MaxBody)
	header := redact.Header(resp.Header, secrets)
	switch {
	case err != nil:
		return nil, &BodyError{resp.StatusCode, header, fmt.Errorf(
			"the answer was cut short after %d bytes: %w", len(body), redact.Error(err, secrets))}
	case len(body) > MaxBody:
		return nil, &BodyError{resp.StatusCode, header, ErrTooLarge}
	}
	resp.Header = header
	resp.Status = redact.Text(resp.Status, secrets...)
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, nil
}

// clean is an error without the secrets. net/http's wrapping repeats the URL. If only the URL has a
// secret, the wrapping is taken off and the rest stays as it is, so that errors.As finds the same.
func clean(err error, secrets []string) error {
	var u *url.Error
	if errors.As(err, &u) && redact.Reveals(err, secrets) {
		err = u.Err
	}
	return redact.Error(err, secrets)
}

// secretsKey is by what a try's context has the secrets so far.
type secretsKey struct{}

// WithSecrets has the secrets of a request and of those before it taken out of what comes back,
// before azcore's log and trace see it.
func WithSecrets(ctx context.Context, secrets []string) context.Context {
	return context.WithValue(ctx, secretsKey{}, secrets)
}

func secretsOf(req *http.Request) []string {
	secrets, _ := req.Context().Value(secretsKey{}).([]string)
	return secrets
}

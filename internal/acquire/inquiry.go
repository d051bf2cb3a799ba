package acquire

import (
	"context"
	"errors"
	"net/url"
	"slices"

	"github.com/keyless-go/identity/internal/failure"
	"github.com/keyless-go/identity/internal/redact"
	"github.com/keyless-go/identity/internal/transport"
	"github.com/keyless-go/identity/internal/usercode"
)

// inquiry is what an acquisition asks for, and at which host. It makes failures of what comes back.
type inquiry struct {
	host     Host
	node     *Node
	retries  func(status int) bool // of the host's rules
	request  Request
	endpoint string   // the one asked last: App Service's can move
	secrets  []string // of all calls so far: a host may remember
}

// keep remembers the secrets of a call, which are not to be shown from now on: its own, and what
// the endpoint's URL has in its query beside our parameters, which may be a key to it.
func (q *inquiry) keep(c Call) {
	known, fresh := map[string]bool{"": true}, []string(nil)
	for _, secret := range q.secrets {
		known[secret] = true
	}
	hide := func(secret string) {
		if !known[secret] {
			known[secret] = true
			fresh = append(fresh, secret)
		}
	}
	hide(c.Secret)
	q.request.Presented = c.Secret
	for name, values := range c.URL.Query() {
		for _, value := range values {
			if !transport.IsShown(name) && len(value) >= redact.LeastSecret {
				hide(value)
			}
		}
	}
	q.secrets = append(slices.Clip(q.secrets), fresh...) // others have a slice of the old ones
}

// failure makes a failed try of an error of ours. It is final, unless the error says otherwise.
func (q *inquiry) failure(err error) *failure.Failure {
	f := &failure.Failure{
		Line: failure.Line{
			Who:      q.host.Name(),
			Resource: q.request.Resource,
			What:     redact.Token(redact.Conceal(err.Error(), q.secrets...)),
		},
		Endpoint: q.endpoint,
		Settled:  true,
		Status:   -1,
	}
	f.Heed(err)
	return f
}

// plain is an error's text as it can be shown: one line, no URL with its query, no secret.
func (q *inquiry) plain(err error) string {
	return redact.Line(redact.Text(bare(err).Error(), q.secrets...))
}

// cause is what an error may unwrap to. A deadline of our own must not look like the caller's, and
// a text that holds the secret must not come back through the chain. Nor must an object whose
// methods only one goroutine may call: the cause is shared by all who wait. That takes out an SDK's
// ResponseError, too, which would look like one of the caller's request.
func (q *inquiry) cause(err error) error {
	err = bare(err)
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) ||
		redact.Reveals(err, q.secrets) {
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

package identity

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/streaming"
	"github.com/keyless-go/identity/internal/failure"
	"github.com/keyless-go/identity/internal/retry"
)

// source is what is particular to a host. A host is one small file that implements it; sending, reading, retrying and
// caching stand once, for all of them.
type source interface {
	host() Host
	endpoint() string                                 // for messages: no query, no secret
	address() string                                  // the same in full, by which tokens are kept; not to be shown
	identity() ID                                     // nil for the host's default
	request(a ask) (request, error)                   // what to send; read anew for each try, because hosts rotate secrets
	recognises(a answer) bool                         // is this the host's own answer, or that of something in its place?
	notAssigned(status int, said failure.Said) bool   // does it refuse the identity?
	hint(a ask, status int, said failure.Said) string // what to check after an error, or after noAnswer; "" for nothing in particular
	rules() rules                                     // when to try again
}

// What some sources do beside:
type (
	// chooser is a source whose tokens depend on more than the resource. It refuses what it can't serve.
	chooser interface {
		choose(policy.TokenRequestOptions) (variant, error)
	}
	// connector is a source that has a transport of its own, or something to add to the user's. own is nil for the default.
	connector interface {
		connect(own policy.Transporter) (policy.Transporter, error)
	}
	// follower is a source that an answer may send another request to at once, as part of the same try.
	follower interface {
		follow(a ask, got answer) (next request, again bool, err error)
	}
	// prover is a source that has something of its own to prove its identity with. Credentials that
	// differ in it share no token: one of them may be refused what the other one gets.
	prover interface{ proof() string }
	// echoer is a source that doesn't select an identity unless its answer names it.
	echoer interface{ echoes() }
	// impatient is a source that says in the body of an answer for how long to leave it alone; 0 if this one doesn't.
	impatient interface {
		patience(status int, body string) time.Duration
	}
)

// rules are a host's: when to try again, and what else it can say of itself in numbers.
type rules struct {
	retry.Rules
	unavailable bool // silence is ErrUnavailable; otherwise the endpoint was named and should be there
	concurrent  int  // requests at once per process, 0 for maxConcurrent
}

// with applies the user's options on top of a host's rules.
func (r rules) with(o settings) (rules, error) {
	var err error
	if r.Rules, err = r.With(o.Retry); err != nil {
		return r, fmt.Errorf("identity: %s.Retry.%w", o.options, err)
	}
	return r, nil
}

// noAnswer is the status for hints when nothing answered as the host would.
const noAnswer = -1

// ask is what a token is wanted for.
type ask struct {
	resource string
	variant
	claims   string        // of a challenge, "" for none
	rejected string        // the token that was held when the challenge came, "" for none
	anew     bool          // whatever the store holds
	once     bool          // a single try: a failure costs nobody anything
	budget   time.Duration // of the acquisition
}

// variant tells the tokens for one identity and resource apart, at a chooser.
type variant struct {
	tenant string // "" is the identity's own
	cae    bool   // the caller understands claims challenges
}

// request is one token request, as plain data that a test can compare.
type request struct {
	method string
	url    *url.URL
	header http.Header
	form   url.Values // the body; nil for none
	secret string     // the part of header or form that must not be seen anywhere; "" for none
}

// answer is one response, wholly read.
type answer struct {
	status int
	header http.Header
	body   []byte
	raw    *http.Response
}

// redirects: no host sends a redirect, and none is followed.
func (a answer) redirects() bool { return a.status >= 300 && a.status < 400 }

// apply writes the host's headers and the body into a pipeline's request.
func (r request) apply(req *policy.Request) error {
	if req.Raw().Header == nil { // a policy of the user's did that
		req.Raw().Header = http.Header{}
	}
	for name, values := range r.header {
		req.Raw().Header[name] = values
	}
	if r.form == nil {
		return nil
	}
	body := r.form.Encode()
	if err := req.SetBody(streaming.NopCloser(strings.NewReader(body)), "application/x-www-form-urlencoded"); err != nil {
		return errors.New("can't give the request a body")
	}
	// azcore's GetBody rewinds the one body. net/http calls it when a redirect comes, to which the body may still be on its way.
	req.Raw().GetBody = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(body)), nil }
	return nil
}

package acquire

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/streaming"
	"github.com/keyless-go/identity/internal/failure"
	"github.com/keyless-go/identity/internal/retry"
	"github.com/keyless-go/identity/internal/token"
)

// Host is what is particular to a host. Its methods may be called by several goroutines at once.
type Host interface {
	// Name is the host's in errors.
	Name() string
	// Answerer names what should answer, in words: the host, or what stands behind it.
	Answerer() string
	// Endpoint is for messages: no query, no secret.
	Endpoint() string
	// Address is the endpoint in full, by which tokens are kept. It is not to be shown.
	Address() string
	// Identity says in words which identity is asked for, "" for the host's default.
	Identity() string
	// Call is what to send. It is made anew for each try, because hosts rotate secrets. It may
	// block, until ctx ends.
	Call(ctx context.Context, r Request) (Call, error)
	// Recognises reports whether an answer is the host's own, or that of something in its place.
	Recognises(a Answer) bool
	// Mismatch is whose token it is if that is not the identity that is asked for; otherwise "".
	Mismatch(t token.Token) string
	// NotAssigned reports whether a refusal is one of the identity.
	NotAssigned(status int, said failure.Said) bool
	// Hint is what to check after an error, or after NoAnswer; "" for nothing in particular.
	Hint(r Request, status int, said failure.Said) string
	// Rules say when to try again. They don't change.
	Rules() Rules
}

// What some hosts do besides:
type (
	// Varies is a host whose tokens depend on more than the resource. It refuses what it can't
	// serve.
	Varies interface {
		Variant(options policy.TokenRequestOptions) (Variant, error)
	}
	// Connects is a host that has a transport of its own, or something to add to the user's. own
	// is nil for the default.
	Connects interface {
		Connect(own policy.Transporter) (policy.Transporter, error)
	}
	// Follows is a host that an answer may send another call to at once, as part of the same try.
	Follows interface {
		Follow(ctx context.Context, r Request, got Answer) (next Call, again bool, err error)
	}
	// Proves is a host that has something of its own to prove its identity with. Credentials that
	// differ in it share no token: one of them may be refused what the other one gets.
	Proves interface{ Proof() string }
	// SaysWhen is a host that says in the body of an answer for how long to leave it alone; 0 if
	// this one doesn't.
	SaysWhen interface {
		Patience(status int, body string) time.Duration
	}
)

// Rules are a host's: when to try again, and what else it can say of itself in numbers.
type Rules struct {
	retry.Rules
	// Unavailable: silence means that nothing is there. Otherwise the endpoint was named and should
	// be there.
	Unavailable bool
	AtOnce      int           // requests at once per process
	Preparation time.Duration // how long the first Call may take, on top of the Budget
}

// NoAnswer is the status for hints when nothing answered as the host would.
const NoAnswer = -1

// Request is what a token is wanted for.
type Request struct {
	Resource string
	Variant
	Claims    string // of a challenge, "" for none
	Rejected  string // the token that was held when the challenge came, "" for none
	Once      bool   // a single try: a failure costs nobody anything
	Presented string // the Secret of the last Call for it, "" before the first
}

// Variant tells the tokens for one identity and resource apart, at a host that Varies.
type Variant struct {
	Tenant string // "" is the identity's own
	CAE    bool   // the caller understands claims challenges
}

// Call is one request for a token, as plain data that a test can compare.
type Call struct {
	Method string
	URL    *url.URL
	Header http.Header
	Form   url.Values // the body; nil for none
	Secret string     // the part of header or form that must not be seen anywhere; "" for none
}

// Answer is one response, wholly read.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
	Raw    *http.Response // nil if it broke off
}

// redirects: no host sends a redirect, and none is followed.
func (a Answer) redirects() bool { return a.Status >= 300 && a.Status < 400 }

// apply writes the host's headers and the body into a pipeline's request.
func (c Call) apply(req *policy.Request) error {
	if req.Raw().Header == nil { // a policy of the user's did that
		req.Raw().Header = http.Header{}
	}
	for name, values := range c.Header {
		req.Raw().Header[name] = values
	}
	if c.Form == nil {
		return nil
	}
	body := c.Form.Encode()
	reader := streaming.NopCloser(strings.NewReader(body))
	if err := req.SetBody(reader, "application/x-www-form-urlencoded"); err != nil {
		return errors.New("can't give the request a body")
	}
	// azcore's GetBody rewinds the one body. net/http calls it when a redirect comes, to which the
	// body may still be on its way.
	req.Raw().GetBody = func() (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader(body)), nil
	}
	return nil
}

package identity

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity/internal/redact"
	"github.com/keyless-go/identity/internal/usercode"
)

// nodeDialer: a connection on the same machine or from its hypervisor stands within milliseconds; a second is off Azure.
var nodeDialer = &net.Dialer{Timeout: time.Second}

// nodeClient asks node endpoints. No proxy: it would get the request or forge the answer, and Go's default exempts
// loopback but not 169.254.169.254. No redirect: it would carry the secret header elsewhere. No connection is kept: there
// is one request in half a day, and a pooled connection to an endpoint that has restarted fails the next one.
var nodeClient = &http.Client{
	CheckRedirect: refuseRedirect,
	Transport: &http.Transport{
		Proxy:                  nil,
		DialContext:            nodeDialer.DialContext,
		TLSHandshakeTimeout:    5 * time.Second,
		DisableKeepAlives:      true,
		DisableCompression:     true,
		MaxResponseHeaderBytes: 64 << 10,
	},
}

// refuseRedirect hands the redirect itself to the caller, as an answer that is not the host's.
func refuseRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// secretHeaders may never be shown by azcore's log, whatever the options allow.
var secretHeaders = []string{"x-identity-header", "secret", "authorization"}

// shownParameters of a request's query are no secrets. Clipped, so that appending to them copies them.
var shownParameters = slices.Clip(append([]string{"resource", "xms_cc"}, selectors...))

// isShown reports whether a parameter of a request's query is no secret.
func isShown(name string) bool {
	return name == "api-version" || slices.Contains(shownParameters, name)
}

// pipelineOptions turns the user's client options into those of our pipeline: one layer of retries, which is ours, and
// nothing in a log that could be a token.
func pipelineOptions(o policy.ClientOptions, transport policy.Transporter) policy.ClientOptions {
	o.APIVersion = ""
	o.TracingProvider = usercode.Tracing(o.TracingProvider)
	o.Retry = policy.RetryOptions{MaxRetries: -1}
	o.Logging.IncludeBody = false
	o.Logging.AllowedHeaders = slices.DeleteFunc(slices.Clone(o.Logging.AllowedHeaders), func(name string) bool {
		return slices.Contains(secretHeaders, strings.ToLower(strings.TrimSpace(name)))
	})
	o.Logging.AllowedQueryParams = append(shownParameters, o.Logging.AllowedQueryParams...)
	o.PerCallPolicies = slices.Clone(o.PerCallPolicies)
	o.PerRetryPolicies = slices.Clone(o.PerRetryPolicies)
	switch transport := transport.(type) {
	case nil:
		o.Transport = bounded{nodeClient}
	case *http.Client:
		if transport.CheckRedirect == nil {
			own := *transport
			own.CheckRedirect = refuseRedirect
			transport = &own
		}
		o.Transport = bounded{transport}
	default:
		o.Transport = bounded{transport}
	}
	return o
}

// maxBody is ample: a token with all its claims stays below 10 KiB.
const maxBody = 1 << 20

// bounded reads answers wholly, and none larger than maxBody.
type bounded struct{ next policy.Transporter }

var errTooLarge = fmt.Errorf("the answer is larger than %d bytes", maxBody)

// bodyError means that the host began to answer and the body could not be had.
type bodyError struct {
	status int
	header http.Header
	err    error
}

// transportError marks what the Transport said, as opposed to a policy.
type transportError struct{ error }

func (e *transportError) Unwrap() error { return e.error }

func (e *bodyError) Error() string { return e.err.Error() }
func (e *bodyError) Unwrap() error { return e.err }

func (b bounded) Do(req *http.Request) (*http.Response, error) {
	secrets := secretsOf(req)
	resp, err := b.next.Do(req)
	switch {
	case err != nil:
		if resp != nil && resp.Body != nil {
			_ = resp.Body.Close()
		}
		return nil, &transportError{redact.Error(err, secrets)}
	case resp == nil:
		return nil, &transportError{errors.New("the Transport returned neither a response nor an error")}
	case resp.Body == nil:
		resp.Body = http.NoBody
	}
	refuseUpgrade(resp)
	body, err := readBody(req.Context(), resp.Body, maxBody)
	switch {
	case err != nil:
		return nil, &bodyError{resp.StatusCode, redact.Header(resp.Header, secrets), fmt.Errorf("the answer was cut short after %d bytes: %w", len(body), redact.Error(err, secrets))}
	case len(body) > maxBody:
		return nil, &bodyError{resp.StatusCode, redact.Header(resp.Header, secrets), errTooLarge}
	}
	resp.Header = redact.Header(resp.Header, secrets)
	resp.Status = redact.Text(resp.Status, secrets...)
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, nil
}

// secretsKey is by what a try's context has the secrets so far, so that what comes back can be cleaned before azcore's log
// and trace see it.
type secretsKey struct{}

func withSecrets(ctx context.Context, secrets []string) context.Context {
	return context.WithValue(ctx, secretsKey{}, secrets)
}

func secretsOf(req *http.Request) []string {
	secrets, _ := req.Context().Value(secretsKey{}).([]string)
	return secrets
}

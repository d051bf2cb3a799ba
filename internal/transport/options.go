package transport

import (
	"net/http"
	"slices"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity/internal/usercode"
)

// Options turns the user's client options into those of our pipeline: one layer of retries, which
// is ours, and nothing in a log that could be a token. own is what sends the requests, nil for
// [Node]. The user's options are not changed.
func Options(o policy.ClientOptions, own policy.Transporter) policy.ClientOptions {
	o.APIVersion = ""
	o.TracingProvider = usercode.Tracing(o.TracingProvider)
	o.Retry = policy.RetryOptions{MaxRetries: -1}
	o.Logging.IncludeBody = false
	o.Logging.AllowedHeaders = slices.DeleteFunc(slices.Clone(o.Logging.AllowedHeaders), isSecret)
	o.Logging.AllowedQueryParams = slices.Concat(shown, Selectors, o.Logging.AllowedQueryParams)
	o.PerCallPolicies = slices.Clone(o.PerCallPolicies)
	o.PerRetryPolicies = slices.Clone(o.PerRetryPolicies)
	if own == nil {
		own = Node
	}
	o.Transport = Bounded(own)
	return o
}

// Bounded is a transport as it is used here: a client of the user's that says nothing of redirects
// follows none, answers are read wholly and none larger than MaxBody, and the secrets of the
// request ([WithSecrets]) are taken out of what comes back. The user's transport is not changed.
func Bounded(own policy.Transporter) policy.Transporter {
	if client, ok := own.(*http.Client); ok && client != nil && client.CheckRedirect == nil {
		other := *client
		other.CheckRedirect = refuseRedirect
		own = &other
	}
	return bounded{own}
}

// isSecret reports whether a header may never be shown by azcore's log, whatever the options allow.
func isSecret(name string) bool {
	return slices.Contains([]string{"x-identity-header", "secret", "authorization"},
		strings.ToLower(strings.TrimSpace(name)))
}

package identity

import (
	"bytes"
	"context"
	"net/url"

	"github.com/keyless-go/identity/internal/acquire"
	"github.com/keyless-go/identity/internal/check"
	"github.com/keyless-go/identity/internal/failure"
	"github.com/keyless-go/identity/internal/redact"
	"github.com/keyless-go/identity/internal/retry"
	"github.com/keyless-go/identity/internal/token"
	"github.com/keyless-go/identity/internal/transport"
)

// variableHost is what hosts have in common if an environment variable names their endpoint. Its
// methods are the defaults, which a host's own replace. The variables are read for each request,
// because platforms move endpoints and rotate secrets.
type variableHost struct {
	is    Host
	env   environment
	id    ID
	first string // the endpoint at construction, as it can be shown
	whole string // the same with its own query, which isn't ours
}

func (n *variableHost) host() Host       { return n.is }
func (n *variableHost) Name() string     { return n.is.String() }
func (n *variableHost) Answerer() string { return n.is.String() }
func (n *variableHost) Identity() string { return inWords(n.id) }
func (n *variableHost) Endpoint() string { return n.first }
func (n *variableHost) Address() string  { return n.whole }
func (n *variableHost) identity() ID     { return n.id }

// checked completes a new source by making a request of it, so that what is wrong with the
// variables is known at once.
func (n *variableHost) checked(s anyHost) (anyHost, error) {
	r, err := s.Call(context.Background(), acquire.Request{})
	if err != nil {
		return nil, err
	}
	n.at(r.URL)
	return s, nil
}

// Mismatch implements acquire.Host.
func (n *variableHost) Mismatch(t token.Token) string { return selected(n.id).Mismatch(t, false) }

// at notes where the endpoint is.
func (n *variableHost) at(endpoint *url.URL) {
	n.first = redact.ParsedURL(endpoint)
	if n.whole = n.first; endpoint.RawQuery != "" || n.first == "" {
		n.whole = transport.WithQuery(endpoint, "api-version", "", "resource", "", "xms_cc", "").String()
	}
}

// Recognises: the platform has named the endpoint, so that any refusal is believed. Any other
// answer must be a JSON object; what isn't one is a page of something in between.
func (*variableHost) Recognises(a acquire.Answer) bool {
	return a.Status >= 400 && a.Status < 500 || bytes.HasPrefix(bytes.TrimSpace(a.Body), []byte{'{'})
}

// NotAssigned: the host has one identity, or doesn't say.
func (*variableHost) NotAssigned(int, failure.Said) bool { return false }

// namedAtOnce is how many requests go to one endpoint at once. No limit of these hosts is
// documented; IMDS's is 5.
const namedAtOnce = 5

// Rules: silence is an error that names the endpoint. The variables say that it should be there.
func (*variableHost) Rules() acquire.Rules {
	return acquire.Rules{Rules: retry.Usual(), AtOnce: namedAtOnce}
}

// silentHint is what to check when nothing has answered at an endpoint that a variable names.
func (n *variableHost) silentHint(variable string) string {
	hint := "is the token endpoint of " + n.is.String() + " at " + n.first +
		" up, and is that where " + variable + " should point?"
	u, err := url.Parse(n.first)
	if err != nil || u.Scheme != "https" || check.IsNearby(u.Hostname()) {
		return hint
	}
	// Some tools put an endpoint of a made-up name behind a proxy of theirs.
	for _, proxy := range []string{"HTTPS_PROXY", "https_proxy"} {
		if n.env.has(proxy) {
			return hint + " It was asked without the proxy of " + proxy +
				": if it is behind that one, give CredentialOptions.Transport a client whose http.Transport has Proxy: http.ProxyFromEnvironment"
		}
	}
	return hint
}

package identity

import (
	"context"
	"errors"
	"net/http"
	"net/url"

	"github.com/keyless-go/identity/internal/acquire"
	"github.com/keyless-go/identity/internal/arckey"
	"github.com/keyless-go/identity/internal/check"
	"github.com/keyless-go/identity/internal/detect"
	"github.com/keyless-go/identity/internal/failure"
	"github.com/keyless-go/identity/internal/seam"
	"github.com/keyless-go/identity/internal/token"
	"github.com/keyless-go/identity/internal/transport"
)

// arc is the Connected Machine agent's token endpoint. It hands out a token only to a process that
// can read the file that the agent has just written into a directory of its own.
//
// https://learn.microsoft.com/azure/azure-arc/servers/managed-identity-authentication
type arc struct {
	variableHost
	byVariable bool // the endpoint is in IDENTITY_ENDPOINT; otherwise it is the fixed one
}

func newArc(env environment, options settings) (anyHost, error) {
	s := &arc{variableHost: variableHost{is: HostArc, env: env, id: options.ID},
		byVariable: detect.ArcByVariable(env.machine())}
	r, err := s.Call(context.Background(), acquire.Request{})
	if err != nil {
		return nil, err
	}
	if _, err := s.keyDirectory(r.URL); err != nil {
		return nil, err
	}
	return s.checked(s)
}

// keyDirectory is the agent's, or that of a fake.
func (s *arc) keyDirectory(endpoint *url.URL) (string, error) {
	if place, ok := seam.Lookup(endpoint.Path); ok {
		return place.KeyDirectory, nil
	}
	return arckey.Directory(s.env.goos, s.env.getenv)
}

func (s *arc) Call(_ context.Context, r acquire.Request) (acquire.Call, error) {
	configured := detect.ArcEndpoint
	if s.byVariable {
		configured = s.env.getenv(envEndpoint)
	}
	endpoint, err := check.URL(envEndpoint, configured, detect.ArcEndpoint)
	if err != nil {
		return acquire.Call{}, err
	}
	selector, value := selected(s.id).Parameter("client_id", "object_id", "msi_res_id")
	return acquire.Call{
		Method: http.MethodGet,
		URL:    transport.WithQuery(endpoint, selector, value, "api-version", "2020-06-01", "resource", r.Resource),
		Header: transport.Header("Metadata", "true"),
	}, nil
}

// Follow implements acquire.Follows: the agent answers the first request with a challenge, which
// names a file. The second request has to bring what is in that file.
func (s *arc) Follow(
	ctx context.Context, r acquire.Request, got acquire.Answer,
) (acquire.Call, bool, error) {
	if got.Status >= 200 && got.Status < 300 {
		return acquire.Call{}, false,
			errors.New("a token without a challenge: what listens there is not Azure Arc's agent")
	}
	if got.Status != http.StatusUnauthorized {
		return acquire.Call{}, false, nil
	}
	realm, ok := arckey.Realm(got.Header)
	if !ok {
		return acquire.Call{}, false,
			errors.New("a challenge without \"Basic realm=<path of a key file>\" in its WWW-Authenticate header: what listens there is not Azure Arc's agent")
	}
	next, err := s.Call(ctx, r)
	if err != nil {
		return acquire.Call{}, false, err
	}
	directory, err := s.keyDirectory(next.URL)
	if err != nil {
		return acquire.Call{}, false, err
	}
	key, err := arckey.Read(realm, directory, s.env.goos)
	if err != nil {
		return acquire.Call{}, false, err
	}
	next.Header.Set("Authorization", "Basic "+key)
	next.Secret = key
	return next, true, nil
}

// NotAssigned: an agent that knows selectors says identity_not_found. One that doesn't know them
// sends a token all the same, and Mismatch finds that it names no identity.
func (s *arc) NotAssigned(status int, said failure.Said) bool {
	return said.Code == "identity_not_found"
}

// Mismatch wants the answer to name the identity: older agents ignore selectors.
func (s *arc) Mismatch(t token.Token) string { return selected(s.id).Mismatch(t, true) }

func (s *arc) Hint(_ acquire.Request, status int, said failure.Said) string {
	switch {
	case status == acquire.NoAnswer:
		return "is Azure Arc's agent running (azcmagent show), and does it listen at " + s.first + "?"
	case s.NotAssigned(status, said) && s.id != nil:
		return "is " + inWords(s.id) +
			" assigned to this Arc-enabled server? For its system-assigned one leave ID nil"
	case s.NotAssigned(status, said):
		return "is this server connected (azcmagent show), and its system-assigned identity there?"
	case status >= http.StatusInternalServerError && !said.FromEntra():
		return "is this server connected (azcmagent show)? One that was offline for months has to be connected anew"
	case status == http.StatusUnauthorized:
		return "the agent refused the key that it had just written: is more than one agent installed here?"
	}
	return ""
}

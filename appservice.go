package identity

import (
	"bytes"
	"net/http"
	"time"
)

// appService is the token endpoint of App Service, Functions, Logic Apps and Container Apps.
//
// https://learn.microsoft.com/azure/app-service/overview-managed-identity#rest-endpoint-reference
type appService struct {
	env   environment
	id    ID
	first string // the endpoint at construction, by which tokens are kept
}

func newAppService(env environment, id ID) (source, error) {
	s := &appService{env: env, id: id}
	r, err := s.request("")
	if err != nil {
		return nil, err
	}
	s.first = displayURL(r.url.String())
	return s, nil
}

func (s *appService) host() Host       { return HostAppService }
func (s *appService) endpoint() string { return s.first }
func (s *appService) identity() ID     { return s.id }

// request reads both variables anew, because the platform rotates them. Automation shares this protocol but wants
// Metadata: true, which does no harm elsewhere.
func (s *appService) request(resource string) (request, error) {
	u, err := parseEndpoint(envEndpoint, s.env.getenv(envEndpoint))
	if err != nil {
		return request{}, err
	}
	secret := s.env.getenv(envHeader)
	if err := validateSecret(envHeader, secret); err != nil {
		return request{}, err
	}
	query := u.Query()
	for _, name := range []string{"client_id", "principal_id", "object_id", "mi_res_id"} {
		query.Del(name) // only the options select an identity
	}
	query.Set("api-version", "2019-08-01")
	query.Set("resource", resource)
	switch id := s.id.(type) {
	case ClientID:
		query.Set("client_id", string(id))
	case ObjectID:
		query.Set("principal_id", string(id))
	case ResourceID:
		query.Set("mi_res_id", string(id))
	}
	u.RawQuery = query.Encode()
	return request{
		method: http.MethodGet,
		url:    u,
		header: http.Header{"X-Identity-Header": {secret}, "Metadata": {"true"}},
		secret: secret,
	}, nil
}

// recognises: the endpoint was named by the platform, so that any refusal is believed. Anything else must be a JSON object
// or name the service's web server, or it is a page of something in between.
func (s *appService) recognises(a answer) bool {
	return a.status >= 400 && a.status < 500 || a.header.Get("Server") == "Kestrel" || bytes.HasPrefix(bytes.TrimSpace(a.body), []byte{'{'})
}

// notAssigned: a refusal of the service's that doesn't come from Entra is about the identity.
func (s *appService) notAssigned(status int, f fault) bool {
	return status == http.StatusBadRequest && f.structured && !f.fromEntra()
}

func (s *appService) hint(status int, f fault) string {
	switch {
	case s.notAssigned(status, f) && s.id != nil:
		return "is " + describeID(s.id) + " assigned to this app?"
	case s.notAssigned(status, f):
		return "is the system-assigned identity of this app switched on? Set CredentialOptions.ID to choose a user-assigned one"
	case status == http.StatusNotFound || status == http.StatusMethodNotAllowed:
		return "does " + envEndpoint + " name this app's token endpoint?"
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return "the endpoint refused " + envHeader + ": was the variable changed or inherited from another app?"
	}
	return ""
}

// rules: at start-up the endpoint may come up after the app, so that silence is retried for the whole budget, and then
// is an error that names the endpoint: the variables say that it should be there.
func (s *appService) rules() rules {
	return rules{
		budget:     30 * time.Second,
		unanswered: 30 * time.Second,
		tryTimeout: 20 * time.Second,
		delay:      500 * time.Millisecond,
		maxDelay:   5 * time.Second,
		retries:    retriesAnywhere,
	}
}

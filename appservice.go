package identity

import (
	"context"
	"net/http"
	"net/url"

	"github.com/keyless-go/identity/internal/acquire"
	"github.com/keyless-go/identity/internal/detect"
	"github.com/keyless-go/identity/internal/failure"
	"github.com/keyless-go/identity/internal/transport"
)

// appService is the token endpoint of App Service, and of the platforms that share its protocol.
//
// https://learn.microsoft.com/azure/app-service/overview-managed-identity#rest-endpoint-reference
type appService struct{ variableHost }

func newAppService(env environment, options settings) (anyHost, error) {
	s := &appService{variableHost{is: HostAppService, env: env, id: options.ID}}
	endpoint, _, err := s.where()
	if err != nil {
		return nil, err
	}
	s.at(endpoint)
	return s, nil
}

func (s *appService) where() (endpoint *url.URL, secret string, err error) {
	return s.env.endpointAndSecret(envEndpoint, envHeader, "http://localhost:4141/msi/token")
}

// Call: Automation wants Metadata: true, which does no harm elsewhere.
func (s *appService) Call(_ context.Context, r acquire.Request) (acquire.Call, error) {
	endpoint, secret, err := s.where()
	if err != nil {
		return acquire.Call{}, err
	}
	selector, value := selected(s.id).Parameter("client_id", "principal_id", "mi_res_id")
	return acquire.Call{
		Method: http.MethodGet,
		URL:    transport.WithQuery(endpoint, selector, value, "api-version", "2019-08-01", "resource", r.Resource),
		Header: transport.Header("X-IDENTITY-HEADER", secret, "Metadata", "true"),
		Secret: secret,
	}, nil
}

// Proof implements acquire.Proves: the header is what the service knows the app by.
func (s *appService) Proof() string { return s.env.getenv(envHeader) }

// Recognises: the service's web server names itself, too.
func (s *appService) Recognises(a acquire.Answer) bool {
	return s.variableHost.Recognises(a) || a.Header.Get("Server") == "Kestrel"
}

// NotAssigned: a refusal of the service's that doesn't come from Entra is about the identity.
func (s *appService) NotAssigned(status int, said failure.Said) bool {
	return status == http.StatusBadRequest && said.Structured && !said.FromEntra()
}

func (s *appService) Hint(_ acquire.Request, status int, said failure.Said) string {
	switch {
	case status == acquire.NoAnswer && s.env.has(detect.EnvDisableMSI):
		return detect.EnvDisableMSI + " is set, which switches this app's token endpoint off"
	case status == acquire.NoAnswer:
		return s.silentHint(envEndpoint)
	case s.NotAssigned(status, said) && s.id != nil:
		return "is " + inWords(s.id) +
			" assigned to this app (on Container Apps: and not withheld by identitySettings)?"
	case s.NotAssigned(status, said):
		return "is the system-assigned identity of this app switched on (on Container Apps: and not withheld by identitySettings)? Set CredentialOptions.ID to choose a user-assigned one"
	case status == http.StatusInternalServerError && !said.FromEntra():
		return "App Service says this of a wrong resource, too: is the scope right, down to a slash at its end?"
	case status == http.StatusNotFound || status == http.StatusMethodNotAllowed:
		return "does " + envEndpoint + " name this app's token endpoint?"
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return "the endpoint refused " + envHeader + ": was the variable changed or inherited from another app?"
	}
	return ""
}

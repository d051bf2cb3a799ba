package identity

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/keyless-go/identity/internal/acquire"
	"github.com/keyless-go/identity/internal/check"
	"github.com/keyless-go/identity/internal/detect"
	"github.com/keyless-go/identity/internal/failure"
	"github.com/keyless-go/identity/internal/transport"
)

// envDefaultClientID names the identity that Azure ML uses by default, by its client ID. On
// instances it can hold a placeholder such as "clientid": what is no GUID counts as unset
// (Azure/azure-sdk-for-python#36047). Legacy App Service doesn't set it.
const envDefaultClientID = detect.EnvDefaultClientID

// azureML is the token endpoint of Azure ML and legacy App Service.
//
// https://learn.microsoft.com/azure/machine-learning/how-to-identity-based-service-authentication
// https://github.com/AzureAD/microsoft-authentication-library-for-go/blob/main/apps/managedidentity/azure_ml.go
type azureML struct{ variableHost }

func newAzureML(env environment, options settings) (anyHost, error) {
	if err := options.onlySelects(HostAzureML, "give a ClientID", ClientID("")); err != nil {
		return nil, err
	}
	s := &azureML{variableHost{is: HostAzureML, env: env, id: options.ID}}
	if clientID := env.getenv(envDefaultClientID); s.id == nil && clientID != "" {
		if err := check.Word(envDefaultClientID, clientID); err != nil {
			return nil, err
		}
		if check.IsGUID(clientID) {
			s.id = ClientID(clientID) // and another one's token is refused
		}
	}
	return s.checked(s)
}

// Call: an Azure ML endpoint is always told which identity. Without an ID it is the one that the
// platform named; where it named none, as on legacy App Service, nothing is sent, since an empty
// client ID would not mean the system-assigned identity there. Metadata: true is what the hybrid
// workers of Automation wanted beside the secret.
func (s *azureML) Call(_ context.Context, r acquire.Request) (acquire.Call, error) {
	endpoint, secret, err := s.env.endpointAndSecret(envMSI, envMSISecret, "http://localhost:4141/msi/token")
	if err != nil {
		return acquire.Call{}, err
	}
	clientID := ""
	if s.id != nil {
		clientID = s.id.String()
	}
	return acquire.Call{
		Method: http.MethodGet,
		URL:    transport.WithQuery(endpoint, "clientid", clientID, "api-version", "2017-09-01", "resource", r.Resource),
		Header: transport.Header("Secret", secret, "Metadata", "true"),
		Secret: secret,
	}, nil
}

// Proof implements acquire.Proves.
func (s *azureML) Proof() string { return s.env.getenv(envMSISecret) }

// NotAssigned: as on today's App Service. What Azure ML says is documented nowhere.
func (s *azureML) NotAssigned(status int, said failure.Said) bool {
	return status == http.StatusBadRequest && said.Structured && !said.FromEntra()
}

func (s *azureML) Hint(_ acquire.Request, status int, said failure.Said) string {
	switch {
	case status == acquire.NoAnswer:
		return s.silentHint(envMSI)
	case s.NotAssigned(status, said) && s.id != nil:
		return fmt.Sprintf("is %s assigned to this compute or app?", inWords(s.id))
	case s.NotAssigned(status, said):
		return "has this compute or app a system-assigned identity? Set CredentialOptions.ID to a ClientID to choose a user-assigned one"
	// text is Azure ML's, a page is not
	case status == http.StatusBadRequest && !said.Structured && !said.FromEntra() &&
		!strings.HasPrefix(said.Message, "<"):
		return "has this compute an identity? Without one, and with single sign-on, it asks for the token of the user who is signed in to it"
	case status == http.StatusNotFound || status == http.StatusMethodNotAllowed:
		return "does " + envMSI + " name the token endpoint?"
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return "the endpoint refused " + envMSISecret + ": was the variable changed or inherited from elsewhere?"
	}
	return ""
}

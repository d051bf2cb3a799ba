package identitytest

import "strings"

// FederatedCredential says which tokens of another issuer prove that a client is the application:
// those with exactly this issuer, subject and audience. See [Options.FederatedCredentials], and
// [Endpoint.FederatedCredentials] for what the tokens of another fake need.
type FederatedCredential struct {
	ClientID string // of the application; zero means every application of the endpoint
	Issuer   string // a URL, the token's claim iss
	Subject  string // the token's claim sub
	Audience string // in the token's claim aud; zero means api://AzureADTokenExchange
}

const (
	exchangeAudience = "api://AzureADTokenExchange"

	// exchangeID is the application behind that audience. Entra's own tokens for it have its ID as
	// their audience, and a federated credential has the name:
	// https://learn.microsoft.com/entra/workload-id/workload-identity-federation-config-app-trust-managed-identity
	exchangeID = "fb60f99c-7a34-4190-8149-302f77469936"
)

// isExchange reports whether tokens for a resource are made to be assertions.
func isExchange(resource string) bool {
	return strings.EqualFold(resource, exchangeAudience) || strings.EqualFold(resource, exchangeID)
}

// assertionIssuer is Entra, as the issuer of a tenant's assertions.
func assertionIssuer(tenant string) string {
	return "https://login.microsoftonline.com/" + tenant + "/v2.0"
}

// isOf reports whether c is one of the application's.
func (c FederatedCredential) isOf(id Identity) bool {
	return c.ClientID == "" || strings.EqualFold(c.ClientID, id.ClientID)
}

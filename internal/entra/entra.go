// Package entra has what is particular to Entra's token endpoint, as pure functions: where it is,
// what an exchange of an assertion sends, and what an assertion says of itself.
//
// What Entra's numbers mean is in package failure, because other hosts pass them on. This package
// sends nothing, keeps nothing, and knows neither hosts nor credentials. All functions may be
// called by several goroutines at once.
package entra

import (
	"net/url"
	"strings"
)

// assertionType is that of an assertion that is a JWT.
//
// https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow#third-case-access-token-request-with-a-federated-credential
const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// TokenURL is the token endpoint of a tenant.
func TokenURL(authority *url.URL, tenant string) *url.URL {
	// As nearly always; joining costs a microsecond of each construction.
	if authority.Path == "" || authority.Path == "/" {
		return &url.URL{Scheme: authority.Scheme, Host: authority.Host,
			Path: "/" + tenant + "/oauth2/v2.0/token"}
	}
	return authority.JoinPath(tenant, "oauth2/v2.0/token")
}

// Form is what an exchange sends: the assertion for a token of a scope. claims are those of a
// challenge, "" for none.
func Form(clientID, scope, assertion, claims string) url.Values {
	form := url.Values{
		"client_id":             {clientID},
		"grant_type":            {"client_credentials"},
		"scope":                 {scope},
		"client_assertion_type": {assertionType},
		"client_assertion":      {assertion},
	}
	if claims != "" {
		form.Set("claims", claims)
	}
	return form
}

// Audience is the one that an assertion must have in a cloud, which the name of Entra's host tells.
//
// hashicorp/terraform-provider-azurerm#28059 and hashicorp/terraform-provider-azuread#1755 have
// what happens without it.
func Audience(authority string) string {
	const public = "api://AzureADTokenExchange"
	authority = strings.ToLower(authority)
	for _, cloud := range []struct{ domain, suffix string }{
		{".microsoftonline.us", "USGov"},
		{".chinacloudapi.cn", "China"},
		{".microsoftonline.cn", "China"},
		{".eaglex.ic.gov", "USNat"},
		{".microsoft.scloud", "USSec"},
	} {
		if strings.HasSuffix(authority, cloud.domain) {
			return public + cloud.suffix
		}
	}
	return public
}

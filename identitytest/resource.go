package identitytest

import (
	"net/http"
	"net/url"
	"strings"
	"unicode"
)

// isResource reports whether Entra can know an application by that name: by an application ID URI,
// such as "https://vault.azure.net", or by its client ID. A scope, which ends in /.default, is no
// resource, and to ask a host for one is the commonest mistake. Several scopes and an address
// without its scheme, such as "vault.azure.net:443", are none either. Which URIs there are is not
// for a fake to know: it takes all others.
func isResource(resource string) bool {
	if isGUID(resource) {
		return true
	}
	u, err := url.Parse(resource)
	switch {
	case err != nil || u.Scheme == "" || strings.ContainsFunc(resource, unicode.IsSpace):
		return false
	case strings.HasSuffix(strings.ToLower(strings.TrimRight(resource, "/")), defaultScope):
		return false
	case u.Scheme == "http" || u.Scheme == "https":
		return u.Host != ""
	}
	return u.Host != "" || strings.Trim(u.Opaque, "0123456789") != ""
}

// isGUID reports whether text is 32 hexadecimal digits in the usual groups.
func isGUID(text string) bool {
	groups := strings.Split(text, "-")
	if len(groups) != 5 {
		return false
	}
	for i, length := range []int{8, 4, 4, 4, 12} {
		if len(groups[i]) != length || strings.Trim(groups[i], "0123456789abcdefABCDEF") != "" {
			return false
		}
	}
	return true
}

// unknownResource is how Entra refuses a resource, to whoever asks.
func unknownResource(resource, tenant string) *entraError {
	return &entraError{http.StatusBadRequest, "invalid_resource", 500011,
		"The resource principal named " + resource + " was not found in the tenant named " +
			tenant +
			". This can happen if the application has not been installed by the administrator of " +
			"the tenant or consented to by any user in the tenant. You might have sent your " +
			"authentication request to the wrong tenant."}
}

package identitytest

import (
	"fmt"
	"slices"
	"strings"
)

// hostVariables are all variables by which one host or another is recognised. AZURE_CLIENT_ID and AZURE_TENANT_ID
// aren't among them: they choose an identity rather than a host, and code under test may well read them.
var hostVariables = [...]string{
	"AZURE_FEDERATED_TOKEN_FILE",
	"AZURE_POD_IDENTITY_AUTHORITY_HOST",
	"IDENTITY_ENDPOINT",
	"IDENTITY_HEADER",
	"IDENTITY_SERVER_THUMBPRINT",
	"IMDS_ENDPOINT",
	"MSI_ENDPOINT",
	"MSI_SECRET",
}

// Env returns the environment variables by which a process finds the endpoint when it is served at baseURL, such as
// "http://127.0.0.1:1234", as "NAME=value". The variables of all other kinds of host are among them, empty, so that
// those which the process would inherit can't win. Append the result to [os.Environ] for [os/exec.Cmd.Env].
//
//   - IMDS is found by AZURE_POD_IDENTITY_AUTHORITY_HOST, which clients put in the place of http://169.254.169.254.
//   - App Service is found by IDENTITY_ENDPOINT, and IDENTITY_HEADER has the secret; after [Endpoint.RotateSecret],
//     the secret of an earlier Env is refused.
//
// The URL within has a random path element, so that two endpoints which the system gave the same port, one after the
// other, never share a token in a cache. The endpoint answers with and without that element.
//
// Env panics if baseURL doesn't begin with http:// or https://.
func (e *Endpoint) Env(baseURL string) []string {
	if !strings.HasPrefix(baseURL, "http://") && !strings.HasPrefix(baseURL, "https://") {
		panic(fmt.Sprintf("identitytest: Env: base URL %q doesn't begin with http:// or https://", baseURL))
	}
	lines := e.host.env(strings.TrimRight(baseURL, "/") + "/" + e.nonce)
	set := variables(lines)
	for _, name := range hostVariables {
		if !slices.ContainsFunc(set, func(v variable) bool { return v.name == name }) {
			lines = append(lines, name+"=")
		}
	}
	return lines
}

type variable struct{ name, value string }

func variables(lines []string) []variable {
	list := make([]variable, len(lines))
	for i, line := range lines {
		list[i].name, list[i].value, _ = strings.Cut(line, "=")
	}
	return list
}

package identitytest

import (
	"fmt"
	"slices"
	"strings"
)

// hostVariables are all variables by which one host or another is recognised. AZURE_CLIENT_ID and
// AZURE_TENANT_ID aren't among them: they choose an identity rather than a host, and code under
// test may well read them. The endpoints of workload identity and of GitHub Actions set both
// nevertheless, as the platform or the workflow does.
var hostVariables = [...]string{
	"ACTIONS_ID_TOKEN_REQUEST_TOKEN",
	"ACTIONS_ID_TOKEN_REQUEST_URL",
	"AZURE_FEDERATED_TOKEN_FILE",
	"AZURE_POD_IDENTITY_AUTHORITY_HOST",
	"DEFAULT_IDENTITY_CLIENT_ID",
	"IDENTITY_API_VERSION",
	"IDENTITY_ENDPOINT",
	"IDENTITY_HEADER",
	"IDENTITY_SERVER_THUMBPRINT",
	"IMDS_ENDPOINT",
	"MSI_ENDPOINT",
	"MSI_SECRET",
	"SYSTEM_OIDCREQUESTURI",
}

// Env returns the environment variables by which a process finds the endpoint when it is served at
// baseURL, such as "http://127.0.0.1:1234", as "NAME=value". The variables of all other kinds of
// host are among them, empty, so that those which the process would inherit can't win. Append the
// result to [os.Environ] for [os/exec.Cmd.Env]. This module and azidentity take an empty variable
// for an unset one. The SDKs for JavaScript and Python don't always: for them, leave out what ends
// in "=", and what the process would inherit of those.
//
//   - IMDS is found by AZURE_POD_IDENTITY_AUTHORITY_HOST, which clients put in the place of
//     http://169.254.169.254.
//   - App Service is found by IDENTITY_ENDPOINT, and IDENTITY_HEADER has the secret; after
//     [Endpoint.RotateSecret], the secret of an earlier Env is refused.
//   - The legacy App Service and Azure ML are found by MSI_ENDPOINT, and MSI_SECRET has the secret,
//     which can be rotated as well. Azure ML has the default identity in
//     DEFAULT_IDENTITY_CLIENT_ID.
//   - Cloud Shell is found by MSI_ENDPOINT alone.
//   - Service Fabric is found by IDENTITY_ENDPOINT; IDENTITY_HEADER has the secret and
//     IDENTITY_SERVER_THUMBPRINT the hash of the certificate, by which another process checks it.
//     IDENTITY_API_VERSION has the version.
//   - Container Instances on Windows is found by the same three. IDENTITY_ENDPOINT is plain http,
//     and its query has the version. A credential sends the secret to a private address or to this
//     machine only.
//   - Azure Arc is found by IDENTITY_ENDPOINT and IMDS_ENDPOINT. A client reads a key from a file
//     that the endpoint names, and only if it lies where the agent of Arc has its keys. A
//     credential in this process looks in Options.Dir instead; a client in another process, or of
//     another make, refuses unless that is the agent's directory.
//   - Workload identity is found by AZURE_FEDERATED_TOKEN_FILE, AZURE_CLIENT_ID, AZURE_TENANT_ID
//     and AZURE_AUTHORITY_HOST. A credential in this process trusts the endpoint's certificate; any
//     other must be told to, as by SSL_CERT_FILE: [Endpoint.TLSConfig] has it.
//   - GitHub Actions is found by ACTIONS_ID_TOKEN_REQUEST_URL, and ACTIONS_ID_TOKEN_REQUEST_TOKEN
//     has the secret, which can be rotated. AZURE_CLIENT_ID and AZURE_TENANT_ID are the
//     application's, as a workflow sets them.
//   - Azure Pipelines is found by SYSTEM_OIDCREQUESTURI, and SYSTEM_ACCESSTOKEN has the secret,
//     which can be rotated. AZURESUBSCRIPTION_CLIENT_ID, AZURESUBSCRIPTION_TENANT_ID and
//     AZURESUBSCRIPTION_SERVICE_CONNECTION_ID are the application's, as the task AzureCLI@2 sets
//     them.
//   - Entra as [NewEntra] has it is found by AZURE_AUTHORITY_HOST. It is trusted as with workload
//     identity. It isn't a host, so the variables of hosts aren't among its own.
//
// A credential's trust in the endpoint's certificate, and its look into Options.Dir, end with the
// Endpoint: keep it in use for as long, as a transport or a served handler does.
//
// The URL within has a random path element, so that two endpoints which the system gave the same
// port, one after the other, never share a token in a cache. The endpoint answers with and without
// that element.
//
// Env panics if baseURL doesn't begin with http:// or https://, and for a host with TLS if it
// begins with http://.
func (e *Endpoint) Env(baseURL string) []string {
	if !strings.HasPrefix(baseURL, "http://") && !strings.HasPrefix(baseURL, "https://") {
		panic(fmt.Sprintf("identitytest: Env: base URL %q doesn't begin with http:// or https://",
			baseURL))
	}
	if e.certificate != nil && !strings.HasPrefix(baseURL, "https://") {
		panic(fmt.Sprintf("identitytest: Env: base URL %q doesn't begin with https://, and this host has TLS", baseURL))
	}
	lines := e.host.env(e, strings.TrimRight(baseURL, "/")+"/"+e.nonce)
	if _, ok := e.host.(companion); ok {
		return lines
	}
	set := variables(lines)
	for _, name := range hostVariables {
		if !slices.ContainsFunc(set, func(v variable) bool { return v.name == name }) {
			lines = append(lines, name+"=")
		}
	}
	return lines
}

// companion is an endpoint that isn't a host, and may be found beside one.
type companion interface{ accompanies() }

type variable struct{ name, value string }

func variables(lines []string) []variable {
	list := make([]variable, len(lines))
	for i, line := range lines {
		list[i].name, list[i].value, _ = strings.Cut(line, "=")
	}
	return list
}

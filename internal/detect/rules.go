package detect

import (
	"net/url"
	"strings"
)

// The hosts' names.
const (
	WorkloadIdentity   = "workloadidentity"
	ContainerInstances = "containerinstances"
	ServiceFabric      = "servicefabric"
	AppService         = "appservice"
	AzureML            = "azureml"
	CloudShell         = "cloudshell"
	Arc                = "arc"
	IMDS               = "imds"
)

// Found is which host this is.
type Found struct {
	Host     string // one of the names in this package
	Endpoint string // as configured; "" where it is made of several variables
	Reason   string // in words: names of variables and files, and no value that is secret
}

// On tells which host this is. It never fails: IMDS is what is left. Many services make a
// credential for each request, so that it allocates little.
func On(m Machine) Found {
	for _, r := range rules {
		if endpoint, reason, ok := r.detect(m); ok {
			return Found{r.host, endpoint, reason}
		}
	}
	panic("identity: unreachable: the last rule takes every machine")
}

// rule tells one host. It gives the endpoint as configured, "" where it is made of several
// variables, and why it is this host.
type rule struct {
	host   string
	detect func(Machine) (endpoint, reason string, ok bool)
}

// rules are tried in order; the first that holds decides. The order is MSAL's: a host whose
// variables are a superset of another's comes first. Workload identity comes before them all, as in
// the credential chains of the Azure SDKs: its variables are put into a pod on purpose. They never
// change.
var rules = []rule{
	{WorkloadIdentity, workload},
	{ContainerInstances, containerInstances},
	{ServiceFabric, serviceFabric},
	{AppService, appService},
	{AzureML, azureML},
	{CloudShell, cloudShell},
	{Arc, arc},
	{IMDS, imds},
}

// Hosts are the names of all hosts, in the order in which they are tried.
func Hosts() []string {
	names := make([]string, len(rules))
	for i, r := range rules {
		names[i] = r.host
	}
	return names
}

// workload takes every pod that has a token file: what is missing beside it is an error for the
// user, because the host that would be detected next has another identity.
func workload(m Machine) (endpoint, reason string, ok bool) {
	if !m.has(EnvTokenFile) {
		return "", "", false
	}
	reason = EnvTokenFile + ", " + EnvClientID + " and " + EnvTenantID + " are set"
	var missing []string
	for _, name := range []string{EnvClientID, EnvTenantID} {
		if !m.has(name) {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		verb := " is"
		if len(missing) > 1 {
			verb = " are"
		}
		reason = EnvTokenFile + " is set, but " + strings.Join(missing, " and ") + verb +
			" not, which workload identity needs"
	}
	return "", reason, true
}

// containerInstances are Windows containers. Their variables are those of Service Fabric, whose
// endpoint is always https, because its certificate is all that tells it from another program. The
// endpoint of a Windows container is plain http.
//
// https://github.com/Azure/azure-sdk-for-net/issues/45547
func containerInstances(m Machine) (endpoint, reason string, ok bool) {
	endpoint = m.Getenv(EnvEndpoint)
	u, err := url.Parse(endpoint)
	ok = err == nil && u.Scheme == "http" && m.has(EnvEndpoint, EnvHeader, EnvThumbprint)
	return endpoint, EnvEndpoint + " is plain http, and " + EnvHeader + " and " + EnvThumbprint + " are set", ok
}

// serviceFabric: of Container Instances, Linux sets the header and the thumbprint without an
// endpoint, and uses IMDS. Windows sets all three, and was told before.
func serviceFabric(m Machine) (endpoint, reason string, ok bool) {
	return m.Getenv(EnvEndpoint), EnvEndpoint + ", " + EnvHeader + " and " + EnvThumbprint + " are set",
		m.has(EnvEndpoint, EnvHeader, EnvThumbprint)
}

// appService: Container Apps sets MSI_ENDPOINT and MSI_SECRET beside these two, and is no Azure ML.
func appService(m Machine) (endpoint, reason string, ok bool) {
	return m.Getenv(EnvEndpoint), EnvEndpoint + " and " + EnvHeader + " are set", m.has(EnvEndpoint, EnvHeader)
}

func azureML(m Machine) (endpoint, reason string, ok bool) {
	return m.Getenv(EnvMSI), EnvMSI + " and " + EnvMSISecret + " are set", m.has(EnvMSI, EnvMSISecret)
}

func cloudShell(m Machine) (endpoint, reason string, ok bool) {
	return m.Getenv(EnvMSI), EnvMSI + " is set and " + EnvMSISecret + " is not", m.has(EnvMSI)
}

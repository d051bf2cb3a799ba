package identity

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	"github.com/keyless-go/identity/internal/redact"
)

// Detection is what [Detect] concluded.
type Detection struct {
	Host Host // the host; IMDS when nothing says otherwise
	// the token endpoint's URL, without query; "" if a variable that it comes from is malformed or
	// missing
	Endpoint string
	// what decided, in words: names of variables and files, never a value that is secret
	Reason string

	// Evidence is everything that was looked at, set or not: the variables by which hosts are
	// recognised and asked, then the files. No value in it is secret.
	Evidence []Evidence
}

// Detect tells which host this process runs on, as [NewCredential] sees it. It reads environment
// variables and looks for the Azure Arc agent's program; it sends nothing, so that it can't tell
// whether the endpoint answers: see [Credential.Ready]. A variable that is set to the empty string
// counts as unset. It is safe for concurrent use.
func Detect() Detection {
	env := processEnvironment()
	d := detect(env)
	d.Evidence = evidence(env)
	return d
}

func detect(env environment) Detection {
	k, endpoint, reason := detectHost(env)
	if endpoint == "" {
		if src, err := k.source(env, settingsOf(&CredentialOptions{})); err == nil {
			endpoint = src.Endpoint()
		}
	}
	if variable := env.pipeline(); variable != "" {
		reason += "; " + inPipeline(variable)
	}
	return Detection{Host: k.host, Endpoint: redact.URL(endpoint), Reason: reason}
}

// hostKind is all that detection knows of a host; the rest is in the host's own file.
type hostKind struct {
	host Host
	// detect gives the endpoint as configured, "" to leave it to source, and in words why it is
	// this host
	detect func(environment) (endpoint, reason string, ok bool)
	// source is what asks the host; its errors name the field or variable
	source func(environment, settings) (anyHost, error)
}

// hostKinds are tried in order; the first that recognises its host decides. The order is MSAL's: a
// host whose variables are a superset of another's comes first. Workload identity comes before them
// all, as in the credential chains of the Azure SDKs: its variables are put into a pod on purpose.
// It never changes.
var hostKinds = []hostKind{
	{HostWorkloadIdentity, detectWorkload, newWorkload},
	{HostContainerInstances, detectContainerInstances, newContainerInstances},
	{HostServiceFabric, detectServiceFabric, newServiceFabric},
	{HostAppService, detectAppService, newAppService},
	{HostAzureML, detectAzureML, newAzureML},
	{HostCloudShell, detectCloudShell, newCloudShell},
	{HostArc, detectArc, newArc},
	{HostIMDS, detectIMDS, newIMDS},
}

// detectHost is the part of detect that [NewCredential] needs, which many services call once per
// request.
func detectHost(env environment) (k hostKind, endpoint, reason string) {
	for _, k := range hostKinds {
		if endpoint, reason, ok := k.detect(env); ok {
			return k, endpoint, reason
		}
	}
	panic("identity: unreachable: the last kind of host takes every environment")
}

// azure is what in the environment says that this is Azure; "" if nothing does.
// AZURE_POD_IDENTITY_AUTHORITY_HOST says that there is an IMDS, somewhere else, half of a host's
// variables that there is a host, and the chassis asset tag that the machine is one of Azure's.
// An app of App Service or Container Apps that has no identity must not be whoever has logged in
// beside it.
func (env environment) azure() string {
	k, _, reason := detectHost(env)
	if k.host != HostIMDS || env.onAzureVM() {
		return reason
	}
	if reason := expectsIMDS(env); reason != "" {
		return reason
	}
	if variable, platform := appPlatform(env); variable != "" {
		return variable + " says that this is " + platform
	}
	return ""
}

// newSource is where the host that was detected, or that the user named, becomes one that can be
// asked. It says why that one.
func newSource(env environment, options settings) (src anyHost, reason string, err error) {
	want, reason := options.Host, cmp.Or(options.named, "CredentialOptions.Host names it")
	if want == "" {
		k, _, why := detectHost(env)
		want, reason = k.host, why
	}
	for _, k := range hostKinds {
		if k.host != want {
			continue
		}
		src, err := k.source(env, options)
		switch {
		case err != nil && options.Host != "":
			return nil, "", fmt.Errorf("identity: %s: %s", options.hostNamed(),
				strings.TrimPrefix(err.Error(), "identity: "))
		case err != nil && want == HostWorkloadIdentity && isHalfAPod(env, options.CredentialOptions):
			return nil, "", fmt.Errorf("%w; %s. %s", err, reason, options.asNode)
		}
		return src, reason, err
	}
	var names []string
	for _, k := range hostKinds {
		names = append(names, strconv.Quote(string(k.host)))
	}
	return nil, "", fmt.Errorf("identity: %s.Host: unknown host %.100q: "+
		"want one of %s, or \"\" to detect it", options.options, redact.Text(string(want)), strings.Join(names, ", "))
}

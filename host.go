package identity

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"unicode"
)

// Host is a place that Azure runs code in and that has a token endpoint of its own.
type Host string

const (
	// HostIMDS is the Instance Metadata Service: virtual machines, scale sets, AKS nodes, Batch nodes, Container
	// Instances and Spring Apps.
	HostIMDS Host = "imds"
	// HostAppService is App Service, Functions, Logic Apps and Container Apps.
	HostAppService Host = "appservice"

	// Hosts that are recognised, so that nobody asks IMDS there by mistake, but not supported yet.
	hostServiceFabric   Host = "servicefabric"
	hostMachineLearning Host = "machinelearning"
	hostCloudShell      Host = "cloudshell"
	hostArc             Host = "arc"
)

// String returns the host's name in Azure's own terms, for messages.
func (h Host) String() string {
	switch h {
	case HostIMDS:
		return "IMDS"
	case HostAppService:
		return "App Service"
	case hostServiceFabric:
		return "Service Fabric"
	case hostMachineLearning:
		return "Azure ML or legacy App Service"
	case hostCloudShell:
		return "Cloud Shell"
	case hostArc:
		return "Azure Arc"
	}
	return string(h)
}

// Detection is what [Detect] concluded.
type Detection struct {
	Host     Host   // the host; IMDS when nothing says otherwise
	Endpoint string // the token endpoint's URL, without query
	Reason   string // what decided, in words: names of variables and files, never a value that is secret
}

// Detect tells which host this process runs on, as [NewCredential] sees it. It reads environment variables and looks
// for one file; it sends nothing, so that it can't tell whether the endpoint answers: see [Credential.Ready].
// A variable that is set to the empty string counts as unset. It is safe for concurrent use.
func Detect() Detection { return detect(processEnvironment()) }

// environment is all that detection looks at.
type environment struct {
	getenv func(string) string
	exists func(path string) bool
	goos   string
}

func processEnvironment() environment {
	return environment{
		getenv: os.Getenv,
		exists: func(path string) bool { _, err := os.Stat(path); return err == nil },
		goos:   runtime.GOOS,
	}
}

// The variables by which hosts make themselves known.
const (
	envEndpoint   = "IDENTITY_ENDPOINT"
	envHeader     = "IDENTITY_HEADER"
	envThumbprint = "IDENTITY_SERVER_THUMBPRINT"
	envIMDS       = "IMDS_ENDPOINT"
	envMSI        = "MSI_ENDPOINT"
	envMSISecret  = "MSI_SECRET"
	envAuthority  = "AZURE_POD_IDENTITY_AUTHORITY_HOST"
	envTokenFile  = "AZURE_FEDERATED_TOKEN_FILE"
)

// detectors are tried in order; the first that recognises its host decides. The order is MSAL's: a host whose
// variables are a superset of another's comes first. Each returns the endpoint as configured and the reason in words.
var detectors = []struct {
	host   Host
	detect func(environment) (endpoint, reason string, ok bool)
}{
	{hostServiceFabric, func(env environment) (string, string, bool) {
		return env.getenv(envEndpoint), envEndpoint + ", " + envHeader + " and " + envThumbprint + " are set", env.has(envEndpoint, envHeader, envThumbprint)
	}},
	{HostAppService, func(env environment) (string, string, bool) {
		return env.getenv(envEndpoint), envEndpoint + " and " + envHeader + " are set", env.has(envEndpoint, envHeader)
	}},
	{hostMachineLearning, func(env environment) (string, string, bool) {
		return env.getenv(envMSI), envMSI + " and " + envMSISecret + " are set", env.has(envMSI, envMSISecret)
	}},
	{hostCloudShell, func(env environment) (string, string, bool) {
		return env.getenv(envMSI), envMSI + " is set and " + envMSISecret + " is not", env.has(envMSI)
	}},
	{hostArc, detectArc},
	{HostIMDS, detectIMDS},
}

// has reports whether all of the variables are set to something.
func (env environment) has(names ...string) bool {
	for _, name := range names {
		if env.getenv(name) == "" {
			return false
		}
	}
	return true
}

func detect(env environment) Detection {
	for _, d := range detectors {
		if endpoint, reason, ok := d.detect(env); ok {
			return Detection{Host: d.host, Endpoint: displayURL(endpoint), Reason: reason}
		}
	}
	panic("identity: unreachable: the last detector takes every environment")
}

// chosen is the reason when nothing was detected.
const chosen = "CredentialOptions.Host says so"

// choose is detection when the user named the host.
func choose(host Host, env environment) (Detection, error) {
	for _, d := range detectors {
		if d.host == host {
			endpoint, _, _ := d.detect(env)
			return Detection{Host: host, Endpoint: displayURL(endpoint), Reason: chosen}, nil
		}
	}
	return Detection{}, fmt.Errorf("identity: CredentialOptions.Host: unknown host %q: want %q, %q or \"\" to detect it", string(host), string(HostIMDS), string(HostAppService))
}

// newSource is where a detected host becomes one that can be asked.
func newSource(d Detection, env environment, id ID) (source, error) {
	switch d.Host {
	case HostIMDS:
		return newIMDS(env, id)
	case HostAppService:
		return newAppService(env, id)
	}
	if d.Reason == chosen {
		return nil, fmt.Errorf("identity: %s is not supported yet", d.Host)
	}
	return nil, fmt.Errorf("identity: this is %s (%s), which is not supported yet: set CredentialOptions.Host if that is wrong", d.Host, d.Reason)
}

// detectArc finds the Connected Machine agent by its variables, or by its program where a service has no variables.
func detectArc(env environment) (string, string, bool) {
	if env.has(envEndpoint, envIMDS) {
		return env.getenv(envEndpoint), envEndpoint + " and " + envIMDS + " are set", true
	}
	const endpoint = "http://localhost:40342/metadata/identity/oauth2/token"
	for _, path := range arcAgentPaths(env) {
		// A variable that somebody set to move IMDS says more than a file that a machine carries.
		if !env.has(envAuthority) && env.exists(path) {
			return endpoint, path + " exists", true
		}
	}
	return endpoint, "", false
}

// arcAgentPaths: the agent installs its program under Program Files; MSAL for Go looks under ProgramData instead.
// Looking at both costs nothing.
func arcAgentPaths(env environment) []string {
	switch env.goos {
	case "linux":
		return []string{"/opt/azcmagent/bin/himds"}
	case "windows":
		var paths []string
		for _, root := range []string{"ProgramFiles", "ProgramData"} {
			if dir := env.getenv(root); dir != "" {
				paths = append(paths, filepath.Join(dir, "AzureConnectedMachineAgent", "himds.exe"))
			}
		}
		return paths
	}
	return nil
}

// detectIMDS takes whatever no other host claimed.
func detectIMDS(env environment) (string, string, bool) {
	endpoint, err := imdsEndpoint(env)
	if err != nil {
		endpoint = env.getenv(envAuthority)
	}
	reason := "no other host's variables are set"
	var alone []string
	for _, name := range []string{envEndpoint, envHeader, envThumbprint, envIMDS, envMSISecret} {
		if env.has(name) {
			alone = append(alone, name)
		}
	}
	switch {
	case len(alone) > 0 && !env.has(envEndpoint) && env.has(envHeader): // half of Service Fabric's variables
		reason = envEndpoint + " is not set, only " + strings.Join(alone, " and ") + ", as on Container Instances, which use IMDS"
	case len(alone) > 0:
		reason = "no other host has just " + strings.Join(alone, " and ")
	}
	if env.has(envAuthority) {
		reason = envAuthority + " is set, and " + reason
	}
	if env.has(envTokenFile) {
		reason += "; " + envTokenFile + " is set, but workload identity is not supported yet"
	}
	return endpoint, reason, true
}

// parseEndpoint checks a URL that came out of an environment variable. Errors name the variable and don't repeat the
// value, which may contain a password.
func parseEndpoint(variable, value string) (*url.URL, error) {
	example := "http://localhost:4141/msi/token"
	if variable == envAuthority {
		example = "http://127.0.0.1:8080"
	}
	fail := func(why string) (*url.URL, error) {
		return nil, errors.New("identity: " + variable + ": " + why + ": want a URL such as " + example)
	}
	if strings.ContainsFunc(value, func(r rune) bool { return unicode.IsControl(r) || unicode.IsSpace(r) }) {
		return fail("contains a blank or a control character")
	}
	u, err := url.Parse(value)
	switch {
	case value == "":
		return fail("is empty")
	case err != nil:
		return fail("is not a URL")
	case u.Scheme != "http" && u.Scheme != "https":
		return fail("is neither http nor https")
	case u.User != nil:
		return fail("contains user info")
	case u.Hostname() == "":
		return fail("has no host")
	case u.Fragment != "":
		return fail("contains a fragment")
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
			return fail("has an impossible port")
		}
	}
	return u, nil
}

// displayURL is a URL that can be shown: without user info, query and fragment.
func displayURL(raw string) string {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" {
		return ""
	}
	if strings.Contains(u.Path, "@") { // user info with an unescaped slash: what follows is a piece of a password
		return ""
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}

package identity

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/keyless-go/identity/internal/command"
	"github.com/keyless-go/identity/internal/redact"
)

// Host is a place that Azure runs code in, with its own way of handing out tokens. The constants are all there are.
type Host string

// kind is all that detection knows of a host; the rest is in the host's own file.
type kind struct {
	host   Host
	name   string                                                // in Azure's own terms, for messages
	detect func(environment) (endpoint, reason string, ok bool)  // the endpoint as configured, "" to leave it to source, and in words why
	source func(environment, *CredentialOptions) (source, error) // what asks it; errors name the field or variable
}

// kinds are tried in order; the first that recognises its host decides. The order is MSAL's: a host whose variables are
// a superset of another's comes first. Workload identity comes before them all, as in the credential chains of the Azure
// SDKs: its variables are put into a pod on purpose. It never changes. (Set here, because its functions use it.)
var kinds []kind

func init() {
	kinds = []kind{
		{HostWorkloadIdentity, "workload identity", detectWorkload, newWorkload},
		{
			HostContainerInstances, "Container Instances on Windows",
			detectContainerInstances, newContainerInstances,
		},
		{HostServiceFabric, "Service Fabric", detectServiceFabric, newServiceFabric},
		{HostAppService, "App Service", detectAppService, newAppService},
		{HostAzureML, "Azure ML or legacy App Service", detectAzureML, newAzureML},
		{HostCloudShell, "Cloud Shell", detectCloudShell, newCloudShell},
		{HostArc, "Azure Arc", detectArc, newArc},
		{HostIMDS, "IMDS", detectIMDS, newIMDS},
	}
}

// String returns the host's name in Azure's own terms, for messages.
func (h Host) String() string {
	for _, k := range kinds {
		if k.host == h {
			return k.name
		}
	}
	return string(h)
}

// Detection is what [Detect] concluded.
type Detection struct {
	Host Host // the host; IMDS when nothing says otherwise
	// the token endpoint's URL, without query; "" if a variable that it comes from is malformed or
	// missing
	Endpoint string
	Reason   string // what decided, in words: names of variables and files, never a value that is secret

	// Evidence is everything that was looked at, set or not: the variables by which hosts are recognised and asked, then
	// the files. No value in it is secret.
	Evidence []Evidence
}

// Detect tells which host this process runs on, as [NewCredential] sees it. It reads environment variables and looks
// for the Azure Arc agent's program; it sends nothing, so that it can't tell whether the endpoint answers: see [Credential.Ready].
// A variable that is set to the empty string counts as unset. It is safe for concurrent use.
func Detect() Detection {
	env := processEnvironment()
	d := detect(env)
	d.Evidence = evidence(env)
	return d
}

// environment is all that detection looks at.
type environment struct {
	getenv    func(string) string
	exists    func(path string) bool
	forbidden func(path string) bool // whether a path exists may not be seen; nil for never
	chassis   func() string          // the machine's chassis asset tag; nil for none
	goos      string
	run       command.Runner // developers' tools
}

func processEnvironment() environment {
	return environment{
		getenv: os.Getenv,
		exists: func(path string) bool { _, err := os.Stat(path); return err == nil },
		forbidden: func(path string) bool {
			_, err := os.Stat(path)
			return errors.Is(err, fs.ErrPermission)
		},
		chassis: chassisTag,
		goos:    runtime.GOOS,
		run:     command.Run,
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
	envClientID   = "AZURE_CLIENT_ID"
	envTenantID   = "AZURE_TENANT_ID"
)

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
	k, endpoint, reason := recognise(env)
	if endpoint == "" {
		if src, err := k.source(env, &CredentialOptions{}); err == nil {
			endpoint = src.endpoint()
		}
	}
	if variable := env.pipeline(); variable != "" {
		reason += "; " + inPipeline(variable)
	}
	return Detection{Host: k.host, Endpoint: redact.URL(endpoint), Reason: reason}
}

// The variables that say that this is a job of GitHub Actions or of Azure Pipelines.
const (
	envGitHub    = "GITHUB_ACTIONS"
	envPipelines = "TF_BUILD"
)

// pipeline names the variable that says that this is a job of a pipeline, "" where none does. There
// the login of az and azd is the pipeline's and no developer's. Its machine may be one of Azure's
// all the same, and have no identity.
//
// https://docs.github.com/actions/reference/workflows-and-actions/variables
// https://learn.microsoft.com/azure/devops/pipelines/build/variables
func (env environment) pipeline() string {
	for _, name := range []string{envGitHub, envPipelines} {
		if strings.EqualFold(env.getenv(name), "true") {
			return name
		}
	}
	return ""
}

func inPipeline(variable string) string {
	return variable +
		" is true, so that the login of az and azd is the pipeline's and no developer's"
}

// onAzureVM reports whether this machine, or the one that this container runs on, is a virtual
// machine of Azure.
func (env environment) onAzureVM() bool {
	return env.chassis != nil && env.chassis() == azureChassis
}

// mayNotSee reports whether it can't be seen whether a path exists.
func (env environment) mayNotSee(path string) bool {
	return env.forbidden != nil && env.forbidden(path)
}

// recognise is the part of detect that [NewCredential] needs, which many services call once per request.
func recognise(env environment) (k kind, endpoint, reason string) {
	for _, k := range kinds {
		if endpoint, reason, ok := k.detect(env); ok {
			return k, endpoint, reason
		}
	}
	panic("identity: unreachable: the last kind of host takes every environment")
}

// newSource is where the host that was detected, or that the user named, becomes one that can be asked. It says why that one.
func newSource(env environment, options *CredentialOptions) (src source, reason string, err error) {
	want, reason := options.Host, "CredentialOptions.Host names it"
	if want == "" {
		k, _, why := recognise(env)
		want, reason = k.host, why
	}
	for _, k := range kinds {
		if k.host != want {
			continue
		}
		src, err := k.source(env, options)
		switch {
		case err != nil && options.Host != "":
			return nil, "", fmt.Errorf("identity: CredentialOptions.Host is %q: %s", string(options.Host), strings.TrimPrefix(err.Error(), "identity: "))
		case err != nil && want == HostWorkloadIdentity && isHalfAPod(env, options):
			return nil, "", fmt.Errorf("%w; %s. %s", err, reason, onPurpose)
		}
		return src, reason, err
	}
	var names []string
	for _, k := range kinds {
		names = append(names, strconv.Quote(string(k.host)))
	}
	return nil, "", fmt.Errorf("identity: CredentialOptions.Host: unknown host %.100q: want one of %s, or \"\" to detect it", redact.Text(string(want)), strings.Join(names, ", "))
}

// onPurpose says how to leave a token file unused, and onPurposeByDefault the same of the default
// credential.
const (
	onPurpose          = "To ask the node's IMDS on purpose, set CredentialOptions.Host to HostIMDS"
	onPurposeByDefault = "To ask for the managed identity on purpose, set " + envTokenCredentials +
		"=ManagedIdentityCredential"
)

// onlySelects refuses an ID that the host can't select an identity by. Ignoring it would hand out another identity's token.
func onlySelects(host Host, id ID, by string, allowed ...ID) error {
	if id == nil || slices.ContainsFunc(allowed, func(a ID) bool { return idKind(a) == idKind(id) }) {
		return nil
	}
	return fmt.Errorf("identity: CredentialOptions.ID: %s can't select an identity by %s: %s", host, idKind(id), by)
}

// endpoint reads the URL that a variable names.
func (env environment) endpoint(variable, example string) (*url.URL, error) {
	return parseEndpoint(variable, env.getenv(variable), example)
}

// endpointAndSecret reads the URL and the secret that two variables hold.
func (env environment) endpointAndSecret(variable, secretVariable, example string) (*url.URL, string, error) {
	u, err := env.endpoint(variable, example)
	if err != nil {
		return nil, "", err
	}
	secret := env.getenv(secretVariable)
	if err := validateSecret(secretVariable, secret); err != nil {
		return nil, "", err
	}
	return u, secret, nil
}

// validateSecret refuses what can't be sent in a header, without repeating it.
func validateSecret(variable, value string) error {
	switch {
	case value == "":
		return errors.New("identity: " + variable + ": is empty")
	case strings.TrimSpace(value) == "": // net/http would send it as an empty one
		return errors.New("identity: " + variable + ": is blank")
	case strings.ContainsFunc(value, unicode.IsControl):
		return errors.New("identity: " + variable + ": contains a control character")
	}
	return nil
}

// parseEndpoint checks a URL that came out of an environment variable. Errors name the variable and don't repeat the
// value, which may contain a password.
func parseEndpoint(variable, value, example string) (*url.URL, error) {
	fail := func(why string) (*url.URL, error) {
		return nil, errors.New("identity: " + variable + ": " + why + ": want a URL such as " + example)
	}
	if stray := strayWhiteSpace(value); stray != "" {
		return fail(stray + ", a blank or a control character")
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
	case strings.Contains(u.EscapedPath(), "@"):
		return fail("has an @ in its path")
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

// parseHTTPS is parseEndpoint for what leaves the node.
func parseHTTPS(variable, value, example string) (*url.URL, error) {
	u, err := parseEndpoint(variable, value, example)
	switch {
	case err != nil:
		return nil, err
	case u.Scheme != "https":
		return nil, errors.New("identity: " + variable + ": is not https: want a URL such as " + example)
	case u.RawQuery != "" || u.ForceQuery:
		return nil, errors.New("identity: " + variable + ": contains a query: want a URL such as " + example)
	}
	return u, nil
}

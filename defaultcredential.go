package identity

import (
	"context"
	"log/slog"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/keyless-go/identity/internal/chain"
	"github.com/keyless-go/identity/internal/check"
	"github.com/keyless-go/identity/internal/detect"
	"github.com/keyless-go/identity/internal/devtool"
	"github.com/keyless-go/identity/internal/usercode"
)

// DefaultCredentialOptions are the optional settings of [NewDefaultCredential]. The zero value is
// ready to use.
type DefaultCredentialOptions struct {
	// ClientOptions configures the requests of the managed or workload identity, see
	// [CredentialOptions], or of a job's application, see [FederatedCredentialOptions].
	azcore.ClientOptions

	// ID selects a user-assigned identity, see [CredentialOptions]; on a laptop it has no meaning. nil
	// means that of the variable AZURE_CLIENT_ID, if it is set to something, or else the host's
	// default. In a job that is an application it is that one, and has to be a [ClientID].
	ID ID

	// TenantID is the tenant of the developer's tokens; "" means the one that the tool has
	// selected, see [AzureDeveloperCLICredentialOptions] for azd's. A managed identity has one
	// tenant, and workload identity that of AZURE_TENANT_ID, as a job's application has.
	TenantID string

	// AdditionallyAllowedTenants are further tenants that a resource may ask for, of workload
	// identity, of a job's application and of a developer whose TenantID is set. "*" allows any.
	AdditionallyAllowedTenants []string

	// ProcessTimeout is how long a run of az or azd may take, see [AzureCLICredentialOptions]. On
	// Azure it has no meaning. While no source is in use, GetToken waits 3 minutes at most for all
	// of them together, see [Chain.GetToken]; the run itself goes on.
	ProcessTimeout time.Duration

	// Logger receives which source is in use and why (Info), and what the sources log, without any
	// secret. nil is silent.
	Logger *slog.Logger
}

// NewDefaultCredential makes the credential for a program that runs on Azure with its managed or
// workload identity, and on a laptop with the login of its developer: a [Chain] of the identity of
// the host that [Detect] reports, the Azure CLI and the Azure Developer CLI. nil options mean the
// defaults. It sends nothing and runs nothing.
//
// The developer is asked only where nothing says that this is Azure: no variable of a host or of a
// platform for apps is set, the agent of Azure Arc is not installed, the machine's chassis asset
// tag is not that of an Azure VM, and IMDS has never answered. A developer's machine that is one of
// Azure's (Codespaces, Dev Box) needs AZURE_TOKEN_CREDENTIALS=dev. Once something says that this is
// Azure, the developer's credentials are barred for the life of the process (of the Chain, if
// ClientOptions has a Transport), and the log says why.
//
// Where nothing says so, GetToken gives IMDS 1 s to answer, at most once in a minute. IMDS gets two
// requests: one for the token, which may take seconds, and one without the header Metadata, which
// it refuses at once. Its first answer, also one that comes after that second, bars the developer's
// credentials. If a policy in ClientOptions fails or waits, so that no request reaches the
// Transport, IMDS hasn't been asked: that is an error, after as much time as on Azure.
//
// In a pipeline, where GITHUB_ACTIONS or TF_BUILD is "true", the login of the tools is the
// pipeline's and no developer's. There no evidence of Azure bars the tools, and a machine without
// an identity is no error. The machine's identity still comes first and has 1 s, as above. If no
// tool brings a token, it is asked again, with all its time.
//
// A job of GitHub Actions or Azure Pipelines may say by variables which application it is. Then the
// credential is that application, as a [FederatedCredential], and nobody else: it takes the place
// of a machine's identity (of IMDS or Azure Arc) and of the tools. The variables are:
//
//   - GitHub Actions: those of [GitHubActionsAssertion], AZURE_CLIENT_ID and AZURE_TENANT_ID.
//   - Azure Pipelines: those of [AzurePipelinesAssertion], AZURESUBSCRIPTION_SERVICE_CONNECTION_ID,
//     and either AZURE_CLIENT_ID and AZURE_TENANT_ID or the AZURESUBSCRIPTION_CLIENT_ID and
//     AZURESUBSCRIPTION_TENANT_ID that the tasks for Azure set.
//
// If such a job also has AZURE_CLIENT_SECRET or AZURE_CLIENT_CERTIFICATE_PATH, azidentity would be
// another service principal: that is an error, which says how to be the one or the other.
//
// AZURE_CLIENT_ID selects a user-assigned identity. AZURE_TOKEN_CREDENTIALS narrows the choice, as
// in the Azure SDKs: "prod" is the host's or the job's identity alone, "dev" the developer's
// credentials alone, also on Azure. A name is that credential alone: WorkloadIdentityCredential,
// ManagedIdentityCredential, AzureCLICredential, AzureDeveloperCLICredential,
// GitHubActionsCredential or AzurePipelinesCredential. Any other value is an error. All these
// variables count as unset when they are empty.
func NewDefaultCredential(options *DefaultCredentialOptions) (*Chain, error) {
	return newDefaultCredential(processShared, options, processEnvironment())
}

// newDefaultCredential keeps the developer's tokens in shared, and the host's, too, unless the
// options have a Transport.
func newDefaultCredential(
	shared *shared, options *DefaultCredentialOptions, env environment,
) (*Chain, error) {
	if options == nil {
		options = &DefaultCredentialOptions{}
	}
	if err := devtool.CheckTimeout("DefaultCredentialOptions",
		options.ProcessTimeout); err != nil {
		return nil, ours(err) // also where no tool is asked here
	}
	selected, err := detect.SelectedSources(env.machine())
	if err != nil {
		return nil, ours(err)
	}
	job, err := jobFor(env, options.ID, selected.Job, selected.AnyJob)
	if err != nil {
		return nil, ours(err)
	}
	if job != nil {
		cred, err := newJobCredential(shared, job, hostSettings(options), env, selected.Job != "")
		if err != nil {
			return nil, ours(err)
		}
		return newChain("default credential", []chain.Link{cred.chainLink()}, nil, options.Logger), nil
	}
	var links []chain.Link
	var probed *probedHost // nil where there is no choice between the host and a developer
	if selected.Host() {
		hosts := shared
		if options.Transport != nil {
			hosts = newShared()
		}
		cred, err := newHostCredential(hosts, options, env, selected)
		if err != nil {
			return nil, err
		}
		links = append(links, cred.chainLink())
		if selected.Developer() {
			probed = newProbedHost(cred, hosts, detect.Pipeline(env.machine()))
			if why := detect.Azure(env.machine()); why != "" {
				hosts.seen(why)
			}
			links[0] = probed.chainLink()
		}
	}
	return completed(links, probed, shared, options, env, selected)
}

// completed is the chain with the developer's sources behind the host's, if there is one. Once
// something says that this is Azure, probed bars them.
func completed(
	links []chain.Link, probed *probedHost,
	shared *shared, options *DefaultCredentialOptions, env environment, selected detect.Sources,
) (*Chain, error) {
	tools, err := developerLinks(shared, options, env, selected)
	if err != nil {
		return nil, err
	}
	var bar *chain.Bar
	if probed != nil {
		bar = &chain.Bar{Why: probed.bars, Line: notAsked,
			News: "this is Azure: the developer's credentials are not used from now on"}
	}
	for _, l := range tools {
		l.Bar = bar
		links = append(links, l)
	}
	if probed != nil && probed.pipeline != "" {
		links = append(links, (&lastHost{probed}).chainLink())
	}
	c := newChain("default credential", links, nil, options.Logger)
	c.engine.Announce() // the log says at once what is known at once
	if probed != nil && probed.pipeline != "" && probed.evidence() != "" {
		usercode.Logger(options.Logger).LogAttrs(context.Background(), slog.LevelInfo,
			"this is Azure, and a pipeline: the tools are used all the same",
			slog.String("because", detect.InPipeline(probed.pipeline)),
			slog.String("azure", probed.evidence()))
	}
	return c, nil
}

// notAsked is what a chain's error says of a developer's source on Azure.
func notAsked(why string) string {
	return "not asked: this is Azure, because " + why + "; " + envTokenCredentials +
		"=dev selects the developer's credentials all the same"
}

// developerLinks are the sources of a developer's tokens.
func developerLinks(
	shared *shared, options *DefaultCredentialOptions, env environment, selected detect.Sources,
) (links []chain.Link, err error) {
	const name = "DefaultCredentialOptions"
	o := devtool.Options{Type: name, ProcessTimeout: options.ProcessTimeout, Tenants: check.Tenants{
		Own: options.TenantID, Allowed: options.AdditionallyAllowedTenants,
	}}
	if o.Tenants.Own == "" {
		err := check.AllowedTenants(name+".AdditionallyAllowedTenants", o.Tenants.Allowed)
		if err != nil {
			return nil, err
		}
		// They are workload identity's: the tenant that the tool has selected isn't known here, and
		// would be shut out.
		o.Tenants.Allowed = nil
	}
	if selected.AzureCLI {
		c := &AzureCLICredential{}
		err := newToolCredential(&c.cached, shared, env, devtool.AzureCLI, o, options.Logger)
		if err != nil {
			return nil, err
		}
		links = append(links, c.chainLink())
	}
	if selected.AzureDeveloper {
		c := &AzureDeveloperCLICredential{}
		err := newToolCredential(&c.cached, shared, env, devtool.AzureDeveloperCLI, o, options.Logger)
		if err != nil {
			return nil, err
		}
		links = append(links, c.chainLink())
	}
	return links, nil
}

// hostSettings are the options as those of a credential.
func hostSettings(options *DefaultCredentialOptions) settings {
	const name = "DefaultCredentialOptions"
	return settings{
		CredentialOptions: &CredentialOptions{
			ClientOptions: options.ClientOptions, ID: options.ID,
			AdditionallyAllowedTenants: options.AdditionallyAllowedTenants, Logger: options.Logger,
		},
		options: name, allowed: name + ".AdditionallyAllowedTenants", id: name + ".ID",
		asNode: onPurposeByDefault,
	}
}

// newHostCredential makes the credential of the host's identity.
func newHostCredential(
	shared *shared, options *DefaultCredentialOptions, env environment, selected detect.Sources,
) (*Credential, error) {
	o := hostSettings(options)
	if id := env.getenv(envClientID); o.ID == nil && id != "" {
		o.ID, o.id = ClientID(id), envClientID
	}
	switch {
	case !selected.Managed:
		o.Host, o.named = HostWorkloadIdentity, envTokenCredentials+" is WorkloadIdentityCredential"
	case !selected.Workload:
		env = env.without(envTokenFile)
	}
	return newCredentialOf(shared, o, env)
}

// onPurposeByDefault says how to leave a token file unused, to a caller who hasn't named a host.
const onPurposeByDefault = "To ask for the managed identity on purpose, set " +
	envTokenCredentials + "=ManagedIdentityCredential"

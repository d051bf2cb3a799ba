package identity

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity/internal/redact"
)

// DefaultCredentialOptions are the optional settings of [NewDefaultCredential]. The zero value is ready to use.
type DefaultCredentialOptions struct {
	// ClientOptions configures the requests of the managed or workload identity, see [CredentialOptions].
	azcore.ClientOptions

	// ID selects a user-assigned identity, see [CredentialOptions]; on a laptop it has no meaning. nil means that of the variable
	// AZURE_CLIENT_ID, if it is set to something, or else the host's default.
	ID ID

	// TenantID is the tenant of the developer's tokens; "" means the one that the tool has
	// selected, see [AzureDeveloperCLICredentialOptions] for azd's. A managed identity has one
	// tenant, and workload identity that of AZURE_TENANT_ID.
	TenantID string

	// AdditionallyAllowedTenants are further tenants that a resource may ask for, of workload identity and of a developer whose
	// TenantID is set. "*" allows any.
	AdditionallyAllowedTenants []string

	// ProcessTimeout is how long a run of az or azd may take, see [AzureCLICredentialOptions]. On
	// Azure it has no meaning. While no source is in use, GetToken waits 3 minutes at most for all
	// of them together, see [Chain.GetToken]; the run itself goes on.
	ProcessTimeout time.Duration

	// Logger receives which source is in use and why (Info), and what the sources log, without any secret. nil is silent.
	Logger *slog.Logger
}

const envTokenCredentials = "AZURE_TOKEN_CREDENTIALS"

// selections are the values of AZURE_TOKEN_CREDENTIALS, by azidentity's names, in any case. "" is unset.
var selections = []struct {
	value                    string
	workload, managed        bool
	azureCLI, azureDeveloper bool
}{
	{"", true, true, true, true},
	{"prod", true, true, false, false},
	{"dev", false, false, true, true},
	{"WorkloadIdentityCredential", true, false, false, false},
	{"ManagedIdentityCredential", false, true, false, false},
	{"AzureCLICredential", false, false, true, false},
	{"AzureDeveloperCLICredential", false, false, false, true},
}

// NewDefaultCredential makes the credential for a program that runs on Azure with its managed or workload identity, and on a
// laptop with the login of its developer: a [Chain] of the identity of the host that [Detect] reports, the Azure CLI and the
// Azure Developer CLI. nil options mean the defaults. It sends nothing and runs nothing.
//
// The developer is asked only where nothing says that this is Azure: no variable of a host or of a
// platform for apps is set, the agent of Azure Arc is not installed, the machine's chassis asset
// tag is not that of an Azure VM, and IMDS has never answered. A developer's machine that is one of
// Azure's (Codespaces, Dev Box) needs AZURE_TOKEN_CREDENTIALS=dev. Once something says so the
// developer's credentials are barred, for the life of the process (of the Chain, if ClientOptions
// has a Transport), and the log says why. Where nothing does, GetToken gives IMDS 1 s to answer,
// and not again within a minute. It is asked for the token, and beside that by a request without
// the header Metadata, which it refuses at once while a token may take it seconds. Its first
// answer, also one that comes later, ends the developer's part. Where no request came as far as the
// Transport, because a policy in ClientOptions fails or waits, nobody has been asked: that is an
// error, and takes the time that it takes on Azure.
//
// In a pipeline, where GITHUB_ACTIONS or TF_BUILD is "true", the login of the tools is the
// pipeline's and no developer's. There no evidence of Azure bars them, and that the machine has no
// identity is no error. The machine's identity still comes first: it has 1 s as above, and all its
// time once none of the tools has a token.
//
// AZURE_CLIENT_ID selects a user-assigned identity. AZURE_TOKEN_CREDENTIALS narrows the choice, as in the Azure SDKs: "prod" is
// the host's identity alone, "dev" the developer's credentials alone, on Azure, too; WorkloadIdentityCredential,
// ManagedIdentityCredential, AzureCLICredential and AzureDeveloperCLICredential are each of them. Any other value is an error.
// Both variables count as unset when they are empty.
func NewDefaultCredential(options *DefaultCredentialOptions) (*Chain, error) {
	return newDefaultCredential(processShared, options, processEnvironment())
}

// newDefaultCredential takes the developer's tokens from shared, and those of the host, too, but for a Transport of its own.
func newDefaultCredential(shared *shared, options *DefaultCredentialOptions, env environment) (*Chain, error) {
	if options == nil {
		options = &DefaultCredentialOptions{}
	}
	if err := validateProcessTimeout("DefaultCredentialOptions",
		options.ProcessTimeout); err != nil {
		return nil, err // also where no tool is asked here
	}
	value := strings.TrimSpace(env.getenv(envTokenCredentials))
	var valid []string
	for _, s := range selections {
		if strings.EqualFold(s.value, value) {
			var links []link
			var barred func() string
			if s.workload || s.managed {
				alone := !s.azureCLI && !s.azureDeveloper
				host, err := newHostLink(shared, options, env, s.workload, s.managed, alone)
				if err != nil {
					return nil, err
				}
				links = append(links, host)
				if step, ok := host.source.(*hostStep); ok {
					barred = step.bars
				}
			}
			return addDevelopers(shared, options, env, links, barred, s.azureCLI, s.azureDeveloper)
		}
		if s.value != "" {
			valid = append(valid, s.value)
		}
	}
	return nil, fmt.Errorf("identity: %s: %q is none of %s", envTokenCredentials, redact.Line(redact.Text(value)), strings.Join(valid, ", "))
}

// addDevelopers completes the chain.
func addDevelopers(shared *shared, options *DefaultCredentialOptions, env environment, links []link, barred func() string, withCLI, withDeveloperCLI bool) (*Chain, error) {
	add := func(source azcore.TokenCredential, k *cached) {
		c := k.source.(*toolSource)
		c.options = "DefaultCredentialOptions"
		if options.TenantID == "" {
			c.tenants.allowed = nil // they are workload identity's: the tenant that the tool has selected isn't known here, and would be shut out
		}
		links = append(links, link{name: c.name, source: source, barred: barred})
	}
	if withCLI {
		cred, err := newAzureCLI(shared, &AzureCLICredentialOptions{
			TenantID:                   options.TenantID,
			AdditionallyAllowedTenants: options.AdditionallyAllowedTenants,
			ProcessTimeout:             options.ProcessTimeout,
			Logger:                     options.Logger,
		}, env)
		if err != nil {
			return nil, ownField(err, "AzureCLICredentialOptions")
		}
		add(cred, &cred.cached)
	}
	if withDeveloperCLI {
		cred, err := newAzureDeveloperCLI(shared, &AzureDeveloperCLICredentialOptions{
			TenantID:                   options.TenantID,
			AdditionallyAllowedTenants: options.AdditionallyAllowedTenants,
			ProcessTimeout:             options.ProcessTimeout,
			Logger:                     options.Logger,
		}, env)
		if err != nil {
			return nil, ownField(err, "AzureDeveloperCLICredentialOptions")
		}
		add(cred, &cred.cached)
	}
	step, _ := links[0].source.(*hostStep)
	inPipe := step != nil && step.pipeline != ""
	if inPipe {
		links = append(links,
			link{name: lastHostName, source: &lastHost{step}, advice: step.advice})
	}
	chain := newChain("default credential", links, nil, options.Logger)
	chain.report(0, nil) // the log says at once what is known at once
	if inPipe && step.evidence() != "" {
		chain.log.LogAttrs(context.Background(), slog.LevelInfo,
			"this is Azure, and a pipeline: the tools are used all the same",
			slog.String("because", inPipeline(step.pipeline)),
			slog.String("azure", step.evidence()))
	}
	return chain, nil
}

// ownField makes an error about another constructor's options one about these.
func ownField(err error, theirs string) error {
	return errors.New(strings.ReplaceAll(err.Error(), theirs, "DefaultCredentialOptions"))
}

// newHostLink makes the link of the host's identity. Alone it is a Credential as any other.
func newHostLink(shared *shared, options *DefaultCredentialOptions, env environment, workload, managed, alone bool) (link, error) {
	o := &CredentialOptions{
		ClientOptions: options.ClientOptions, ID: options.ID,
		AdditionallyAllowedTenants: options.AdditionallyAllowedTenants, Logger: options.Logger,
	}
	variable := ""
	if id := env.getenv(envClientID); o.ID == nil && id != "" {
		o.ID, variable = ClientID(id), envClientID
	}
	switch {
	case !managed:
		o.Host = HostWorkloadIdentity
	case !workload:
		env = env.without(envTokenFile)
	}
	if options.Transport != nil {
		shared = newShared()
	}
	const named = envTokenCredentials + " is WorkloadIdentityCredential"
	cred, err := newCredentialIn(shared, o, env)
	switch {
	case err != nil && variable != "" && strings.HasPrefix(err.Error(), "identity: CredentialOptions.ID: "):
		return link{}, errors.New(strings.ReplaceAll(err.Error(), "CredentialOptions.ID", variable))
	case err != nil:
		theirs := fmt.Sprintf("CredentialOptions.Host is %q", string(o.Host))
		ours := strings.NewReplacer(theirs, named, onPurpose, onPurposeByDefault)
		return link{}, ownField(errors.New(ours.Replace(err.Error())), "CredentialOptions")
	case alone:
		if !managed {
			cred.reason = named
		}
		return link{name: sourceName(cred), source: cred}, nil
	}
	step := &hostStep{cred: cred, shared: shared, pipeline: env.pipeline()}
	if why := env.azure(); why != "" {
		shared.seen(why)
	}
	return link{name: sourceName(cred), source: step, advice: step.advice}, nil
}

// onPurposeByDefault says how to leave a token file unused, to who hasn't named a host.
const onPurposeByDefault = "To ask for the managed identity on purpose, set " +
	envTokenCredentials + "=ManagedIdentityCredential"

// hostStep is the host's identity before the developer's in a chain. As long as nothing says that this is Azure it is given a
// second, once a minute; and the Credential itself as soon as something does.
//
// In a pipeline that is so whatever says that this is Azure: the login of the tools is the
// pipeline's there, and machines that pipelines run on are Azure's without having an identity. The
// Credential's own time comes after the tools, where none of them has a token: an IMDS that is
// asked for the first time may take longer than a second.
type hostStep struct {
	cred   *Credential
	shared *shared
	// when the second began that all callers give it; nil for never
	asked    atomic.Pointer[time.Time]
	pipeline string // the variable that says that this is one, "" elsewhere
}

const (
	// stepWait: an IMDS that is there answers the probe within milliseconds. The peers' wait as long.
	stepWait = time.Second
	// stepAgain: who works without Azure pays that once a minute at most.
	stepAgain = time.Minute
)

// absence is that nothing answered at an endpoint.
type absence struct {
	until time.Time
	err   *AuthenticationError
}

// bars says why the developer must not be asked, "" if nothing says so.
func (s *hostStep) bars() string {
	if s.pipeline != "" {
		return ""
	}
	return s.evidence()
}

// evidence says why this is Azure, "" if nothing says so.
func (s *hostStep) evidence() string {
	if why := s.shared.azure.Load(); why != nil {
		return *why
	}
	if s.cred.sender.node.answered.Load() {
		return s.shared.seen(s.cred.Host().String() + " has answered at " + s.cred.sender.source.endpoint())
	}
	return ""
}

// GetToken is the Credential's, with less patience where nothing says that this is Azure, and in a
// pipeline.
func (s *hostStep) GetToken(ctx context.Context, options policy.TokenRequestOptions) (azcore.AccessToken, error) {
	if s.bars() != "" {
		return s.cred.GetToken(ctx, options)
	}
	node := s.cred.sender.node
	if a := node.absent.Load(); a != nil && !node.answered.Load() && time.Now().Before(a.until) &&
		ctx.Err() == nil {
		return azcore.AccessToken{}, s.unavailable(ctx, a.err, options)
	}
	began := time.Now()
	if !node.answered.Load() {
		began = s.begin()
	}
	short, cancel := context.WithDeadline(ctx, began.Add(stepWait))
	defer cancel()
	token, err := s.cred.GetToken(short, options)
	e, ok := errors.AsType[*AuthenticationError](err)
	switch {
	case !ok || ctx.Err() != nil: // nil, too
		return token, err
	case s.bars() != "": // it has begun to answer
		return s.cred.GetToken(ctx, options)
	case s.hasNone(e):
		return azcore.AccessToken{}, s.none(e)
	case short.Err() == nil && !errors.Is(err, ErrUnavailable): // a policy in the options, say
		return token, err
	case errors.Is(err, ErrUnavailable):
	case !node.answered.Load() && !node.foundNobody(began): // nobody was asked: a policy in the options has failed, say
		return s.cred.GetToken(ctx, options)
	default: // a second has passed, and the request goes on
		e.soFar = nil
		e.what, e.cause, e.reason = "no answer within "+stepWait.String()+", and nothing else says that this is Azure", nil, ErrUnavailable
		if s.pipeline != "" {
			e.what = "no token within " + stepWait.String() +
				", which is what it has before the tools in a pipeline (" + s.pipeline + " is true)"
		}
	}
	node.absent.Store(&absence{began.Add(stepAgain), e.forCaller()})
	return azcore.AccessToken{}, e
}

// begin returns when the second began that is under way or has passed, and begins it, with a probe,
// if none has in the last minute. It is the same one for all callers: those who each have less time
// than a second come to the next source, too.
func (s *hostStep) begin() time.Time {
	now := time.Now()
	last := s.asked.Load()
	if last != nil && now.Sub(*last) < stepAgain {
		return *last
	}
	if !s.asked.CompareAndSwap(last, &now) {
		return *s.asked.Load()
	}
	ctx, cancel := context.WithTimeout(context.Background(), stepWait)
	go func() {
		defer cancel()
		s.cred.sender.probe(ctx)
	}()
	return now
}

// hasNone reports whether IMDS says, in a pipeline, that the machine has no identity, and none was
// selected.
func (s *hostStep) hasNone(e *AuthenticationError) bool {
	return s.pipeline != "" && e.Host == HostIMDS && e.ID == nil &&
		errors.Is(e, ErrIdentityNotFound) && strings.EqualFold(e.Message, "Identity not found")
}

// none is the error of a machine without an identity: the next source's turn.
func (s *hostStep) none(e *AuthenticationError) *AuthenticationError {
	own := e.forCaller()
	own.reason, own.hint = ErrUnavailable, "this machine has no identity; "+inPipeline(s.pipeline)
	return own
}

// advice is for the first line of a chain's error: what to set where the tools' login was meant.
func (s *hostStep) advice(err error) string {
	if s.cred.Host() != HostIMDS ||
		!errors.Is(err, ErrIdentityNotFound) && s.cred.sender.node.answered.Load() {
		return ""
	}
	return "where the login of az or azd is meant, set " + envTokenCredentials + "=dev"
}

// lastHost is the host's identity once more, behind the tools of a pipeline and with all the time
// that it has elsewhere.
type lastHost struct{ step *hostStep }

const lastHostName = "managed identity, with all its time"

// GetToken is the Credential's, unless nothing says that this is Azure.
func (l *lastHost) GetToken(
	ctx context.Context, options policy.TokenRequestOptions,
) (azcore.AccessToken, error) {
	s := l.step
	if a := s.cred.sender.node.absent.Load(); a != nil && s.evidence() == "" {
		return azcore.AccessToken{}, s.unavailable(ctx, a.err, options)
	}
	token, err := s.cred.GetToken(ctx, options)
	if e, ok := errors.AsType[*AuthenticationError](err); ok && s.hasNone(e) {
		return azcore.AccessToken{}, s.none(e)
	}
	return token, err
}

// unavailable is the error of a second without an answer, for who didn't wait for it.
func (s *hostStep) unavailable(ctx context.Context, e *AuthenticationError, options policy.TokenRequestOptions) error {
	_, scope, err := s.cred.check("GetToken", ctx, options)
	if err != nil {
		return err
	}
	own := e.forCaller()
	own.ID, own.Resource = s.cred.sender.source.identity(), resourceOf(scope)
	return own
}

// Status is the Credential's.
func (s *hostStep) Status() Status { return s.cred.Status() }

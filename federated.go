package identity

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity/internal/assertion"
	"github.com/keyless-go/identity/internal/chain"
	"github.com/keyless-go/identity/internal/check"
)

// FederatedCredential authenticates as an application of Entra, or as a user-assigned identity,
// that has no secret. It trusts the tokens of another issuer instead: a Kubernetes cluster, GitHub,
// SPIFFE, or Entra itself. Such a token is called an assertion, and Entra exchanges it for an
// access token. Make a FederatedCredential with [NewFederatedCredential] and pass it to any Azure
// SDK client. It is safe for concurrent use, needs no Close, and leaves no goroutine behind but a
// renewal under way.
//
// In a pod of AKS whose variables say all of it, [NewCredential] does the same by itself.
type FederatedCredential struct{ cred Credential }

var _ azcore.TokenCredential = (*FederatedCredential)(nil)

// FederatedCredentialOptions are the optional settings of [NewFederatedCredential]. The zero value
// is ready to use. NewFederatedCredential copies the options.
type FederatedCredentialOptions struct {
	// ClientOptions configures the requests to Entra as those of [CredentialOptions] do. Cloud says
	// where Entra is; without it the variable AZURE_AUTHORITY_HOST does, and without that it is the
	// public cloud. Transport nil means a client that uses the system's proxy and follows no
	// redirect; with one of your own the credential has a token cache, and a limit of 50 requests at
	// once, of its own. GitHub's and Azure Pipelines' endpoints are asked through it, too, without
	// the policies.
	azcore.ClientOptions

	// AdditionallyAllowedTenants are the tenants, beside its own, for which the credential may ask
	// for a token when the TenantID of a request names one, as Key Vault's clients do for a vault of
	// another tenant. A multi-tenant application has a service principal in each of them. "*" allows
	// any. By default there is none, and such a request fails.
	AdditionallyAllowedTenants []string

	// Logger receives acquisitions (Info), renewals (Debug) and failures (Warn, but Info for the
	// first failed try of a renewal that nobody waits for), without any secret. It is called when
	// nobody waits any more, and one that panics loses a line and nothing else. nil is silent.
	Logger *slog.Logger
}

// Assertion is how a [FederatedCredential] gets the token of the other issuer. It is made by
// [FileAssertion], [GitHubActionsAssertion], [AzurePipelinesAssertion], [CredentialAssertion] or
// [AssertionFunc], and may be used for several credentials. One is got for each exchange and not
// kept. It is as secret as a token: no error and no log line has a byte of it. What is empty, no
// JWT, or past its exp isn't sent, and is an error that says so.
type Assertion struct {
	make     func(environment, policy.Transporter) (assertion.Source, error)
	patience time.Duration // how long the source may take, on top of the exchange
}

// AssertionRequest is what an assertion is wanted for.
type AssertionRequest struct {
	// TenantID is that of the token that the assertion is exchanged for.
	TenantID string
	// Audience is the one that Entra wants in the assertion: api://AzureADTokenExchange in the
	// public cloud, api://AzureADTokenExchangeUSGov and api://AzureADTokenExchangeChina in others.
	Audience string
}

// FileAssertion is the token in a file that somebody else replaces before it ends, as the kubelet
// does with a projected service account token. The file is read at each exchange. All credentials
// of a process for one application and one path share their tokens.
func FileAssertion(path string) Assertion {
	return Assertion{make: func(environment, policy.Transporter) (assertion.Source, error) {
		return assertion.NewFile(path)
	}}
}

// GitHubActionsAssertion is the token that GitHub issues to a job of GitHub Actions with the
// permission "id-token: write". All credentials of a job for one application share their tokens.
//
// https://docs.github.com/actions/reference/security/oidc
func GitHubActionsAssertion() Assertion {
	return Assertion{patience: jobPatience,
		make: func(env environment, client policy.Transporter) (assertion.Source, error) {
			return assertion.NewGitHubActions(env.getenv, client)
		}}
}

// AzurePipelinesAssertion is the token that Azure Pipelines issues for a service connection, which
// is named by its ID, to a job with the variable SYSTEM_ACCESSTOKEN mapped into its step. All
// credentials of a job for one application and one service connection share their tokens.
//
// https://learn.microsoft.com/azure/devops/pipelines/library/connect-to-azure
func AzurePipelinesAssertion(serviceConnectionID string) Assertion {
	return pipelinesAssertion("AzurePipelinesAssertion: serviceConnectionID", serviceConnectionID)
}

// pipelinesAssertion is the same for an ID that came by a field or a variable.
func pipelinesAssertion(field, serviceConnectionID string) Assertion {
	return Assertion{patience: jobPatience,
		make: func(env environment, client policy.Transporter) (assertion.Source, error) {
			return assertion.NewAzurePipelines(field, serviceConnectionID, env.getenv, client)
		}}
}

// CredentialAssertion is another credential's token for the audience of the exchange: that of a
// managed identity which the application trusts. So a program without a secret is an application,
// also in tenants that the identity isn't of. The application's federated credential has the
// identity's tenant in the issuer and its object ID as the subject; the error of an exchange that
// Entra refuses has both, ready to be copied.
//
// If the other credential fails, its error is repeated, and errors.Is finds what is in it. Where it
// is an [*AuthenticationError], Unwrap of the outer one has it. One that is [ErrUnavailable] makes
// the FederatedCredential unavailable, too, so that a [Chain] goes on: without the identity it
// can't be used here. No other failure does that. A call may take 90 s. Tokens are kept per
// FederatedCredential.
//
// https://learn.microsoft.com/entra/workload-id/workload-identity-federation-config-app-trust-managed-identity
func CredentialAssertion(cred azcore.TokenCredential) Assertion {
	return Assertion{patience: assertion.CredentialBound,
		make: func(environment, policy.Transporter) (assertion.Source, error) {
			if _, ok := linkOf(cred); !ok {
				return nil, errors.New("CredentialAssertion: is nil: want a credential, such as " +
					"one of NewCredential")
			}
			return assertion.NewCredential("CredentialAssertion", cred, judgeAssertion), nil
		}}
}

// AssertionFunc is a function that gets the assertion from anywhere else. It is called for each
// exchange, in a goroutine of its own and under no lock: for several resources at once, but once at
// a time for one. Its ctx has none of the values of a caller's, and ends after 30 s: an issuer that
// is asked over the internet has answered by then, or is down.
//
// Whatever the function does, only the exchange that it is called for fails: by its error, which
// [Credential.Ready] waits over unless it has azcore's method NonRetriable; or by an error that
// names AssertionFunc if it panics, ends its goroutine, or hasn't returned after 30 s. A call that
// hangs is left to itself, and the function is called again for that resource only after another 30
// s, doubling with each call that hangs. It must not ask the credential that it is for, directly or
// not: with the ctx that it was given, that is an error at once. errors.Is finds its error, and
// [ErrUnavailable] in it means to a [Chain] that the FederatedCredential can't be used here. Tokens
// are kept per FederatedCredential.
func AssertionFunc(f func(context.Context, AssertionRequest) (string, error)) Assertion {
	return Assertion{patience: functionBound,
		make: func(environment, policy.Transporter) (assertion.Source, error) {
			if f == nil {
				return nil, errors.New("AssertionFunc: is nil: want a function")
			}
			return assertion.NewFunction("AssertionFunc", functionBound,
				func(ctx context.Context, r assertion.Request) (string, error) {
					return f(ctx, AssertionRequest{TenantID: r.TenantID, Audience: r.Audience})
				}, judgeAssertion), nil
		}}
}

const (
	// functionBound is as long as an exchange with Entra may take itself, with all its tries: a
	// function that asks another issuer over the internet needs no more.
	functionBound = 30 * time.Second
	// jobPatience is the same for the endpoints of pipelines.
	jobPatience = 30 * time.Second
)

// judgeAssertion says of an error of a function's or a credential's whether it is one of this
// package's, and whether it may pass.
func judgeAssertion(err error) (ours, mayPass bool) {
	switch err.(type) {
	case *AuthenticationError, *chain.Error:
		return true, passes(err)
	}
	if own, ok := errors.AsType[*AuthenticationError](err); ok {
		return false, own.transient
	}
	var never interface{ NonRetriable() }
	return false, !errors.As(err, &never)
}

// NewFederatedCredential makes a credential of an application, or of a user-assigned identity, by
// its client ID: in a tenant, with assertions that its federated credential trusts. nil options
// mean the defaults. It sends nothing, reads no file and calls nothing of the caller's; what is
// wrong with an argument or a variable is an error here, one that names it.
//
// An exchange may take 30 s, all tries together, as [NewCredential] describes for workload
// identity; before its first try the assertion may take as long again, or 90 s with
// [CredentialAssertion]. If Entra says that the assertion has expired, or isn't valid yet, another
// one is sent at once, if there is one: credentials of this package are told to get it, but a
// [Chain] is not.
func NewFederatedCredential(
	tenantID string, clientID ClientID, assertion Assertion, options *FederatedCredentialOptions,
) (*FederatedCredential, error) {
	return newFederatedCredential(processShared, processEnvironment(), tenantID, clientID, assertion,
		options)
}

func newFederatedCredential(
	in *shared, env environment, tenantID string, clientID ClientID, from Assertion,
	options *FederatedCredentialOptions,
) (*FederatedCredential, error) {
	if options == nil {
		options = &FederatedCredentialOptions{}
	}
	const name, what = "FederatedCredentialOptions", "NewFederatedCredential"
	o := settings{
		CredentialOptions: &CredentialOptions{ClientOptions: options.ClientOptions,
			AdditionallyAllowedTenants: options.AdditionallyAllowedTenants, Logger: options.Logger},
		options: name, allowed: name + ".AdditionallyAllowedTenants",
	}
	c, err := federatedIn(in, env, o, application{named: what, tenant: tenantID, client: clientID,
		tenantField: what + ": tenantID", clientField: what + ": clientID"}, from)
	return c, ours(err)
}

// federatedIn makes one of settings, which may come from variables, too. Its errors name an
// argument, a field or a variable.
func federatedIn(
	in *shared, env environment, o settings, of application, from Assertion,
) (*FederatedCredential, error) {
	if err := check.AllowedTenants(o.allowed, o.AdditionallyAllowedTenants); err != nil {
		return nil, err
	}
	if from.make == nil {
		return nil, errors.New(of.named + ": zero Assertion: make one by FileAssertion, " +
			"GitHubActionsAssertion, AzurePipelinesAssertion, CredentialAssertion or AssertionFunc")
	}
	source, err := from.make(env, o.Transport)
	if err != nil {
		return nil, err
	}
	h, err := newFederated(of, source, from.patience, env, o)
	if err != nil {
		return nil, err
	}
	if o.Transport != nil {
		in = newShared()
	}
	c := &FederatedCredential{}
	if err := c.cred.ask(h, of.named+", with "+source.Name(), in, o); err != nil {
		return nil, err
	}
	return c, nil
}

// within refuses a call that comes from the credential's own source of assertions: the credential
// is waiting for that source.
func (c *FederatedCredential) within(ctx context.Context) error {
	if c.cred.hosted.hostParts == nil || ctx == nil {
		return nil // what comes next refuses that
	}
	source := c.cred.hosted.host.(*federated).Source
	if !assertion.Within(ctx, source) {
		return nil
	}
	return ours(errors.New(source.Name() +
		" asks the credential that it is for, which waits for it"))
}

// chainLink implements ownSource. A federated credential is unavailable if its source of assertions
// is, and so for all scopes.
func (c *FederatedCredential) chainLink() chain.Link {
	return chain.Link{Name: "federated credential", Source: c, Whole: true, Refresh: c.Refresh}
}

// GetToken returns a token for one scope, such as "https://vault.azure.net/.default". Azure SDK
// clients call it. It is as [Credential.GetToken] says, for workload identity: a held token is
// returned at once, one exchange serves all callers of a resource, and none waits for another
// resource's.
func (c *FederatedCredential) GetToken(
	ctx context.Context, options policy.TokenRequestOptions,
) (azcore.AccessToken, error) {
	if held := c.cred.hit(&options); held != nil {
		return *held, nil
	}
	if err := c.within(ctx); err != nil {
		return azcore.AccessToken{}, err
	}
	return c.cred.miss(ctx, options)
}

// Refresh is as [Credential.Refresh]. Entra has no cache, so that each exchange brings another
// token.
func (c *FederatedCredential) Refresh(
	ctx context.Context, scope string,
) (token azcore.AccessToken, changed bool, err error) {
	if err := c.within(ctx); err != nil {
		return azcore.AccessToken{}, false, err
	}
	return c.cred.Refresh(ctx, scope)
}

// Ready is as [Credential.Ready]: it also waits for the file or the function that brings the
// assertion, as long as that fails by what may pass.
func (c *FederatedCredential) Ready(ctx context.Context, scopes ...string) error {
	return ready(ctx, c, scopes)
}

// Status is as [Credential.Status]. Host is "", and the Reason says where the assertions come from.
func (c *FederatedCredential) Status() Status { return c.cred.Status() }

// Statuses implements [Reporter].
func (c *FederatedCredential) Statuses() []Status { return c.cred.Statuses() }

// lastFailure is the Credential's: see Tokens.
func (c *FederatedCredential) lastFailure(scope string) (time.Time, error) {
	return c.cred.lastFailure(scope)
}

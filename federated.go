package identity

import (
	"context"
	"errors"
	"log/slog"

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
	// public cloud. Transport nil means a client that uses the system's proxy and follows no redirect;
	// with one of your own the credential has a token cache, and a limit of 50 requests at once, of
	// its own. The Transport, without the policies, also asks the endpoints of GitHub and Azure
	// Pipelines.
	azcore.ClientOptions

	// AdditionallyAllowedTenants are the tenants, beside its own, for which the credential may ask
	// for a token when the TenantID of a request names one, as Key Vault's clients do for a vault of
	// another tenant. A multi-tenant application has a service principal in each of them. "*" allows
	// any. By default there is none, and such a request fails.
	AdditionallyAllowedTenants []string

	// Logger receives what [CredentialOptions].Logger does, in the same way. nil is silent.
	Logger *slog.Logger
}

// NewFederatedCredential makes a credential of an application, or of a user-assigned identity.
// tenantID and clientID say which, and assertion brings the tokens that its federated credential
// trusts. nil options mean the defaults. It sends nothing, reads no file and calls nothing of the
// caller's; a mistake in an argument or a variable is an error here, which names it.
//
// An exchange may take 30 s, all tries together, as [NewCredential] describes for workload
// identity; before its first try the assertion may take as long again, or 90 s with
// [CredentialAssertion]. If Entra says that the assertion has expired, or isn't valid yet, another
// one is sent at once, if there is one.
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
	return chain.Link{Name: "federated credential", Source: c, Whole: true, Refresh: c.refresh,
		Failed: c.cred.lastFailure, Held: c.cred.held}
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
	return c.refresh(ctx, clientOptions(scope, ""))
}

func (c *FederatedCredential) refresh(
	ctx context.Context, options policy.TokenRequestOptions,
) (azcore.AccessToken, bool, error) {
	if err := c.within(ctx); err != nil {
		return azcore.AccessToken{}, false, err
	}
	return c.cred.refresh(ctx, options)
}

// Ready is as [Credential.Ready]: it also waits for the file or the function that brings the
// assertion, as long as [Passing] is true of its failures.
func (c *FederatedCredential) Ready(ctx context.Context, scopes ...string) error {
	return ready(ctx, c, scopes)
}

// Status is as [Credential.Status]. Host is "", and the Reason says where the assertions come from.
func (c *FederatedCredential) Status() Status { return c.cred.Status() }

// Statuses implements [Reporter].
func (c *FederatedCredential) Statuses() []Status { return c.cred.Statuses() }

package identity

import (
	"context"
	"log/slog"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity/internal/chain"
	"github.com/keyless-go/identity/internal/check"
	"github.com/keyless-go/identity/internal/devtool"
)

// AzureCLICredentialOptions are the optional settings of [NewAzureCLICredential]. The zero value is
// ready to use.
type AzureCLICredentialOptions struct {
	// TenantID is the tenant to get tokens of: a GUID or a domain name. "" means the one that az has
	// selected, or the one that a resource asks for, as Key Vault's clients do.
	TenantID string

	// Subscription is the ID or the name of the subscription whose account and tenant are used, in
	// place of the one that az has selected. With it set, TenantID has to be "", because az takes only
	// one of the two.
	Subscription string

	// AdditionallyAllowedTenants are the tenants beside TenantID that a resource may ask for; "*"
	// allows any. If TenantID is "" and these are none, any tenant is allowed.
	AdditionallyAllowedTenants []string

	// ProcessTimeout is how long a run of az may take before it is ended, up to an hour. 0 means until
	// the caller's deadline, but 1 minute at least and 10 at most; without a deadline it is 1. A
	// caller whose context ends leaves with the context's error. The run goes on, and the next caller
	// gets its token.
	ProcessTimeout time.Duration

	// Logger receives acquisitions (Info), renewals (Debug) and failures (Warn, but Info for the first
	// failed try of a renewal that nobody waits for), without any secret. nil is silent.
	Logger *slog.Logger
}

// AzureCLICredential authenticates as the developer who is logged in with the Azure CLI, az. It is
// for laptops: on Azure use [NewCredential]. [NewDefaultCredential] serves both. It is safe for
// concurrent use.
type AzureCLICredential struct{ cached }

var _ azcore.TokenCredential = (*AzureCLICredential)(nil)

// NewAzureCLICredential makes a credential of the Azure CLI's login. nil options mean the account
// that az has selected. It runs nothing. A mistake in the options is an error here, which names the
// field.
func NewAzureCLICredential(options *AzureCLICredentialOptions) (*AzureCLICredential, error) {
	return newAzureCLI(processShared, options, processEnvironment())
}

func newAzureCLI(
	shared *shared, options *AzureCLICredentialOptions, env environment,
) (*AzureCLICredential, error) {
	if options == nil {
		options = &AzureCLICredentialOptions{}
	}
	c := &AzureCLICredential{}
	err := newToolCredential(&c.cached, shared, env, devtool.AzureCLI, devtool.Options{
		Type:           "AzureCLICredentialOptions",
		Tenants:        check.Tenants{Own: options.TenantID, Allowed: options.AdditionallyAllowedTenants},
		Subscription:   options.Subscription,
		ProcessTimeout: options.ProcessTimeout,
	}, options.Logger)
	if err != nil {
		return nil, err
	}
	return c, nil
}

// Status is as [Credential.Status]. Host, Endpoint and Identity are "", and Reason is the tool.
func (c *AzureCLICredential) Status() Status { return c.toolStatus() }

// Statuses implements [Reporter].
func (c *AzureCLICredential) Statuses() []Status { return []Status{c.Status()} }

// chainLink implements ownSource.
func (c *AzureCLICredential) chainLink() chain.Link {
	return chain.Link{Name: devtool.AzureCLI.Name, Source: c, Whole: true, Refresh: c.refresh,
		Failed: c.lastFailure, Held: c.held}
}

// GetToken returns a token for one scope, such as "https://vault.azure.net/.default". Azure SDK
// clients call it.
//
// Without a held token it runs `az account get-access-token`, once for all callers, and one run at
// a time in this process. It blocks for a second or two, and never after ctx has ended. If az
// hangs, in this run or in one that it waits for, it blocks for a minute, or until ctx's deadline
// if that is later, but 10 minutes at most. ProcessTimeout in the options sets another time for a
// run. A caller whose ctx ends leaves, and the run goes on: its token is held for the next call. A
// run whose time is over is asked to end (SIGTERM), and killed if it is still there after 3 s; on
// Windows it isn't ended, and its output is not waited for. A run that fails because az's cache is
// being written, or because the system's broker is busy, is followed by another after a second.
//
// Tokens are held and renewed as those of [Credential.GetToken]. After `az login` as somebody else,
// or `az account set`, a running process follows when the held token is renewed, in half an hour or
// so. The constructor finds az on PATH, and keeps the values of HOME (USERPROFILE on Windows),
// AZURE_CONFIG_DIR and AZURE_CLOUD_NAME for all runs. az is not run by a shell, save on Windows,
// where it is a script; what is passed to it has only letters, digits and . _ : / -, and blanks in
// a subscription's name. It has no input and no terminal.
//
// A claims challenge, as for a second factor, can't be met without the developer: the error has the
// command to run. The next use asks for a new token in place of the one that was refused. If az is
// not installed, or nobody is logged in with it, errors.Is finds [ErrUnavailable] in the error. In
// other failures it doesn't, such as a session that has expired or an az that is offline: a [Chain]
// then returns an error, too, and doesn't go on to another identity.
//
// https://learn.microsoft.com/cli/azure/account#az-account-get-access-token
func (c *AzureCLICredential) GetToken(
	ctx context.Context, options policy.TokenRequestOptions,
) (azcore.AccessToken, error) {
	if held := c.hit(&options); held != nil {
		return *held, nil
	}
	if options.Claims != "" {
		return azcore.AccessToken{}, c.challenged(ctx, options)
	}
	return c.miss(ctx, options)
}

// AzureDeveloperCLICredentialOptions are the optional settings of [NewAzureDeveloperCLICredential].
// The zero value is ready to use.
type AzureDeveloperCLICredentialOptions struct {
	// TenantID is the tenant to get tokens of: a GUID or a domain name. "" means the one that a
	// resource asks for, as Key Vault's clients do. If it asks for none, that is the tenant of the
	// subscription in the variable AZURE_SUBSCRIPTION_ID, or else the account's own. The environment
	// of an azd project isn't used: azd looks for one in its working directory, and it is run in a
	// directory of the system's, where nobody else can put a file.
	// https://github.com/Azure/azure-dev/issues/4293
	TenantID string

	// AdditionallyAllowedTenants are the tenants beside TenantID that a resource may ask for; "*"
	// allows any. If TenantID is "" and these are none, any tenant is allowed.
	AdditionallyAllowedTenants []string

	// ProcessTimeout is how long a run of azd may take before it is ended, up to an hour. 0 means
	// until the caller's deadline, but 1 minute at least and 10 at most; without a deadline it is 1. A
	// caller whose context ends leaves with the context's error. The run goes on, and the next caller
	// gets its token.
	ProcessTimeout time.Duration

	// Logger receives acquisitions (Info), renewals (Debug) and failures (Warn, but Info for the first
	// failed try of a renewal that nobody waits for), without any secret. nil is silent.
	Logger *slog.Logger
}

// AzureDeveloperCLICredential authenticates as the developer who is logged in with the Azure
// Developer CLI, azd. It is for laptops: on Azure use [NewCredential]. [NewDefaultCredential]
// serves both. It is safe for concurrent use.
type AzureDeveloperCLICredential struct{ cached }

var _ azcore.TokenCredential = (*AzureDeveloperCLICredential)(nil)

// NewAzureDeveloperCLICredential makes a credential of the Azure Developer CLI's login. nil options
// mean the tenant of AZURE_SUBSCRIPTION_ID, or the account's own. It runs nothing. A mistake in the
// options is an error here, which names the field.
func NewAzureDeveloperCLICredential(
	options *AzureDeveloperCLICredentialOptions,
) (*AzureDeveloperCLICredential, error) {
	return newAzureDeveloperCLI(processShared, options, processEnvironment())
}

func newAzureDeveloperCLI(
	shared *shared, options *AzureDeveloperCLICredentialOptions, env environment,
) (*AzureDeveloperCLICredential, error) {
	if options == nil {
		options = &AzureDeveloperCLICredentialOptions{}
	}
	c := &AzureDeveloperCLICredential{}
	err := newToolCredential(&c.cached, shared, env, devtool.AzureDeveloperCLI, devtool.Options{
		Type:           "AzureDeveloperCLICredentialOptions",
		Tenants:        check.Tenants{Own: options.TenantID, Allowed: options.AdditionallyAllowedTenants},
		ProcessTimeout: options.ProcessTimeout,
	}, options.Logger)
	if err != nil {
		return nil, err
	}
	return c, nil
}

// Status is as [Credential.Status]. Host, Endpoint and Identity are "", and Reason is the tool.
func (c *AzureDeveloperCLICredential) Status() Status { return c.toolStatus() }

// Statuses implements [Reporter].
func (c *AzureDeveloperCLICredential) Statuses() []Status { return []Status{c.Status()} }

// chainLink implements ownSource.
func (c *AzureDeveloperCLICredential) chainLink() chain.Link {
	return chain.Link{Name: devtool.AzureDeveloperCLI.Name, Source: c, Whole: true, Refresh: c.refresh,
		Failed: c.lastFailure, Held: c.held}
}

// GetToken returns a token for one scope, such as "https://vault.azure.net/.default". Azure SDK
// clients call it.
//
// Without a held token it runs `azd auth token`, once for all callers, and one run at a time in
// this process. It blocks for a second or two (12 s have been seen), and never after ctx has ended.
// If azd hangs, in this run or in one that it waits for, it blocks for a minute, or until ctx's
// deadline if that is later, but 10 minutes at most. ProcessTimeout in the options sets another
// time for a run. A caller whose ctx ends leaves, and the run goes on: its token is held for the
// next call. A run whose time is over is asked to end (SIGTERM), and killed if it is still there
// after 3 s; on Windows it isn't ended, and its output is not waited for.
//
// Tokens are held and renewed as those of [Credential.GetToken]. After `azd auth login` as somebody
// else a running process follows when the held token is renewed, in half an hour or so. The
// constructor finds azd on PATH, and keeps the values of HOME (USERPROFILE on Windows),
// AZD_CONFIG_DIR, AZD_AUTH_ENDPOINT and AZURE_SUBSCRIPTION_ID for all runs. azd is not run by a
// shell, save on Windows; what is passed to it has only letters, digits and . _ : / -, and + and =
// in the base64 of claims. It has no input and no terminal.
//
// The claims of a challenge are passed on, at most once in 30 s, and azd keeps them for the next
// login. If it has no token that meets them, the error has the command to run. If azd is not
// installed, or nobody is logged in with it, errors.Is finds [ErrUnavailable] in the error; in
// other failures it doesn't.
//
// https://learn.microsoft.com/azure/developer/azure-developer-cli/reference#azd-auth-token
func (c *AzureDeveloperCLICredential) GetToken(
	ctx context.Context, options policy.TokenRequestOptions,
) (azcore.AccessToken, error) {
	if held := c.hit(&options); held != nil {
		return *held, nil
	}
	return c.miss(ctx, options)
}

package identity

import (
	"context"
	"errors"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity/internal/assertion"
	"github.com/keyless-go/identity/internal/chain"
)

// Assertion is how a [FederatedCredential] gets the token of the other issuer. It is made by
// [FileAssertion], [GitHubActionsAssertion], [AzurePipelinesAssertion], [CredentialAssertion] or
// [AssertionFunc], and may be used for several credentials. Each exchange gets a new one, and none
// is kept. It is as secret as a token: no error and no log line has a byte of it. An assertion that
// is empty, no JWT, or past its exp isn't sent: the exchange fails with an error that says so.
type Assertion struct {
	make     func(environment, policy.Transporter) (assertion.Source, error)
	patience time.Duration // how long the source may take, on top of the exchange
}

// AssertionRequest is what an assertion is wanted for.
type AssertionRequest struct {
	// TenantID is the tenant of the token that the assertion is exchanged for.
	TenantID string
	// Audience is what Entra wants as the assertion's audience: api://AzureADTokenExchange in the
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

// CredentialAssertion is a token of another credential for the audience of the exchange. That
// credential is of a managed identity which the application trusts. So a program without a secret
// is an application, also in tenants that the identity isn't of. The application's federated
// credential has the identity's tenant in the issuer and its object ID as the subject; the error of
// an exchange that Entra refuses has both, ready to be copied. By Microsoft's page, below, the
// application has to be registered in the identity's own tenant, and the identity to be a
// user-assigned one.
//
// If the other credential's token is about to end, or Entra has just refused it as ended, a new one
// is got at once: a credential of this package is asked past what it holds, and a [Chain] asks its
// source in use in the same way. A credential of another package is asked as usual.
//
// If the other credential fails, its error is repeated, and errors.Is finds what is in it. If it is
// an [*AuthenticationError], Unwrap of the outer error has it. If it is [ErrUnavailable], so is the
// outer error, and a [Chain] goes on: without the identity the FederatedCredential can't be used
// here. No other failure does that. A call may take 90 s. Tokens are kept per FederatedCredential.
//
// https://learn.microsoft.com/entra/workload-id/workload-identity-federation-config-app-trust-managed-identity
func CredentialAssertion(cred azcore.TokenCredential) Assertion {
	return Assertion{patience: assertion.CredentialBound,
		make: func(environment, policy.Transporter) (assertion.Source, error) {
			link, ok := linkOf(cred)
			if !ok {
				return nil, errors.New("CredentialAssertion: is nil: want a credential, such as " +
					"one of NewCredential")
			}
			return assertion.NewCredential("CredentialAssertion", cred.GetToken, link.Refresh,
				judgeAssertion), nil
		}}
}

// AssertionFunc gets the assertion by a function, from any other issuer. f is called for each
// exchange, in a goroutine of its own and under no lock. Calls for several resources may run at
// once; for one resource there is one call at a time. Its ctx has none of the values of a caller's,
// and ends after 30 s: an issuer that is asked over the internet has answered by then, or is down.
//
// If f fails, only the exchange that it is called for fails. errors.Is finds f's error in that of
// the exchange; [Credential.Ready] waits over it, unless it has azcore's method NonRetriable. If it
// is [ErrUnavailable], a [Chain] goes on, because the FederatedCredential can't be used here. If f
// panics, ends its goroutine, or hasn't returned after 30 s, the error names AssertionFunc. A call
// that hangs is left to itself, and f is called again for that resource only after another 30 s,
// doubling with each call that hangs. f must not ask the credential that it is for, directly or
// not: asked with f's ctx, that credential returns an error at once. Tokens are kept per
// FederatedCredential.
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

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
// A token of the other credential's that is about to end, or that Entra has just refused as ended,
// is replaced at once: a credential of this package is asked past what it holds, and a [Chain] asks
// its source in use so. One of another package is asked as ever.
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
			link, ok := linkOf(cred)
			if !ok {
				return nil, errors.New("CredentialAssertion: is nil: want a credential, such as " +
					"one of NewCredential")
			}
			return assertion.NewCredential("CredentialAssertion", cred.GetToken, link.Refresh,
				judgeAssertion), nil
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

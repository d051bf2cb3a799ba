package main

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity"
	"github.com/keyless-go/identity/examples/internal/commandline"
)

// retries are few, because somebody waits: with the library's own, which a service should have, an
// endpoint that is down takes 30 s to find out, and a host that throttles 75 s. What passes within
// seconds is overcome nevertheless.
var retries = policy.RetryOptions{MaxRetries: 2}

// ask gets a token and enters what became of that. It returns both for a record.
func (c config) ask(
	ctx context.Context, r *report, policies ...policy.Policy,
) (token string, err error) {
	credential, err := c.credential(policies)
	if err != nil {
		r.Error = refusal(err)
		return "", err
	}
	r.Asked.Identity = c.asked(credential.Statuses()[0])
	limited, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	start := time.Now()
	// EnableCAE, as Azure SDK clients set it: some hosts have another token for those who don't
	// understand claims challenges.
	got, err := credential.GetToken(limited,
		policy.TokenRequestOptions{Scopes: []string{c.scope}, EnableCAE: true})
	r.ElapsedMS = milliseconds(time.Since(start))
	r.told(credential)
	if err != nil {
		r.fail(c, err)
		return "", err
	}
	r.Answers = r.toolInUse() == ""
	r.read(got)
	return got.Token, nil
}

// credential sends nothing and runs nothing.
func (c config) credential(policies []policy.Policy) (identity.Reporter, error) {
	options := azcore.ClientOptions{Retry: retries, PerRetryPolicies: policies}
	managed := &identity.CredentialOptions{ClientOptions: options, ID: c.ID}
	switch {
	case c.federation.Asked():
		return c.federation.Credential(c.tenant, managed,
			&identity.FederatedCredentialOptions{ClientOptions: options})
	case c.managed:
		return identity.NewCredential(managed)
	}
	return identity.NewDefaultCredential(
		&identity.DefaultCredentialOptions{ClientOptions: options, ID: c.ID})
}

func (r *report) fail(c config, err error) {
	e, ok := errors.AsType[*identity.AuthenticationError](err)
	switch {
	case ok:
	case errors.Is(err, context.DeadlineExceeded): // one of several sources took all of it
		r.Error = c.outOfTime(err, r)
		return
	default: // about an argument: nothing was asked
		if chain, ok := err.(interface{ Unwrap() []error }); ok && len(chain.Unwrap()) > 0 {
			err = chain.Unwrap()[0] // in one line, as its source said it
		}
		r.Error = refusal(err)
		return
	}
	r.Status = e.StatusCode
	// what isn't IMDS may answer at its address
	r.Answers = e.StatusCode != 0 && !errors.Is(err, identity.ErrUnavailable) && !stranger(e)
	r.Error = c.explain(e, r)
	if errors.Is(err, identity.ErrUnavailable) { // all sources are: each says why
		r.Error.Message = commandline.OneLine(err.Error())
	}
}

// read takes from the token what may be told.
func (r *report) read(got azcore.AccessToken) {
	r.Token = &token{For: strings.TrimSuffix(r.Asked.Scope, "/.default"),
		ExpiresOn: got.ExpiresOn.UTC().Truncate(time.Second)}
	claims, ok := readClaims(got.Token)
	if !ok {
		r.Token.Opaque = true
		return
	}
	r.Identity = claims.principal(r.Host)
	if audience := claims.text("aud"); audience != "" {
		r.Token.For = audience
	}
}

// milliseconds with three digits after the point: a hit on loopback takes less than one.
func milliseconds(d time.Duration) float64 {
	return float64(d.Round(time.Microsecond)) / float64(time.Millisecond)
}

package identity

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity/internal/acquire"
	"github.com/keyless-go/identity/internal/assertion"
	"github.com/keyless-go/identity/internal/binding"
	"github.com/keyless-go/identity/internal/check"
	"github.com/keyless-go/identity/internal/detect"
	"github.com/keyless-go/identity/internal/entra"
	"github.com/keyless-go/identity/internal/failure"
	"github.com/keyless-go/identity/internal/seam"
	"github.com/keyless-go/identity/internal/token"
	"github.com/keyless-go/identity/internal/transport"
)

const envAuthorityHost = detect.EnvAuthorityHost

// exchange gets a token of Entra's for another issuer's token, which is called an assertion. It is
// what workload identity and a federated credential have in common; each adds its name and its
// hints.
//
// https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow#third-case-access-token-request-with-a-federated-credential
type exchange struct {
	clientID  ClientID
	tenants   check.Tenants
	options   string // the name of the options that allow others
	authority *url.URL
	binding   *binding.Proxy // nil for none
	source    assertion.Source
	own       string        // the token endpoint of the identity's own tenant
	patience  time.Duration // how long the source may take
	// refuses an assertion that isn't worth sending; nil refuses none
	check func(s assertion.Source, text string, now time.Time) error
}

// newExchange completes an exchange with what options and variables say of Entra.
func newExchange(x exchange, env environment, options settings) (exchange, error) {
	x.tenants.Allowed = slices.Clone(options.AdditionallyAllowedTenants)
	field, value := ".Cloud.ActiveDirectoryAuthorityHost", options.Cloud.ActiveDirectoryAuthorityHost
	if value != "" {
		field = options.options + field
	} else {
		field, value = envAuthorityHost, env.getenv(envAuthorityHost)
	}
	const public = "https://login.microsoftonline.com/"
	var err error
	x.authority, err = check.HTTPS(field, cmp.Or(value, public), public)
	return x, err
}

func (x *exchange) identity() ID     { return x.clientID }
func (x *exchange) Answerer() string { return "Entra" }
func (x *exchange) Identity() string { return inWords(x.clientID) }

// Mismatch implements acquire.Host.
func (x *exchange) Mismatch(t token.Token) string { return selected(x.clientID).Mismatch(t, false) }

func (x *exchange) Endpoint() string { return x.own } // which has neither user info nor a query
func (x *exchange) Address() string  { return x.own }

// Proof implements acquire.Proves: the source has the token by which Entra knows who asks, and the
// proxy's certificate is what that token is entrusted to.
func (x *exchange) Proof() string {
	if x.binding == nil {
		return x.source.Proof()
	}
	return x.source.Proof() + "\n" + x.binding.Proof()
}

func (x *exchange) url(tenant string) *url.URL {
	u := entra.TokenURL(x.authority, tenant)
	if x.binding != nil {
		u = x.binding.URL(u)
	}
	return u
}

// Variant implements acquire.Varies. Key Vault's clients ask for the tenant that the vault names.
func (x *exchange) Variant(options policy.TokenRequestOptions) (acquire.Variant, error) {
	v := acquire.Variant{CAE: options.EnableCAE}
	if options.Claims != "" {
		if _, err := entra.WithCapability(options.Claims); err != nil {
			return v, err
		}
	}
	var allowed bool
	var err error
	if v.Tenant, allowed, err = x.tenants.Other(options.TenantID); err == nil && !allowed {
		err = fmt.Errorf("GetToken: a token of tenant %s was asked for, the identity is of "+
			"tenant %s: is the resource in the wrong tenant? If not, name it in "+
			"%s.AdditionallyAllowedTenants",
			options.TenantID, x.tenants.Own, x.options)
	}
	return v, err
}

// Call gets the assertion anew. It is replaced where it comes from, and one that was kept may have
// ended when it is needed.
func (x *exchange) Call(ctx context.Context, r acquire.Request) (acquire.Call, error) {
	return x.with(ctx, r, "")
}

// audience is the one that an assertion must have in this cloud.
func (x *exchange) audience() string { return entra.Audience(x.authority.Hostname()) }

// with is Call after Entra has refused the assertion stale; "" means that it has refused none.
func (x *exchange) with(
	ctx context.Context, r acquire.Request, stale string,
) (acquire.Call, error) {
	tenant := cmp.Or(r.Tenant, x.tenants.Own)
	proof, err := x.source.Get(ctx, assertion.Request{TenantID: tenant, Audience: x.audience(),
		For: fmt.Sprint(tenant, r.CAE, r.Resource), Stale: stale})
	if err == nil && x.check != nil {
		err = x.check(x.source, proof, time.Now())
	}
	if err != nil {
		return acquire.Call{}, err
	}
	claims := r.Claims
	if r.CAE {
		if claims, err = entra.WithCapability(claims); err != nil {
			return acquire.Call{}, err
		}
	}
	return acquire.Call{
		Method: http.MethodPost,
		URL:    x.url(tenant),
		Header: transport.Header("Accept", "application/json"),
		Form:   entra.Form(string(x.clientID), r.Resource+defaultSuffix, proof, claims),
		Secret: proof,
	}, nil
}

// Connect implements acquire.Connects.
func (x *exchange) Connect(own policy.Transporter) (policy.Transporter, error) {
	switch place, fake := seam.Lookup(x.authority.Path); {
	case own != nil:
		return own, nil
	case x.binding != nil:
		return x.binding, nil
	case fake:
		return transport.NewInternet(place.RootCAs, ""), nil
	}
	return transport.Internet(), nil
}

// Recognises: Entra answers with a JSON object that has a token or an error. Its own front end may
// throttle or fail without a word, or with a page that has a request ID. Any other page is from
// something in between.
func (x *exchange) Recognises(a acquire.Answer) bool {
	failing := a.Status == http.StatusTooManyRequests || a.Status >= 500
	return token.IsOAuth(a.Body) || failing &&
		(len(bytes.TrimSpace(a.Body)) == 0 || a.Header.Get("X-Ms-Request-Id") != "")
}

// NotAssigned: the application isn't there, or doesn't trust the assertion.
//
// https://learn.microsoft.com/entra/identity-platform/reference-error-codes
// https://azure.github.io/azure-workload-identity/docs/troubleshooting.html
func (x *exchange) NotAssigned(_ int, said failure.Said) bool { return said.NoSuchClient() }

// Rules: Entra is across the internet, and takes as many requests at once as there are tenants and
// resources.
func (x *exchange) Rules() acquire.Rules {
	r := (*variableHost)(nil).Rules()
	r.AtOnce, r.Preparation = 50, x.patience
	return r
}

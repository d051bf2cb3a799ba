// Package exchange asks Entra for a token in exchange for another issuer's token, which is called
// an assertion: as a pod with workload identity does, and as an application with a federated
// credential.
//
// A [Workload] and a [Federated] are hosts in the words of package acquire, but for their names.
// The package doesn't know how an assertion is got, who waits for the token, or where tenant and
// client ID come from.
package exchange

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
	"github.com/keyless-go/identity/internal/principal"
	"github.com/keyless-go/identity/internal/retry"
	"github.com/keyless-go/identity/internal/seam"
	"github.com/keyless-go/identity/internal/token"
	"github.com/keyless-go/identity/internal/transport"
)

// Exchange is what workload identity and a federated credential have in common. Each adds its name
// and its hints. Its fields don't change once one of those is made of it.
//
// https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow#third-case-access-token-request-with-a-federated-credential
type Exchange struct {
	ClientID  string
	Tenants   check.Tenants
	Options   string         // the name of the options that allow others
	Authority *url.URL       // where Entra is: see [Authority]
	Binding   *binding.Proxy // nil for none
	Source    assertion.Source
	Patience  time.Duration // how long the source may take

	own string // the token endpoint of the identity's own tenant
}

// ready completes an exchange whose fields are set.
func (x Exchange) ready() Exchange {
	x.Tenants.Allowed = slices.Clone(x.Tenants.Allowed)
	x.own = x.url(x.Tenants.Own).String()
	return x
}

// Authority is where Entra is: what a field of the options says, or else the variable, or else the
// public cloud. options is the name of the options in messages.
func Authority(options, value string, getenv func(string) string) (*url.URL, error) {
	field := options + ".Cloud.ActiveDirectoryAuthorityHost"
	if value == "" {
		field, value = detect.EnvAuthorityHost, getenv(detect.EnvAuthorityHost)
	}
	const public = "https://login.microsoftonline.com/"
	return check.HTTPS(field, cmp.Or(value, public), public)
}

// client is the application that is asked for.
func (x *Exchange) client() principal.ID {
	return principal.ID{Kind: principal.ClientID, Value: x.ClientID}
}

// Answerer implements acquire.Host.
func (x *Exchange) Answerer() string { return "Entra" }

// Identity implements acquire.Host.
func (x *Exchange) Identity() string { return x.client().String() }

// Mismatch implements acquire.Host.
func (x *Exchange) Mismatch(t token.Token) string { return x.client().Mismatch(t, false) }

// Endpoint implements acquire.Host. It has neither user info nor a query.
func (x *Exchange) Endpoint() string { return x.own }

// Address implements acquire.Host.
func (x *Exchange) Address() string { return x.own }

// Proof implements acquire.Proves: the source has the token by which Entra knows who asks, and the
// proxy's certificate is what that token is entrusted to.
func (x *Exchange) Proof() string {
	if x.Binding == nil {
		return x.Source.Proof()
	}
	return x.Source.Proof() + "\n" + x.Binding.Proof()
}

func (x *Exchange) url(tenant string) *url.URL {
	u := entra.TokenURL(x.Authority, tenant)
	if x.Binding != nil {
		u = x.Binding.URL(u)
	}
	return u
}

// Variant implements acquire.Varies. Key Vault's clients ask for the tenant that the vault names.
func (x *Exchange) Variant(options policy.TokenRequestOptions) (acquire.Variant, error) {
	v := acquire.Variant{CAE: options.EnableCAE}
	if options.Claims != "" {
		if _, err := entra.WithCapability(options.Claims); err != nil {
			return v, err
		}
	}
	var allowed bool
	var err error
	if v.Tenant, allowed, err = x.Tenants.Other(options.TenantID); err == nil && !allowed {
		err = fmt.Errorf("GetToken: a token of tenant %s was asked for, the identity is of "+
			"tenant %s: is the resource in the wrong tenant? If not, name it in "+
			"%s.AdditionallyAllowedTenants",
			options.TenantID, x.Tenants.Own, x.Options)
	}
	return v, err
}

// audience is the one that an assertion must have in this cloud.
func (x *Exchange) audience() string { return entra.Audience(x.Authority.Hostname()) }

// with is a Call after Entra has refused the assertion stale; "" means that it has refused none. It
// gets the assertion anew each time: whoever issues assertions replaces them, and one that was kept
// may have ended. check refuses one that isn't worth sending; nil refuses none.
func (x *Exchange) with(
	ctx context.Context, r acquire.Request, stale string,
	check func(s assertion.Source, text string, now time.Time) error,
) (acquire.Call, error) {
	tenant := cmp.Or(r.Tenant, x.Tenants.Own)
	proof, err := x.Source.Get(ctx, assertion.Request{TenantID: tenant, Audience: x.audience(),
		For: fmt.Sprint(tenant, r.CAE, r.Resource), Stale: stale})
	if err == nil && check != nil {
		err = check(x.Source, proof, time.Now())
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
		Form:   entra.Form(x.ClientID, r.Resource+"/.default", proof, claims),
		Secret: proof,
	}, nil
}

// Connect implements acquire.Connects.
func (x *Exchange) Connect(own policy.Transporter) (policy.Transporter, error) {
	switch place, fake := seam.Lookup(x.Authority.Path); {
	case own != nil:
		return own, nil
	case x.Binding != nil:
		return x.Binding, nil
	case fake:
		return transport.NewInternet(place.RootCAs, ""), nil
	}
	return transport.Internet(), nil
}

// Recognises: Entra answers with a JSON object that has a token or an error. Its own front end may
// throttle or fail without a word, or with a page that has a request ID. Any other page is from
// something in between.
func (x *Exchange) Recognises(a acquire.Answer) bool {
	failing := a.Status == http.StatusTooManyRequests || a.Status >= 500
	return token.IsOAuth(a.Body) || failing &&
		(len(bytes.TrimSpace(a.Body)) == 0 || a.Header.Get("X-Ms-Request-Id") != "")
}

// NotAssigned: the application isn't there, or doesn't trust the assertion.
//
// https://learn.microsoft.com/entra/identity-platform/reference-error-codes
// https://azure.github.io/azure-workload-identity/docs/troubleshooting.html
func (x *Exchange) NotAssigned(_ int, said failure.Said) bool { return said.NoSuchClient() }

// Rules: Entra is across the internet, and takes as many requests at once as there are tenants and
// resources.
func (x *Exchange) Rules() acquire.Rules {
	return acquire.Rules{Rules: retry.Usual(), AtOnce: 50, Preparation: x.Patience}
}

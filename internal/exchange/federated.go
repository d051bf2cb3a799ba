package exchange

import (
	"context"
	"time"

	"github.com/keyless-go/identity/internal/acquire"
	"github.com/keyless-go/identity/internal/assertion"
	"github.com/keyless-go/identity/internal/detect"
	"github.com/keyless-go/identity/internal/entra"
	"github.com/keyless-go/identity/internal/failure"
)

// Federated is an application at Entra that trusts the assertions of a source.
//
// https://learn.microsoft.com/entra/workload-id/workload-identity-federation
type Federated struct{ Exchange }

// NewFederated makes one of an Exchange whose fields are set.
func NewFederated(x Exchange) *Federated { return &Federated{x.ready()} }

// Call implements acquire.Host.
func (h *Federated) Call(ctx context.Context, r acquire.Request) (acquire.Call, error) {
	return h.with(ctx, r, "", assertion.Check)
}

// Follow implements acquire.Follows: the assertion may have ended on its way. A second one is worth
// a request after that refusal only: that it differs from the first says nothing, because most
// sources sign another one each time.
func (h *Federated) Follow(
	ctx context.Context, r acquire.Request, got acquire.Answer,
) (acquire.Call, bool, error) {
	if got.Status < 400 || failure.Read(got.Header, string(got.Body)).Entra != "AADSTS700024" {
		return acquire.Call{}, false, nil
	}
	next, err := h.with(ctx, r, r.Presented, assertion.Check)
	return next, err == nil && next.Secret != r.Presented, err
}

// Hint implements acquire.Host.
func (h *Federated) Hint(r acquire.Request, status int, said failure.Said) string {
	tenant := h.Tenants.Own
	if r.Tenant != "" {
		tenant = r.Tenant
	}
	if status == acquire.NoAnswer {
		return "may this process reach " + h.url(tenant).String() + ", is HTTPS_PROXY right, and is " +
			"that the cloud that " + h.Options + ".Cloud or " + detect.EnvAuthorityHost + " should name?"
	}
	switch said.Topic() {
	case failure.AboutClient:
		return "is " + h.Identity() + " an application of tenant " + tenant + ", or a " +
			"user-assigned identity there? One of another tenant needs a service principal in this one"
	case failure.AboutIssuer:
		return "can Entra read the discovery document and the keys of the issuer " +
			entra.TrustOf(r.Presented).Issuer + ", and were the keys rotated a moment ago?"
	case failure.AboutTrust:
		return entra.TrustHint(said.Entra, h.Identity(), h.Source.Name(), r.Presented,
			h.audience())
	case failure.AboutExpiry:
		return "the assertion from " + h.Source.Name() + " is not in its time, even when asked for " +
			"again: is this machine's clock right? It says " + time.Now().UTC().Format(time.RFC3339)
	case failure.AboutToken:
		return "is what " + h.Source.Name() + " brought a JWT as its issuer has signed it?"
	case failure.AboutTenant:
		return "is " + tenant + " a tenant of the cloud of " + h.Authority.Host + "?"
	case failure.AboutScope:
		return "is the scope a resource of this tenant and cloud?"
	case failure.AboutBlocked:
		return h.Identity() + failure.BlockedHint
	}
	return ""
}

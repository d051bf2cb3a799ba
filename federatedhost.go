package identity

import (
	"context"
	"time"

	"github.com/keyless-go/identity/internal/acquire"
	"github.com/keyless-go/identity/internal/assertion"
	"github.com/keyless-go/identity/internal/check"
	"github.com/keyless-go/identity/internal/entra"
	"github.com/keyless-go/identity/internal/failure"
)

// federated is an application at Entra that trusts the assertions of a source.
//
// https://learn.microsoft.com/entra/workload-id/workload-identity-federation
type federated struct {
	exchange
}

// application says who an application is, with what messages call its parts.
type application struct {
	named                    string // the function or the job that names it
	tenantField, clientField string
	tenant                   string
	client                   ClientID
}

// newFederated checks who the application is.
func newFederated(
	of application, source assertion.Source, patience time.Duration, env environment,
	options settings,
) (*federated, error) {
	if err := check.Tenant(of.tenantField, of.tenant); err != nil {
		return nil, err
	}
	if err := check.Word(of.clientField, string(of.client)); err != nil {
		return nil, err
	}
	if err := validateID(of.clientField, of.client); err != nil {
		return nil, err
	}
	h := &federated{exchange{clientID: of.client, options: options.options, source: source,
		patience: patience, check: assertion.Check, tenants: check.Tenants{Own: of.tenant}}}
	var err error
	if h.exchange, err = newExchange(h.exchange, env, options); err != nil {
		return nil, err
	}
	h.own = h.url(of.tenant).String()
	return h, nil
}

func (h *federated) host() Host   { return "" }
func (h *federated) Name() string { return "federated credential" }

// Follow implements acquire.Follows: the assertion may have ended on its way. A second one is worth
// a request after that refusal only: that it differs from the first says nothing, because most
// sources sign another one each time.
func (h *federated) Follow(
	ctx context.Context, r acquire.Request, got acquire.Answer,
) (acquire.Call, bool, error) {
	if got.Status < 400 || failure.Read(got.Header, string(got.Body)).Entra != "AADSTS700024" {
		return acquire.Call{}, false, nil
	}
	next, err := h.with(ctx, r, r.Presented)
	return next, err == nil && next.Secret != r.Presented, err
}

func (h *federated) Hint(r acquire.Request, status int, said failure.Said) string {
	tenant := h.tenants.Own
	if r.Tenant != "" {
		tenant = r.Tenant
	}
	if status == acquire.NoAnswer {
		return "may this process reach " + h.url(tenant).String() + ", is HTTPS_PROXY right, and is " +
			"that the cloud that " + h.options + ".Cloud or " + envAuthorityHost + " should name?"
	}
	switch said.Topic() {
	case failure.AboutClient:
		return "is " + inWords(h.clientID) + " an application of tenant " + tenant + ", or a " +
			"user-assigned identity there? One of another tenant needs a service principal in this one"
	case failure.AboutIssuer:
		return "can Entra read the discovery document and the keys of the issuer " +
			entra.TrustOf(r.Presented).Issuer + ", and were the keys rotated a moment ago?"
	case failure.AboutTrust:
		return entra.TrustHint(said.Entra, inWords(h.clientID), h.source.Name(), r.Presented,
			h.audience())
	case failure.AboutExpiry:
		return "the assertion from " + h.source.Name() + " is not in its time, even when asked for " +
			"again: is this machine's clock right? It says " + time.Now().UTC().Format(time.RFC3339)
	case failure.AboutToken:
		return "is what " + h.source.Name() + " brought a JWT as its issuer has signed it?"
	case failure.AboutTenant:
		return "is " + tenant + " a tenant of the cloud of " + h.authority.Host + "?"
	case failure.AboutScope:
		return "is the scope a resource of this tenant and cloud?"
	case failure.AboutBlocked:
		return inWords(h.clientID) + failure.BlockedHint
	}
	return ""
}

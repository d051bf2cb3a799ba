package exchange

import (
	"context"
	"net/http"
	"time"

	"github.com/keyless-go/identity/internal/acquire"
	"github.com/keyless-go/identity/internal/assertion"
	"github.com/keyless-go/identity/internal/binding"
	"github.com/keyless-go/identity/internal/detect"
	"github.com/keyless-go/identity/internal/entra"
	"github.com/keyless-go/identity/internal/failure"
	"github.com/keyless-go/identity/internal/redact"
)

// Workload exchanges a service account's token at Entra.
//
// https://azure.github.io/azure-workload-identity/docs/
type Workload struct {
	Exchange
	file string // where the Source reads
}

// NewWorkload makes one of an Exchange whose fields are set. file is where its Source reads.
func NewWorkload(x Exchange, file string) *Workload { return &Workload{x.ready(), file} }

// Call implements acquire.Host.
func (s *Workload) Call(ctx context.Context, r acquire.Request) (acquire.Call, error) {
	return s.with(ctx, r, "", nil)
}

// Follow implements acquire.Follows: if the assertion has expired, its file most likely has a new
// one by now. After any other 401 or 403 the file is read, too; if it has another assertion, that
// one is worth a request.
func (s *Workload) Follow(
	ctx context.Context, r acquire.Request, got acquire.Answer,
) (acquire.Call, bool, error) {
	ended := got.Status >= 400 &&
		failure.Read(got.Header, string(got.Body)).Entra == "AADSTS700024"
	refused := got.Status == http.StatusUnauthorized || got.Status == http.StatusForbidden
	if !ended && !refused {
		return acquire.Call{}, false, nil
	}
	next, err := s.Call(ctx, r)
	switch {
	case ended:
		return next, err == nil, err
	case err != nil: // Entra's refusal says more than this error
		return acquire.Call{}, false, nil
	}
	return next, next.Secret != r.Presented, nil
}

// presented is what the file's token says of itself now, "" if it can't be read.
func (s *Workload) presented() string {
	text, _ := s.Source.Get(context.Background(), assertion.Request{})
	return entra.TrustOf(text).String()
}

// Hint implements acquire.Host.
func (s *Workload) Hint(r acquire.Request, status int, said failure.Said) string {
	tenant, named := s.Tenants.Own, detect.EnvTenantID
	if r.Tenant != "" {
		tenant, named = r.Tenant, "TenantID, which the resource asked for as "+r.Tenant+","
	}
	if status == acquire.NoAnswer && s.Binding != nil {
		return "may this pod reach the proxy that " + binding.EnvProxy +
			" names, and is its certificate of the authority in " + binding.EnvCAFile + " or " +
			binding.EnvCAData + "?"
	}
	if status == acquire.NoAnswer {
		return "may this pod reach " + s.url(tenant).String() +
			", is HTTPS_PROXY right, and is that the cloud that " + detect.EnvAuthorityHost + " should name?"
	}
	switch said.Topic() {
	case failure.AboutClient:
		return "is " + s.Identity() + " an identity of tenant " + tenant + "?"
	case failure.AboutIssuer:
		return failure.IssuerHint
	case failure.AboutTrust:
		hint := "has " + s.Identity() +
			" a federated credential with exactly this cluster's issuer, this service account and the audience " +
			s.audience() + "? "
		if said := s.presented(); said != "" {
			hint += "The token in " + redact.Quoted(s.file) + " has " + said + ". "
		}
		return hint + "A new one works after some minutes"
	case failure.AboutExpiry:
		return "the token in " + redact.Quoted(s.file) +
			" has expired, even when read again: is it still projected by the kubelet, and is this node's clock right? It says " +
			time.Now().UTC().Format(time.RFC3339)
	case failure.AboutToken:
		return "is what is in " + redact.Quoted(s.file) + " a service account's token?"
	case failure.AboutTenant:
		return "does " + named + " name a tenant of the cloud of " + s.Authority.Host + "?"
	case failure.AboutScope:
		return "is the scope a resource of this tenant and cloud?"
	case failure.AboutBlocked:
		return s.Identity() + failure.BlockedHint
	}
	return ""
}

package identity

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/keyless-go/identity/internal/acquire"
	"github.com/keyless-go/identity/internal/assertion"
	"github.com/keyless-go/identity/internal/binding"
	"github.com/keyless-go/identity/internal/check"
	"github.com/keyless-go/identity/internal/entra"
	"github.com/keyless-go/identity/internal/failure"
	"github.com/keyless-go/identity/internal/redact"
)

// isHalfAPod reports whether the variables say too little of workload identity, and the options
// don't add what is missing.
func isHalfAPod(env environment, options *CredentialOptions) bool {
	_, complete := options.ID.(ClientID)
	return !env.has(envTenantID) || !complete && (options.ID != nil || !env.has(envClientID))
}

// workload exchanges a service account's token at Entra.
//
// https://azure.github.io/azure-workload-identity/docs/
type workload struct {
	exchange
	tokenFile string
}

func newWorkload(env environment, options settings) (anyHost, error) {
	if err := options.onlySelects(HostWorkloadIdentity,
		"give a ClientID, or leave ID nil for "+envClientID, ClientID("")); err != nil {
		return nil, err
	}
	s := &workload{tokenFile: env.getenv(envTokenFile)}
	s.tenants.Own, s.exchange.options = env.getenv(envTenantID), "CredentialOptions"
	if id, ok := options.ID.(ClientID); ok {
		s.clientID = id
	} else {
		s.clientID = ClientID(env.getenv(envClientID))
		if s.clientID == "" {
			return nil, errors.New(envClientID +
				": is empty: want the client ID of the identity, from the annotation " +
				"azure.workload.identity/client-id of the service account or as " + options.id)
		}
		if err := check.Word(envClientID, string(s.clientID)); err != nil {
			return nil, err
		}
	}
	if err := check.Tenant(envTenantID, s.tenants.Own); err != nil {
		return nil, err
	}
	file, err := assertion.NewProjectedFile(s.tokenFile)
	if err != nil {
		return nil, err
	}
	s.source = file
	if s.exchange, err = newExchange(s.exchange, env, options); err != nil {
		return nil, err
	}
	if s.binding, err = binding.New(env.getenv); err != nil {
		return nil, err
	}
	s.own = s.url(s.tenants.Own).String()
	return s, nil
}

func (s *workload) host() Host   { return HostWorkloadIdentity }
func (s *workload) Name() string { return HostWorkloadIdentity.String() }

// Follow implements acquire.Follows: if the assertion has expired, its file most likely has a new
// one by now. After any other 401 or 403 the file is read, too, and if it has another one, that is
// worth a request.
func (s *workload) Follow(
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
func (s *workload) presented() string {
	text, _ := s.source.Get(context.Background(), assertion.Request{})
	return entra.TrustOf(text).String()
}

func (s *workload) Hint(r acquire.Request, status int, said failure.Said) string {
	tenant, named := s.tenants.Own, envTenantID
	if r.Tenant != "" {
		tenant, named = r.Tenant, "TenantID, which the resource asked for as "+r.Tenant+","
	}
	if status == acquire.NoAnswer && s.binding != nil {
		return "may this pod reach the proxy that " + binding.EnvProxy +
			" names, and is its certificate of the authority in " + binding.EnvCAFile + " or " +
			binding.EnvCAData + "?"
	}
	if status == acquire.NoAnswer {
		return "may this pod reach " + s.url(tenant).String() +
			", is HTTPS_PROXY right, and is that the cloud that " + envAuthorityHost + " should name?"
	}
	switch said.Topic() {
	case failure.AboutClient:
		return "is " + inWords(s.clientID) + " an identity of tenant " + tenant + "?"
	case failure.AboutIssuer:
		return failure.IssuerHint
	case failure.AboutTrust:
		hint := "has " + inWords(s.clientID) +
			" a federated credential with exactly this cluster's issuer, this service account and the audience " +
			s.audience() + "? "
		if said := s.presented(); said != "" {
			hint += "The token in " + redact.Quoted(s.tokenFile) + " has " + said + ". "
		}
		return hint + "A new one works after some minutes"
	case failure.AboutExpiry:
		return "the token in " + redact.Quoted(s.tokenFile) +
			" has expired, even when read again: is it still projected by the kubelet, and is this node's clock right? It says " +
			time.Now().UTC().Format(time.RFC3339)
	case failure.AboutToken:
		return "is what is in " + redact.Quoted(s.tokenFile) + " a service account's token?"
	case failure.AboutTenant:
		return "does " + named + " name a tenant of the cloud of " + s.authority.Host + "?"
	case failure.AboutScope:
		return "is the scope a resource of this tenant and cloud?"
	case failure.AboutBlocked:
		return inWords(s.clientID) + failure.BlockedHint
	}
	return ""
}

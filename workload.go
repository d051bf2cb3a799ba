package identity

import (
	"errors"

	"github.com/keyless-go/identity/internal/assertion"
	"github.com/keyless-go/identity/internal/binding"
	"github.com/keyless-go/identity/internal/check"
	"github.com/keyless-go/identity/internal/exchange"
)

// isHalfAPod reports whether the variables say too little of workload identity, and the options
// don't add what is missing.
func isHalfAPod(env environment, options *CredentialOptions) bool {
	_, complete := options.ID.(ClientID)
	return !env.has(envTenantID) || !complete && (options.ID != nil || !env.has(envClientID))
}

// workload is a pod, as users name it.
type workload struct{ *exchange.Workload }

func newWorkload(env environment, options settings) (anyHost, error) {
	if err := options.onlySelects(HostWorkloadIdentity,
		"give a ClientID, or leave ID nil for "+envClientID, ClientID("")); err != nil {
		return nil, err
	}
	x := exchange.Exchange{Options: "CredentialOptions", Tenants: check.Tenants{
		Own: env.getenv(envTenantID), Allowed: options.AdditionallyAllowedTenants}}
	if id, ok := options.ID.(ClientID); ok {
		x.ClientID = string(id)
	} else {
		x.ClientID = env.getenv(envClientID)
		if x.ClientID == "" {
			return nil, errors.New(envClientID +
				": is empty: want the client ID of the identity, from the annotation " +
				"azure.workload.identity/client-id of the service account or as " + options.id)
		}
		if err := check.Word(envClientID, x.ClientID); err != nil {
			return nil, err
		}
	}
	if err := check.Tenant(envTenantID, x.Tenants.Own); err != nil {
		return nil, err
	}
	file := env.getenv(envTokenFile)
	source, err := assertion.NewProjectedFile(file)
	if err != nil {
		return nil, err
	}
	x.Source = source
	x.Authority, err = exchange.Authority(options.options,
		options.Cloud.ActiveDirectoryAuthorityHost, env.getenv)
	if err != nil {
		return nil, err
	}
	if x.Binding, err = binding.New(env.getenv); err != nil {
		return nil, err
	}
	return &workload{exchange.NewWorkload(x, file)}, nil
}

func (s *workload) host() Host   { return HostWorkloadIdentity }
func (s *workload) Name() string { return HostWorkloadIdentity.String() }
func (s *workload) identity() ID { return ClientID(s.ClientID) }

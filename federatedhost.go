package identity

import (
	"time"

	"github.com/keyless-go/identity/internal/assertion"
	"github.com/keyless-go/identity/internal/check"
	"github.com/keyless-go/identity/internal/exchange"
)

// federated is an application, as users name it. It is no host of Azure's.
type federated struct{ *exchange.Federated }

func (h *federated) host() Host   { return "" }
func (h *federated) Name() string { return "federated credential" }
func (h *federated) identity() ID { return ClientID(h.ClientID) }

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
	authority, err := exchange.Authority(options.options,
		options.Cloud.ActiveDirectoryAuthorityHost, env.getenv)
	if err != nil {
		return nil, err
	}
	return &federated{exchange.NewFederated(exchange.Exchange{
		ClientID: string(of.client), Options: options.options, Source: source, Patience: patience,
		Tenants:   check.Tenants{Own: of.tenant, Allowed: options.AdditionallyAllowedTenants},
		Authority: authority,
	})}, nil
}

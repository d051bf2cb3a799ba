package main

import (
	"cmp"
	"context"
	"fmt"
	"io"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"
	"github.com/keyless-go/identity"
	"github.com/keyless-go/identity/examples/internal/standins"
	"github.com/keyless-go/identity/identitytest"
)

// readReal reads a secret of a real vault.
func readReal(ctx context.Context, out io.Writer, c config) error {
	value, err := readSecret(ctx, c.tenant, c.application, c.ID, c.vault, c.secret, nil)
	if err != nil {
		return err
	}
	line(out, "Secret", "%s: %s", c.secret, value)
	return nil
}

const (
	customerTenant = "b7f0c6a8-2d19-4e53-9c7e-1a8d4f6b2e90" // of the vault
	application    = "52d8a0f4-91c3-4b7e-a6d5-0e3f7c1b8a26"
)

// readStandIn reads a secret of the stand-ins. What is set up here is in Azure what two companies
// have set up once.
func readStandIn(ctx context.Context, out io.Writer, c config) error {
	host, err := standins.Start(c.host)
	if err != nil {
		return err
	}
	defer host.Stop()

	// The service's company has registered an application that trusts the managed identity, and the
	// customer has let the application into its tenant.
	homeTenant := host.Endpoint.Identities()[0].TenantID
	registered := host.Endpoint.FederatedCredentials()
	if c.untrusted { // or somebody else only
		registered = identitytest.NewGitHubActions(nil).FederatedCredentials()
	}
	entra, err := standins.StartEndpoint(identitytest.NewEntra(&identitytest.Options{
		Identities: []identitytest.Identity{
			{ClientID: application, TenantID: homeTenant},
			{ClientID: application, TenantID: customerTenant},
		},
		FederatedCredentials: registered,
	}))
	if err != nil {
		return err
	}
	defer entra.Stop()

	// The customer has given the application a role on the vault.
	inCustomersTenant := entra.Endpoint.Identities()[1:]
	vault := standins.NewVault("customer.vault.azure.net", inCustomersTenant,
		standins.MadeUpSecrets())
	if err := vault.Start(); err != nil {
		return err
	}
	defer vault.Stop()

	vouches, err := identity.NewCredential(&identity.CredentialOptions{ID: c.ID})
	if err != nil {
		return err
	}
	detection := identity.Detect()
	_, _ = fmt.Fprint(out, "Stand-ins on loopback take the place of Azure. For a real vault: -vault, see -h.\n\n")
	line(out, "Host", "%s, because %s", detection.Host, detection.Reason)
	line(out, "Identity", "%s, in tenant %s", cmp.Or(c.words(), "the host's default"),
		homeTenant)
	line(out, "Application", "client ID %s, in tenant %s", application, customerTenant)
	line(out, "Vault", "%s", vault.URL())

	if c.untrusted {
		return askOnce(ctx, vouches)
	}

	// The only thing that differs from a real vault: where its name leads to, and whose certificates
	// are trusted.
	options := &azsecrets.ClientOptions{ClientOptions: policy.ClientOptions{Transport: vault.Client}}
	name := standins.SecretsInVault[0]
	value, err := readSecret(ctx, customerTenant, application, c.ID, vault.URL(), name, options)
	if err != nil {
		return err
	}
	line(out, "Secret", "%s: %s", name, value)
	for _, reader := range vault.Counted().Readers {
		line(out, "Reader", "client ID %s, object ID %s, as the vault read in the token",
			reader.ClientID, reader.ObjectID)
	}
	line(out, "Requests", "%d to the identity endpoint, %d to Entra, %d to the vault",
		len(host.Endpoint.Requests()), len(entra.Endpoint.Requests()), vault.Counted().Requests)
	return nil
}

// askOnce asks for a token with a single try: readSecret would wait for half a minute, because what
// was registered a moment ago isn't known everywhere yet.
func askOnce(ctx context.Context, vouches *identity.Credential) error {
	credential, err := identity.NewFederatedCredential(customerTenant, application,
		identity.CredentialAssertion(vouches), &identity.FederatedCredentialOptions{
			ClientOptions: policy.ClientOptions{Retry: policy.RetryOptions{MaxRetries: -1}},
		})
	if err != nil {
		return err
	}
	_, err = credential.GetToken(ctx, policy.TokenRequestOptions{
		Scopes: []string{"https://vault.azure.net/.default"}, EnableCAE: true,
	})
	return err
}

// words say which managed identity vouches, "" for the default one.
func (c config) words() string {
	if c.ID == nil {
		return ""
	}
	return c.Kind + " " + c.ID.String()
}

func line(out io.Writer, label, format string, args ...any) {
	_, _ = fmt.Fprintf(out, "%-13s%s\n", label, fmt.Sprintf(format, args...))
}

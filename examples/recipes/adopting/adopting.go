// Package adopting has, for each call site of docs/adopting.md in the repository, the lines that
// take the place of what stands there, so that they are known to compile. A function is one
// project; its parameters are what that project has there.
package adopting

import (
	"context"
	"net/http"
	"os"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/keyless-go/identity"
)

// issue is how a project gets a token of another issuer's for an audience.
type issue = func(ctx context.Context, audience string) (string, error)

// monitor is where metrics are sent, in the public cloud.
const monitor = "https://monitor.azure.com//.default"

// Prometheus writes to Azure Monitor.
func Prometheus(
	tenantID, clientID, tokenFile string, base http.RoundTripper,
) (managed, workload http.RoundTripper, err error) {
	cred, err := identity.NewCredential(&identity.CredentialOptions{ID: identity.ClientID(clientID)})
	if err != nil {
		return nil, nil, err
	}
	application, err := identity.NewFederatedCredential(tenantID, identity.ClientID(clientID),
		identity.FileAssertion(tokenFile), nil)
	if err != nil {
		return nil, nil, err
	}
	return &identity.Transport{Credential: cred, Scope: monitor, Base: base},
		&identity.Transport{Credential: application, Scope: monitor, Base: base}, nil
}

// OpenTelemetry is the collector's extension azureauth.
func OpenTelemetry(
	tenantID, clientID, tokenFile, scope string, base http.RoundTripper,
) (byDefault, managed azcore.TokenCredential, workload http.RoundTripper, err error) {
	if byDefault, err = identity.NewDefaultCredential(nil); err != nil {
		return nil, nil, nil, err
	}
	managed, err = identity.NewCredential(&identity.CredentialOptions{ID: identity.ClientID(clientID)})
	if err != nil {
		return nil, nil, nil, err
	}
	cred, err := identity.NewFederatedCredential(tenantID, identity.ClientID(clientID),
		identity.FileAssertion(tokenFile), nil)
	return byDefault, managed, &identity.Transport{Credential: cred, Scope: scope, Base: base}, err
}

// CertManager changes records of Azure DNS, as the identity of an issuer.
func CertManager(
	tenantID, clientID, resourceID string, client azcore.ClientOptions,
) (azcore.TokenCredential, error) {
	if path := os.Getenv("AZURE_FEDERATED_TOKEN_FILE"); path != "" {
		return identity.NewFederatedCredential(tenantID, identity.ClientID(clientID),
			identity.FileAssertion(path),
			&identity.FederatedCredentialOptions{ClientOptions: client})
	}
	return identity.NewCredential(&identity.CredentialOptions{
		ClientOptions: client, ID: identity.ResourceID(resourceID),
	})
}

// ExternalDNS changes records of Azure DNS.
func ExternalDNS(
	tenantID, clientID string, client azcore.ClientOptions,
) (azcore.TokenCredential, error) {
	if path := os.Getenv("AZURE_FEDERATED_TOKEN_FILE"); path != "" {
		return identity.NewFederatedCredential(tenantID, identity.ClientID(clientID),
			identity.FileAssertion(path),
			&identity.FederatedCredentialOptions{ClientOptions: client})
	}
	return identity.NewCredential(&identity.CredentialOptions{
		ClientOptions: client, ID: identity.ClientID(clientID),
	})
}

// KEDA has an identity for each scaler, and on a laptop the developer's.
func KEDA(tenantID, clientID, tokenFile string) (azcore.TokenCredential, error) {
	workload, err := identity.NewFederatedCredential(tenantID, identity.ClientID(clientID),
		identity.FileAssertion(tokenFile), nil)
	if err != nil {
		return nil, err
	}
	cli, err := identity.NewAzureCLICredential(nil)
	if err != nil {
		return nil, err
	}
	return identity.NewChain([]azcore.TokenCredential{cli, workload}, nil)
}

// ServiceOperator has an identity for each namespace or resource.
func ServiceOperator(tenantID, clientID string) (azcore.TokenCredential, error) {
	const federatedTokenFile = "/var/run/secrets/tokens/azure-identity"
	return identity.NewFederatedCredential(tenantID, identity.ClientID(clientID),
		identity.FileAssertion(federatedTokenFile), nil)
}

// ExternalSecrets has an identity for each store, some by the token of a service account.
func ExternalSecrets(
	tenantID, clientID string, client azcore.ClientOptions,
	fetch issue,
) (managed, account azcore.TokenCredential, err error) {
	managed, err = identity.NewCredential(&identity.CredentialOptions{
		ClientOptions: client, ID: identity.ClientID(clientID),
	})
	if err != nil {
		return nil, nil, err
	}
	account, err = identity.NewFederatedCredential(tenantID, identity.ClientID(clientID),
		serviceAccount(fetch), &identity.FederatedCredentialOptions{ClientOptions: client})
	return managed, account, err
}

// serviceAccount is a token that Kubernetes signs; examples/assertions has the request.
func serviceAccount(fetch issue) identity.Assertion {
	return identity.AssertionFunc(
		func(ctx context.Context, r identity.AssertionRequest) (string, error) {
			return fetch(ctx, r.Audience)
		})
}

// Flux has the controller's identity, without a shell, and one for each service account.
func Flux(
	tenantID, clientID string, fetch issue,
) (controller, account azcore.TokenCredential, err error) {
	if controller, err = identity.NewCredential(nil); err != nil {
		return nil, nil, err
	}
	account, err = identity.NewFederatedCredential(tenantID, identity.ClientID(clientID),
		serviceAccount(fetch), nil)
	return controller, account, err
}

// Vault is its auth plugin, whose own tokens vouch for it.
func Vault(
	tenantID, clientID string, generate issue,
) (workload, managed azcore.TokenCredential, err error) {
	workload, err = identity.NewFederatedCredential(tenantID, identity.ClientID(clientID),
		identity.AssertionFunc(func(ctx context.Context, r identity.AssertionRequest) (string, error) {
			return generate(ctx, r.Audience)
		}), nil)
	if err != nil {
		return nil, nil, err
	}
	managed, err = identity.NewCredential(&identity.CredentialOptions{ID: identity.ClientID(clientID)})
	return workload, managed, err
}

// Kubelogin prints a token for kubectl. Only its logins without a person are here.
func Kubelogin(
	tenantID, clientID, serviceConnectionID string,
) (github, pipelines, managed azcore.TokenCredential, err error) {
	github, err = identity.NewFederatedCredential(tenantID, identity.ClientID(clientID),
		identity.GitHubActionsAssertion(), nil)
	if err != nil {
		return nil, nil, nil, err
	}
	pipelines, err = identity.NewFederatedCredential(tenantID, identity.ClientID(clientID),
		identity.AzurePipelinesAssertion(serviceConnectionID), nil)
	if err != nil {
		return nil, nil, nil, err
	}
	managed, err = identity.NewCredential(&identity.CredentialOptions{ID: identity.ClientID(clientID)})
	return github, pipelines, managed, err
}

// Rclone copies to and from Azure Blob Storage, as a managed identity or as what trusts one.
func Rclone(
	tenantID, clientID, managedID, objectID string,
) (byObjectID, application azcore.TokenCredential, err error) {
	byObjectID, err = identity.NewCredential(
		&identity.CredentialOptions{ID: identity.ObjectID(objectID)})
	if err != nil {
		return nil, nil, err
	}
	managed, err := identity.NewCredential(
		&identity.CredentialOptions{ID: identity.ClientID(managedID)})
	if err != nil {
		return nil, nil, err
	}
	application, err = identity.NewFederatedCredential(tenantID, identity.ClientID(clientID),
		identity.CredentialAssertion(managed), nil)
	return byObjectID, application, err
}

// Thanos is its object store.
func Thanos(userAssignedID string) (azcore.TokenCredential, error) {
	if userAssignedID == "" {
		return identity.NewDefaultCredential(nil)
	}
	return identity.NewCredential(
		&identity.CredentialOptions{ID: identity.ClientID(userAssignedID)})
}

// Karpenter asks for a token when it starts, to see whether it can.
func Karpenter(ctx context.Context, scope string) (azcore.TokenCredential, error) {
	cred, err := identity.NewCredential(nil)
	if err != nil {
		return nil, err
	}
	return cred, cred.Ready(ctx, scope)
}

// Dapr tries what its component's metadata names: secrets stay with azidentity.
func Dapr(
	tenantID, clientID string, secret azcore.TokenCredential,
	svid issue,
) (chain, spiffe azcore.TokenCredential, err error) {
	managed, err := identity.NewCredential(
		&identity.CredentialOptions{ID: identity.ClientID(clientID)})
	if err != nil {
		return nil, nil, err
	}
	cli, err := identity.NewAzureCLICredential(nil)
	if err != nil {
		return nil, nil, err
	}
	chain, err = identity.NewChain([]azcore.TokenCredential{secret, managed, cli}, nil)
	if err != nil {
		return nil, nil, err
	}
	spiffe, err = identity.NewFederatedCredential(tenantID, identity.ClientID(clientID),
		identity.AssertionFunc(func(ctx context.Context, r identity.AssertionRequest) (string, error) {
			return svid(ctx, r.Audience)
		}), nil)
	return chain, spiffe, err
}

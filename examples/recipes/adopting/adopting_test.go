package adopting_test

import (
	"context"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/keyless-go/identity/examples/recipes/adopting"
	"github.com/keyless-go/identity/examples/recipes/internal/standin"
)

// TestConstructors: nothing that a project has is refused. Nothing is sent.
func TestConstructors(t *testing.T) {
	t.Setenv("AZURE_FEDERATED_TOKEN_FILE", "/var/run/secrets/azure/tokens/azure-identity-token")
	t.Setenv("AZURE_TENANT_ID", tenant)
	t.Setenv("AZURE_CLIENT_ID", client)
	t.Setenv("ACTIONS_ID_TOKEN_REQUEST_URL", "https://127.0.0.1:1/github")
	t.Setenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "request")
	t.Setenv("SYSTEM_OIDCREQUESTURI", "https://127.0.0.1:1/pipelines")
	t.Setenv("SYSTEM_ACCESSTOKEN", "request")
	issue := func(context.Context, string) (string, error) { return "", nil }
	options := azcore.ClientOptions{}
	for name, construct := range map[string]func() error{
		"Prometheus": func() error {
			_, _, err := adopting.Prometheus(tenant, client, "/token", nil)
			return err
		},
		"OpenTelemetry": func() error {
			_, _, _, err := adopting.OpenTelemetry(tenant, client, "/token", "https://x/.default", nil)
			return err
		},
		"CertManager": func() error {
			_, err := adopting.CertManager(tenant, client, "", options)
			return err
		},
		"ExternalDNS": func() error {
			_, err := adopting.ExternalDNS(tenant, client, options)
			return err
		},
		"KEDA": func() error { _, err := adopting.KEDA(tenant, client, "/token"); return err },
		"ServiceOperator": func() error {
			_, err := adopting.ServiceOperator(tenant, client)
			return err
		},
		"ExternalSecrets": func() error {
			_, _, err := adopting.ExternalSecrets(tenant, client, options, issue)
			return err
		},
		"Flux":  func() error { _, _, err := adopting.Flux(tenant, client, issue); return err },
		"Vault": func() error { _, _, err := adopting.Vault(tenant, client, issue); return err },
		"Kubelogin": func() error {
			_, _, _, err := adopting.Kubelogin(tenant, client, tenant)
			return err
		},
		"Thanos": func() error { _, err := adopting.Thanos(""); return err },
		"Dapr": func() error {
			_, _, err := adopting.Dapr(tenant, client, standin.Broken{}, issue)
			return err
		},
	} {
		if err := construct(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

const (
	tenant = "11111111-2222-4333-8444-555555555555"
	client = "66666666-7777-4888-9999-aaaaaaaaaaaa"
)

// TestConstructorsOnNodes are what no pod with workload identity can select by.
func TestConstructorsOnNodes(t *testing.T) {
	const id = "/subscriptions/" + tenant + "/resourceGroups/g/providers/" +
		"Microsoft.ManagedIdentity/userAssignedIdentities/dns"
	t.Setenv("AZURE_FEDERATED_TOKEN_FILE", "")
	if _, _, err := adopting.Rclone(tenant, client, client, client); err != nil {
		t.Errorf("Rclone: %v", err)
	}
	if _, err := adopting.Thanos(client); err != nil {
		t.Errorf("Thanos: %v", err)
	}
	if _, err := adopting.CertManager(tenant, client, id, azcore.ClientOptions{}); err != nil {
		t.Errorf("CertManager: %v", err)
	}
	if _, err := adopting.ExternalDNS(tenant, client, azcore.ClientOptions{}); err != nil {
		t.Errorf("ExternalDNS: %v", err)
	}
	t.Setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", "http://127.0.0.1:1") // nobody listens there
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if cred, err := adopting.Karpenter(ctx, "https://management.azure.com/.default"); err == nil ||
		cred == nil {
		t.Errorf("Karpenter: %v, want an error of Ready", err)
	}
}

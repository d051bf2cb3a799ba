package assertions_test

import (
	"context"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	vault "github.com/hashicorp/vault/api"
	"github.com/keyless-go/identity"
	"github.com/keyless-go/identity/examples/assertions"
	"github.com/keyless-go/identity/identitytest"
	"github.com/spiffe/go-spiffe/v2/workloadapi"
	core "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
)

const (
	tenant      = "11111111-2222-4333-8444-555555555555"
	application = "66666666-7777-4888-9999-aaaaaaaaaaaa"
	audience    = "api://AzureADTokenExchange"
)

// TestAssertions has each real client ask a stand-in of its system, and Entra's fake exchange what
// it got. Another subject than the application trusts is refused.
func TestAssertions(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]struct {
		issuer, subject string
		assertion       func(*testing.T) identity.Assertion
	}{
		"SPIFFE": {
			issuer: spiffeIssuer, subject: spiffeID,
			assertion: func(t *testing.T) identity.Assertion {
				client, err := workloadapi.New(t.Context(), workloadapi.WithAddr(startAgent(t)))
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { client.Close() })
				return assertions.SPIFFE(client)
			},
		},
		"TokenRequest": {
			issuer: clusterIssuer, subject: "system:serviceaccount:shop:orders",
			assertion: func(t *testing.T) identity.Assertion {
				const bearer = "controller"
				client, err := core.NewForConfig(&rest.Config{
					Host: startCluster(t, bearer), BearerToken: bearer,
					ContentConfig: rest.ContentConfig{ContentType: "application/json"},
				})
				if err != nil {
					t.Fatal(err)
				}
				return assertions.TokenRequest(client, "shop", "orders")
			},
		},
		"Vault": {
			issuer: vaultIssuer, subject: vaultEntity,
			assertion: func(t *testing.T) identity.Assertion {
				const token = "login"
				config := vault.DefaultConfig()
				config.Address = startVault(t, "orders", token, audience)
				client, err := vault.NewClient(config)
				if err != nil {
					t.Fatal(err)
				}
				client.SetToken(token)
				return assertions.Vault(client, "orders")
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			assertion := s.assertion(t)
			if _, err := exchange(t, assertion, s.issuer, s.subject); err != nil {
				t.Error(err)
			}
			if _, err := exchange(t, assertion, s.issuer, s.subject+"-other"); err == nil {
				t.Error("a subject that the application doesn't trust got a token")
			}
		})
	}
}

// exchange gets a token of an application that trusts a subject.
func exchange(
	t *testing.T, assertion identity.Assertion, issuer, subject string,
) (azcore.AccessToken, error) {
	t.Helper()
	entra := identitytest.NewEntra(&identitytest.Options{
		Identities: []identitytest.Identity{{ClientID: application, TenantID: tenant}},
		FederatedCredentials: []identitytest.FederatedCredential{
			{Issuer: issuer, Subject: subject, Audience: audience},
		},
	})
	cred, err := identity.NewFederatedCredential(tenant, application, assertion,
		&identity.FederatedCredentialOptions{
			ClientOptions: azcore.ClientOptions{
				Cloud: cloud.AzurePublic, Transport: entra, Retry: policy.RetryOptions{MaxRetries: -1},
			},
		})
	if err != nil {
		t.Fatal(err)
	}
	return cred.GetToken(t.Context(), policy.TokenRequestOptions{
		Scopes: []string{"https://vault.azure.net/.default"}, EnableCAE: true,
	})
}

const (
	// awsScope and googleScope are for applications whose App ID URIs AWS and Google are told.
	awsScope    = "api://AWS/.default"
	googleScope = "api://Google/.default"
	awsRole     = "arn:aws:iam::123456789012:role/orders"
	pool        = "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/azure"
	objectID    = "bbbbbbbb-cccc-4ddd-8eee-ffffffffffff"
)

// vm is a credential of a virtual machine's identity.
func vm(t *testing.T) *identity.Credential {
	t.Helper()
	cred, err := identity.NewCredential(&identity.CredentialOptions{
		ClientOptions: azcore.ClientOptions{Transport: identitytest.NewIMDS(&identitytest.Options{
			Identities: []identitytest.Identity{{System: true, ObjectID: objectID}},
		})},
		Host: identity.HostIMDS,
	})
	if err != nil {
		t.Fatal(err)
	}
	return cred
}

// trusts reports whether a token is that identity's.
func trusts(token string) bool { return claim(token, "oid") == objectID }

func nobody(string) bool { return false }

func TestForAWS(t *testing.T) {
	t.Parallel()
	roles := func(trusts func(string) bool) aws.CredentialsProvider {
		url := startSTS(t, awsRole, trusts)
		client := sts.New(sts.Options{Region: "eu-west-1", BaseEndpoint: &url, Retryer: aws.NopRetryer{}})
		return assertions.ForAWS(client, awsRole, vm(t), awsScope)
	}
	got, err := roles(trusts).Retrieve(t.Context())
	if err != nil || got.AccessKeyID != "ASIAEXAMPLE" {
		t.Errorf("%+v, %v", got.AccessKeyID, err)
	}
	if _, err := roles(nobody).Retrieve(t.Context()); err == nil {
		t.Error("an identity that the role doesn't trust assumed it")
	}
}

func TestForGoogle(t *testing.T) {
	t.Parallel()
	token := func(trusts func(string) bool) (string, error) {
		cred, err := assertions.ForGoogle(vm(t), googleScope, pool, startGoogle(t, pool, trusts))
		if err != nil {
			return "", err
		}
		got, err := cred.Token(context.WithoutCancel(t.Context()))
		if err != nil {
			return "", err
		}
		return got.Value, nil
	}
	if got, err := token(trusts); err != nil || got != "ya29.example" {
		t.Errorf("%s, %v", got, err)
	}
	if _, err := token(nobody); err == nil {
		t.Error("an identity that the pool doesn't trust got a token")
	}
}

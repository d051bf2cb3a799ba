package interop

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/keyless-go/identity"
	"github.com/keyless-go/identity/identitytest"
)

// issuer is a fake that issues assertions, beside Entra, which trusts them.
type issuer struct {
	*identitytest.Endpoint
	entra     *identitytest.Endpoint
	transport *entra // to both
}

func newIssuer(t *testing.T, endpoint *identitytest.Endpoint) issuer {
	t.Helper()
	credentials := endpoint.FederatedCredentials()
	at := identitytest.NewEntra(&identitytest.Options{
		Identities: []identitytest.Identity{mine, elsewhere}, FederatedCredentials: credentials,
	})
	for _, ep := range []*identitytest.Endpoint{endpoint, at} {
		for _, line := range ep.Env("https://dev.azure.com") {
			name, value, _ := strings.Cut(line, "=")
			t.Setenv(name, value)
		}
	}
	t.Setenv("AZURE_AUTHORITY_HOST", authority+"/")
	return issuer{endpoint, at, &entra{next: identitytest.Endpoints{endpoint, at}}}
}

// token is one of the issuer's assertions, got as a job or a virtual machine does.
func (i issuer) token(t *testing.T) string {
	t.Helper()
	cred, err := identity.NewCredential(&identity.CredentialOptions{
		ClientOptions: azcore.ClientOptions{Transport: i.Endpoint}, Host: identity.HostIMDS,
	})
	if err != nil {
		t.Fatal(err)
	}
	token, err := cred.GetToken(t.Context(), policy.TokenRequestOptions{
		Scopes: []string{"api://AzureADTokenExchange/.default"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return token.Token
}

// made are the peer's credential and ours.
type made func(*testing.T, issuer, azcore.ClientOptions) (peer, ours azcore.TokenCredential)

// federated makes ours.
func federated(
	t *testing.T, assertion identity.Assertion, client azcore.ClientOptions,
) azcore.TokenCredential {
	t.Helper()
	cred, err := identity.NewFederatedCredential(mine.TenantID, identity.ClientID(mine.ClientID),
		assertion, &identity.FederatedCredentialOptions{
			ClientOptions: client, AdditionallyAllowedTenants: []string{"*"},
		})
	if err != nil {
		t.Fatal(err)
	}
	return cred
}

// fromPeer makes the peer's.
func fromPeer[C azcore.TokenCredential](t *testing.T) func(C, error) azcore.TokenCredential {
	return func(cred C, err error) azcore.TokenCredential {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return cred
	}
}

// byFunction has one assertion for both.
func byFunction(
	t *testing.T, i issuer, client azcore.ClientOptions,
) (peer, ours azcore.TokenCredential) {
	token := i.token(t)
	peer = fromPeer[*azidentity.ClientAssertionCredential](t)(azidentity.NewClientAssertionCredential(
		mine.TenantID, mine.ClientID, func(context.Context) (string, error) { return token, nil },
		&azidentity.ClientAssertionCredentialOptions{ClientOptions: client,
			AdditionallyAllowedTenants: []string{"*"}, DisableInstanceDiscovery: true}))
	return peer, federated(t, identity.AssertionFunc(
		func(context.Context, identity.AssertionRequest) (string, error) { return token, nil }), client)
}

// byFile has it in a file, which both are told of in code.
func byFile(
	t *testing.T, i issuer, client azcore.ClientOptions,
) (peer, ours azcore.TokenCredential) {
	path := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(path, []byte(i.token(t)), 0o600); err != nil {
		t.Fatal(err)
	}
	peer = fromPeer[*azidentity.WorkloadIdentityCredential](t)(
		azidentity.NewWorkloadIdentityCredential(&azidentity.WorkloadIdentityCredentialOptions{ClientOptions: client, TenantID: mine.TenantID,
			ClientID: mine.ClientID, TokenFilePath: path, AdditionallyAllowedTenants: []string{"*"},
			DisableInstanceDiscovery: true}))
	return peer, federated(t, identity.FileAssertion(path), client)
}

// byPipeline has both ask the endpoint of the job.
func byPipeline(
	t *testing.T, _ issuer, client azcore.ClientOptions,
) (peer, ours azcore.TokenCredential) {
	connection := os.Getenv("AZURESUBSCRIPTION_SERVICE_CONNECTION_ID")
	peer = fromPeer[*azidentity.AzurePipelinesCredential](t)(azidentity.NewAzurePipelinesCredential(
		mine.TenantID, mine.ClientID, connection, os.Getenv("SYSTEM_ACCESSTOKEN"),
		&azidentity.AzurePipelinesCredentialOptions{ClientOptions: client,
			AdditionallyAllowedTenants: []string{"*"}, DisableInstanceDiscovery: true}))
	return peer, federated(t, identity.AzurePipelinesAssertion(connection), client)
}

// TestFederatedCredential: a token of Entra for another issuer's, as azidentity's three credentials
// for that and ours ask for it.
func TestFederatedCredential(t *testing.T) {
	requests := map[string]policy.TokenRequestOptions{
		"plain":          {},
		"own tenant":     {TenantID: mine.TenantID},
		"another tenant": {TenantID: elsewhere.TenantID},
		"CAE":            {EnableCAE: true},
		"claims":         {EnableCAE: true, Claims: challenged},
	}
	// in another tenant it is another application, which the fake doesn't know
	refused := map[string]bool{"another tenant": true}
	jwt := difference{"form client_assertion", `ey[\w-]+\.[\w-]+\.[\w-]+`, `ey[\w-]+\.[\w-]+\.[\w-]+`,
		"each asks the issuer for one of its own"}
	for name, by := range map[string]struct {
		issuer func(*identitytest.Options) *identitytest.Endpoint
		make   made
		meant  []difference
	}{
		"ClientAssertionCredential":  {issuer: identitytest.NewIMDS, make: byFunction},
		"WorkloadIdentityCredential": {issuer: identitytest.NewIMDS, make: byFile},
		"AzurePipelinesCredential": {issuer: identitytest.NewAzurePipelines, make: byPipeline,
			meant: []difference{jwt}},
	} {
		for what, request := range requests {
			t.Run(name+"/"+what, func(t *testing.T) {
				i := newIssuer(t, by.issuer(&identitytest.Options{
					Identities: []identitytest.Identity{mine},
				}))
				peer, ours := by.make(t, i, azcore.ClientOptions{Transport: i.transport})
				request.Scopes = []string{newScope()}
				theirs := ask(t, i.entra, peer, request)
				own := ask(t, i.entra, ours, request)
				compare(t, theirs.requests, own.requests, exchanges(request.Scopes[0], by.meant...))
				if refused[what] {
					sameRefusal(t, theirs, own, http.StatusBadRequest, identity.ErrIdentityNotFound)
				} else {
					sameIdentity(t, theirs, own)
				}
			})
		}
	}
}

// TestAzurePipelines: both ask the job's endpoint alike.
func TestAzurePipelines(t *testing.T) {
	i := newIssuer(t, identitytest.NewAzurePipelines(&identitytest.Options{
		Identities: []identitytest.Identity{mine},
	}))
	peer, ours := byPipeline(t, i, azcore.ClientOptions{Transport: i.transport})
	request := policy.TokenRequestOptions{Scopes: []string{newScope()}}
	theirs, own := ask(t, i.Endpoint, peer, request), ask(t, i.Endpoint, ours, request)
	sameIdentity(t, theirs, own)
	compare(t, theirs.requests, own.requests, []difference{
		{"header User-Agent", `azsdk-go-azidentity/v1\.15\.0 \(.+\)`, none,
			"the pipeline has no use for it; Go's own is sent over a connection"},
		{"header Accept", none, "application/json",
			"what stands in between might answer with a page of HTML otherwise"},
	})
}

// TestManagedIdentityAsAssertion: what users write by hand around azidentity's credentials, and
// CredentialAssertion.
func TestManagedIdentityAsAssertion(t *testing.T) {
	i := newIssuer(t, identitytest.NewIMDS(&identitytest.Options{HostCache: true}))
	client := azcore.ClientOptions{Transport: i.transport}
	vm, err := azidentity.NewManagedIdentityCredential(
		&azidentity.ManagedIdentityCredentialOptions{ClientOptions: client})
	if err != nil {
		t.Fatal(err)
	}
	const audience = "api://AzureADTokenExchange"
	peer := fromPeer[*azidentity.ClientAssertionCredential](t)(azidentity.NewClientAssertionCredential(
		mine.TenantID, mine.ClientID, func(ctx context.Context) (string, error) {
			token, err := vm.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{audience}})
			return token.Token, err
		}, &azidentity.ClientAssertionCredentialOptions{ClientOptions: client,
			DisableInstanceDiscovery: true}))
	own, err := identity.NewCredential(&identity.CredentialOptions{
		ClientOptions: client, Host: identity.HostIMDS,
	})
	if err != nil {
		t.Fatal(err)
	}
	request := policy.TokenRequestOptions{Scopes: []string{newScope()}}
	theirs := ask(t, i.entra, peer, request)
	got := ask(t, i.entra, federated(t, identity.CredentialAssertion(own), client), request)
	sameIdentity(t, theirs, got)
	compare(t, theirs.requests, got.requests, exchanges(request.Scopes[0]))
	asked := i.Requests()
	if !slices.ContainsFunc(asked, func(r *http.Request) bool {
		return r.URL.Query().Get("resource") == audience
	}) {
		t.Errorf("the managed identity was asked for %s, want %s among it", list(asked), audience)
	}
}

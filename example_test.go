package identity_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity"
	"github.com/keyless-go/identity/identitytest"
)

// fake stands in for the host in these examples, so that they run anywhere. On Azure, leave
// ClientOptions out.
func fake(identities ...identitytest.Identity) azcore.ClientOptions {
	return azcore.ClientOptions{Transport: identitytest.NewIMDS(&identitytest.Options{Identities: identities})}
}

// standIn runs a fake host on loopback, and sets the environment variables by which it is found, as
// the real one does. It returns how to put everything back. On Azure, leave it out.
func standIn(
	newHost func(*identitytest.Options) *identitytest.Endpoint, identities ...identitytest.Identity,
) (leave func()) {
	dir, err := os.MkdirTemp("", "identity-")
	if err != nil {
		log.Fatal(err)
	}
	endpoint := newHost(&identitytest.Options{Identities: identities, Dir: dir})
	server := httptest.NewUnstartedServer(endpoint)
	if server.TLS = endpoint.TLSConfig(); server.TLS != nil {
		server.StartTLS()
	} else {
		server.Start()
	}
	undo := []func(){func() { _ = os.RemoveAll(dir) }, server.Close}
	for _, line := range endpoint.Env(server.URL) {
		name, value, _ := strings.Cut(line, "=")
		old, was := os.LookupEnv(name)
		_ = os.Setenv(name, value)
		undo = append(undo, func() {
			if _ = os.Unsetenv(name); was {
				_ = os.Setenv(name, old)
			}
		})
	}
	return func() {
		for _, f := range slices.Backward(undo) {
			f()
		}
	}
}

// The system-assigned identity of the host, whichever host that is.
func ExampleNewCredential() {
	// on Azure: NewCredential(nil)
	cred, err := identity.NewCredential(&identity.CredentialOptions{Host: identity.HostIMDS,
		ClientOptions: fake()})
	if err != nil {
		log.Fatal(err)
	}
	// Pass cred to any Azure SDK client: azsecrets.NewClient(vaultURL, cred, nil).
	fmt.Println(cred.Host())
	// Output: IMDS
}

// In a pod with workload identity the service account's token is exchanged at Entra for one of the
// identity that AZURE_CLIENT_ID names, or of a ClientID in CredentialOptions.ID.
func ExampleNewCredential_workloadIdentity() {
	defer standIn(identitytest.NewWorkloadIdentity)() // leave out in a pod

	cred, err := identity.NewCredential(nil)
	if err != nil {
		log.Fatal(err)
	}
	err = cred.Ready(context.Background(), "https://vault.azure.net/.default")
	fmt.Println(cred.Host(), err)
	// Output: workload identity <nil>
}

// On Service Fabric the application's manifest assigns the identity, so that there is none to
// select.
func ExampleNewCredential_serviceFabric() {
	defer standIn(identitytest.NewServiceFabric)() // leave out on a cluster

	cred, err := identity.NewCredential(nil)
	if err != nil {
		log.Fatal(err)
	}
	err = cred.Ready(context.Background(), "https://vault.azure.net/.default")
	fmt.Println(cred.Host(), err)

	_, err = identity.NewCredential(&identity.CredentialOptions{ID: identity.ClientID("b2f5a3c0-6f3b-4b5e-9a41-0d6c1c8f7e12")})
	fmt.Println(err)
	// Output:
	// Service Fabric <nil>
	// identity: CredentialOptions.ID: Service Fabric can't select an identity by client ID: the application's manifest assigns the identity, so leave ID nil
}

// In a Windows container of Container Instances a user-assigned identity is selected by its object
// ID, which Azure calls the principal ID. Linux containers there ask IMDS, which takes all three.
func ExampleNewCredential_containerInstances() {
	defer standIn(identitytest.NewContainerInstances)() // leave out in a container

	cred, err := identity.NewCredential(nil)
	if err != nil {
		log.Fatal(err)
	}
	err = cred.Ready(context.Background(), "https://vault.azure.net/.default")
	fmt.Println(cred.Host(), err)

	_, err = identity.NewCredential(&identity.CredentialOptions{ID: identity.ClientID("b2f5a3c0-6f3b-4b5e-9a41-0d6c1c8f7e12")})
	fmt.Println(err)
	// Output:
	// Container Instances on Windows <nil>
	// identity: CredentialOptions.ID: Container Instances on Windows can't select an identity by client ID: give the identity's principal ID, as an ObjectID
}

// On the compute of Azure ML an identity is selected by its client ID, and by no other. Without one
// it is that of the variable DEFAULT_IDENTITY_CLIENT_ID.
func ExampleNewCredential_azureML() {
	// leave out on Azure ML
	defer standIn(identitytest.NewAzureML,
		identitytest.Identity{ClientID: "b2f5a3c0-6f3b-4b5e-9a41-0d6c1c8f7e12"})()

	cred, err := identity.NewCredential(&identity.CredentialOptions{ID: identity.ClientID("b2f5a3c0-6f3b-4b5e-9a41-0d6c1c8f7e12")})
	if err != nil {
		log.Fatal(err)
	}
	err = cred.Ready(context.Background(), "https://vault.azure.net/.default")
	fmt.Println(cred.Host(), err)
	// Output: Azure ML or legacy App Service <nil>
}

// The legacy App Service, of before 2019, can't be told from Azure ML, and needn't be: it has the
// same variables and selects by client ID, too. Without one it is the app's system-assigned
// identity.
func ExampleNewCredential_legacyAppService() {
	defer standIn(identitytest.NewAppService2017)() // leave out on App Service

	cred, err := identity.NewCredential(nil)
	if err != nil {
		log.Fatal(err)
	}
	err = cred.Ready(context.Background(), "https://vault.azure.net/.default")
	fmt.Println(cred.Host(), err)
	// Output: Azure ML or legacy App Service <nil>
}

// In Cloud Shell a token is the signed-in user's, so that there is no identity to select, and
// nothing to assign a role to but the user.
func ExampleNewCredential_cloudShell() {
	defer standIn(identitytest.NewCloudShell)() // leave out in Cloud Shell

	cred, err := identity.NewCredential(nil)
	if err != nil {
		log.Fatal(err)
	}
	err = cred.Ready(context.Background(), "https://vault.azure.net/.default")
	fmt.Println(cred.Host(), err)
	// Output: Cloud Shell <nil>
}

// One of the host's user-assigned identities.
func ExampleClientID() {
	cred, err := identity.NewCredential(&identity.CredentialOptions{
		ID:            identity.ClientID("b2f5a3c0-6f3b-4b5e-9a41-0d6c1c8f7e12"),
		Host:          identity.HostIMDS,
		ClientOptions: fake(identitytest.Identity{ClientID: "b2f5a3c0-6f3b-4b5e-9a41-0d6c1c8f7e12"}),
	})
	if err != nil {
		log.Fatal(err)
	}
	_, err = cred.GetToken(context.Background(),
		policy.TokenRequestOptions{Scopes: []string{"https://vault.azure.net/.default"}, EnableCAE: true})
	fmt.Println(err)
	// Output: <nil>
}

func ExampleObjectID() {
	id := identity.ObjectID("3c4d9e1f-58a7-4f0e-8a55-6b7c8d9e0f11")
	cred, err := identity.NewCredential(&identity.CredentialOptions{ID: id, Host: identity.HostIMDS,
		ClientOptions: fake(identitytest.Identity{ObjectID: id.String()})})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(cred.Ready(context.Background(), "https://vault.azure.net/.default"))
	// Output: <nil>
}

func ExampleResourceID() {
	id := identity.ResourceID("/subscriptions/00000000-0000-0000-0000-000000000000/resourcegroups/shop/providers/Microsoft.ManagedIdentity/userAssignedIdentities/orders")
	cred, err := identity.NewCredential(&identity.CredentialOptions{ID: id, Host: identity.HostIMDS,
		ClientOptions: fake(identitytest.Identity{ResourceID: id.String()})})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(cred.Ready(context.Background(), "https://vault.azure.net/.default"))
	// Output: <nil>
}

// Azure SDK clients call GetToken; other code can, too. Asking each time is cheap. EnableCAE shares
// the token that Ready has warmed and that Azure SDK clients use.
func ExampleCredential_GetToken() {
	cred, err := identity.NewCredential(&identity.CredentialOptions{Host: identity.HostIMDS,
		ClientOptions: fake()})
	if err != nil {
		log.Fatal(err)
	}
	token, err := cred.GetToken(context.Background(),
		policy.TokenRequestOptions{Scopes: []string{"https://management.azure.com/.default"}, EnableCAE: true})
	if err != nil {
		log.Fatal(err)
	}
	req, err := http.NewRequest(http.MethodGet,
		"https://management.azure.com/subscriptions?api-version=2022-12-01", nil)
	if err != nil {
		log.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token.Token)
	fmt.Println("valid for", time.Until(token.ExpiresOn).Round(time.Hour))
	// Output: valid for 24h0m0s
}

// Wait for the identity at start-up, rather than fail the first request.
func ExampleCredential_Ready() {
	cred, err := identity.NewCredential(&identity.CredentialOptions{Host: identity.HostIMDS,
		ClientOptions: fake()})
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	fmt.Println(cred.Ready(ctx, "https://vault.azure.net/.default",
		"https://storage.azure.com/.default"))
	// Output: <nil>
}

func ExampleCredential_Host() {
	cred, err := identity.NewCredential(&identity.CredentialOptions{Host: identity.HostIMDS})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(cred.Host())
	// Output: IMDS
}

// What would NewCredential do here? Detection.Endpoint says where it would ask.
func ExampleDetect() {
	defer standIn(identitytest.NewAppService)() // leave out on App Service

	d := identity.Detect()
	fmt.Printf("%v, because %s\n", d.Host, d.Reason)
	// Output: App Service, because IDENTITY_ENDPOINT and IDENTITY_HEADER are set
}

// Tell the cases apart that a program can do something about.
func ExampleAuthenticationError() {
	cred, err := identity.NewCredential(&identity.CredentialOptions{
		ID:            identity.ClientID("00000000-0000-0000-0000-000000000000"),
		Host:          identity.HostIMDS,
		ClientOptions: fake(),
	})
	if err != nil {
		log.Fatal(err)
	}
	_, err = cred.GetToken(context.Background(),
		policy.TokenRequestOptions{Scopes: []string{"https://vault.azure.net/.default"}, EnableCAE: true})
	switch {
	case errors.Is(err, identity.ErrUnavailable):
		fmt.Println("not on Azure: use another credential")
	case errors.Is(err, identity.ErrIdentityNotFound):
		var ae *identity.AuthenticationError
		errors.As(err, &ae)
		fmt.Printf("%d %s %q: assign the identity to this host\n", ae.StatusCode, ae.Code, ae.Message)
	}
	// Output: 400 invalid_request "Identity not found": assign the identity to this host
}

// A controller writes why it has no token into a condition. Error has another text at each failure,
// and so would wake the controller again; Summary has the same one while the cause stays.
func ExampleAuthenticationError_Summary() {
	host := identitytest.NewIMDS(nil)
	cred, err := identity.NewCredential(&identity.CredentialOptions{
		Host:          identity.HostIMDS,
		ID:            identity.ClientID("11111111-2222-3333-4444-555555555555"),
		ClientOptions: azcore.ClientOptions{Transport: host},
	})
	if err != nil {
		log.Fatal(err)
	}
	chain, err := identity.NewChain([]azcore.TokenCredential{cred}, nil)
	if err != nil {
		log.Fatal(err)
	}
	for _, source := range []azcore.TokenCredential{cred, chain} {
		_, err := source.GetToken(context.Background(),
			policy.TokenRequestOptions{Scopes: []string{"https://vault.azure.net/.default"}, EnableCAE: true})
		message := fmt.Sprint(err)
		var summarized interface{ Summary() string } // of a credential's error, and of a chain's
		if errors.As(err, &summarized) {
			message = summarized.Summary()
		}
		before, _, _ := strings.Cut(message, ": is ")
		fmt.Println(before)
	}
	// Output:
	// identity: IMDS: 400 invalid_request "Identity not found" (token for https://vault.azure.net of client ID 11111111-2222-3333-4444-555555555555)
	// identity: chain: no token for https://vault.azure.net: managed identity failed: IMDS: 400 invalid_request "Identity not found" (token for https://vault.azure.net of client ID 11111111-2222-3333-4444-555555555555)
}

// Log what happens to tokens. Nothing that is logged is secret.
func ExampleCredentialOptions() {
	lines, log := io.Pipe() // os.Stderr, usually
	cred, err := identity.NewCredential(&identity.CredentialOptions{
		Host:          identity.HostIMDS,
		ClientOptions: fake(),
		Logger: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{
			// times differ in each run of this example
			ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
				if a.Value.Kind() == slog.KindTime {
					return slog.Attr{}
				}
				return a
			},
		})),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := cred.Ready(context.Background(), "https://vault.azure.net/.default"); err != nil {
		fmt.Println(err)
	}
	// nobody waits for the log, so that it may come a little later
	line, _ := bufio.NewReader(lines).ReadString('\n')
	fmt.Print(line)
	// Output: level=INFO msg="token acquired" host=imds endpoint=http://169.254.169.254/metadata/identity/oauth2/token resource=https://vault.azure.net
}

// A vault may be of another tenant than the pod's identity. Its clients then ask for a token of
// that tenant, and workload identity refuses unless the tenant is one of
// AdditionallyAllowedTenants.
func ExampleCredentialOptions_additionallyAllowedTenants() {
	// leave out in a pod
	defer standIn(identitytest.NewWorkloadIdentity,
		identitytest.Identity{TenantID: "8f0e6d5a-3c1b-4e90-a1f2-6f1c2a520d8e"})()

	cred, err := identity.NewCredential(&identity.CredentialOptions{
		AdditionallyAllowedTenants: []string{"fabrikam.onmicrosoft.com"}, // or "*"
	})
	if err != nil {
		log.Fatal(err)
	}
	_, err = cred.GetToken(context.Background(), policy.TokenRequestOptions{
		Scopes:    []string{"https://vault.azure.net/.default"},
		EnableCAE: true,
		TenantID:  "contoso.onmicrosoft.com",
	})
	fmt.Println(err)
	// Output: identity: GetToken: a token of tenant contoso.onmicrosoft.com was asked for, the identity is of tenant 8f0e6d5a-3c1b-4e90-a1f2-6f1c2a520d8e: is the resource in the wrong tenant? If not, name it in CredentialOptions.AdditionallyAllowedTenants
}

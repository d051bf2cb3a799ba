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
	"os"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity"
	"github.com/keyless-go/identity/identitytest"
)

// fake stands in for the host in these examples, so that they run anywhere. On Azure, leave ClientOptions out.
func fake(identities ...identitytest.Identity) azcore.ClientOptions {
	return azcore.ClientOptions{Transport: identitytest.NewIMDS(&identitytest.Options{Identities: identities})}
}

// The system-assigned identity of the host, whichever host that is.
func ExampleNewCredential() {
	cred, err := identity.NewCredential(&identity.CredentialOptions{Host: identity.HostIMDS, ClientOptions: fake()}) // on Azure: NewCredential(nil)
	if err != nil {
		log.Fatal(err)
	}
	// Pass cred to any Azure SDK client: azsecrets.NewClient(vaultURL, cred, nil).
	fmt.Println(cred.Host())
	// Output: IMDS
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
	_, err = cred.GetToken(context.Background(), policy.TokenRequestOptions{Scopes: []string{"https://vault.azure.net/.default"}})
	fmt.Println(err)
	// Output: <nil>
}

func ExampleObjectID() {
	id := identity.ObjectID("3c4d9e1f-58a7-4f0e-8a55-6b7c8d9e0f11")
	cred, err := identity.NewCredential(&identity.CredentialOptions{ID: id, Host: identity.HostIMDS, ClientOptions: fake(identitytest.Identity{ObjectID: id.String()})})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(cred.Ready(context.Background(), "https://vault.azure.net/.default"))
	// Output: <nil>
}

func ExampleResourceID() {
	id := identity.ResourceID("/subscriptions/00000000-0000-0000-0000-000000000000/resourcegroups/shop/providers/Microsoft.ManagedIdentity/userAssignedIdentities/orders")
	cred, err := identity.NewCredential(&identity.CredentialOptions{ID: id, Host: identity.HostIMDS, ClientOptions: fake(identitytest.Identity{ResourceID: id.String()})})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(cred.Ready(context.Background(), "https://vault.azure.net/.default"))
	// Output: <nil>
}

// Azure SDK clients call GetToken; code that speaks HTTP itself can, too. Asking each time is cheap.
func ExampleCredential_GetToken() {
	cred, err := identity.NewCredential(&identity.CredentialOptions{Host: identity.HostIMDS, ClientOptions: fake()})
	if err != nil {
		log.Fatal(err)
	}
	token, err := cred.GetToken(context.Background(), policy.TokenRequestOptions{Scopes: []string{"https://management.azure.com/.default"}})
	if err != nil {
		log.Fatal(err)
	}
	req, err := http.NewRequest(http.MethodGet, "https://management.azure.com/subscriptions?api-version=2022-12-01", nil)
	if err != nil {
		log.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token.Token)
	fmt.Println("valid for", time.Until(token.ExpiresOn).Round(time.Hour))
	// Output: valid for 24h0m0s
}

// Wait for the identity at start-up, rather than fail the first request.
func ExampleCredential_Ready() {
	cred, err := identity.NewCredential(&identity.CredentialOptions{Host: identity.HostIMDS, ClientOptions: fake()})
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	fmt.Println(cred.Ready(ctx, "https://vault.azure.net/.default", "https://storage.azure.com/.default"))
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

// What would NewCredential do here?
func ExampleDetect() {
	_ = os.Setenv("IDENTITY_ENDPOINT", "http://localhost:4141/msi/token")
	_ = os.Setenv("IDENTITY_HEADER", "a secret")
	defer func() { _, _ = os.Unsetenv("IDENTITY_ENDPOINT"), os.Unsetenv("IDENTITY_HEADER") }()
	d := identity.Detect()
	fmt.Printf("%v at %s, because %s\n", d.Host, d.Endpoint, d.Reason)
	// Output: App Service at http://localhost:4141/msi/token, because IDENTITY_ENDPOINT and IDENTITY_HEADER are set
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
	_, err = cred.GetToken(context.Background(), policy.TokenRequestOptions{Scopes: []string{"https://vault.azure.net/.default"}})
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

// Log what happens to tokens. Nothing that is logged is secret.
func ExampleCredentialOptions() {
	lines, log := io.Pipe() // os.Stderr, usually
	cred, err := identity.NewCredential(&identity.CredentialOptions{
		Host:          identity.HostIMDS,
		ClientOptions: fake(),
		Logger: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{
			ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr { // times differ in each run of this example
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
	line, _ := bufio.NewReader(lines).ReadString('\n') // nobody waits for the log, so that it may come a little later
	fmt.Print(line)
	// Output: level=INFO msg="token acquired" host=imds endpoint=http://169.254.169.254/metadata/identity/oauth2/token resource=https://vault.azure.net
}

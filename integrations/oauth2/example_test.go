package identityoauth2_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/keyless-go/identity"
	"github.com/keyless-go/identity/identitytest"
	identityoauth2 "github.com/keyless-go/identity/integrations/oauth2"
	"golang.org/x/oauth2"
)

// A client for an API that Entra protects, by oauth2. Where you make the client yourself,
// identity.Transport is simpler and does more: it is the last one here.
func Example() {
	api := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Println("authorized:", r.Header.Get("Authorization") != "")
	}))
	defer api.Close() // stands for the service
	// oauth2 takes its transport from the context. On Azure context.Background() will do.
	ctx := context.WithValue(context.Background(), oauth2.HTTPClient, api.Client())

	cred, err := identity.NewCredential(&identity.CredentialOptions{ // on Azure: nil
		Host:          identity.HostIMDS,
		ClientOptions: azcore.ClientOptions{Transport: identitytest.NewIMDS(nil)},
	})
	if err != nil {
		log.Fatal(err)
	}
	const scope = "https://api.example.com/.default"
	for _, client := range []*http.Client{
		oauth2.NewClient(ctx, identityoauth2.TokenSource(ctx, cred, scope)),
		{Transport: &identity.Transport{Credential: cred, Scope: scope, Base: api.Client().Transport}},
	} {
		resp, err := client.Get(api.URL)
		if err != nil {
			log.Fatal(err)
		}
		resp.Body.Close()
		fmt.Println(resp.Status)
	}
	// Output:
	// authorized: true
	// 200 OK
	// authorized: true
	// 200 OK
}

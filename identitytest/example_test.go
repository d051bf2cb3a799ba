package identitytest_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"syscall"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/keyless-go/identity"
	"github.com/keyless-go/identity/identitytest"
)

// A host that throttles twice is asked a third time.
func ExampleEndpoint_Enqueue() {
	endpoint := identitytest.NewIMDS(nil)
	endpoint.Enqueue(identitytest.Response{Status: 429}, identitytest.Response{Status: 429})

	credential, err := identity.NewCredential(&identity.CredentialOptions{
		ClientOptions: azcore.ClientOptions{
			Transport: endpoint,
			Retry:     policy.RetryOptions{RetryDelay: time.Millisecond}, // or the test takes a second
		},
		Host: identity.HostIMDS,
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(credential.Ready(context.Background(), "https://vault.azure.net/.default"))
	fmt.Println(len(endpoint.Requests()), "requests")
	// Output:
	// <nil>
	// 3 requests
}

// An outage is nothing to a credential that holds a token. Inside a testing/synctest bubble, the
// twelve hours can pass.
func ExampleEndpoint_Enqueue_outage() {
	endpoint := identitytest.NewIMDS(nil)
	credential, err := identity.NewCredential(&identity.CredentialOptions{
		ClientOptions: azcore.ClientOptions{Transport: endpoint},
		Host:          identity.HostIMDS,
	})
	if err != nil {
		log.Fatal(err)
	}
	token := identity.TokenFunc(credential, "https://vault.azure.net/.default")
	first, err := token(context.Background())
	if err != nil {
		log.Fatal(err)
	}

	endpoint.Enqueue(identitytest.Response{Status: 503, For: 12 * time.Hour})
	held, err := token(context.Background())
	fmt.Println(held == first, err)
	// Output: true <nil>
}

// What can go wrong on a host, and how the code under test finds out which it was.
func ExampleResponse() {
	for _, response := range []identitytest.Response{
		{Status: 429},               // the host has had enough
		{Status: 400},               // the host doesn't have the identity
		{Err: syscall.ECONNREFUSED}, // nobody is at that address
		{Status: 403, Body: "<html>Blocked by proxy"}, // somebody else is
	} {
		endpoint := identitytest.NewIMDS(nil)
		endpoint.Enqueue(response)
		credential, err := identity.NewCredential(&identity.CredentialOptions{
			ClientOptions: azcore.ClientOptions{
				Transport: endpoint,
				Retry:     policy.RetryOptions{MaxRetries: -1},
			},
			Host: identity.HostIMDS,
		})
		if err != nil {
			log.Fatal(err)
		}
		token := identity.TokenFunc(credential, "https://vault.azure.net/.default")
		_, err = token(context.Background())
		switch {
		case errors.Is(err, identity.ErrThrottled):
			fmt.Println("throttled")
		case errors.Is(err, identity.ErrIdentityNotFound):
			fmt.Println("identity not found")
		case errors.Is(err, identity.ErrUnavailable):
			fmt.Println("unavailable")
		default:
			fmt.Println(err)
		}
	}
	// Output:
	// throttled
	// identity not found
	// unavailable
	// unavailable
}

// A host that mixes two identities up: the service must not go on as the other one.
func ExampleResponse_identity() {
	endpoint := identitytest.NewIMDS(&identitytest.Options{
		Identities: []identitytest.Identity{{System: true}, {}},
	})
	credential, err := identity.NewCredential(&identity.CredentialOptions{
		ClientOptions: azcore.ClientOptions{Transport: endpoint},
		Host:          identity.HostIMDS,
		ID:            identity.ClientID(endpoint.Identities()[1].ClientID),
	})
	if err != nil {
		log.Fatal(err)
	}
	endpoint.Enqueue(identitytest.Response{Identity: identitytest.Identity{System: true}})
	token := identity.TokenFunc(credential, "https://vault.azure.net/.default")
	_, err = token(context.Background())
	fmt.Println("another identity's:", errors.Is(err, identity.ErrIdentityMismatch))
	// Output: another identity's: true
}

// What was asked for, and how often.
func ExampleEndpoint_Requests() {
	endpoint := identitytest.NewIMDS(nil)
	credential, err := identity.NewCredential(&identity.CredentialOptions{
		ClientOptions: azcore.ClientOptions{Transport: endpoint},
		Host:          identity.HostIMDS,
	})
	if err != nil {
		log.Fatal(err)
	}
	token := identity.TokenFunc(credential, "https://vault.azure.net/.default")
	for range 1000 {
		if _, err := token(context.Background()); err != nil {
			log.Fatal(err)
		}
	}
	for _, r := range endpoint.Requests() {
		fmt.Println(r.Method, r.URL.Path, r.URL.Query().Get("resource"))
	}
	// Output: GET /metadata/identity/oauth2/token https://vault.azure.net
}

// A host with a choice of identities, of which the service wants one.
func ExampleOptions() {
	endpoint := identitytest.NewIMDS(&identitytest.Options{
		Identities: []identitytest.Identity{{System: true},
			{ClientID: "6f1c2a52-0d8e-4c0b-8f0e-6d5a3c1b7e90"}},
	})
	for _, id := range []identity.ID{
		identity.ClientID("6f1c2a52-0d8e-4c0b-8f0e-6d5a3c1b7e90"),
		identity.ClientID("00000000-0000-4000-8000-000000000000"),
		identity.ResourceID(endpoint.Identities()[1].ResourceID), // filled in
	} {
		credential, err := identity.NewCredential(&identity.CredentialOptions{
			ClientOptions: azcore.ClientOptions{Transport: endpoint},
			Host:          identity.HostIMDS,
			ID:            id,
		})
		if err != nil {
			log.Fatal(err)
		}
		token := identity.TokenFunc(credential, "https://vault.azure.net/.default")
		_, err = token(context.Background())
		fmt.Println("not found:", errors.Is(err, identity.ErrIdentityNotFound))
	}
	// Output:
	// not found: false
	// not found: true
	// not found: false
}

// An Endpoint has no need of any particular client.
func ExampleEndpoint_Do() {
	endpoint := identitytest.NewIMDS(nil)
	request, err := http.NewRequest(http.MethodGet,
		"http://169.254.169.254/metadata/identity/oauth2/token", nil)
	if err != nil {
		log.Fatal(err)
	}
	response, err := endpoint.Do(request) // IMDS refuses it: the header Metadata is missing
	if err != nil {
		log.Fatal(err)
	}
	defer response.Body.Close()
	fmt.Println(response.Status, response.Header.Get("Content-Type"))
	// Output: 400 Bad Request application/json; charset=utf-8
}

// A client with connections, which lead to the fake wherever they were meant to go.
func ExampleEndpoint_Client() {
	endpoint := identitytest.NewServiceFabric(nil)
	response, err := endpoint.Client().Get("https://localhost:2377/metadata/identity/oauth2/token")
	if err != nil {
		log.Fatal(err)
	}
	defer response.Body.Close() // it is a refusal: the header Secret is missing
	fmt.Println(response.Status, "over TLS:", response.TLS.HandshakeComplete)
	// Output: 400 Bad Request over TLS: true
}

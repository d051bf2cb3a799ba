package identitytest_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/keyless-go/identity"
	"github.com/keyless-go/identity/identitytest"
)

// vault is asked for as Azure SDK clients ask.
var vault = policy.TokenRequestOptions{
	Scopes: []string{"https://vault.azure.net/.default"}, EnableCAE: true,
}

// service stands for the code under test: it takes a credential, as every client of an Azure SDK
// does.
type service struct{ credential azcore.TokenCredential }

func (s service) readSecret(ctx context.Context) (string, error) {
	if _, err := s.credential.GetToken(ctx, vault); err != nil {
		return "", fmt.Errorf("no secret today: %w", err)
	}
	return "the secret", nil
}

// newCredential is all that it takes to make a credential that asks a fake host.
func newCredential(
	endpoint *identitytest.Endpoint, retry policy.RetryOptions,
) *identity.Credential {
	credential, err := identity.NewCredential(&identity.CredentialOptions{
		ClientOptions: azcore.ClientOptions{Transport: endpoint, Retry: retry},
		Host:          identity.HostIMDS,
	})
	if err != nil {
		log.Fatal(err)
	}
	return credential
}

// To test a service, give it a credential that asks a fake host.
func Example() {
	credential, err := identity.NewCredential(&identity.CredentialOptions{
		ClientOptions: azcore.ClientOptions{Transport: identitytest.NewIMDS(nil)},
		Host:          identity.HostIMDS,
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(service{credential}.readSecret(context.Background()))
	// Output: the secret <nil>
}

// A host that throttles twice is asked a third time.
func ExampleEndpoint_Enqueue() {
	endpoint := identitytest.NewIMDS(nil)
	endpoint.Enqueue(identitytest.Response{Status: 429}, identitytest.Response{Status: 429})

	// or the test takes a second
	credential := newCredential(endpoint, policy.RetryOptions{RetryDelay: time.Millisecond})
	fmt.Println(service{credential}.readSecret(context.Background()))
	fmt.Println(len(endpoint.Requests()), "requests")
	// Output:
	// the secret <nil>
	// 3 requests
}

// An outage is nothing to a credential that holds a token. Inside a testing/synctest bubble, the
// twelve hours can pass.
func ExampleEndpoint_Enqueue_outage() {
	endpoint := identitytest.NewIMDS(nil)
	credential := newCredential(endpoint, policy.RetryOptions{})
	first, err := credential.GetToken(context.Background(), vault)
	if err != nil {
		log.Fatal(err)
	}

	endpoint.Enqueue(identitytest.Response{Status: 503, For: 12 * time.Hour})
	held, err := credential.GetToken(context.Background(), vault)
	fmt.Println(held.Token == first.Token, err)
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
		credential := newCredential(endpoint, policy.RetryOptions{MaxRetries: -1})
		_, err := service{credential}.readSecret(context.Background())
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

// What was asked for, and how often.
func ExampleEndpoint_Requests() {
	endpoint := identitytest.NewIMDS(nil)
	credential := newCredential(endpoint, policy.RetryOptions{})
	for range 1000 {
		if _, err := credential.GetToken(context.Background(), vault); err != nil {
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
		_, err = credential.GetToken(context.Background(), vault)
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
	response, err := endpoint.Do(request) // which IMDS refuses: the header Metadata is missing
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
	defer response.Body.Close() // which is a refusal: the header Secret is missing
	fmt.Println(response.Status, "over TLS:", response.TLS.HandshakeComplete)
	// Output: 400 Bad Request over TLS: true
}

// setenv sets variables, as a test does by t.Setenv, and returns how to put them back.
func setenv(lines []string) (restore func()) {
	var undo []func()
	for _, line := range lines {
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
		for _, f := range undo {
			f()
		}
	}
}

// A credential knows Service Fabric by its certificate, and so wants a connection: the endpoint's
// Client has one, in memory. The variables say where the host is, and which certificate it has. A
// test that can do without parallel ones has all of that from endpoint.Start(t).
func ExampleNewServiceFabric() {
	endpoint := identitytest.NewServiceFabric(nil)
	defer setenv(endpoint.Env("https://localhost:2377"))()

	credential, err := identity.NewCredential(&identity.CredentialOptions{
		ClientOptions: azcore.ClientOptions{Transport: endpoint.Client()},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(service{credential}.readSecret(context.Background()))
	// Output: the secret <nil>
}

// A pod whose token is replaced in its file: the next exchange must have the new one, as the old
// one is refused.
func ExampleNewWorkloadIdentity() {
	dir, err := os.MkdirTemp("", "") // in a test: t.TempDir()
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	endpoint := identitytest.NewWorkloadIdentity(&identitytest.Options{Dir: dir})
	defer setenv(endpoint.Env("https://login.microsoftonline.com"))()

	credential, err := identity.NewCredential(&identity.CredentialOptions{
		ClientOptions: azcore.ClientOptions{Transport: endpoint},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(service{credential}.readSecret(context.Background()))
	endpoint.RotateSecret() // the kubelet does it every 48 minutes
	fmt.Println(credential.Ready(context.Background(), "https://storage.azure.com/.default"))
	for _, r := range endpoint.Requests() {
		fmt.Println(r.Method, r.FormValue("scope"))
	}
	// Output:
	// the secret <nil>
	// <nil>
	// POST https://vault.azure.net/.default
	// POST https://storage.azure.com/.default
}

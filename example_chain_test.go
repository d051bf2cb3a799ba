package identity_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity"
	"github.com/keyless-go/identity/identitytest"
)

// nothingOnPath takes the developer's tools away, so that these examples print the same everywhere.
func nothingOnPath() (leave func()) {
	path := os.Getenv("PATH")
	_ = os.Setenv("PATH", "")
	return func() { _ = os.Setenv("PATH", path) }
}

// The managed identity on Azure, the login of the Azure CLI or the Azure Developer CLI on a laptop.
func ExampleNewDefaultCredential() {
	defer standIn(identitytest.NewAppService)() // leave out: this is Azure

	cred, err := identity.NewDefaultCredential(nil)
	if err != nil {
		log.Fatal(err)
	}
	// Pass cred to any Azure SDK client: azsecrets.NewClient(vaultURL, cred, nil).
	err = cred.Ready(context.Background(), "https://vault.azure.net/.default")
	fmt.Println(cred.Status().InUse, err)
	fmt.Println("no developer, because", cred.Status().Azure)
	// Output:
	// managed identity <nil>
	// no developer, because IDENTITY_ENDPOINT and IDENTITY_HEADER are set
}

// The next source is tried only when one is unavailable: after any other failure the chain stops,
// and stays who it is.
func ExampleNewChain() {
	defer nothingOnPath()() // leave out

	cli, err := identity.NewAzureCLICredential(nil)
	if err != nil {
		log.Fatal(err)
	}
	managed, err := identity.NewCredential(&identity.CredentialOptions{Host: identity.HostIMDS,
		ClientOptions: fake()})
	if err != nil {
		log.Fatal(err)
	}
	// the developer first, on purpose
	cred, err := identity.NewChain([]azcore.TokenCredential{cli, managed}, nil)
	if err != nil {
		log.Fatal(err)
	}
	err = cred.Ready(context.Background(), "https://vault.azure.net/.default")
	fmt.Println(cred.Status().InUse, err)
	// Output: managed identity <nil>
}

// The developer who is logged in with `az login`.
func ExampleNewAzureCLICredential() {
	defer nothingOnPath()() // leave out

	cred, err := identity.NewAzureCLICredential(&identity.AzureCLICredentialOptions{TenantID: "contoso.onmicrosoft.com"})
	if err != nil {
		log.Fatal(err)
	}
	_, err = cred.GetToken(context.Background(),
		policy.TokenRequestOptions{Scopes: []string{"https://vault.azure.net/.default"}, EnableCAE: true})
	if errors.Is(err, identity.ErrUnavailable) {
		fmt.Println("az is not installed, or nobody is logged in")
	}
	// Output: az is not installed, or nobody is logged in
}

// The developer who is logged in with `azd auth login`.
func ExampleNewAzureDeveloperCLICredential() {
	defer nothingOnPath()() // leave out

	cred, err := identity.NewAzureDeveloperCLICredential(nil)
	if err != nil {
		log.Fatal(err)
	}
	_, err = cred.GetToken(context.Background(),
		policy.TokenRequestOptions{Scopes: []string{"https://vault.azure.net/.default"}, EnableCAE: true})
	if errors.Is(err, identity.ErrUnavailable) {
		fmt.Println("azd is not installed, or nobody is logged in")
	}
	// Output: azd is not installed, or nobody is logged in
}

// The identity was put into a group: that shows in a new token only, and most hosts repeat the old
// one for up to a day.
func ExampleCredential_Refresh() {
	host := identitytest.NewIMDS(&identitytest.Options{HostCache: true}) // as the real one
	cred, err := identity.NewCredential(&identity.CredentialOptions{Host: identity.HostIMDS,
		ClientOptions: azcore.ClientOptions{Transport: host}})
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	if err := cred.Ready(ctx, "https://management.azure.com/.default"); err != nil {
		log.Fatal(err)
	}
	token, changed, err := cred.Refresh(ctx, "https://management.azure.com/.default")
	if err != nil {
		log.Fatal(err)
	}
	if !changed {
		fmt.Println("the host still has the old one, for at most",
			time.Until(token.ExpiresOn).Round(time.Hour))
	}
	// Output: the host still has the old one, for at most 24h0m0s
}

// What a health page or a log line wants to know. There is no secret in it; encoding/json can write
// it.
func ExampleCredential_Status() {
	cred, err := identity.NewCredential(&identity.CredentialOptions{Host: identity.HostIMDS,
		ClientOptions: fake()})
	if err != nil {
		log.Fatal(err)
	}
	if err := cred.Ready(context.Background(), "https://vault.azure.net/.default"); err != nil {
		log.Fatal(err)
	}
	status := cred.Status()
	fmt.Println(status.Host, "because", status.Reason)
	for _, r := range status.Resources {
		fmt.Printf("%s: %d request, %d failures, for another %v\n", r.Resource, r.Requests, r.Failures,
			time.Until(r.ExpiresOn).Round(time.Hour))
	}
	// Output:
	// IMDS because CredentialOptions.Host names it
	// https://vault.azure.net: 1 request, 0 failures, for another 24h0m0s
}

// A readiness check for Kubernetes: traffic comes once the identity's tokens are there. It sends no
// request while they are, and has to answer sooner than the probe's timeoutSeconds, which is 1 by
// default.
func ExampleCredential_Ready_readinessProbe() {
	cred, err := identity.NewCredential(&identity.CredentialOptions{Host: identity.HostIMDS,
		ClientOptions: fake()})
	if err != nil {
		log.Fatal(err)
	}
	ready := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), 900*time.Millisecond)
		defer cancel()
		if err := cred.Ready(ctx, "https://vault.azure.net/.default",
			"https://storage.azure.com/.default"); err != nil {
			// no secret in it; kubectl describe pod shows it
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	// http.Handle("GET /readyz", ready)

	response := httptest.NewRecorder() // in place of the kubelet
	ready.ServeHTTP(response, httptest.NewRequest(http.MethodGet, "/readyz", nil))
	fmt.Println(response.Code)
	// Output: 204
}

package identity_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity"
	"github.com/keyless-go/identity/identitytest"
)

// Tell apart the cases that a program can do something about.
func ExampleAuthenticationError() {
	cred, err := identity.NewCredential(&identity.CredentialOptions{
		ID: identity.ClientID("00000000-0000-0000-0000-000000000000"),
		// A virtual machine without that identity; leave out on Azure.
		Host:          identity.HostIMDS,
		ClientOptions: azcore.ClientOptions{Transport: identitytest.NewIMDS(nil)},
	})
	if err != nil {
		log.Fatal(err)
	}
	_, err = cred.GetToken(context.Background(), policy.TokenRequestOptions{
		Scopes: []string{"https://vault.azure.net/.default"}, EnableCAE: true,
	})
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
	cred, err := identity.NewCredential(&identity.CredentialOptions{
		ID: identity.ClientID("11111111-2222-3333-4444-555555555555"),
		// A virtual machine without that identity; leave out on Azure.
		Host:          identity.HostIMDS,
		ClientOptions: azcore.ClientOptions{Transport: identitytest.NewIMDS(nil)},
	})
	if err != nil {
		log.Fatal(err)
	}
	chain, err := identity.NewChain([]azcore.TokenCredential{cred}, nil)
	if err != nil {
		log.Fatal(err)
	}
	for _, source := range []azcore.TokenCredential{cred, chain} {
		_, err := source.GetToken(context.Background(), policy.TokenRequestOptions{
			Scopes: []string{"https://vault.azure.net/.default"}, EnableCAE: true,
		})
		message := fmt.Sprint(err)
		var summarized interface{ Summary() string } // a credential's error has it, and a chain's
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

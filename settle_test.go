package identity_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity"
	"github.com/keyless-go/identity/identitytest"
)

// settles uses a token that is due, waits for the renewal behind that, and wants the new token.
func settles(t *testing.T, endpoint *identitytest.Endpoint, options *identity.CredentialOptions) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cred, err := identity.NewCredential(options)
	if err != nil {
		t.Fatal(err)
	}
	get := func() azcore.AccessToken {
		token, err := cred.GetToken(ctx, policy.TokenRequestOptions{
			Scopes: []string{"https://vault.azure.net/.default"}, EnableCAE: true})
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	first := get()
	time.Sleep(time.Until(first.RefreshOn) + time.Millisecond)
	switch held := get(); {
	case held.Token == first.Token:
	case time.Now().After(first.ExpiresOn):
		t.Skip("the machine was asleep for the rest of the token's life")
	default:
		t.Error("got a new token at once, want the held one")
	}
	if err := endpoint.Settle(ctx); err != nil {
		t.Fatal(err)
	}
	if next := get(); next.Token == first.Token {
		t.Error("got the token from before the renewal")
	}
}

func TestSettleInMemory(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		endpoint := identitytest.NewIMDS(&identitytest.Options{Lifetime: 20 * time.Second})
		settles(t, endpoint, &identity.CredentialOptions{Host: identity.HostIMDS,
			ClientOptions: azcore.ClientOptions{Transport: endpoint}})
	})
}

// TestSettleStarted is over loopback, by a credential that knows nothing of a test. The token is
// due after 2 s: no credential asks more than once in a second.
func TestSettleStarted(t *testing.T) { // not parallel: it sets variables
	endpoint := identitytest.NewAppService(&identitytest.Options{Lifetime: 4 * time.Second})
	endpoint.Start(t)
	settles(t, endpoint, nil)
}

package snippets

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/keyless-go/identity"
	"github.com/keyless-go/identity/identitytest"
)

const scope = "https://vault.azure.net/.default"

// TestOutage: a service that has a token does not notice.
func TestOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		endpoint := identitytest.NewIMDS(nil)
		cred, err := identity.NewCredential(&identity.CredentialOptions{
			ClientOptions: azcore.ClientOptions{Transport: endpoint}, Host: identity.HostIMDS,
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := cred.Ready(t.Context(), scope); err != nil {
			t.Fatal(err)
		}
		endpoint.Enqueue(identitytest.Response{Status: 503, For: 12 * time.Hour}) // an outage
		time.Sleep(11 * time.Hour)
		if _, err := identity.TokenFunc(cred, scope)(t.Context()); err != nil {
			t.Error(err)
		}
		if err := endpoint.Settle(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// TestStart: the code under test makes its own credential. It sets variables, and so isn't
// parallel.
func TestStart(t *testing.T) {
	endpoint := identitytest.NewAppService(nil)
	endpoint.Start(t)
	cred, err := identity.NewDefaultCredential(nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := cred.Ready(t.Context(), scope); err != nil || len(endpoint.Requests()) != 1 {
		t.Errorf("got %v, %d requests, want one", err, len(endpoint.Requests()))
	}
}

package identityvalkey_test

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/keyless-go/identity"
	"github.com/keyless-go/identity/identitytest"
	identityvalkey "github.com/keyless-go/identity/integrations/redis/valkey"
	"github.com/valkey-io/valkey-go"
)

// TestExample has a real redis-server stand for the Example's cache, with the identity's token as a
// password.
func TestExample(t *testing.T) {
	t.Parallel()
	cache := os.Getenv("IDENTITY_TEST_REDIS")
	if cache == "" {
		t.Skip("IDENTITY_TEST_REDIS isn't set: no redis-server to test with; .ci/run starts one")
	}
	is := identitytest.Identity{
		ObjectID: fmt.Sprintf("7f3b1c52-0d5e-4c8f-9a58-%012x", os.Getpid()),
	}
	host := identitytest.NewIMDS(&identitytest.Options{Identities: []identitytest.Identity{is},
		HostCache: true})
	cred, err := identity.NewCredential(&identity.CredentialOptions{Host: identity.HostIMDS,
		ClientOptions: azcore.ClientOptions{Transport: host}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	token, err := identity.TokenFunc(cred, identityvalkey.Scope)(ctx)
	if err != nil {
		t.Fatal(err)
	}
	admin, err := valkey.NewClient(valkey.ClientOption{InitAddress: []string{cache},
		Password: os.Getenv("IDENTITY_TEST_REDIS_PASSWORD"), ForceSingleClient: true})
	if err != nil {
		t.Fatal(err)
	}
	acl := func(args ...string) {
		t.Helper()
		command := admin.B().Arbitrary("ACL").Args(args...).Build()
		if err := admin.Do(context.Background(), command).Error(); err != nil {
			t.Errorf("ACL %s: %v", args[0], err)
		}
	}
	acl("SETUSER", is.ObjectID, "on", "allkeys", "+@all", "resetpass", ">"+token)
	t.Cleanup(func() {
		acl("DELUSER", is.ObjectID)
		admin.Close()
	})
	starts, err := countStarts(ctx, cred, valkey.ClientOption{InitAddress: []string{cache}})
	if err != nil || starts < 1 { // another run may count in the same server
		t.Errorf("got %d starts, %v; want some", starts, err)
	}
}

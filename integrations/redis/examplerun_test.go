package identityredis_test

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/keyless-go/identity"
	"github.com/keyless-go/identity/identitytest"
	identityredis "github.com/keyless-go/identity/integrations/redis"
	"github.com/redis/go-redis/v9"
)

// TestExample has a real redis-server stand for the Example's cache, with the identity's token as a
// password, or else a stand-in of a few lines.
func TestExample(t *testing.T) {
	t.Parallel()
	is := identitytest.Identity{
		ObjectID: fmt.Sprintf("7f3b1c52-0d5e-4c8f-9a57-%012x", os.Getpid()),
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
	cache := os.Getenv("IDENTITY_TEST_REDIS")
	if cache == "" {
		cache = standIn()
	} else {
		addUser(t, cache, is.ObjectID, cred)
	}
	starts, err := countStarts(ctx, cred, &redis.Options{Addr: cache})
	if err != nil || starts < 1 { // another run may count in the same server
		t.Errorf("got %d starts, %v; want some", starts, err)
	}
}

// addUser makes a user whose password is the credential's token.
func addUser(t *testing.T, cache, name string, cred azcore.TokenCredential) {
	t.Helper()
	ctx := context.Background()
	token, err := identity.TokenFunc(cred, identityredis.Scope)(ctx)
	if err != nil {
		t.Fatal(err)
	}
	admin := redis.NewClient(&redis.Options{Addr: cache,
		Password: os.Getenv("IDENTITY_TEST_REDIS_PASSWORD")})
	if err := admin.Do(ctx, "ACL", "SETUSER", name, "on", "allkeys", "+@all", "resetpass",
		">"+token).Err(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		admin.Do(ctx, "ACL", "DELUSER", name)
		admin.Close()
	})
}

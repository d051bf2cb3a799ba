package identityredis_test

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/keyless-go/identity"
	"github.com/keyless-go/identity/identitytest"
	"github.com/keyless-go/identity/integrations/redis"
	"github.com/redis/go-redis/v9"
)

// A service that counts its starts in a cache, without a password. It asks for the token first, so
// that a missing role or identity is told from a cache that can't be reached.
func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()

	cred, err := identity.NewCredential(onAzure)
	if err != nil {
		log.Fatal(err)
	}
	if err := cred.Ready(ctx, identityredis.Scope); err != nil {
		log.Fatal(err)
	}
	options := &redis.Options{
		Addr:      cache, // such as example.westeurope.redis.azure.net:10000
		TLSConfig: config,
	}
	if err := identityredis.Configure(options, cred, nil); err != nil {
		log.Fatal(err)
	}
	client := redis.NewClient(options)
	defer client.Close()

	starts, err := client.Incr(ctx, key).Result()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("starts:", starts)
	// Output: starts: 1
}

// What is Azure's in the Example. In a program of yours onAzure is nil, and config is
// &tls.Config{MinVersion: tls.VersionTLS12}.
var (
	onAzure *identity.CredentialOptions
	cache   string
	config  *tls.Config
	key     = "starts-" + rand.Text()
)

// init has a real redis-server stand for the cache, with the identity's token as a password.
// Without one the Example talks to a stand-in.
func init() {
	is := identitytest.Identity{
		ObjectID: fmt.Sprintf("7f3b1c52-0d5e-4c8f-9a57-%012x", os.Getpid()),
	}
	host := identitytest.NewIMDS(&identitytest.Options{Identities: []identitytest.Identity{is},
		HostCache: true})
	onAzure = &identity.CredentialOptions{Host: identity.HostIMDS,
		ClientOptions: azcore.ClientOptions{Transport: host}}
	cache = os.Getenv("IDENTITY_TEST_REDIS")
	if cache == "" {
		cache = standIn()
		return
	}
	cred, err := identity.NewCredential(onAzure)
	if err != nil {
		log.Fatal(err)
	}
	token, err := identity.TokenFunc(cred, identityredis.Scope)(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	admin := redis.NewClient(&redis.Options{Addr: cache,
		Password: os.Getenv("IDENTITY_TEST_REDIS_PASSWORD")})
	defer admin.Close()
	err = admin.Do(context.Background(), "ACL", "SETUSER", is.ObjectID, "on", "allkeys", "+@all",
		"resetpass", ">"+token).Err()
	if err != nil {
		log.Fatal(err)
	}
}

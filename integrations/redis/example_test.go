package identityredis_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"log"
	"time"

	"github.com/keyless-go/identity"
	identityredis "github.com/keyless-go/identity/integrations/redis"
	"github.com/redis/go-redis/v9"
)

// countStarts counts the starts of a service in a cache. It asks for the token first, so that a
// missing role or identity has another error than a cache that can't be reached.
func countStarts(
	ctx context.Context, cred *identity.Credential, options *redis.Options,
) (int64, error) {
	if err := cred.Ready(ctx, identityredis.Scope); err != nil {
		return 0, err
	}
	if err := identityredis.Configure(options, cred, nil); err != nil {
		return 0, err
	}
	client := redis.NewClient(options)
	defer client.Close()
	return client.Incr(ctx, "starts").Result()
}

// A service that uses a cache without a password.
func Example() {
	cred, err := identity.NewCredential(nil)
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	starts, err := countStarts(ctx, cred, &redis.Options{
		Addr:      "example.westeurope.redis.azure.net:10000",
		TLSConfig: &tls.Config{MinVersion: tls.VersionTLS12},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("starts:", starts)
}

package identityvalkey_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"log"
	"time"

	"github.com/keyless-go/identity"
	identityvalkey "github.com/keyless-go/identity/integrations/redis/valkey"
	"github.com/valkey-io/valkey-go"
)

// countStarts counts the starts of a service in a cache. It asks for the token first, so that a
// missing role or identity has another error than a cache that can't be reached.
func countStarts(
	ctx context.Context, cred *identity.Credential, options valkey.ClientOption,
) (int64, error) {
	if err := cred.Ready(ctx, identityvalkey.Scope); err != nil {
		return 0, err
	}
	if err := identityvalkey.Configure(&options, cred, nil); err != nil {
		return 0, err
	}
	client, err := valkey.NewClient(options)
	if err != nil {
		return 0, err
	}
	defer client.Close()
	return client.Do(ctx, client.B().Incr().Key("starts").Build()).ToInt64()
}

// A service that uses a cache without a password.
func Example() {
	cred, err := identity.NewCredential(nil)
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	starts, err := countStarts(ctx, cred, valkey.ClientOption{
		InitAddress: []string{"example.westeurope.redis.azure.net:10000"},
		TLSConfig:   &tls.Config{MinVersion: tls.VersionTLS12},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("starts:", starts)
}

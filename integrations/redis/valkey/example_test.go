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

// A service that counts its starts in a cache, without a password.
func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()

	cred, err := identity.NewCredential(nil)
	if err != nil {
		log.Fatal(err)
	}
	if err := cred.Ready(ctx, identityvalkey.Scope); err != nil {
		log.Fatal(err)
	}
	options := valkey.ClientOption{
		InitAddress: []string{"example.westeurope.redis.azure.net:10000"},
		TLSConfig:   &tls.Config{MinVersion: tls.VersionTLS12},
	}
	if err := identityvalkey.Configure(&options, cred, nil); err != nil {
		log.Fatal(err)
	}
	client, err := valkey.NewClient(options)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	starts, err := client.Do(ctx, client.B().Incr().Key("starts").Build()).ToInt64()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("starts:", starts)
}

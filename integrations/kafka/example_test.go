package identitykafka_test

import (
	"context"
	"fmt"
	"log"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/keyless-go/identity"
	identitykafka "github.com/keyless-go/identity/integrations/kafka"
	"github.com/twmb/franz-go/pkg/kgo"
)

// roundTrip is what a service needs: it produces a record, and consumes it.
func roundTrip(
	ctx context.Context, cred azcore.TokenCredential, options *identitykafka.Options,
) (string, error) {
	brokers := []string{"example.servicebus.windows.net:9093"}
	auth, err := identitykafka.New(cred, brokers, options)
	if err != nil {
		return "", err
	}
	client, err := kgo.NewClient(append(auth.Opts(), kgo.ConsumeTopics("orders"))...)
	if err != nil {
		return "", err
	}
	defer client.Close()
	if err := client.Ping(ctx); err != nil { // a wrong scope or role shows here
		return "", auth.Explain(err)
	}
	record := &kgo.Record{Topic: "orders", Value: []byte("42 boxes")}
	if err := client.ProduceSync(ctx, record).FirstErr(); err != nil {
		return "", auth.Explain(err)
	}
	fetches := client.PollFetches(ctx)
	if err := fetches.Err(); err != nil {
		return "", auth.Explain(err)
	}
	return string(fetches.Records()[0].Value), nil
}

// A program that produces and consumes. The brokers ask for a token of the scope that New derives
// from their address.
func Example() {
	cred, err := identity.NewCredential(nil)
	if err != nil {
		log.Fatal(err)
	}
	order, err := roundTrip(context.Background(), cred, nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(order)
}

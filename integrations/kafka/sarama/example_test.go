package identitysarama_test

import (
	"context"
	"fmt"
	"log"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/IBM/sarama"
	"github.com/keyless-go/identity"
	"github.com/keyless-go/identity/identitytest"
	"github.com/keyless-go/identity/integrations/kafka/internal/brokertest"
	identitysarama "github.com/keyless-go/identity/integrations/kafka/sarama"
)

// roundTrip is what a service needs: it produces a message, and consumes it.
func roundTrip(
	ctx context.Context, cred azcore.TokenCredential, config *sarama.Config,
) (string, error) {
	brokers := []string{"example.servicebus.windows.net:9093"}
	auth, err := identitysarama.New(ctx, cred, brokers, nil)
	if err != nil {
		return "", err
	}
	if err := auth.Configure(config); err != nil {
		return "", err
	}
	config.Producer.Return.Successes = true // a SyncProducer wants it
	client, err := sarama.NewClient(brokers, config)
	if err != nil { // a wrong scope or role shows here
		return "", auth.Explain(err)
	}
	defer client.Close()
	producer, err := sarama.NewSyncProducerFromClient(client)
	if err != nil {
		return "", auth.Explain(err)
	}
	defer producer.Close()
	_, _, err = producer.SendMessage(&sarama.ProducerMessage{
		Topic: "orders", Value: sarama.StringEncoder("42 boxes"),
	})
	if err != nil {
		return "", auth.Explain(err)
	}
	consumer, err := sarama.NewConsumerFromClient(client)
	if err != nil {
		return "", auth.Explain(err)
	}
	defer consumer.Close()
	partition, err := consumer.ConsumePartition("orders", 0, sarama.OffsetOldest)
	if err != nil {
		return "", auth.Explain(err)
	}
	defer partition.Close()
	select {
	case message := <-partition.Messages():
		return string(message.Value), nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// A program that produces and consumes. On Azure, cred is identity.NewCredential(nil), and the
// configuration that of sarama.NewConfig.
func Example() {
	broker := brokertest.Start("example.servicebus.windows.net",
		&brokertest.Tokens{Audience: "https://example.servicebus.windows.net"})
	defer broker.Close()
	cred, err := identity.NewCredential(&identity.CredentialOptions{
		ClientOptions: azcore.ClientOptions{Transport: identitytest.NewIMDS(nil)},
		Host:          identity.HostIMDS,
	})
	if err != nil {
		log.Fatal(err)
	}
	config := sarama.NewConfig()
	config.Net.TLS.Config = brokertest.Trust()
	config.Net.Proxy.Enable = true
	config.Net.Proxy.Dialer = dialer{broker}
	order, err := roundTrip(context.Background(), cred, config)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(order)
	// Output: 42 boxes
}

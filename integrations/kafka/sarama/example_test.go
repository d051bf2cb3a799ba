package identitysarama_test

import (
	"context"
	"fmt"
	"log"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/IBM/sarama"
	"github.com/keyless-go/identity"
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

// A program that produces and consumes.
func Example() {
	cred, err := identity.NewCredential(nil)
	if err != nil {
		log.Fatal(err)
	}
	order, err := roundTrip(context.Background(), cred, sarama.NewConfig())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(order)
}

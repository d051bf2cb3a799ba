package identitykafkago_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"log"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/keyless-go/identity"
	identitykafkago "github.com/keyless-go/identity/integrations/kafka/kafkago"
	kafka "github.com/segmentio/kafka-go"
)

// roundTrip is what a service needs: it produces a record, and consumes it.
func roundTrip(
	ctx context.Context, cred azcore.TokenCredential, dialer *kafka.Dialer,
) (string, error) {
	brokers := []string{"example.servicebus.windows.net:9093"}
	auth, err := identitykafkago.New(cred, brokers, nil)
	if err != nil {
		return "", err
	}
	dialer.SASLMechanism = auth
	writer := &kafka.Writer{
		Addr: kafka.TCP(brokers...), Topic: "orders", BatchTimeout: 10 * time.Millisecond,
		Transport: &kafka.Transport{TLS: dialer.TLS, SASL: auth, Dial: dialer.DialFunc},
	}
	defer writer.Close()
	if err := writer.WriteMessages(ctx, kafka.Message{Value: []byte("42 boxes")}); err != nil {
		return "", err
	}
	reader := kafka.NewReader(kafka.ReaderConfig{
		Brokers: brokers, Topic: "orders", Dialer: dialer,
		MaxWait: 250 * time.Millisecond, // which Close waits for, too
	})
	defer reader.Close()
	message, err := reader.ReadMessage(ctx)
	return string(message.Value), err
}

// A program that produces and consumes. The brokers ask for a token of the scope that New derives
// from their address.
func Example() {
	cred, err := identity.NewCredential(nil)
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	order, err := roundTrip(ctx, cred, &kafka.Dialer{
		Timeout: 10 * time.Second, TLS: &tls.Config{MinVersion: tls.VersionTLS12},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(order)
}

package identitykafkago_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"log"
	"time"

	"github.com/keyless-go/identity"
	identitykafkago "github.com/keyless-go/identity/integrations/kafka/kafkago"
	kafka "github.com/segmentio/kafka-go"
)

// A program that produces and consumes.
func Example() {
	cred, err := identity.NewCredential(nil)
	if err != nil {
		log.Fatal(err)
	}
	brokers := []string{"example.servicebus.windows.net:9093"}
	auth, err := identitykafkago.New(cred, brokers, nil)
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	secure := &tls.Config{MinVersion: tls.VersionTLS12}
	writer := &kafka.Writer{
		Addr: kafka.TCP(brokers...), Topic: "orders",
		Transport: &kafka.Transport{TLS: secure, SASL: auth},
	}
	defer writer.Close()
	if err := writer.WriteMessages(ctx, kafka.Message{Value: []byte("42 boxes")}); err != nil {
		log.Fatal(err)
	}
	reader := kafka.NewReader(kafka.ReaderConfig{
		Brokers: brokers, Topic: "orders",
		Dialer: &kafka.Dialer{Timeout: 10 * time.Second, TLS: secure, SASLMechanism: auth},
	})
	defer reader.Close()
	message, err := reader.ReadMessage(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(message.Value))
}

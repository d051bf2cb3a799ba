// Package identitykafkago authenticates the clients of segmentio/kafka-go with tokens of Entra: at
// Azure Event Hubs, and at any cluster that takes OAUTHBEARER, which that module lacks.
//
//	brokers := []string{"example.servicebus.windows.net:9093"}
//	auth, err := identitykafkago.New(cred, brokers, nil)
//	if err != nil {
//		return err
//	}
//	secure := &tls.Config{MinVersion: tls.VersionTLS12}
//	dialer := &kafka.Dialer{Timeout: 10 * time.Second, TLS: secure, SASLMechanism: auth}
//	reader := kafka.NewReader(kafka.ReaderConfig{Brokers: brokers, Topic: "orders", Dialer: dialer})
//	writer := &kafka.Writer{
//		Addr: kafka.TCP(brokers...), Topic: "orders",
//		Transport: &kafka.Transport{TLS: secure, SASL: auth},
//	}
//
// The scope is that of the brokers' namespace, in each cloud, as package identitykafka has it; a
// broker of another name needs Options.Scope. cred's identity needs a role for the data, such as
// Azure Event Hubs Data Receiver or Data Sender.
//
// Each connection asks the credential, with the context of its dial. kafka-go doesn't authenticate
// again: the broker closes the connection when its token ends, and the client makes another. The
// mechanism can't know whether there is TLS: set it, as above.
//
// kafka-go's error has the code of a broker's refusal and not its words; if the refusal is a
// challenge, the error has the words. The tests talk to franz-go's kfake; no broker of Kafka or
// Event Hubs has been talked to.
package identitykafkago

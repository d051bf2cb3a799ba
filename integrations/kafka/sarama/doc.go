// Package identitysarama authenticates sarama's Kafka clients with tokens of Entra: at Azure Event
// Hubs, and at any cluster that takes OAUTHBEARER.
//
//	brokers := []string{"example.servicebus.windows.net:9093"}
//	auth, err := identitysarama.New(ctx, cred, brokers, nil)
//	if err != nil {
//		return err
//	}
//	config := sarama.NewConfig()
//	if err := auth.Configure(config); err != nil {
//		return err
//	}
//	client, err := sarama.NewClient(brokers, config)
//	if err != nil {
//		return auth.Explain(err)
//	}
//
// cred is any azcore.TokenCredential, such as one of identity.NewCredential. Its identity needs a
// role for the data, such as Azure Event Hubs Data Receiver or Data Sender. No user name is needed.
// For franz-go there is the package identitykafka, for segmentio/kafka-go identitykafkago.
//
// # Scope
//
// A namespace takes tokens for its own host name: https://NAMESPACE.servicebus.windows.net/.default
// in the public cloud, and the like with .servicebus.usgovcloudapi.net (US Government) and
// .servicebus.chinacloudapi.cn (China). New derives it from the brokers' names. A namespace behind
// a private endpoint keeps its name. Any other name is an error that asks for Options.Scope, and so
// is the scope of AMQP clients, https://eventhubs.azure.net, which brokers refuse.
//
// # Tokens and connections
//
// Each connection asks the credential, which holds its token: no request is sent to the identity's
// host unless one is due. If a broker says how long a session lasts, sarama authenticates again on
// the same connection, with the first request after 85 to 95 % of that time. That asks the
// credential, too. If the credential still holds the old token, its renewal begins then, and the
// broker's next session is as long as the old token lasts; the authentication at the end of that
// session has the new token.
//
// A token with less than 2 s left isn't sent, as it could have ended on arrival: the provider waits
// for its end, and for the next one.
//
// Sarama's provider has no context. The wait for a token ends after Options.Timeout, 30 s by
// default, and when the context that New was given does. A connection being made, and Close of it,
// wait as long.
//
// # TLS
//
// [Auth.Configure] turns TLS on. If it is off when a token is asked for, that is an error. So is
// InsecureSkipVerify, unless there is a check of yours.
//
// # Errors
//
// If there is no token, sarama's error has "identitysarama: no token for …" in it, and the
// credential's error: identity.Passing and errors.As with *identity.AuthenticationError work. The
// types and values by which sarama tells its own connection's errors, such as io.EOF, aren't found
// in it.
//
// A broker's refusal keeps its words; [Auth.Explain] adds what the token was for, whose it was, and
// what to check. No error has a token in it. Sarama 1.61.1 loses one kind of words: where a broker
// answers a token by a challenge, a JSON object that says why, sarama keeps nothing of it, and
// replies with the four characters \x01 in place of the byte 0x01. A broker of Kafka's takes that
// for a broken message, and so the error is about its form.
//
// # Tests
//
// The tests talk to franz-go's kfake, over TLS, which takes no tokens by itself: a stand-in checks
// audience and time there; and to sarama's MockBroker. No broker of Kafka or Event Hubs has been
// talked to.
package identitysarama

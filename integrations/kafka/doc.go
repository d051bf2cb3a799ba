// Package identitykafka authenticates franz-go's Kafka clients with tokens of Entra: at Azure Event
// Hubs, and at any cluster that takes OAUTHBEARER.
//
//	brokers := []string{"example.servicebus.windows.net:9093"}
//	auth, err := identitykafka.New(cred, brokers, nil)
//	if err != nil {
//		return err
//	}
//	client, err := kgo.NewClient(append(auth.Opts(), kgo.ConsumeTopics("orders"))...)
//	if err != nil {
//		return err
//	}
//	if err := client.Ping(ctx); err != nil {
//		return auth.Explain(err)
//	}
//
// cred is any azcore.TokenCredential, such as one of identity.NewCredential. Its identity needs a
// role for the data, such as Azure Event Hubs Data Receiver or Data Sender. No user name is needed.
// For sarama and segmentio/kafka-go there are packages beside this one, identitysarama and
// identitykafkago.
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
// host unless one is due. If a broker says how long a session lasts, the client authenticates again
// on the same connection, at 95 to 98 % of that time. That asks the credential, too. If the
// credential still holds the old token, its renewal begins then, and the broker's next session is
// as long as the old token lasts; the authentication at the end of that session has the new token.
// A broker that says no time closes the connection when it likes, and the client makes another.
//
// A token with less than 2 s left isn't sent, as it could have ended on arrival: Authenticate waits
// for its end, and for the next one.
//
// # TLS
//
// [Auth.Opts] always has TLS. [Auth.Mechanism] can't know whether the client has.
// InsecureSkipVerify is refused, unless there is a check of yours.
//
// # Errors
//
// If there is no token, what the client returns is "identitykafka: no token for …", with the
// credential's error in it: identity.Passing and errors.As with *identity.AuthenticationError
// work. The client doesn't repeat a request after it, since the credential has tried for a minute;
// producing and consuming go on by themselves, as after any error. The types and values by which a
// client tells its own connection's errors, such as *net.OpError, aren't found in it.
//
// A broker's refusal keeps its words; [Auth.Explain] adds what the token was for, whose it was, and
// what to check. No error has a token in it.
//
// The client asks for the token with a context of its own, which ends when the client is closed,
// and not with a request's. A request whose context ends returns, and the next one finds the token.
//
// # Tests
//
// The tests talk to franz-go's kfake, over TLS, which takes no tokens by itself: a stand-in checks
// audience and time there. No broker of Kafka or Event Hubs has been talked to.
package identitykafka

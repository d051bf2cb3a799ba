// Package identityvalkey logs in to Azure Managed Redis and Azure Cache for Redis as a managed
// identity, or any other azcore.TokenCredential, with a valkey-go client. rueidis has the same
// interface under other names: [AuthCredentialsFn] shows what to return.
//
//	o := valkey.ClientOption{
//		InitAddress: []string{"example.westeurope.redis.azure.net:10000"},
//		TLSConfig:   &tls.Config{MinVersion: tls.VersionTLS12},
//	}
//	if err := identityvalkey.Configure(&o, cred, nil); err != nil {
//		return err
//	}
//	client, err := valkey.NewClient(o)
//
// # How long a connection lives
//
// The server ends a connection with the token that it logged in with. valkey-go logs in anew on an
// open connection, subscriptions by RESP3 included, when the token is due for renewal: with a
// managed identity half a day before its end. If a token doesn't say when it is due, it is replaced
// 5 minutes before its end. A connection by RESP2 that has subscriptions can't log in anew: it ends
// with its token, and valkey-go subscribes again.
//
// # Failures
//
// When a connection ends, valkey-go sends read-only commands again. Other commands get an error, as
// whenever a connection ends. That is why it logs in anew so early.
//
// A renewal that fails is tried again up to 30 s later, and the connection lives on as long as its
// token. Without a valid token a command has the credential's error, after 10 s at most.
//
// User, scope in each cloud and TLS are as in package identityredis, one folder above.
package identityvalkey

// Package identityredis logs in to Azure Managed Redis and Azure Cache for Redis as a managed
// identity, or any other azcore.TokenCredential, with a go-redis v9 client, instead of an access
// key.
//
//	o := &redis.Options{
//		Addr:      "example.westeurope.redis.azure.net:10000",
//		TLSConfig: &tls.Config{MinVersion: tls.VersionTLS12},
//	}
//	if err := identityredis.Configure(o, cred, nil); err != nil {
//		return err
//	}
//	client := redis.NewClient(o)
//
// [Configure] takes options of cluster and universal clients, too. [CredentialsProvider] is what it
// sets, for the options of other clients. Package identityvalkey, in the folder valkey, is for
// valkey-go.
//
// # User and scope
//
// The user is the identity's object ID, which is in its token. Add the identity to the cache
// beforehand, as a member. Groups don't work. The token is for [Scope] in every cloud. Names and
// ports with TLS:
//
//	Azure Managed Redis           *.redis.azure.net                  10000
//	    US Government                 *.redis.usgovcloudapi.net          10000
//	    China                         *.redis.chinacloudapi.cn           10000
//	Azure Cache for Redis         *.redis.cache.windows.net          6380
//	    US Government                 *.redis.cache.usgovcloudapi.net    6380
//	    China                         *.redis.cache.chinacloudapi.cn     6380
//
// The names are those of Microsoft's .NET library, and so is one scope for all clouds. That library
// writes it acca5fbb-b7e4-4009-81f1-37e38fd66d78/.default, which Options.Scope takes, too. This
// package hasn't been tried outside the public cloud.
//
// # How long a connection lives
//
// The server ends a connection when the token ends that the connection logged in with last. So log
// in again, or take another connection, at least 3 minutes before. A managed identity's token lives
// for a day and is replaced after half of that; a token of Entra's is replaced after half an hour
// or more. What go-redis does (v9.23, tried with redis-server 7):
//
//   - Each new connection logs in with the token of that moment. Configure has connections replaced
//     every 20 minutes, between commands: see there.
//   - A connection that stays idle until the token ends is closed by the server, and go-redis takes
//     another, without an error.
//   - A command that blocks, such as BLPOP, keeps its connection. If the token ends before it
//     returns, go-redis sends the command again, up to MaxRetries times. So does any command at
//     which the server has ended the connection.
//   - A subscription (PubSub) keeps its connection and never logs in anew. When the server ends it,
//     go-redis connects and subscribes again with a valid token. What is published meanwhile is
//     lost.
//   - Client-side caching is off: go-redis has it for fixed passwords only.
//
// # A streaming provider
//
// With a [Provider], open connections aren't replaced: each logs in anew after its next command. It
// takes two lines around Configure:
//
//	o.ConnMaxLifetime = -1 // keep connections
//	if err := identityredis.Configure(o, cred, nil); err != nil {
//		return err
//	}
//	o.StreamingCredentialsProvider = identityredis.NewProvider(cred, nil)
//
// Configure doesn't set it, because of what go-redis v9.23 does with any streaming provider:
//
//   - Client.Watch and Client.Conn panic when they are the first to use a connection, which may be
//     at any time, and so does every command of a client with Sentinel.
//   - With MaxActiveConns, callers get ErrPoolExhausted after each new token.
//   - Now and then a connection isn't logged in anew but set aside, until PoolTimeout has passed,
//     and closed: https://github.com/redis/go-redis/issues/4027.
//   - Callers don't wait for AUTH: go-redis makes new connections meanwhile, so that the pool is
//     larger for a while after each new token, up to PoolSize.
//
// A host that repeats its token from a cache has no other one to give until that token ends. Then a
// connection is made anew, or logs in anew, at the token's end.
//
// # Failures
//
// While a token is held, an outage of the host is not noticed. Without a valid token a command that
// needs a connection has the credential's error: errors.As finds *identity.AuthenticationError, and
// identity.Passing says whether waiting is worth it. The wait ends with the command's context.
//
// With a Provider it takes 10 s at most, because Subscribe has no context. Each failed renewal is
// one OnError. go-redis logs it for each connection as "re-authentication failed", and keeps the
// connection. (It would close the connection in the midst of a command if it didn't take the error
// for the server's, so a Provider's errors have a method RedisError.) The first token after the
// outage reaches all connections, however long the outage was.
//
// # TLS
//
// Azure takes tokens over TLS only, and Configure refuses to send one otherwise. A cluster client
// may be sent to nodes by IP address, as with the OSS cluster policy: set TLSConfig.ServerName to
// the cache's name then. No error, log line or printed value of this package holds a token.
// go-redis hands AUTH with its arguments to the hooks of a client, so don't log arguments there.
package identityredis

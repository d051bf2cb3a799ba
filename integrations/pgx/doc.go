// Package identitypgx logs in to PostgreSQL with the token of an Azure identity in place of a
// password, for pgx v5: its pool, its database/sql driver and single connections. Package
// identitypq, in the folder pq, does the same for lib/pq.
//
// # Use
//
// [BeforeConnect] makes the hook that pgx calls before each new connection:
//
//	config, err := pgxpool.ParseConfig(
//		"postgres://orders-db.postgres.database.azure.com/orders?sslmode=verify-full")
//	if err != nil {
//		return err
//	}
//	config.BeforeConnect = identitypgx.BeforeConnect(cred, nil)
//	pool, err := pgxpool.NewWithConfig(ctx, config)
//
// A *sql.DB takes the hook in one line, with the config of [pgx.ParseConfig]:
//
//	db := stdlib.OpenDB(*config, stdlib.OptionBeforeConnect(identitypgx.BeforeConnect(cred, nil)))
//
// stdlib.GetConnector takes the same option. sql.Open and stdlib.RegisterConnConfig have no hook,
// and so can't be used. A single connection has none either. Call the hook yourself, on a config
// that only this connection has:
//
//	connect := identitypgx.BeforeConnect(cred, nil) // once
//	own := config.Copy()                            // for each connection
//	if err := connect(ctx, own); err != nil {
//		return err
//	}
//	conn, err := pgx.ConnectConfig(ctx, own)
//
// # How long a connection lives
//
// The server looks at the token when a connection logs in, and not again: an open connection
// outlives its token, and nothing has to be renewed on it. But a token that is captured once, as in
// a connection string, works only until it ends: from then on every new connection fails (SQLSTATE
// 28P01). The hook asks the credential for each connection; a credential of package identity
// answers from its cache. To end the connections of an identity that has lost its rights, set
// pgxpool's MaxConnLifetime, which is 1 h by default, or database/sql's SetConnMaxLifetime.
//
// # User
//
// The user of the connection string is taken as it is. Name a user if the identity is
// system-assigned, or logs in as the role of a group: no token has those names.
//
// Where none is named, the user is the one in the token: the name of the user-assigned managed
// identity, or the first of upn, preferred_username and unique_name, which is a person's. That is
// the order of Microsoft's libraries for other languages. The token for the database is read first;
// if it names nobody, one for Azure Resource Manager is asked for, as those libraries always do.
// If that names nobody either, the error says so, with the identity's object ID.
//
// If none is named, pgx itself takes the name of the operating system's user, and its config
// doesn't show that it did. So a user counts as named if the connection string has one, or the
// variable PGUSER, or if the config has another name than the operating system's user: from a
// service file, or set by your code. One mistake is possible: a role that has the name of the
// operating system's user, and that only a service file or your code names, is taken for pgx's
// guess. Name such a role in the connection string. config.User = "" always means the token's user.
//
// # TLS
//
// The token is the password, in clear text inside TLS. So every server that pgx may try has to be
// reached by TLS, be on loopback, or be a Unix socket; anything else is an error before a token is
// asked for. pgx's default, sslmode=prefer, is refused, because it goes on without TLS when the
// server has none, and so is allow. Set sslmode=verify-full. sslmode=require is taken, but looks at
// no certificate: whoever can answer in the server's place gets a token. A DialFunc that leads
// elsewhere is your own. There is no option that allows clear text. Where something else encrypts,
// as a service mesh does, write a hook of your own with identity.TokenFunc.
//
// # Scope
//
// The scope of the token follows from the server's name. For any other name set Options.Scope.
//
//	*.postgres.database.azure.com         https://ossrdbms-aad.database.windows.net/.default
//	*.postgres.database.usgovcloudapi.net https://ossrdbms-aad.database.usgovcloudapi.net/.default
//	*.postgres.database.chinacloudapi.cn  https://ossrdbms-aad.database.chinacloudapi.cn/.default
//	*.postgres.cosmos.azure.com           https://token.postgres.cosmos.azure.com/.default
//
// # Failures
//
// If there is no token, no connection is opened, and the error wraps the credential's: errors.Is
// and identity.Passing work on it. The wait ends with the context that pgx gives, and with
// connect_timeout where that is set. If it isn't set, a pgxpool sets it to 2 minutes. The pool's
// attempts in the background, for MinConns, have 1 minute for all. A caller of Acquire leaves when
// its own context ends. database/sql and single connections without connect_timeout have the
// caller's context only.
//
// In a readiness probe, call the credential's Ready with the scope above: then the first connection
// finds the token.
//
// No error of this package has a token in it. pgx keeps the token as it keeps any password, in the
// connection's config: don't print that.
//
// # PostgreSQL 18
//
// A server of your own that has the method oauth, and a validator for Entra, asks for OAUTHBEARER.
// The hook serves it as well: it also sets the config's OAuthTokenProvider, to one that returns the
// same token. Set Options.Scope to the scope of the server's application, and the user in the
// connection string.
package identitypgx

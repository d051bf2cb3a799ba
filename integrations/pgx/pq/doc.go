// Package identitypq logs in to PostgreSQL with the token of an Azure identity in place of a
// password, for lib/pq, which has no hook for it. A *sql.DB is opened by
//
//	connector, err := identitypq.NewConnector(
//		"host=orders-db.postgres.database.azure.com dbname=orders sslmode=verify-full", cred, nil)
//	if err != nil {
//		return err
//	}
//	db := sql.OpenDB(connector)
//
// What package identitypgx says of tokens and connections, users, scopes and failures is true here,
// too. What differs:
//
//   - lib/pq's default, sslmode=require, is taken, and looks at no certificate unless there is a
//     ~/.postgresql/root.crt. Set sslmode=verify-full. disable, allow and prefer are refused for
//     any server that isn't on loopback.
//   - The wait for a token ends with the caller's context and with connect_timeout. lib/pq's own
//     handshake with the server ends with connect_timeout only, so set that.
//   - lib/pq takes the variable USER for the operating system's user before it asks the system.
//   - The token is in no connection string, and never in what Config prints. With PQGO_DEBUG=1
//     lib/pq itself prints passwords.
package identitypq

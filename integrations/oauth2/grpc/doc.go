// Package identitygrpc authenticates gRPC calls with the tokens of a managed identity, or of any
// other azcore.TokenCredential, over TLS only.
//
//	conn, err := grpc.NewClient("orders.example.com:443",
//		grpc.WithTransportCredentials(credentials.NewTLS(nil)),
//		grpc.WithPerRPCCredentials(identitygrpc.New(cred, "api://orders/.default")))
//
// With the option grpc.PerRPCCredentials a single call has them instead. The server gets the token
// in the metadata "authorization", as "Bearer …".
//
// # Renewal
//
// The credential is asked at the beginning of each call, with the call's context, which costs less
// than a microsecond while a token is held. A stream keeps the metadata that it began with. Its
// server decides what becomes of the stream when the token ends; gRPC's own servers do nothing.
// gRPC has no claims challenge. If a server refuses a token before its end, Credential.Refresh may
// get another.
//
// # Failures
//
// A call that gets no token fails with a status, and nothing is sent:
//
//   - DeadlineExceeded or Canceled if the call's context has ended;
//   - Unavailable if waiting may help, as identity.Passing says: IMDS is down, say;
//   - Unauthenticated otherwise: no identity is assigned, the scope is wrong, or the connection has
//     no TLS. Failures of credentials that aren't of package identity are among these, too.
//
// The call's error also has the credential's in it: errors.Is finds identity.ErrThrottled, and
// errors.As *identity.AuthenticationError. No error has a token in it.
//
// The credential itself tries again, for up to 75 s with IMDS. So give calls a deadline. A retry
// policy of gRPC's for UNAVAILABLE comes on top, and asks for a token anew each time. WaitForReady
// waits for connections only: a call with it fails with Unavailable just the same.
//
// # Why not by hand
//
// gRPC turns an error that is no status into Internal or Unauthenticated. So no retry policy covers
// an outage, and a deadline isn't seen as one. A token in the metadata of a context, or in
// oauth.TokenSource over oauth2.StaticTokenSource, is never renewed. oauth.TokenSource over any
// other source waits for a token without the call's context.
package identitygrpc

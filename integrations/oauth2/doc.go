// Package identityoauth2 is an oauth2.TokenSource of a managed identity, or of any other
// azcore.TokenCredential: for libraries that take one.
//
//	source := identityoauth2.TokenSource(ctx, cred, "https://api.example.com/.default")
//	client := oauth2.NewClient(ctx, source)
//
// Where you make the http.Client yourself, take identity.Transport instead:
//
//	client := &http.Client{Transport: &identity.Transport{Credential: cred, Scope: scope}}
//
// It is one line as well, and does four things that oauth2's interface can't.
//
//   - It waits for a token as long as the request's context allows. oauth2 doesn't pass the
//     request's context on, and so a request with a deadline of 1 s may wait for 30 s.
//   - Requests wait side by side. Those of oauth2.NewClient wait one after the other, in a lock.
//   - It refuses plain http, and sends no token to another host that a redirect leads to. The
//     client of oauth2 does both.
//   - It answers a claims challenge.
//
// # Renewal, and caches in front
//
// The credential holds the token. From half of the token's life on it renews it in the background,
// when it is asked. So it is best to ask this source for each request, as oauth2.Transport with
// this Source does; that costs about a microsecond. oauth2.NewClient and oauth2.ReuseTokenSource
// put a cache of their own in front, which asks from 10 s before a token's Expiry on. If Expiry
// were the real end, a renewal would have only those 10 s, and an outage of the host at that moment
// would be one of the service.
//
// Therefore Expiry is 10 s after the time at which to ask again, and never past the real end. That
// time is the credential's RefreshOn, or 1 s from now once RefreshOn has passed. So the cache in
// front asks as soon as a renewal is due, and then once a second until the new token has come. In
// an outage it serves the token until 10 s before its real end; from then on it asks each time, and
// still gets that token. The real end is in ExpiresIn, as seconds from now. A token of
// Credential.Refresh shows in such a cache only from RefreshOn on.
//
// # Failures
//
// Errors are the credential's own: errors.Is and errors.As find identity.ErrThrottled and
// *identity.AuthenticationError, also in the *url.Error of an http.Client, and identity.Passing
// says whether waiting may help. No error has a token in it. An oauth2.Token has one, and prints
// it.
//
// # gRPC
//
// [github.com/keyless-go/identity/integrations/oauth2/grpc] has credentials for gRPC, which knows
// the context of each call. There is no need for grpc/credentials/oauth with this source.
package identityoauth2

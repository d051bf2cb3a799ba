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
// It is one line as well, and does four things that oauth2's interface has no place for.
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
// The credential holds the token and renews it in the background from half of its life on, when it
// is asked. So the right thing to do with this source is to ask it each time, which costs about
// a microsecond: as oauth2.Transport with this Source does. oauth2.NewClient and
// oauth2.ReuseTokenSource put a cache of their own in front, which asks 10 s before a token's
// Expiry and not before. With the real end as Expiry, a renewal would have those 10 s, and an
// outage of the host in that moment would be one of the service.
//
// Therefore Expiry is the time at which to ask again, and 10 s: the credential's RefreshOn if that
// is ahead, otherwise 1 s from now; never past the real end. The cache in front then asks as soon
// as a renewal is due, and once a second until it has come; in an outage it serves the token until
// 10 s before its real end, and from then on asks each time, which still gives that token. The
// real end is in ExpiresIn, as seconds from now. What such a cache doesn't see before RefreshOn is
// the token of Credential.Refresh.
//
// # Failures
//
// Errors are the credential's own: errors.Is and errors.As find identity.ErrThrottled and
// *identity.AuthenticationError, also in the *url.Error of an http.Client, and identity.Passing
// says whether waiting may help. No error has a token in it. An oauth2.Token has, and prints it.
//
// # gRPC
//
// [github.com/keyless-go/identity/integrations/oauth2/grpc] has credentials for gRPC, which knows
// the context of each call. There is no need for grpc/credentials/oauth with this source.
package identityoauth2

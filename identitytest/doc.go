// Package identitytest provides fake managed identity endpoints, for testing code that gets its tokens from Azure: what
// net/http/httptest is to net/http. A fake refuses what the real endpoint refuses, with that endpoint's own status and
// body, and can be told to fail, to be slow, to be down for half a day, or to send nonsense.
//
// # In memory
//
// An [Endpoint] is a transport. Nothing is sent, so tests can run in parallel:
//
//	endpoint := identitytest.NewIMDS(nil)
//	credential, err := identity.NewCredential(&identity.CredentialOptions{
//		ClientOptions: azcore.ClientOptions{Transport: endpoint},
//		Host:          identity.HostIMDS,
//	})
//
// # Without touching the code under test
//
// Start listens on loopback and sets the environment variables by which clients find the endpoint. Those of App Service
// are read by every Azure SDK; the one that moves IMDS is read by this module and most SDKs, though not by azidentity
// for Go as of version 1.15:
//
//	endpoint := identitytest.NewAppService(nil)
//	endpoint.Start(t)
//
// # Failures
//
// Scripted answers come before the usual ones. This host throttles twice, then recovers:
//
//	endpoint.Enqueue(identitytest.Response{Status: 429}, identitytest.Response{Status: 429})
//
// # A day in a millisecond
//
// The only clock is time.Now, and an Endpoint used as a transport has no goroutines, so it works in a testing/synctest
// bubble, where time costs nothing:
//
//	synctest.Test(t, func(t *testing.T) {
//		endpoint := identitytest.NewIMDS(nil)
//		service := newService(t, endpoint) // gets its first token
//		endpoint.Enqueue(identitytest.Response{Status: 503, For: 12 * time.Hour})
//		time.Sleep(18 * time.Hour)
//		service.mustWork(t) // a token lives for 24 hours, half of them in the outage
//	})
//
// A renewal that is under way when the bubble ends is a goroutine left behind, which synctest reports. After a test that
// ends in an outage, let it end: time.Sleep(2 * time.Minute) is longer than any acquisition takes by default.
//
// # Another process
//
// An Endpoint is also an HTTP handler. Serve it, and give the child process the variables by which to find it:
//
//	listener, err := net.Listen("tcp", "127.0.0.1:0")
//	go http.Serve(listener, endpoint)
//	command := exec.Command("./service")
//	command.Env = append(os.Environ(), endpoint.Env("http://"+listener.Addr().String())...)
//
// # Tokens
//
// The tokens have the form and the claims of real ones (aud, iss, tid, oid, appid, xms_mirid, exp and so on), and each
// is different unless Options.HostCache is set. They can't be verified: the signature is none. Nothing that checks
// tokens will, or should, accept them.
package identitytest

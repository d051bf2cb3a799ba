// Package identitytest provides fake managed identity endpoints, for testing code that gets its
// tokens from Azure: what net/http/httptest is to net/http. A fake refuses what the real endpoint
// refuses, with that endpoint's own status and body, and can be told to fail, to be slow, to be
// down for half a day, or to send nonsense.
//
// # Hosts
//
//   - [NewIMDS]: virtual machines, scale sets, AKS nodes, Linux container instances
//   - [NewAppService]: App Service, Functions, Logic Apps, Container Apps; [NewAppService2017]:
//     their legacy protocol
//   - [NewServiceFabric]: Service Fabric, over TLS
//   - [NewContainerInstances]: Windows containers of Container Instances; Linux ones have IMDS
//   - [NewArc]: servers that are connected to Azure by Arc, with key files
//   - [NewAzureML]: the compute of Azure Machine Learning
//   - [NewCloudShell]: Cloud Shell
//   - [NewWorkloadIdentity]: Entra, as pods in AKS use it, over TLS, with a token file
//
// # Federated applications
//
// [NewEntra] has applications without a secret, which trust the tokens of other issuers, over TLS.
// [NewGitHubActions] and [NewAzurePipelines] issue such tokens to jobs, and so do the hosts above
// to their managed identities. [Endpoint.FederatedCredentials] makes two fakes fit each other, and
// [Endpoints] is a transport to both:
//
//	github := identitytest.NewGitHubActions(nil)
//	entra := identitytest.NewEntra(&identitytest.Options{
//		FederatedCredentials: github.FederatedCredentials(),
//	})
//
// # In memory
//
// An [Endpoint] is a transport. Nothing is sent, so tests of IMDS can run in parallel:
//
//	endpoint := identitytest.NewIMDS(nil)
//	credential, err := identity.NewCredential(&identity.CredentialOptions{
//		ClientOptions: azcore.ClientOptions{Transport: endpoint},
//		Host:          identity.HostIMDS,
//	})
//
// All other hosts are found by variables, also when the Endpoint is the transport, which is why
// such tests can't run in parallel (see [testing.T.Setenv]). The base URL can be any; Service
// Fabric and workload identity want https:
//
//	endpoint := identitytest.NewAzureML(nil)
//	for _, line := range endpoint.Env("http://localhost") {
//		name, value, _ := strings.Cut(line, "=")
//		t.Setenv(name, value)
//	}
//
// A client that checks the certificate of its host, as this module's does on Service Fabric, wants
// a connection to check. [Endpoint.Client] has one, in memory as well, which speaks TLS if the host
// does:
//
//	endpoint := identitytest.NewServiceFabric(nil)
//	options := azcore.ClientOptions{Transport: endpoint.Client()}
//
// Azure Arc and workload identity have files besides, in a directory that the test provides. It can
// be any: a credential that finds the endpoint by its variables looks for Arc's keys there, rather
// than where the agent has them.
//
//	endpoint := identitytest.NewArc(&identitytest.Options{Dir: t.TempDir()})
//
// # Without touching the code under test
//
// Start listens on loopback and sets the environment variables by which clients find the endpoint.
// Those of App Service are read by every Azure SDK; the one that moves IMDS is read by this module
// and most SDKs, though not by azidentity for Go as of version 1.15:
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
// A host can also mix identities up, or give a token that ends soon:
//
//	endpoint.Enqueue(identitytest.Response{Identity: identitytest.Identity{System: true}})
//	endpoint.Enqueue(identitytest.Response{Lifetime: time.Minute})
//
// # A service that is given a token
//
// A stand-in for the service asks [Endpoint.Verify] whose a token is, what for, and whether it is
// still good. [Options.Issued] tells a real one, such as a database of the test's, of each token in
// time. A short [Options.Lifetime] makes a credential renew its token: from half of it on, and at
// most once in a second.
//
// # A day in a millisecond
//
// The only clock is time.Now. An Endpoint used as a transport has no goroutines, and those of its
// Client end with the exchange. So both work in a testing/synctest bubble, where time costs
// nothing:
//
//	synctest.Test(t, func(t *testing.T) {
//		endpoint := identitytest.NewIMDS(nil)
//		service := newService(t, endpoint) // gets its first token
//		endpoint.Enqueue(identitytest.Response{Status: 503, For: 12 * time.Hour})
//		time.Sleep(18 * time.Hour)
//		service.mustWork(t) // a token lives for 24 hours, half of them in the outage
//	})
//
// A credential renews its token in the background. [Endpoint.Settle] waits for that, in a bubble
// and outside of one. A renewal that is under way when the bubble ends is a goroutine left behind,
// and synctest reports it: call Settle also at the end of a test that ends in an outage.
//
// In FIPS 140-3 mode (GODEBUG=fips140=on) Go 1.26 panics when two goroutines of a bubble read
// crypto/rand at the same instant: "fips140/drbg: failed to obtain initial entropy". Go 1.27 has
// mended that. The fakes are safe from it: importing this package seeds crypto/rand, and where it
// matters the handshakes of [Endpoint.Client] happen one after the other, in all bubbles. If your
// own code reads crypto/rand in bubbles, or serves TLS with [Endpoint.TLSConfig] there, run those
// tests one at a time (go test -parallel 1).
//
// # A report from the field
//
// [Replay] plays what examples/whoami has recorded on a machine that isn't at hand: its answers,
// its silences and its broken connections, with placeholders for secrets and identifiers. So a
// report becomes a test in one line:
//
//	endpoint := identitytest.Replay(t, "testdata/report.json")
//
// # Another process
//
// An Endpoint is also an HTTP handler. Serve it, and give the child process the variables by which
// to find it:
//
//	listener, err := net.Listen("tcp", "127.0.0.1:0")
//	go http.Serve(listener, endpoint)
//	command := exec.Command("./service")
//	command.Env = append(os.Environ(), endpoint.Env("http://"+listener.Addr().String())...)
//
// A host with TLS wants [Endpoint.TLSConfig], and a URL with https. [Endpoint.Env] says what else
// another process needs for Azure Arc and for workload identity.
//
// # Tokens
//
// The tokens have the form and the claims of real ones (aud, iss, tid, oid, appid, xms_mirid, exp
// and so on), and each is different unless Options.HostCache is set. They aren't signed: nothing
// that checks tokens will accept them, and nothing should. Only [Endpoint.Verify] knows those of
// its own endpoint.
package identitytest

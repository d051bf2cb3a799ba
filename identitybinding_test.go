package identity

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/google/go-cmp/cmp"
	"github.com/keyless-go/identity/internal/binding"
)

const someAuthority = "https://login.identity-test.invalid"

func TestIdentityBinding(t *testing.T) {
	t.Parallel()
	const name, untrusted = "binding.identity-test.invalid", "certificate"
	authority, stranger := newCertifier(t), newCertifier(t)
	ours, strangers := string(authority.pem), string(stranger.pem)
	byAddress, byName := authority.certify(t, "127.0.0.1"), authority.certify(t, name)
	for _, tt := range []struct {
		name string
		// nil is that of the fake Entra, which this process trusts there
		certificate *tls.Certificate
		path        string
		data        string // AZURE_KUBERNETES_CA_DATA
		file        string // content of the CA file, if there is to be one
		sni         string
		want        string // in the error, "" for a token
	}{
		{name: "CA data", certificate: byAddress, data: ours},
		{name: "CA data of several", certificate: byAddress, data: strangers + "\n# ours\n" + ours},
		{name: "CA file", certificate: byAddress, file: ours},
		{name: "path", certificate: byAddress, path: "/identity", data: ours},
		{name: "path with a slash", certificate: byAddress, path: "/a/b/", data: ours},
		{name: "SNI name", certificate: byName, data: ours, sni: name},
		{name: "SNI name with a file", certificate: byName, file: ours, sni: name},
		{name: "no SNI name", certificate: byName, data: ours, want: untrusted},
		{name: "another SNI name", certificate: byAddress, data: ours, sni: name, want: untrusted},
		{name: "SNI name does not replace trust", certificate: byName, sni: name, want: untrusted},
		{name: "CA data of a stranger", certificate: byAddress, data: strangers, want: untrusted},
		{name: "CA file of a stranger", certificate: byAddress, file: strangers, want: untrusted},
		{name: "no CA is the system's", certificate: byAddress, want: untrusted},
		{name: "the fake's certificate is Entra's only", want: untrusted},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ep := newEntra(t)
			if tt.certificate == nil {
				tt.certificate = pairOf(ep)
			}
			path := strings.TrimSuffix(tt.path, "/")
			server := serveSecurely(t, tt.certificate, http.StripPrefix(path, ep))
			env := environmentAt(ep, someAuthority).with(binding.EnvProxy, server.URL+tt.path,
				binding.EnvCAData, tt.data, binding.EnvSNIName, tt.sni)
			if tt.file != "" {
				env = env.with(binding.EnvCAFile, assertionFile(t, tt.file))
			}
			cred := credentialAt(t, env, nil, once)
			if tt.want == "" {
				mustToken(t, cred)
			} else {
				e, _ := mustFail(t, cred)
				wantErrorText(t, e, tt.want, server.URL)
			}
			if diff := cmp.Diff([]string{tt.sni}, server.serverNames()); diff != "" {
				t.Errorf("server names in the client's hello (-want +got):\n%s", diff)
			}
			if tt.want != "" {
				if server.requests.Load() != 0 {
					t.Errorf("the assertion was sent")
				}
				return
			}
			requests := ep.Requests()
			if len(requests) != 1 || !requests[0].Close {
				t.Fatalf("%d requests, or the connection is kept", len(requests))
			}
			at, err := url.Parse(env.getenv(envAuthorityHost))
			if err != nil {
				t.Fatal(err)
			}
			want := at.Path + env.getenv(envTenantID) + tokenPath
			got, asked := requests[0].URL.Path, cred.hosted.host.Endpoint()
			if got != want || asked != server.URL+path+want || detectIn(env).Endpoint != asked {
				t.Errorf("path is %s, want %s; the endpoint is %s, Detect says %s", got, want, asked,
					detectIn(env).Endpoint)
			}
		})
	}
}

// bindingAt is a credential behind a binding whose authorities are in a file, at a server of a fake
// Entra with a certificate of the first of them.
func bindingAt(
	tb testing.TB, by *certifier, file string, adjust ...func(*CredentialOptions),
) (*Credential, *secureServer) {
	tb.Helper()
	ep := newEntra(tb)
	server := serveSecurely(tb, by.certify(tb, "127.0.0.1"), ep)
	env := environmentAt(ep, someAuthority).with(binding.EnvProxy, server.URL, binding.EnvCAFile, file)
	return credentialAt(tb, env, nil, adjust...), server
}

func TestIdentityBindingReadsItsFileAgain(t *testing.T) {
	t.Parallel()
	first, second := newCertifier(t), newCertifier(t)
	file := assertionFile(t, string(first.pem))
	cred, server := bindingAt(t, first, file, once)
	for i, tt := range []struct {
		when   string
		file   string     // its new content; "-" for none, "" as before
		server *certifier // its new authority, if not as before
		fails  []string
	}{
		{when: "at first"},
		{when: "being replaced", file: " "},
		{when: "the server is ahead of the file", server: second, fails: []string{"certificate"}},
		{when: "the file has followed", file: string(second.pem)},
		{when: "the first is no longer trusted", server: first, fails: []string{"certificate"}},
		{when: "both are", file: string(second.pem) + string(first.pem)},
		{when: "half written", file: "-----BEGIN CERT", fails: []string{binding.EnvCAFile}},
		{when: "empty after nonsense", file: " "},
		{when: "missing", file: "-", fails: []string{binding.EnvCAFile, file, "no such file"}},
		{when: "back again", file: string(first.pem)},
	} {
		switch tt.file {
		case "":
		case "-":
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
		default:
			write(t, file, strings.TrimSpace(tt.file))
		}
		if tt.server != nil {
			server.certificate.Store(tt.server.certify(t, "127.0.0.1"))
		}
		sent := server.requests.Load()
		_, err := cred.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: scopesOf(i + 1)[i:]})
		if tt.fails == nil && err != nil {
			t.Errorf("%s: %v", tt.when, err)
		}
		if tt.fails != nil {
			wantErrorText(t, err, tt.fails...)
			if server.requests.Load() != sent {
				t.Errorf("%s: the assertion was sent", tt.when)
			}
		}
	}
}

// TestIdentityBindingWaitsForItsFile: it may be projected after the program has started.
func TestIdentityBindingWaitsForItsFile(t *testing.T) {
	t.Parallel()
	authority := newCertifier(t)
	for _, tt := range []struct{ name, content, want string }{
		{name: "missing", want: "no such file"},
		{name: "empty", want: "is empty"},
		{name: "nonsense", content: canary, want: "PEM"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			file := assertionFile(t, tt.content)
			if tt.name == "missing" {
				_ = os.Remove(file)
			}
			var tries atomic.Int64
			cred, server := bindingAt(t, authority, file, func(o *CredentialOptions) {
				o.Retry = policy.RetryOptions{MaxRetries: 3, RetryDelay: time.Millisecond}
				o.PerRetryPolicies = []policy.Policy{policyFunc(func(r *policy.Request) (*http.Response, error) {
					resp, err := r.Next()
					if tries.Add(1) == 5 { // in the second acquisition
						write(t, file, string(authority.pem))
					}
					return resp, err
				})}
			})
			e, _ := mustFail(t, cred)
			wantErrorText(t, e, binding.EnvCAFile+": "+strconv.Quote(file)+": ", tt.want, "4 attempts")
			if strings.Contains(fmt.Sprintf("%+v", e), canary) || server.requests.Load() != 0 ||
				strings.Count(e.Error(), "identity: ") > len([]string{"identity: ", "workload identity: "}) {
				t.Errorf("%d requests, the file's content is shown, or the prefix is in the middle, too: %+v",
					server.requests.Load(), e)
			}
			if err := anotherToken(cred); err != nil {
				t.Errorf("the file is there now: %v", err)
			}
		})
	}
}

// TestIdentityBindingHints: what is wrong then is in other variables than Entra's.
func TestIdentityBindingHints(t *testing.T) {
	t.Parallel()
	cred, _ := bindingAt(t, newCertifier(t), assertionFile(t, string(newCertifier(t).pem)), once)
	e, _ := mustFail(t, cred)
	wantErrorText(t, e, "certificate", binding.EnvProxy)
	if strings.Contains(e.Error(), envAuthorityHost) {
		t.Errorf("the hint is about Entra, which was not asked: %v", e)
	}
}

// TestIdentityBindingAtOnce: fifty exchanges while the file is being replaced.
func TestIdentityBindingAtOnce(t *testing.T) {
	t.Parallel()
	authority := newCertifier(t)
	file := assertionFile(t, string(authority.pem))
	cred, server := bindingAt(t, authority, file)
	mustToken(t, cred) // an empty file is good only after one that wasn't
	var stop atomic.Bool
	var replacing, asking sync.WaitGroup
	replacing.Go(func() {
		for i := 0; !stop.Load(); i++ {
			content := string(authority.pem) + strings.Repeat("\n", i%3)
			if i%4 == 3 {
				content = ""
			}
			next := fmt.Sprintf("%s.%d", file, i%2)
			write(t, next, content)
			if err := os.Rename(next, file); err != nil {
				t.Error(err)
			}
			runtime.Gosched()
		}
	})
	for _, scope := range scopesOf(50) {
		asking.Go(func() { askFor(t, cred, policy.TokenRequestOptions{Scopes: []string{scope}}) })
	}
	asking.Wait()
	stop.Store(true)
	replacing.Wait()
	if n := server.requests.Load(); n != 51 {
		t.Errorf("%d requests, want 51", n)
	}
}

// TestIdentityBindingWithATransport: a Transport of the user's is used as given, at the proxy's
// address.
func TestIdentityBindingWithATransport(t *testing.T) {
	t.Parallel()
	entra := &entraStub{}
	mustToken(t, credentialAt(t,
		inPod(t, binding.EnvProxy, "https://10.0.0.1", binding.EnvCAFile, "/does/not/exist"), entra))
	if got := entra.got(); len(got) != 1 || got[0].URL.Host != "10.0.0.1" {
		t.Errorf("got %v, want one request to 10.0.0.1", got)
	}
}

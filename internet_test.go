package identity

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/google/go-cmp/cmp"
	"github.com/keyless-go/identity/identitytest"
	"github.com/keyless-go/identity/internal/tokencache"
)

// certifier is an authority that servers of these tests have their certificates from.
type certifier struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	pem         []byte
}

func newCertifier(tb testing.TB) *certifier {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: tb.Name() + rand.Text()},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		tb.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		tb.Fatal(err)
	}
	return &certifier{certificate, key, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}
}

// certify makes a certificate for names and addresses.
func (c *certifier) certify(tb testing.TB, names ...string) *tls.Certificate {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "server"},
		NotBefore: c.certificate.NotBefore, NotAfter: c.certificate.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, c.certificate, key.Public(), c.key)
	if err != nil {
		tb.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// secureServer is a server with TLS on loopback, whose certificate can be replaced, and which notes what clients want.
type secureServer struct {
	*httptest.Server
	certificate atomic.Pointer[tls.Certificate]
	requests    atomic.Int64

	mu    sync.Mutex
	names []string // in the client's hello
}

func serveSecurely(tb testing.TB, certificate *tls.Certificate, handler http.Handler, adjust ...func(*tls.Config)) *secureServer {
	tb.Helper()
	s := &secureServer{}
	s.certificate.Store(certificate)
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.requests.Add(1)
		handler.ServeHTTP(w, r)
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // clients that refuse the certificate are the point
	s.TLS = &tls.Config{GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		s.mu.Lock()
		s.names = append(s.names, hello.ServerName)
		s.mu.Unlock()
		config := &tls.Config{Certificates: []tls.Certificate{*s.certificate.Load()}}
		for _, f := range adjust {
			f(config)
		}
		return config, nil
	}}
	s.StartTLS()
	tb.Cleanup(s.Close)
	return s
}

func (s *secureServer) serverNames() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.names)
}

// pairOf is the certificate of a fake Entra.
func pairOf(ep *identitytest.Endpoint) *tls.Certificate { return &ep.TLSConfig().Certificates[0] }

// pemOf is it as a file of trusted certificates has it.
func pemOf(ep *identitytest.Endpoint) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pairOf(ep).Certificate[0]}))
}

func newEntra(tb testing.TB) *identitytest.Endpoint {
	tb.Helper()
	return identitytest.NewWorkloadIdentity(&identitytest.Options{Dir: tb.TempDir()})
}

// with returns the environment with other values for some variables.
func (env environment) with(pairs ...string) environment {
	given := env.getenv
	env.getenv = func(name string) string {
		for i := 0; i+1 < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1]
			}
		}
		return given(name)
	}
	return env
}

func oneTry(o *CredentialOptions) { o.Retry.MaxRetries = -1 }

// TestWorkloadDefaultPath is the whole of it as a user's test has it: the fake is started, and the program knows nothing.
func TestWorkloadDefaultPath(t *testing.T) { // not parallel: it sets variables
	ep := newEntra(t)
	ep.Start(t)
	for range 2 { // share tokens
		cred, err := NewCredential(nil)
		if err != nil {
			t.Fatal(err)
		}
		if cred.Host() != HostWorkloadIdentity {
			t.Fatalf("host is %v", cred.Host())
		}
		mustToken(t, cred)
	}
	ep.RotateSecret()
	cred, err := NewCredential(nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := anotherToken(cred); err != nil {
		t.Error(err)
	}
	requests := ep.Requests()
	if len(requests) != 2 {
		t.Errorf("%d requests, want 2: one per resource", len(requests))
	}
	for _, r := range requests {
		if !r.Close {
			t.Error("the connection would be kept: a pooled one poisons a later call")
		}
		if r.Header.Get("X-Forwarded-For") != "" || r.Header.Get("Authorization") != "" || r.Header.Get("Transfer-Encoding") != "" {
			t.Errorf("headers nobody asked for: %v", r.Header)
		}
	}
}

// TestWorkloadTrustsOnlyTheSystem: what the fake registers is for the fake's own path, and for nobody else.
func TestWorkloadTrustsOnlyTheSystem(t *testing.T) {
	t.Parallel()
	ep := newEntra(t)
	trusted := serveSecurely(t, pairOf(ep), ep)
	strange := serveSecurely(t, newCertifier(t).certify(t, "127.0.0.1"), ep)
	old := serveSecurely(t, pairOf(ep), ep, func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 })
	for _, tt := range []struct {
		name   string
		server *secureServer
		env    environment
		want   string // in the error; "" for a token
	}{
		{"the fake", trusted, environmentAt(ep, trusted.URL), ""},
		{"the fake, without its path", trusted, environmentAt(ep, trusted.URL).with(envAuthorityHost, trusted.URL), "certificate"},
		{"the fake, with its path not at the head", trusted, environmentAt(ep, trusted.URL+"/x"), "certificate"},
		{"the fake's path at a server of another certificate", strange, environmentAt(ep, strange.URL), "certificate"},
		{"another server", strange, inPod(t, envAuthorityHost, strange.URL), "certificate"},
		{"TLS 1.1", old, environmentAt(ep, old.URL), "protocol version"},
		{"no TLS", nil, inPod(t), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.server == nil {
				plain := httptest.NewServer(ep)
				defer plain.Close()
				tt.env, tt.want = tt.env.with(envAuthorityHost, strings.Replace(plain.URL, "http:", "https:", 1)), "HTTP"
			} else {
				tt.server.requests.Store(0)
			}
			cred := credentialAt(t, tt.env, nil, oneTry)
			if tt.want == "" {
				mustToken(t, cred)
				return
			}
			e, _ := mustFail(t, cred)
			wantErrorText(t, e, tt.want, cred.hosted.host.Endpoint(), "HTTPS_PROXY")
			if tt.server != nil && tt.server.requests.Load() != 0 {
				t.Error("the assertion was sent")
			}
		})
	}
}

// TestWorkloadRedirectsCarryNoAssertion: 307 and 308 would repeat the form at the second server.
func TestWorkloadRedirectsCarryNoAssertion(t *testing.T) {
	t.Parallel()
	ep := newEntra(t)
	var bodies atomic.Int64
	elsewhere := serveSecurely(t, pairOf(ep), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if body, _ := io.ReadAll(r.Body); len(body) > 0 {
			bodies.Add(1)
		}
		_, _ = io.WriteString(w, entraGrant("stolen", time.Hour))
	}))
	status := 0
	redirecting := serveSecurely(t, pairOf(ep), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, elsewhere.URL+r.URL.Path, status)
	}))
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(pemOf(ep)))
	own := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, DisableKeepAlives: true}}
	env := environmentAt(ep, redirecting.URL)
	for _, tt := range []struct {
		name      string
		env       environment
		transport policy.Transporter
	}{
		{"default", env, nil},
		{"a client of the user's", env, own},
		{"identity binding", env.with(envTokenProxy, redirecting.URL, envCAData, pemOf(ep)), nil},
	} {
		for _, status = range []int{301, 302, 303, 307, 308} {
			redirecting.requests.Store(0)
			cred := credentialAt(t, tt.env, tt.transport, oneTry)
			cred.tokens = tokencache.New() // a cool-down would answer for the next one
			e, _ := mustFail(t, cred)
			if e.StatusCode != status || redirecting.requests.Load() != 1 {
				t.Errorf("%s, %d: %d requests, got %v", tt.name, status, redirecting.requests.Load(), e)
			}
			wantErrorText(t, e, "redirect")
			if n := elsewhere.requests.Load(); n != 0 {
				t.Fatalf("%s, %d: the redirect was followed, %d times with a body", tt.name, status, bodies.Load())
			}
		}
	}
	if own.CheckRedirect != nil {
		t.Error("the user's client was changed")
	}
	// A client with a rule of its own is the user's responsibility. It shows that there was something to lose.
	following := *own
	following.CheckRedirect = func(*http.Request, []*http.Request) error { return nil }
	status = 307
	if tk, _ := mustToken(t, credentialAt(t, env, &following, oneTry)); tk.Token != "stolen" || bodies.Load() != 1 {
		t.Errorf("a client that follows redirects got %q, %d bodies arrived: this test can't fail", tk.Token, bodies.Load())
	}
	runtime.KeepAlive(ep) // its certificate is trusted for as long as it is in use
}

// inProxyTest tells the test binary that it is the child: net/http reads the proxies' variables once in a process.
const inProxyTest = "IDENTITY_TEST_BEHIND_PROXY"

// connectProxy is a proxy on loopback. All that clients send through it, it has seen.
type connectProxy struct {
	*httptest.Server
	to string // where tunnels lead, whatever was asked for

	mu       sync.Mutex
	requests []string // method, target and credentials
	through  bytes.Buffer
}

func newConnectProxy(tb testing.TB, to string) *connectProxy {
	p := &connectProxy{to: to}
	p.Server = httptest.NewServer(p)
	tb.Cleanup(p.Close)
	return p
}

func (p *connectProxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.requests = append(p.requests, strings.TrimSpace(r.Method+" "+r.RequestURI+" "+r.Header.Get("Proxy-Authorization")))
	p.mu.Unlock()
	body, _ := io.ReadAll(r.Body)
	_, _ = p.Write(body)
	for name, values := range r.Header {
		_, _ = fmt.Fprintf(p, "%s: %s\n", name, values)
	}
	if r.Method != http.MethodConnect {
		http.Error(w, "CONNECT only", http.StatusMethodNotAllowed)
		return
	}
	server, err := net.Dial("tcp", p.to)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer server.Close()
	client, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer client.Close()
	_, _ = io.WriteString(client, "HTTP/1.1 200 Connection established\r\n\r\n")
	go func() {
		_, _ = io.Copy(server, io.TeeReader(bufio.NewReader(buffered), p))
		_ = server.(*net.TCPConn).CloseWrite()
	}()
	_, _ = io.Copy(client, server)
}

// Write implements io.Writer: it notes what came through.
func (p *connectProxy) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.through.Write(b)
}

func (p *connectProxy) seen() (requests []string, through string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.requests), p.through.String()
}

// TestWorkloadThroughProxy runs the unmodified default path in a process of its own, for a name that no resolver knows, so
// that nothing but the proxy can lead to the server.
func TestWorkloadThroughProxy(t *testing.T) {
	if os.Getenv(inProxyTest) != "" {
		behindProxy()
		return
	}
	t.Parallel()
	if runtime.GOOS == "windows" || runtime.GOOS == "darwin" {
		t.Skip("SSL_CERT_FILE is for other systems")
	}
	const name = "login.identity-test.invalid"
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name     string
		env      []string // %s is the proxy's address
		requests []string // at the proxy; none: it isn't asked, and there is no token
		want     string   // in the error, "" for a token
	}{
		{"HTTPS_PROXY", []string{"HTTPS_PROXY=http://%s"}, []string{"CONNECT " + name + ":443"}, ""},
		{"https_proxy", []string{"https_proxy=http://%s"}, []string{"CONNECT " + name + ":443"}, ""},
		{"without a scheme", []string{"HTTPS_PROXY=%s"}, []string{"CONNECT " + name + ":443"}, ""},
		{"with a password", []string{"HTTPS_PROXY=http://user:pa55word@%s"}, []string{"CONNECT " + name + ":443 Basic dXNlcjpwYTU1d29yZA=="}, ""},
		{"HTTP_PROXY is for http", []string{"HTTP_PROXY=http://%s"}, nil, "no such name"},
		{"NO_PROXY", []string{"HTTPS_PROXY=http://%s", "NO_PROXY=" + name}, nil, "no such name"},
		{"down", []string{"HTTPS_PROXY=http://user:pa55word@127.0.0.1:1"}, nil, "proxyconnect"},
		{"malformed is none", []string{"HTTPS_PROXY=http://user:pa55word%%zz@127.0.0.1:1"}, nil, "no such name"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ep := newEntra(t)
			authority := newCertifier(t)
			server := serveSecurely(t, authority.certify(t, name), ep)
			proxy := newConnectProxy(t, server.Listener.Addr().String())
			trusted := filepath.Join(t.TempDir(), "ca.pem")
			if err := os.WriteFile(trusted, authority.pem, 0o600); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			child := exec.CommandContext(ctx, program, "-test.run=^TestWorkloadThroughProxy$")
			child.Env = append(ep.Env("https://"+name), inProxyTest+"=1", "SSL_CERT_FILE="+trusted, "SSL_CERT_DIR="+t.TempDir(), "HOME="+t.TempDir())
			for _, line := range tt.env {
				child.Env = append(child.Env, strings.ReplaceAll(strings.ReplaceAll(line, "%s", proxy.Listener.Addr().String()), "%%", "%"))
			}
			out, err := child.CombinedOutput()
			if err != nil {
				t.Fatalf("child: %v\n%s", err, out)
			}
			requests, through := proxy.seen()
			if diff := cmp.Diff(tt.requests, requests); diff != "" {
				t.Errorf("requests at the proxy (-want +got):\n%s", diff)
			}
			got := string(out)
			if strings.Contains(got, "pa55word") {
				t.Errorf("the proxy's password is shown: %s", got)
			}
			if tt.want != "" {
				if !strings.Contains(got, "ERROR: identity: workload identity: ") || !strings.Contains(got, tt.want) || !strings.Contains(got, "HTTPS_PROXY") || !strings.Contains(got, "https://"+name) {
					t.Errorf("got %s, want an error that names the endpoint, HTTPS_PROXY and %q", got, tt.want)
				}
				if n := len(ep.Requests()); n != 0 {
					t.Errorf("%d requests, want none", n)
				}
				return
			}
			if !strings.Contains(got, "TOKEN of workload identity") || len(ep.Requests()) != 1 {
				t.Fatalf("%d requests, got %s", len(ep.Requests()), got)
			}
			r := ep.Requests()[0]
			if err := r.ParseForm(); err != nil {
				t.Fatal(err)
			}
			assertion := r.PostForm.Get("client_assertion")
			if assertion == "" || len(through) < len(assertion) {
				t.Fatalf("the tunnel carried %d bytes, the assertion has %d: this test sees nothing", len(through), len(assertion))
			}
			for _, secret := range []string{assertion, strings.Split(assertion, ".")[1], "client_assertion", "/oauth2/"} {
				if strings.Contains(through, secret) {
					t.Errorf("the proxy saw %q", secret)
				}
			}
		})
	}
}

// behindProxy is the program under test.
func behindProxy() {
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		return nil, errors.New("no such name")
	}}
	options := &CredentialOptions{}
	oneTry(options)
	cred, err := NewCredential(options)
	if err == nil {
		_, err = getToken(context.Background(), cred)
	}
	if err != nil {
		fmt.Println("ERROR:", err)
		return
	}
	fmt.Println("TOKEN of", cred.Host())
}

// Identity bindings.

func TestIdentityBinding(t *testing.T) {
	t.Parallel()
	const name = "binding.identity-test.invalid"
	authority, stranger := newCertifier(t), newCertifier(t)
	byAddress, byName := authority.certify(t, "127.0.0.1"), authority.certify(t, name)
	for _, tt := range []struct {
		name        string
		certificate *tls.Certificate // nil is that of the fake Entra, which this process trusts there
		path        string
		variables   []string // beside the proxy
		file        string   // content of the CA file, if there is to be one
		serverName  string   // in the hello
		want        string   // in the error, "" for a token
	}{
		{"CA data", byAddress, "", []string{envCAData, string(authority.pem)}, "", "", ""},
		{"CA data of several", byAddress, "", []string{envCAData, string(stranger.pem) + "\n# ours\n" + string(authority.pem)}, "", "", ""},
		{"CA file", byAddress, "", nil, string(authority.pem), "", ""},
		{"path", byAddress, "/identity", []string{envCAData, string(authority.pem)}, "", "", ""},
		{"path with a slash", byAddress, "/a/b/", []string{envCAData, string(authority.pem)}, "", "", ""},
		{"SNI name", byName, "", []string{envCAData, string(authority.pem), envSNIName, name}, "", name, ""},
		{"SNI name with a file", byName, "", []string{envSNIName, name}, string(authority.pem), name, ""},
		{"no SNI name", byName, "", []string{envCAData, string(authority.pem)}, "", "", "certificate"},
		{"another SNI name", byAddress, "", []string{envCAData, string(authority.pem), envSNIName, name}, "", name, "certificate"},
		{"SNI name does not replace trust", byName, "", []string{envSNIName, name}, "", name, "certificate"},
		{"CA data of a stranger", byAddress, "", []string{envCAData, string(stranger.pem)}, "", "", "certificate"},
		{"CA file of a stranger", byAddress, "", nil, string(stranger.pem), "", "certificate"},
		{"no CA is the system's", byAddress, "", nil, "", "", "certificate"},
		{"the fake's certificate is Entra's only", nil, "", nil, "", "", "certificate"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ep := newEntra(t)
			certificate := tt.certificate
			if certificate == nil {
				certificate = pairOf(ep)
			}
			path := strings.TrimSuffix(tt.path, "/")
			server := serveSecurely(t, certificate, http.StripPrefix(path, ep))
			env := environmentAt(ep, "https://login.identity-test.invalid").with(envTokenProxy, server.URL+tt.path).with(tt.variables...)
			if tt.file != "" {
				env = env.with(envCAFile, assertionFile(t, tt.file))
			}
			cred := credentialAt(t, env, nil, oneTry)
			var err error
			if tt.want == "" {
				mustToken(t, cred)
			} else {
				err, _ = mustFail(t, cred)
				wantErrorText(t, err, tt.want, server.URL)
			}
			if diff := cmp.Diff([]string{tt.serverName}, server.serverNames()); diff != "" {
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
			authorityPath, err := url.Parse(env.getenv(envAuthorityHost))
			if err != nil {
				t.Fatal(err)
			}
			if got, want := requests[0].URL.Path, authorityPath.Path+env.getenv(envTenantID)+"/oauth2/v2.0/token"; got != want {
				t.Errorf("path is %s, want %s", got, want)
			}
			if got, want := cred.hosted.host.Endpoint(), server.URL+path+requests[0].URL.Path; got != want {
				t.Errorf("endpoint is %s, want %s", got, want)
			}
		})
	}
}

// TestIdentityBindingIsDetected: what Detect says must be what is asked.
func TestIdentityBindingIsDetected(t *testing.T) {
	t.Parallel()
	for _, proxy := range []string{"", "https://10.0.0.1:6443/identity"} {
		env := inPod(t, envTokenProxy, proxy)
		cred := credentialAt(t, env, nil)
		if got, want := detect(env).Endpoint, cred.hosted.host.Endpoint(); got != want {
			t.Errorf("proxy %q: Detect says %s, asked is %s", proxy, got, want)
		}
	}
}

// bindingAt is a credential behind a binding whose authorities are in a file, at a server of a fake Entra.
func bindingAt(tb testing.TB, certificate *tls.Certificate, file string, adjust ...func(*CredentialOptions)) (*Credential, *secureServer) {
	tb.Helper()
	ep := newEntra(tb)
	server := serveSecurely(tb, certificate, ep)
	env := environmentAt(ep, "https://login.identity-test.invalid").with(envTokenProxy, server.URL, envCAFile, file)
	return credentialAt(tb, env, nil, adjust...), server
}

func TestIdentityBindingReadsItsFileAgain(t *testing.T) {
	t.Parallel()
	first, second := newCertifier(t), newCertifier(t)
	file := assertionFile(t, string(first.pem))
	cred, server := bindingAt(t, first.certify(t, "127.0.0.1"), file, oneTry)
	n := 0
	get := func() error {
		n++
		_, err := cred.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{fmt.Sprintf("https://resource-%d.example/.default", n)}})
		return err
	}
	write := func(content string) {
		t.Helper()
		contentOf(content)(t, file)
	}
	works := func(when string) {
		t.Helper()
		if err := get(); err != nil {
			t.Errorf("%s: %v", when, err)
		}
	}
	fails := func(when string, want ...string) {
		t.Helper()
		sent := server.requests.Load()
		if err := get(); err == nil {
			t.Errorf("%s: got a token", when)
		} else {
			wantErrorText(t, err, want...)
		}
		if server.requests.Load() != sent {
			t.Errorf("%s: the assertion was sent", when)
		}
	}
	works("at first")
	client, err := cred.hosted.host.(*workload).binding.current()
	if err != nil {
		t.Fatal(err)
	}
	works("unchanged")
	if again, _ := cred.hosted.host.(*workload).binding.current(); again != client {
		t.Error("a client was made anew although the file is the same")
	}
	write("")
	works("being replaced")
	server.certificate.Store(second.certify(t, "127.0.0.1"))
	fails("the server is ahead of the file", "certificate")
	write(string(second.pem))
	works("the file has followed")
	server.certificate.Store(first.certify(t, "127.0.0.1"))
	fails("the first authority is no longer trusted", "certificate")
	write(string(second.pem) + string(first.pem))
	works("both are")
	write("-----BEGIN CERT")
	fails("half written", "AZURE_KUBERNETES_CA_FILE")
	write("")
	works("empty after nonsense")
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	fails("missing", "AZURE_KUBERNETES_CA_FILE", file, "no such file")
	write(string(first.pem))
	works("back again")
}

// TestIdentityBindingWaitsForItsFile: it may be projected after the program has started.
func TestIdentityBindingWaitsForItsFile(t *testing.T) {
	t.Parallel()
	authority := newCertifier(t)
	for _, tt := range []struct {
		name  string
		begin func(file string) error
		want  string
	}{
		{"missing", os.Remove, "no such file"},
		{"empty", func(file string) error { return os.WriteFile(file, nil, 0o600) }, "is empty"},
		{"nonsense", func(file string) error { return os.WriteFile(file, []byte(canary), 0o600) }, "PEM"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			file := assertionFile(t, "")
			if err := tt.begin(file); err != nil {
				t.Fatal(err)
			}
			var tries atomic.Int64
			cred, server := bindingAt(t, authority.certify(t, "127.0.0.1"), file, func(o *CredentialOptions) {
				o.Retry = policy.RetryOptions{MaxRetries: 3, RetryDelay: time.Millisecond}
				o.PerRetryPolicies = []policy.Policy{policyFunc(func(req *policy.Request) (*http.Response, error) {
					resp, err := req.Next()
					if tries.Add(1) == 5 { // in the second acquisition
						contentOf(string(authority.pem))(t, file)
					}
					return resp, err
				})}
			})
			e, _ := mustFail(t, cred)
			wantErrorText(t, e, "AZURE_KUBERNETES_CA_FILE", tt.want, "4 attempts")
			if strings.Contains(fmt.Sprintf("%+v", e), canary) || server.requests.Load() != 0 {
				t.Errorf("%d requests, or the file's content is shown: %+v", server.requests.Load(), e)
			}
			if err := anotherToken(cred); err != nil {
				t.Errorf("the file is there now: %v", err)
			}
		})
	}
}

// TestIdentityBindingHints: what is wrong then is in other variables than Entra's, and in a file that has a name.
func TestIdentityBindingHints(t *testing.T) {
	t.Parallel()
	t.Run("no connection", func(t *testing.T) {
		t.Parallel()
		cred, _ := bindingAt(t, newCertifier(t).certify(t, "127.0.0.1"), assertionFile(t, string(newCertifier(t).pem)), oneTry)
		e, _ := mustFail(t, cred)
		wantErrorText(t, e, "certificate", "AZURE_KUBERNETES_TOKEN_PROXY")
		if strings.Contains(e.Error(), "AZURE_AUTHORITY_HOST") {
			t.Errorf("the hint is about Entra, which was not asked: %v", e)
		}
	})
	t.Run("nonsense in the file", func(t *testing.T) {
		t.Parallel()
		file := assertionFile(t, "nonsense")
		cred, _ := bindingAt(t, newCertifier(t).certify(t, "127.0.0.1"), file, oneTry)
		e, _ := mustFail(t, cred)
		wantErrorText(t, e, "AZURE_KUBERNETES_CA_FILE: "+strconv.Quote(file)+": ", "PEM")
		if strings.Count(e.Error(), "identity: ") > len([]string{"identity: ", "workload identity: "}) {
			t.Errorf("the prefix stands in the middle, too: %v", e)
		}
	})
}

// TestIdentityBindingFileThatIsAPipe: opening it would wait for somebody who writes, and no context ends that.
func TestIdentityBindingFileThatIsAPipe(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "ca.pem")
	if out, err := exec.Command("mkfifo", file).CombinedOutput(); err != nil {
		t.Skipf("no mkfifo: %v %s", err, out)
	}
	b, err := newIdentityBinding(inPod(t, envTokenProxy, "https://127.0.0.1:1", envCAFile, file))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := b.current()
		done <- err
	}()
	select {
	case err := <-done:
		if err == nil || !strings.Contains(err.Error(), "AZURE_KUBERNETES_CA_FILE") {
			t.Errorf("got %v, want an error that names the variable", err)
		}
	case <-time.After(30 * time.Second): // however busy the machine
		t.Error("reading the file hangs")
		if w, err := os.OpenFile(file, os.O_WRONLY, 0); err == nil { // ends it
			_ = w.Close()
		}
		<-done
	}
}

// TestIdentityBindingAtOnce: fifty exchanges while the file is being replaced.
func TestIdentityBindingAtOnce(t *testing.T) {
	t.Parallel()
	authority := newCertifier(t)
	file := assertionFile(t, string(authority.pem))
	cred, server := bindingAt(t, authority.certify(t, "127.0.0.1"), file)
	stop := make(chan struct{})
	var replacing, asking sync.WaitGroup
	replacing.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			content := string(authority.pem) + strings.Repeat("\n", i%3)
			if i%4 == 3 {
				content = ""
			}
			next := fmt.Sprintf("%s.%d", file, i%2)
			if err := os.WriteFile(next, []byte(content), 0o600); err != nil {
				t.Error(err)
			}
			if err := os.Rename(next, file); err != nil {
				t.Error(err)
			}
			runtime.Gosched()
		}
	})
	mustToken(t, cred) // an empty file is good only after one that wasn't
	for _, scope := range scopesOf(50) {
		asking.Go(func() {
			if _, err := cred.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{scope}, EnableCAE: true}); err != nil {
				t.Error(err)
			}
		})
	}
	asking.Wait()
	close(stop)
	replacing.Wait()
	if n := server.requests.Load(); n != 51 {
		t.Errorf("%d requests, want 51", n)
	}
}

// TestIdentityBindingWithATransport: a Transport of the user's is used as given, at the proxy's address.
func TestIdentityBindingWithATransport(t *testing.T) {
	t.Parallel()
	entra := &entraStub{}
	mustToken(t, credentialAt(t, inPod(t, envTokenProxy, "https://10.0.0.1", envCAFile, "/does/not/exist"), entra))
	if got := entra.got(); len(got) != 1 || got[0].URL.Host != "10.0.0.1" {
		t.Errorf("got %v, want one request to 10.0.0.1", got)
	}
}

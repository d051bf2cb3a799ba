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
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity/identitytest"
	"github.com/keyless-go/identity/internal/binding"
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
	template := &x509.Certificate{
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	c := &certifier{certificate: template}
	der, key := c.issue(tb, template)
	c.key, c.pem = key, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	var err error
	if c.certificate, err = x509.ParseCertificate(der); err != nil {
		tb.Fatal(err)
	}
	return c
}

// issue signs a certificate; the authority's own if it has no key yet.
func (c *certifier) issue(
	tb testing.TB, template *x509.Certificate,
) (der []byte, key *ecdsa.PrivateKey) {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	signer := c.key
	if signer == nil {
		signer = key
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.Subject = pkix.Name{CommonName: rand.Text()}
	if der, err = x509.CreateCertificate(rand.Reader, template, c.certificate, key.Public(),
		signer); err != nil {
		tb.Fatal(err)
	}
	return der, key
}

// certify makes a certificate for a name, or an address.
func (c *certifier) certify(tb testing.TB, name string) *tls.Certificate {
	tb.Helper()
	template := &x509.Certificate{
		NotBefore: c.certificate.NotBefore, NotAfter: c.certificate.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if ip := net.ParseIP(name); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{name}
	}
	der, key := c.issue(tb, template)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// secureServer is a server with TLS on loopback, whose certificate can be replaced, and which notes
// what clients want.
type secureServer struct {
	*httptest.Server
	certificate atomic.Pointer[tls.Certificate]
	requests    atomic.Int64

	mu    sync.Mutex
	names []string // in the client's hello
}

func serveSecurely(
	tb testing.TB, certificate *tls.Certificate, handler http.Handler, adjust ...func(*tls.Config),
) *secureServer {
	tb.Helper()
	s := &secureServer{}
	s.certificate.Store(certificate)
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(
		func(w http.ResponseWriter, r *http.Request) {
			s.requests.Add(1)
			handler.ServeHTTP(w, r)
		}))
	// clients that refuse the certificate are the point
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
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

func newEntra(tb testing.TB) *identitytest.Endpoint {
	tb.Helper()
	return identitytest.NewWorkloadIdentity(&identitytest.Options{Dir: tb.TempDir()})
}

// with returns the environment with other values for some variables.
func (env environment) with(pairs ...string) environment {
	given := env.getenv
	env.getenv = func(name string) string {
		for i := len(pairs) - 2; i >= 0; i -= 2 { // the last one counts
			if pairs[i] == name {
				return pairs[i+1]
			}
		}
		return given(name)
	}
	return env
}

// TestWorkloadDefaultPath is the whole of it as a user's test has it: the fake is started, and the
// program knows nothing.
func TestWorkloadDefaultPath(t *testing.T) { // not parallel: it sets variables
	ep := newEntra(t)
	ep.Start(t)
	fresh := func() *Credential {
		cred, err := NewCredential(nil)
		if err != nil || cred.Host() != HostWorkloadIdentity {
			t.Fatalf("host is %v, error %v", cred.Host(), err)
		}
		return cred
	}
	mustToken(t, fresh())
	mustToken(t, fresh()) // shares the token
	ep.RotateSecret()
	if err := anotherToken(fresh()); err != nil {
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
		for _, name := range []string{"X-Forwarded-For", "Authorization", "Transfer-Encoding"} {
			if r.Header.Get(name) != "" {
				t.Errorf("headers nobody asked for: %v", r.Header)
			}
		}
	}
}

// TestWorkloadTrustsOnlyTheSystem: what the fake registers is for the fake's own path, and for
// nobody else.
func TestWorkloadTrustsOnlyTheSystem(t *testing.T) {
	t.Parallel()
	ep := newEntra(t)
	trusted := serveSecurely(t, pairOf(ep), ep)
	strange := serveSecurely(t, newCertifier(t).certify(t, "127.0.0.1"), ep)
	old := serveSecurely(t, pairOf(ep), ep, func(c *tls.Config) {
		c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	})
	plain := httptest.NewServer(ep)
	t.Cleanup(plain.Close)
	for _, tt := range []struct {
		name   string
		server *secureServer
		env    environment
		want   string // in the error; "" for a token
	}{
		{name: "the fake", server: trusted, env: environmentAt(ep, trusted.URL)},
		{name: "the fake, without its path", server: trusted,
			env: inPod(t, envAuthorityHost, trusted.URL), want: "certificate"},
		{name: "the fake, with its path not at the head", server: trusted,
			env: environmentAt(ep, trusted.URL+"/x"), want: "certificate"},
		{name: "the fake's path at a server of another certificate", server: strange,
			env: environmentAt(ep, strange.URL), want: "certificate"},
		{name: "another server", server: strange, env: inPod(t, envAuthorityHost, strange.URL),
			want: "certificate"},
		{name: "TLS 1.1", server: old, env: environmentAt(ep, old.URL), want: "protocol version"},
		{name: "no TLS", server: &secureServer{}, want: "HTTP",
			env: inPod(t, envAuthorityHost, strings.Replace(plain.URL, "http:", "https:", 1))},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.server.requests.Store(0)
			cred := credentialAt(t, tt.env, nil, once)
			if tt.want == "" {
				mustToken(t, cred)
				return
			}
			e, _ := mustFail(t, cred)
			wantErrorText(t, e, tt.want, cred.hosted.host.Endpoint(), "HTTPS_PROXY")
			if tt.server.requests.Load() != 0 {
				t.Error("the assertion was sent")
			}
		})
	}
}

// TestWorkloadRedirectsCarryNoAssertion: 307 and 308 would repeat the form at the second server.
func TestWorkloadRedirectsCarryNoAssertion(t *testing.T) {
	t.Parallel()
	ep, authority := newEntra(t), newCertifier(t)
	pair := authority.certify(t, "127.0.0.1")
	var bodies, status atomic.Int64
	elsewhere := serveSecurely(t, pair, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if body, _ := io.ReadAll(r.Body); len(body) > 0 {
			bodies.Add(1)
		}
		_, _ = io.WriteString(w, entraGrant("stolen", time.Hour))
	}))
	redirect := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, elsewhere.URL+r.URL.Path, int(status.Load()))
	})
	redirecting, fake := serveSecurely(t, pair, redirect), serveSecurely(t, pairOf(ep), redirect)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority.pem)
	own := &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots}, DisableKeepAlives: true,
	}}
	env := environmentAt(ep, redirecting.URL)
	for _, tt := range []struct {
		name      string
		env       environment
		transport policy.Transporter
	}{
		{name: "default", env: environmentAt(ep, fake.URL)},
		{name: "a client of the user's", env: env, transport: own},
		{name: "identity binding",
			env: env.with(binding.EnvProxy, redirecting.URL, binding.EnvCAData, string(authority.pem))},
	} {
		for _, code := range []int{302, 307, 308} {
			status.Store(int64(code))
			cred := credentialAt(t, tt.env, tt.transport, once)
			cred.tokens = tokencache.New() // a cool-down would answer for the next one
			e, _ := mustFail(t, cred)
			wantErrorText(t, e, "redirect")
			if n := elsewhere.requests.Load(); e.StatusCode != code || n != 0 {
				t.Fatalf("%s: the redirect was followed %d times, %d with a body: %v", tt.name, n,
					bodies.Load(), e)
			}
		}
	}
	if own.CheckRedirect != nil {
		t.Error("the user's client was changed")
	}
	// A client with a rule of its own is the user's responsibility. It shows that there was something
	// to lose.
	following := *own
	following.CheckRedirect = func(*http.Request, []*http.Request) error { return nil }
	tk, _ := mustToken(t, credentialAt(t, env, &following, once))
	if tk.Token != "stolen" || bodies.Load() != 1 {
		t.Errorf("a client that follows got %q, %d bodies arrived: this test can't fail", tk.Token,
			bodies.Load())
	}
	runtime.KeepAlive(ep) // its certificate is trusted for as long as it is in use
}

// inProxyTest tells the test binary that it is the child: net/http reads the proxies' variables once
// in a process.
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
	p.requests = append(p.requests,
		strings.TrimSpace(r.Method+" "+r.RequestURI+" "+r.Header.Get("Proxy-Authorization")))
	p.mu.Unlock()
	_ = r.Write(p)
	server, err := net.Dial("tcp", p.to)
	if err != nil || r.Method != http.MethodConnect {
		http.Error(w, fmt.Sprint("CONNECT only: ", err), http.StatusBadGateway)
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

// TestWorkloadThroughProxy runs the unmodified default path in a process of its own, for a name that
// no resolver knows, so that nothing but the proxy can lead to the server.
func TestWorkloadThroughProxy(t *testing.T) {
	if os.Getenv(inProxyTest) != "" {
		behindProxy()
		return
	}
	t.Parallel()
	if runtime.GOOS == "windows" || runtime.GOOS == "darwin" {
		t.Skip("SSL_CERT_FILE is for other systems")
	}
	const name, unknown = "login.identity-test.invalid", "no such name"
	const asked = "CONNECT " + name + ":443"
	for _, tt := range []struct {
		name  string
		env   string // ADDRESS stands for the proxy's address
		asked string // at the proxy; "": it isn't asked, and there is no token
		want  string // in the error, "" for a token
	}{
		{name: "HTTPS_PROXY", env: "HTTPS_PROXY=http://ADDRESS", asked: asked},
		{name: "https_proxy", env: "https_proxy=http://ADDRESS", asked: asked},
		{name: "without a scheme", env: "HTTPS_PROXY=ADDRESS", asked: asked},
		{name: "with a password", env: "HTTPS_PROXY=http://user:pa55word@ADDRESS",
			asked: asked + " Basic dXNlcjpwYTU1d29yZA=="},
		{name: "HTTP_PROXY is for http", env: "HTTP_PROXY=http://ADDRESS", want: unknown},
		{name: "NO_PROXY", env: "HTTPS_PROXY=http://ADDRESS NO_PROXY=" + name, want: unknown},
		{name: "down", env: "HTTPS_PROXY=http://user:pa55word@127.0.0.1:1", want: "proxyconnect"},
		{name: "malformed is none", env: "HTTPS_PROXY=http://user:pa55word%zz@127.0.0.1:1",
			want: unknown},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ep, authority := newEntra(t), newCertifier(t)
			proxy := newConnectProxy(t,
				serveSecurely(t, authority.certify(t, name), ep).Listener.Addr().String())
			env := strings.Fields(strings.ReplaceAll(tt.env, "ADDRESS", proxy.Listener.Addr().String()))
			got := runBehindProxy(t, append(env, ep.Env("https://"+name)...), authority.pem)
			requests, through := proxy.seen()
			if strings.Join(requests, ", ") != tt.asked || strings.Contains(got, "pa55word") {
				t.Errorf("the proxy got %q, want %q, or its password is shown: %s", requests, tt.asked, got)
			}
			if tt.want != "" {
				for _, want := range []string{"ERROR: identity: workload identity: ", tt.want, "HTTPS_PROXY",
					"https://" + name} {
					if n := len(ep.Requests()); n != 0 || !strings.Contains(got, want) {
						t.Errorf("%d requests, want none, got %s, want %q in it", n, got, want)
					}
				}
				return
			}
			if !strings.Contains(got, "TOKEN of workload identity") || len(ep.Requests()) != 1 {
				t.Fatalf("%d requests, got %s", len(ep.Requests()), got)
			}
			assertion := ep.Requests()[0].FormValue("client_assertion")
			if assertion == "" || len(through) < len(assertion) {
				t.Fatalf("the tunnel carried %d bytes, the assertion has %d: this test sees nothing",
					len(through), len(assertion))
			}
			for _, secret := range []string{strings.Split(assertion, ".")[1], "client_assertion", "/oauth2/"} {
				if strings.Contains(through, secret) {
					t.Errorf("the proxy saw %q", secret)
				}
			}
		})
	}
}

// runBehindProxy runs the program under test, which trusts an authority, and returns what it prints.
func runBehindProxy(t *testing.T, env []string, authority []byte) string {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	trusted := filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(trusted, authority, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	child := exec.CommandContext(ctx, program, "-test.run=^TestWorkloadThroughProxy$")
	child.Env = append(env, inProxyTest+"=1", "SSL_CERT_FILE="+trusted, "SSL_CERT_DIR="+t.TempDir(),
		"HOME="+dir)
	out, err := child.CombinedOutput()
	if err != nil {
		t.Fatalf("child: %v\n%s", err, out)
	}
	return string(out)
}

// behindProxy is the program under test.
func behindProxy() {
	net.DefaultResolver = &net.Resolver{PreferGo: true,
		Dial: func(context.Context, string, string) (net.Conn, error) {
			return nil, errors.New("no such name")
		}}
	options := &CredentialOptions{}
	once(options)
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

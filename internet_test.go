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

	"github.com/keyless-go/identity/identitytest"
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
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
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
	tb testing.TB, certificate *tls.Certificate, handler http.Handler,
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
		return &tls.Config{Certificates: []tls.Certificate{*s.certificate.Load()}}, nil
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

// TestWorkloadTrustsOnlyTheSystem: what the fake registers is for the fake's own path, and for
// nobody else. What else is trusted, internal/transport tests.
func TestWorkloadTrustsOnlyTheSystem(t *testing.T) {
	t.Parallel()
	ep := newEntra(t)
	trusted := serveSecurely(t, pairOf(ep), ep)
	strange := serveSecurely(t, newCertifier(t).certify(t, "127.0.0.1"), ep)
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

// inProxyTest tells the test binary that it is the child: net/http reads the proxies' variables
// once in a process.
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

// TestWorkloadThroughProxy runs the unmodified default path in a process of its own, for a name
// that no resolver knows, so that nothing but the proxy can lead to the server.
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
			for _, secret := range []string{
				strings.Split(assertion, ".")[1], "client_assertion", "/oauth2/",
			} {
				if strings.Contains(through, secret) {
					t.Errorf("the proxy saw %q", secret)
				}
			}
		})
	}
}

// runBehindProxy runs the program under test, which trusts an authority, and returns what it
// prints.
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

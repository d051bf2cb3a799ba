package transport

import (
	"bytes"
	"context"
	"crypto/sha1"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/google/go-cmp/cmp"
)

// arrival is what a server saw of a request's connection.
type arrival struct {
	Proto           string
	Version         uint16
	Resumed, Closes bool
}

// server is a TLS server on loopback that notes what arrives.
type server struct {
	*httptest.Server
	mu  sync.Mutex
	saw []arrival
}

// serve starts a server. Its certificate is one that nobody has signed, unless config has one.
func serve(tb testing.TB, config *tls.Config, http2 bool, handler http.HandlerFunc) *server {
	tb.Helper()
	s := &server{}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(
		func(w http.ResponseWriter, r *http.Request) {
			s.mu.Lock()
			s.saw = append(s.saw, arrival{r.Proto, r.TLS.Version, r.TLS.DidResume, r.Close})
			s.mu.Unlock()
			if handler != nil {
				handler(w, r)
			}
		}))
	if len(config.Certificates) == 0 {
		config.Certificates = []tls.Certificate{newLeaf(tb)}
	}
	s.TLS, s.EnableHTTP2 = config, http2
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // of handshakes that are meant to fail
	s.StartTLS()
	tb.Cleanup(s.Close)
	return s
}

func (s *server) arrivals() []arrival {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.saw)
}

// ownPin is the thumbprint of the certificate that the server shows.
func (s *server) ownPin() ([]byte, error) {
	sum := thumbprintOf(s.TLS.Certificates[0].Certificate[0])
	return sum[:], nil
}

func noPin() ([]byte, error) { return make([]byte, sha1.Size), nil }

// ask sends a request with a secret through a pinned client.
func ask(
	tb testing.TB, own policy.Transporter, pin func() ([]byte, error), to string,
) (*http.Response, error) {
	tb.Helper()
	client, err := Pin(own, "VARIABLE", pin)
	if err != nil {
		tb.Fatal(err)
	}
	return get(tb, client, to)
}

func get(tb testing.TB, client *http.Client, to string) (*http.Response, error) {
	tb.Helper()
	req, err := http.NewRequestWithContext(tb.Context(), http.MethodGet, to, nil)
	if err != nil {
		tb.Fatal(err)
	}
	req.Header.Set("Secret", "pa55word")
	resp, err := client.Do(req)
	if err == nil {
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
	}
	return resp, err
}

// over is a user's client over a transport of its own, which keeps no connection for this test.
func over(transport *http.Transport) *http.Client {
	transport.DisableKeepAlives = true
	return &http.Client{Transport: transport}
}

// TestPinnedIsAllThatMatters: the platform's certificates are self-signed, for any name, and may
// have run out. Whatever the user's client is, the owner of the certificate is talked to and
// nobody else.
func TestPinnedIsAllThatMatters(t *testing.T) {
	t.Parallel()
	distrusting := &tls.Config{RootCAs: x509.NewCertPool(), ServerName: "elsewhere.example"}
	trusting := &tls.Config{InsecureSkipVerify: true}
	expired := func(c *x509.Certificate) { c.NotAfter = c.NotBefore.AddDate(1, 0, 0) }
	early := func(c *x509.Certificate) { c.NotBefore = c.NotAfter.AddDate(-1, 0, 0) }
	named := func(c *x509.Certificate) { c.DNSNames = []string{"elsewhere.example"} }
	forClients := func(c *x509.Certificate) {
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	}
	for _, tt := range []struct {
		name string
		own  policy.Transporter
		leaf func(*x509.Certificate)
	}{
		{name: "default"},
		{name: "expired", leaf: expired},
		{name: "not yet valid", leaf: early},
		{name: "for another name", leaf: named},
		{name: "for clients only", leaf: forClients},
		{name: "a client, expired", own: &http.Client{}, leaf: expired},
		{name: "http.DefaultClient", own: http.DefaultClient},
		{name: "http.DefaultTransport", own: &http.Client{Transport: http.DefaultTransport}},
		{name: "a plain transport", own: over(&http.Transport{})},
		{name: "a configuration", own: over(&http.Transport{TLSClientConfig: &tls.Config{}})},
		{name: "trusts nobody", own: over(&http.Transport{TLSClientConfig: distrusting})},
		{name: "trusts everybody", own: over(&http.Transport{TLSClientConfig: trusting})},
		{name: "a timeout", own: &http.Client{Timeout: 10 * time.Second}},
		{name: "a dialler", own: over(&http.Transport{DialContext: (&net.Dialer{}).DialContext})},
		{name: "no HTTP/1",
			own: over(
				&http.Transport{TLSNextProto: map[string]func(string, *tls.Conn) http.RoundTripper{}})},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			config := &tls.Config{}
			if tt.leaf != nil {
				config.Certificates = []tls.Certificate{newLeaf(t, tt.leaf)}
			}
			s := serve(t, config, false, nil)
			var refused *pinError
			if _, err := ask(t, tt.own, noPin, s.URL); !errors.As(err, &refused) ||
				!strings.Contains(err.Error(), "not that in VARIABLE") || len(s.arrivals()) > 0 {
				t.Errorf("an impostor: got %v, and %d requests arrived", err, len(s.arrivals()))
			}
			if _, err := ask(t, tt.own, s.ownPin, s.URL); err != nil {
				t.Error(err)
			}
			// Nobody can close the connections of a client that only the credential has.
			if got := s.arrivals(); len(got) != 1 || !got[0].Closes || got[0].Proto != "HTTP/1.1" {
				t.Errorf("the server saw %+v, want one request that closes its connection", got)
			}
		})
	}
}

// TestStolenCertificates: a certificate is public. It is the key that makes its owner.
func TestStolenCertificates(t *testing.T) {
	t.Parallel()
	pinned, own := newLeaf(t), newLeaf(t)
	pin := func() ([]byte, error) { sum := thumbprintOf(pinned.Certificate[0]); return sum[:], nil }
	for _, tt := range []struct {
		name  string
		shown [][]byte
		want  string
	}{
		{name: "the pinned one below its own", want: "thumbprint",
			shown: [][]byte{own.Certificate[0], pinned.Certificate[0]}},
		{name: "the pinned one without its key", shown: pinned.Certificate, want: "signature"},
	} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			thief := tls.Certificate{Certificate: tt.shown, PrivateKey: own.PrivateKey}
			s := serve(t, &tls.Config{Certificates: []tls.Certificate{thief}, MaxVersion: version},
				false, nil)
			_, err := ask(t, nil, pin, s.URL)
			if err == nil || !strings.Contains(err.Error(), tt.want) || len(s.arrivals()) != 0 {
				t.Errorf("%s, %s: got %v, and %d requests arrived",
					tt.name, tls.VersionName(version), err, len(s.arrivals()))
			}
		}
	}
}

func TestPinnedTLSVersions(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name           string
		server         uint16 // the only version of the server
		lowest, newest uint16 // of the user's transport
		ok             bool
	}{
		{name: "TLS 1.0", server: tls.VersionTLS10, lowest: tls.VersionTLS10},
		{name: "TLS 1.1", server: tls.VersionTLS11, lowest: tls.VersionTLS10},
		{name: "TLS 1.2", server: tls.VersionTLS12, lowest: tls.VersionTLS10, ok: true},
		{name: "TLS 1.3", server: tls.VersionTLS13, lowest: tls.VersionTLS10, ok: true},
		{name: "1.2 where the user wants 1.3", server: tls.VersionTLS12, lowest: tls.VersionTLS13},
		{name: "1.1 at most, by the user", server: tls.VersionTLS11, lowest: tls.VersionTLS10,
			newest: tls.VersionTLS11},
	} {
		s := serve(t, &tls.Config{MinVersion: tt.server, MaxVersion: tt.server}, false, nil)
		own := over(&http.Transport{
			TLSClientConfig: &tls.Config{MinVersion: tt.lowest, MaxVersion: tt.newest},
		})
		_, err := ask(t, own, s.ownPin, s.URL)
		if got := s.arrivals(); (err == nil) != tt.ok || len(got) > 0 != tt.ok ||
			tt.ok && got[0].Version != tt.server {
			t.Errorf("%s: got error %v, want none: %v; the server saw %+v", tt.name, err, tt.ok, got)
		}
	}
}

// TestPinnedHTTP1Only: an implementation of HTTP/2 may have a dialler of its own.
func TestPinnedHTTP1Only(t *testing.T) {
	t.Parallel()
	s := serve(t, &tls.Config{}, true, nil)
	only2, both := new(http.Protocols), new(http.Protocols)
	only2.SetHTTP2(true)
	both.SetHTTP1(true)
	both.SetHTTP2(true)
	unverified := func() *tls.Config { return &tls.Config{InsecureSkipVerify: true} }
	offering := unverified()
	offering.NextProtos = []string{"h2", "http/1.1"}
	upgrade := func(string, *tls.Conn) http.RoundTripper {
		return roundTripper(func(*http.Request) (*http.Response, error) {
			return nil, errors.New("upgraded")
		})
	}
	for _, tt := range []struct {
		name      string
		transport *http.Transport
	}{
		{"forced", &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: unverified()}},
		{"both protocols", &http.Transport{Protocols: both, TLSClientConfig: unverified()}},
		{"HTTP/2 alone", &http.Transport{Protocols: only2, TLSClientConfig: unverified()}},
		{"offered by hand", &http.Transport{TLSClientConfig: offering,
			TLSNextProto: map[string]func(string, *tls.Conn) http.RoundTripper{"h2": upgrade}}},
	} {
		own := over(tt.transport)
		if resp, err := get(t, own, s.URL); err == nil && resp.Proto != "HTTP/2.0" ||
			err != nil && !strings.Contains(err.Error(), "upgraded") {
			t.Fatalf("%s: by itself the transport got %v, error %v: this test would see nothing",
				tt.name, resp, err)
		}
		if resp, err := ask(t, own, s.ownPin, s.URL); err != nil || resp.Proto != "HTTP/1.1" {
			t.Errorf("%s: got %v, error %v, want HTTP/1.1", tt.name, resp, err)
		}
	}
}

// roundTripper is a function as what a client sends with.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestPinnedRedirects(t *testing.T) {
	t.Parallel()
	for name, check := range map[string]func(*http.Request, []*http.Request) error{
		"net/http's own way": nil,
		"that follows":       func(*http.Request, []*http.Request) error { return nil },
		"that fails":         func(*http.Request, []*http.Request) error { return errors.New("own") },
	} {
		for _, status := range []int{301, 302, 303, 307, 308} {
			s := serve(t, &tls.Config{}, false, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(status)
			})
			resp, err := ask(t, &http.Client{CheckRedirect: check}, s.ownPin, s.URL)
			if err != nil || resp.StatusCode != status || len(s.arrivals()) != 1 {
				t.Errorf("%s, %d: got %v, error %v, after %d requests, want the redirect itself",
					name, status, resp, err, len(s.arrivals()))
			}
		}
	}
}

// embedding is a Transporter that only looks like an *http.Client.
type embedding struct{ *http.Client }

func TestTransportsThatCannotBePinned(t *testing.T) {
	t.Parallel()
	refused := roundTripper(func(*http.Request) (*http.Response, error) {
		t.Error("it was used")
		return nil, errors.New("used")
	})
	dial := func(string, string) (net.Conn, error) { return nil, errors.New("dialled") }
	dialContext := func(context.Context, string, string) (net.Conn, error) {
		return nil, errors.New("dialled")
	}
	wrap := func(transport http.RoundTripper) *http.Client {
		return &http.Client{Transport: transport}
	}
	verifies := func(tls.ConnectionState) error { return nil }
	verifiesPeer := func([][]byte, [][]*x509.Certificate) error { return nil }
	for _, tt := range []struct {
		name string
		own  policy.Transporter
		want string
	}{
		{name: "a client in a struct", own: embedding{&http.Client{}},
			want: "transport.embedding: the server's certificate has to be pinned"},
		{name: "a pointer to one", own: &embedding{&http.Client{}},
			want: "*transport.embedding: the server's certificate has to be pinned"},
		{name: "another RoundTripper", own: wrap(refused),
			want: "*http.Client over transport.roundTripper: the server's certificate"},
		{name: "nil RoundTripper of another type", own: wrap(roundTripper(nil)),
			want: "*http.Client over transport.roundTripper: the server's certificate"},
		{name: "nil *http.Transport", own: wrap((*http.Transport)(nil)),
			want: "*http.Client over a nil *http.Transport"},
		//lint:ignore SA1019 DialTLS is deprecated, but would be used
		{name: "DialTLS", own: over(&http.Transport{DialTLS: dial}), want: "its DialTLS would make"},
		{name: "DialTLSContext", own: over(&http.Transport{DialTLSContext: dialContext}),
			want: "its DialTLS would make"},
		{name: "VerifyConnection", want: "its TLSClientConfig verifies",
			own: over(&http.Transport{TLSClientConfig: &tls.Config{VerifyConnection: verifies}})},
		{name: "VerifyPeerCertificate", want: "its TLSClientConfig verifies",
			own: over(&http.Transport{TLSClientConfig: &tls.Config{VerifyPeerCertificate: verifiesPeer}})},
	} {
		client, err := Pin(tt.own, "VARIABLE", noPin)
		if client != nil || err == nil || !strings.HasPrefix(err.Error(), tt.want) ||
			!strings.Contains(err.Error(), "leave Transport nil") {
			t.Errorf("%s: got %v, %v, want %q", tt.name, client, err, tt.want)
		}
	}
}

// TestReplacedDefaultTransport: telemetry libraries put their own into http.DefaultTransport. Not
// parallel: it is global.
func TestReplacedDefaultTransport(t *testing.T) {
	before := http.DefaultTransport
	defer func() { http.DefaultTransport = before }()
	http.DefaultTransport = roundTripper(func(*http.Request) (*http.Response, error) {
		t.Error("it was used")
		return nil, errors.New("used")
	})
	if _, err := Pin(&http.Client{}, "VARIABLE", noPin); err == nil {
		t.Error("a client without a transport has a pinned one")
	}
	s := serve(t, &tls.Config{}, false, nil)
	if _, err := ask(t, nil, s.ownPin, s.URL); err != nil { // the default is the package's own
		t.Error(err)
	}
}

func TestPinLeavesTheUsersTransportAlone(t *testing.T) {
	t.Parallel()
	s := serve(t, &tls.Config{}, false, nil)
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	config := func() *tls.Config {
		return &tls.Config{MinVersion: tls.VersionTLS10, NextProtos: []string{"http/1.1"},
			RootCAs: x509.NewCertPool()}
	}
	own := config()
	transport := &http.Transport{TLSClientConfig: own, Protocols: protocols, MaxIdleConns: 7}
	client := &http.Client{Transport: transport, Timeout: time.Minute}
	pinned, err := Pin(client, "VARIABLE", s.ownPin)
	if err != nil {
		t.Fatal(err)
	}
	if client.Transport != http.RoundTripper(transport) || client.CheckRedirect != nil {
		t.Errorf("the client is %+v now", client)
	}
	if transport.TLSClientConfig != own || transport.Protocols != protocols ||
		transport.DisableKeepAlives || transport.ForceAttemptHTTP2 ||
		transport.TLSNextProto != nil || transport.DialTLSContext != nil {
		t.Errorf("the transport is %+v now", transport)
	}
	if own.InsecureSkipVerify || own.VerifyConnection != nil || own.MinVersion != tls.VersionTLS10 ||
		!cmp.Equal(own.NextProtos, config().NextProtos) {
		t.Errorf("the configuration is %+v now", own)
	}
	if _, err := get(t, client, s.URL); err == nil {
		t.Error("the user's client now talks to a server that it doesn't trust")
	}
	// What the user does to the transport later is the user's.
	transport.DialContext = func(context.Context, string, string) (net.Conn, error) {
		return nil, errors.New("later")
	}
	own.VerifyConnection = func(tls.ConnectionState) error { return errors.New("later") }
	if _, err := get(t, pinned, s.URL); err != nil {
		t.Errorf("after the user changed the transport: %v", err)
	}
}

// TestRegisteredProtocolsAreNotUsed: RegisterProtocol("https", …) sends what is for https through
// anything at all.
func TestRegisteredProtocolsAreNotUsed(t *testing.T) {
	t.Parallel()
	var stolen atomic.Int64
	transport := &http.Transport{}
	transport.RegisterProtocol("https", roundTripper(func(*http.Request) (*http.Response, error) {
		stolen.Add(1)
		return nil, errors.New("stolen")
	}))
	s := serve(t, &tls.Config{}, false, nil)
	if _, _ = get(t, over(transport), s.URL); stolen.Load() != 1 {
		t.Fatal("the protocol isn't in use: this test would see nothing")
	}
	if _, err := ask(t, over(transport), s.ownPin, s.URL); err != nil || stolen.Load() != 1 {
		t.Errorf("error %v; the registered protocol got %d requests", err, stolen.Load()-1)
	}
	if _, err := ask(t, over(transport), noPin, s.URL); err == nil || stolen.Load() != 1 {
		t.Errorf("error %v; the registered protocol got %d requests", err, stolen.Load()-1)
	}
}

// TestPinnedClientRefusesPlainHTTP: where there is no TLS there is no certificate. A policy of the
// user's may change the scheme. What speaks no TLS gets no byte of the request either.
func TestPinnedClientRefusesPlainHTTP(t *testing.T) {
	t.Parallel()
	var got atomic.Int64
	plain := httptest.NewUnstartedServer(http.HandlerFunc(
		func(http.ResponseWriter, *http.Request) { got.Add(1) }))
	plain.Config.ErrorLog = log.New(io.Discard, "", 0)
	plain.Start()
	t.Cleanup(plain.Close)
	for _, own := range []policy.Transporter{nil, &http.Client{}, over(&http.Transport{})} {
		for _, scheme := range []string{"http://", "https://"} {
			_, err := ask(t, own, noPin, scheme+plain.Listener.Addr().String())
			if err == nil || got.Load() != 0 {
				t.Errorf("%T: %d requests went out in the clear, error %v", own, got.Load(), err)
			}
		}
	}
}

// proxy is an HTTP proxy on loopback that keeps every byte it is sent.
type proxy struct {
	net.Listener
	serving sync.WaitGroup
	mu      sync.Mutex
	read    bytes.Buffer
}

// newProxy starts a proxy. wrap is around each connection, and onward takes over once the client
// has asked for a tunnel.
func newProxy(tb testing.TB, wrap func(net.Conn) net.Conn, onward func(net.Conn)) *proxy {
	tb.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	p := &proxy{Listener: listener}
	p.serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			p.serving.Go(func() { p.serve(conn, wrap, onward) })
		}
	})
	tb.Cleanup(p.stop)
	return p
}

func (p *proxy) serve(conn net.Conn, wrap func(net.Conn) net.Conn, onward func(net.Conn)) {
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	client := wrap(tapped{conn, p})
	var head []byte
	for !bytes.HasSuffix(head, []byte("\r\n\r\n")) {
		var b [1]byte
		if _, err := io.ReadFull(client, b[:]); err != nil {
			return
		}
		head = append(head, b[0])
	}
	p.write(head) // once more: behind TLS the tap sees nothing
	if bytes.HasPrefix(head, []byte("CONNECT ")) {
		_, _ = io.WriteString(client, "HTTP/1.1 200 OK\r\n\r\n")
		onward(client)
	}
}

// stop waits for the end of all connections. It may be called twice.
func (p *proxy) stop() {
	_ = p.Close()
	p.serving.Wait()
}

func (p *proxy) write(b []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.read.Write(b)
}

func (p *proxy) seen() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.read.String()
}

// tapped copies what is read.
type tapped struct {
	net.Conn
	to *proxy
}

func (c tapped) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.to.write(b[:n])
	return n, err
}

// tunnel passes a connection on.
func tunnel(to string) func(net.Conn) {
	return func(client net.Conn) {
		server, err := net.Dial("tcp", to)
		if err != nil {
			return
		}
		defer func() { _ = server.Close() }()
		go func() {
			_, _ = io.Copy(server, client)
			_ = server.(*net.TCPConn).CloseWrite()
		}()
		_, _ = io.Copy(client, server)
	}
}

func TestProxiesDoNotGetTheSecret(t *testing.T) {
	t.Parallel()
	impostor := &tls.Config{Certificates: []tls.Certificate{newLeaf(t)}}
	straight := func(c net.Conn) net.Conn { return c }
	through := func(c net.Conn) net.Conn { return tls.Server(c, impostor) }
	for _, tt := range []struct {
		name, scheme string
		wrap         func(net.Conn) net.Conn
		onward       func(client net.Conn, opened *bytes.Buffer) // nil for a tunnel to the host
		ok           bool
	}{
		{name: "honest", scheme: "http", wrap: straight, ok: true},
		{name: "behind TLS", scheme: "https", wrap: through},
		{name: "with a certificate of its own inside the tunnel", scheme: "http", wrap: straight,
			onward: func(client net.Conn, opened *bytes.Buffer) {
				_, _ = io.Copy(opened, tls.Server(client, impostor))
			}},
		{name: "without TLS inside the tunnel", scheme: "http", wrap: straight,
			onward: func(client net.Conn, opened *bytes.Buffer) {
				// Or the client takes the answer for a part of the one to CONNECT.
				_, _ = io.CopyN(opened, client, 5)
				_, _ = io.WriteString(client, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
				_, _ = io.Copy(opened, client)
			}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, &tls.Config{}, false, nil)
			var opened bytes.Buffer
			onward := tunnel(s.Listener.Addr().String())
			if tt.onward != nil {
				onward = func(client net.Conn) { tt.onward(client, &opened) }
			}
			p := newProxy(t, tt.wrap, onward)
			var asked atomic.Int64
			own := over(&http.Transport{Proxy: func(*http.Request) (*url.URL, error) {
				asked.Add(1)
				return &url.URL{Scheme: tt.scheme, Host: p.Addr().String()}, nil
			}})
			_, err := ask(t, own, s.ownPin, s.URL)
			if got := err == nil; got != tt.ok || len(s.arrivals()) > 0 != tt.ok {
				t.Errorf("got error %v, want none: %v; the server saw %+v", err, tt.ok, s.arrivals())
			}
			if asked.Load() == 0 || tt.scheme == "http" && !strings.Contains(p.seen(), "CONNECT ") {
				t.Fatal("the proxy wasn't used: this test would see nothing")
			}
			p.stop()
			if all := fmt.Sprint(p.seen(), opened.String()); strings.Contains(all, "pa55word") ||
				strings.Contains(all, "Secret") {
				t.Errorf("the proxy got the secret, or %q", all)
			}
		})
	}
}

package identity

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/fips140"
	"crypto/rand"
	"crypto/sha1"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/google/go-cmp/cmp"
	"github.com/keyless-go/identity/identitytest"
)

// dials counts the connections of a client, which come of the returned endpoint's.
func dials(client *http.Client) *atomic.Int64 {
	transport := client.Transport.(*http.Transport)
	dial, n := transport.DialContext, new(atomic.Int64)
	transport.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		n.Add(1)
		return dial(ctx, network, addr)
	}
	return n
}

// newLeaf is a certificate that a test makes to be pinned, or to be refused.
func newLeaf(tb testing.TB, adjust ...func(*x509.Certificate)) tls.Certificate {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "localhost"},
		NotBefore:    time.Date(1990, 1, 1, 0, 0, 0, 0, time.UTC),
		NotAfter:     time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC),
		DNSNames:     []string{"localhost"},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	for _, f := range adjust {
		f(template)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		tb.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func thumbprintOf(c tls.Certificate) string { return fmt.Sprintf("%X", sha1Of(c.Certificate[0])) }

// sha1Of works with GODEBUG=fips140=only, too.
func sha1Of(b []byte) (sum [sha1.Size]byte) {
	fips140.WithoutEnforcement(func() { sum = sha1.Sum(b) })
	return sum
}

// arrival is what a server saw of a request's connection.
type arrival struct {
	Proto, Negotiated string
	Version           uint16
	Resumed, Closes   bool
}

// tlsHost is Service Fabric's fake behind a TLS server of the test's, on loopback.
type tlsHost struct {
	*httptest.Server
	fake *identitytest.Endpoint

	mu  sync.Mutex
	saw []arrival
}

// overTLS starts one. Its certificate is the fake's unless the configuration has one.
func overTLS(tb testing.TB, config *tls.Config, http2 bool) *tlsHost {
	tb.Helper()
	h := &tlsHost{fake: identitytest.NewServiceFabric(nil)}
	h.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.mu.Lock()
		h.saw = append(h.saw, arrival{r.Proto, r.TLS.NegotiatedProtocol, r.TLS.Version, r.TLS.DidResume, r.Close})
		h.mu.Unlock()
		h.fake.ServeHTTP(w, r)
	}))
	if len(config.Certificates) == 0 {
		config.Certificates = h.fake.TLSConfig().Certificates
	}
	h.TLS, h.EnableHTTP2 = config, http2
	h.Config.ErrorLog = log.New(io.Discard, "", 0) // of handshakes that are meant to fail
	h.StartTLS()
	tb.Cleanup(h.Close)
	return h
}

// environment is the host's, with the thumbprint of the certificate that it shows.
func (h *tlsHost) environment() environment {
	env := environmentAt(h.fake, h.URL)
	fake := env.getenv
	env.getenv = func(name string) string {
		if name == "IDENTITY_SERVER_THUMBPRINT" {
			return thumbprintOf(h.TLS.Certificates[0])
		}
		return fake(name)
	}
	return env
}

func (h *tlsHost) arrivals() []arrival {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]arrival(nil), h.saw...)
}

// singleTry makes a credential try a single time.
func singleTry(o *CredentialOptions) { o.Retry.MaxRetries = -1 }

func TestPinnedCertificate(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ep := identitytest.NewServiceFabric(nil)
		client := ep.Client()
		n := dials(client)
		cred := credentialAt(t, environmentAt(ep, fabricBase), client)
		mustToken(t, cred)
		mustToken(t, cred)
		if n.Load() != 1 || len(ep.Requests()) != 1 {
			t.Errorf("%d connections and %d requests, want 1 of each", n.Load(), len(ep.Requests()))
		}
	})
}

// TestPinSpellings: as tools show a thumbprint, so it is compared.
func TestPinSpellings(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ep := identitytest.NewServiceFabric(nil)
		values := map[string]string{}
		for _, name := range []string{"IDENTITY_ENDPOINT", "IDENTITY_HEADER", "IDENTITY_SERVER_THUMBPRINT"} {
			values[name] = environmentAt(ep, fabricBase).getenv(name)
		}
		digits := values["IDENTITY_SERVER_THUMBPRINT"]
		if len(digits) != 40 || digits != strings.ToUpper(digits) {
			t.Fatalf("the fake's thumbprint is %q", digits)
		}
		var pairs []string
		for i := 0; i < 40; i += 2 {
			pairs = append(pairs, digits[i:i+2])
		}
		for _, spelling := range []string{
			digits, strings.ToLower(digits), strings.Join(pairs, ":"), strings.ToLower(strings.Join(pairs, " ")), "\t" + digits + "\r\n", " : " + strings.Join(pairs, ": "),
		} {
			values["IDENTITY_SERVER_THUMBPRINT"] = spelling
			mustToken(t, credentialAt(t, environmentOf(maps.Clone(values)), ep.Client()))
		}
	})
}

// TestPinnedIsAllThatMatters: the platform's certificates are self-signed, for any name, and may have run out.
func TestPinnedIsAllThatMatters(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		adjust func(*x509.Certificate)
	}{
		{"for another name", func(c *x509.Certificate) { c.DNSNames, c.IPAddresses = []string{"elsewhere.example"}, nil }},
		{"for no name", func(c *x509.Certificate) { c.DNSNames, c.IPAddresses = nil, nil }},
		{"expired", func(c *x509.Certificate) { c.NotAfter = time.Date(1991, 1, 1, 0, 0, 0, 0, time.UTC) }},
		{"not yet valid", func(c *x509.Certificate) { c.NotBefore = time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC) }},
		{"for clients only", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := overTLS(t, &tls.Config{Certificates: []tls.Certificate{newLeaf(t, tt.adjust)}}, false)
			for _, transport := range []policy.Transporter{nil, &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}} {
				mustToken(t, credentialAt(t, h.environment(), transport, singleTry))
			}
		})
	}
}

func TestImpostors(t *testing.T) {
	off := func(thumbprint string, i int) string { // by one digit
		digit := "0"
		if thumbprint[i] == '0' {
			digit = "1"
		}
		return thumbprint[:i] + digit + thumbprint[i+1:]
	}
	for _, tt := range []struct {
		name       string
		thumbprint func(own string) string
	}{
		// The client trusts the certificate's chain in each case, and the certificate is for localhost.
		{"another certificate's thumbprint", func(string) string {
			return environmentAt(identitytest.NewServiceFabric(nil), fabricBase).getenv("IDENTITY_SERVER_THUMBPRINT")
		}},
		{"first digit", func(own string) string { return off(own, 0) }},
		{"last digit", func(own string) string { return off(own, 39) }},
		{"zeros", func(string) string { return strings.Repeat("0", 40) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				ep := identitytest.NewServiceFabric(nil)
				values := fabricVariables(ep)
				own := values["IDENTITY_SERVER_THUMBPRINT"]
				values["IDENTITY_SERVER_THUMBPRINT"] = tt.thumbprint(own)
				client := ep.Client()
				if resp, err := client.Get(fabricBase); err != nil { // otherwise it would be refused anyway
					t.Fatalf("the certificate isn't valid by its chain: %v", err)
				} else {
					_ = resp.Body.Close()
				}
				n, before := dials(client), len(ep.Requests())
				cred := credentialAt(t, environmentOf(values), client)
				e, took := mustFail(t, cred)
				want := "identity: Service Fabric: no answer from https://localhost:2377/metadata/identity/oauth2/token: the server's certificate has the thumbprint " + own +
					", not that in IDENTITY_SERVER_THUMBPRINT: is another program listening there? (token for https://vault.azure.net, 1 attempt, 0s)"
				if diff := cmp.Diff(want, e.Error()); diff != "" {
					t.Errorf("error (-want +got):\n%s", diff)
				}
				if e.Attempts != 1 || took != 0 || n.Load() != 1 {
					t.Errorf("%d attempts and %d connections in %v, want 1 at once: an impostor stays one", e.Attempts, n.Load(), took)
				}
				if e.StatusCode != 0 || e.RawResponse != nil || errors.Is(e, ErrUnavailable) || errors.Is(e, ErrIdentityNotFound) {
					t.Errorf("error is off: %+v", e)
				}
				if got := len(ep.Requests()) - before; got != 0 {
					t.Errorf("%d requests reached the impostor, and the secret with them", got)
				}
				// Ready doesn't wait for what waiting can't mend.
				start := time.Now()
				if err := cred.Ready(t.Context(), vaultScope); err == nil || time.Since(start) != 0 {
					t.Errorf("Ready: got %v after %v, want an error at once", err, time.Since(start))
				}
				// A flood of callers is a trickle.
				for range 1000 {
					if _, _ = capable(t.Context(), cred); n.Load() > 2 {
						break
					}
				}
				if n.Load() > 2 {
					t.Errorf("%d connections by 1000 callers, want 2 at most: one for each kind of token", n.Load())
				}
			})
		})
	}
}

// TestPinIsFinal: whatever the options say about retries.
func TestPinIsFinal(t *testing.T) {
	for _, tt := range []struct {
		name  string
		retry policy.RetryOptions
	}{
		{"defaults", policy.RetryOptions{}},
		{"many tries", policy.RetryOptions{MaxRetries: 10, RetryDelay: time.Millisecond}},
		{"a function that wants all retried", policy.RetryOptions{ShouldRetry: func(*http.Response, error) bool { return true }}},
		{"all statuses", policy.RetryOptions{StatusCodes: []int{404, 500}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				ep := identitytest.NewServiceFabric(nil)
				values := fabricVariables(ep)
				values["IDENTITY_SERVER_THUMBPRINT"] = strings.Repeat("A", 40)
				client := ep.Client()
				n := dials(client)
				e, took := mustFail(t, credentialAt(t, environmentOf(values), client, func(o *CredentialOptions) { o.Retry = tt.retry }))
				if e.Attempts != 1 || n.Load() != 1 || took != 0 || len(ep.Requests()) != 0 {
					t.Errorf("%d attempts, %d connections, %d requests in %v: %v", e.Attempts, n.Load(), len(ep.Requests()), took, e)
				}
			})
		})
	}
}

// TestPinOverLoopback runs the unmodified default path. Not parallel: Start sets the process's variables.
func TestPinOverLoopback(t *testing.T) {
	ep := identitytest.NewServiceFabric(nil)
	ep.Start(t)
	cred, err := NewCredential(nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := cred.Host(); got != HostServiceFabric {
		t.Fatalf("host is %q", got)
	}
	if err := cred.Ready(t.Context(), vaultScope); err != nil {
		t.Fatal(err)
	}
	ep.RotateSecret() // the variable changes
	if err := anotherToken(cred); err != nil {
		t.Errorf("after the secret was rotated: %v", err)
	}
	for _, r := range ep.Requests() {
		if !r.Close || r.ProtoMajor != 1 || r.Header.Get("Accept-Encoding") != "" || r.URL.Scheme != "https" {
			t.Errorf("the request is %s to %s, kept %v, with the headers %v", r.Proto, r.URL, !r.Close, r.Header)
		}
	}
	before := len(ep.Requests())
	t.Setenv("IDENTITY_SERVER_THUMBPRINT", strings.Repeat("0", 40))
	for name, transport := range map[string]policy.Transporter{"default": nil, "a client": &http.Client{}} {
		options := &CredentialOptions{}
		options.Transport = transport
		cred, err := NewCredential(options)
		if err != nil {
			t.Fatal(err)
		}
		_, err = cred.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{"https://" + strings.ReplaceAll(name, " ", "-") + ".example/.default"}})
		wantErrorText(t, err, "IDENTITY_SERVER_THUMBPRINT", "another program", "1 attempt")
	}
	if got := len(ep.Requests()) - before; got != 0 {
		t.Errorf("%d requests reached what isn't pinned", got)
	}
}

// TestStolenCertificates: a certificate is public. It is the key that makes its owner.
func TestStolenCertificates(t *testing.T) {
	t.Parallel()
	pinned, own := newLeaf(t), newLeaf(t)
	for _, tt := range []struct {
		name  string
		shown tls.Certificate
		want  string
	}{
		{"the pinned one below its own", tls.Certificate{Certificate: [][]byte{own.Certificate[0], pinned.Certificate[0]}, PrivateKey: own.PrivateKey}, thumbprintOf(own)},
		{"the pinned one without its key", tls.Certificate{Certificate: pinned.Certificate, PrivateKey: own.PrivateKey}, "signature"},
	} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			t.Run(tt.name+", "+tls.VersionName(version), func(t *testing.T) {
				t.Parallel()
				h := overTLS(t, &tls.Config{Certificates: []tls.Certificate{tt.shown}, MaxVersion: version}, false)
				env := environmentAt(h.fake, h.URL)
				old := env.getenv
				env.getenv = func(name string) string {
					if name == "IDENTITY_SERVER_THUMBPRINT" {
						return thumbprintOf(pinned)
					}
					return old(name)
				}
				e, _ := mustFail(t, credentialAt(t, env, nil, singleTry))
				wantErrorText(t, e, tt.want)
				if got := h.arrivals(); len(got) != 0 {
					t.Errorf("the thief got %d requests", len(got))
				}
			})
		}
	}
}

func TestChangedThumbprintAtTheNextConnection(t *testing.T) {
	bubble(t, func(t *testing.T) {
		first, second := identitytest.NewServiceFabric(nil), identitytest.NewServiceFabric(nil)
		v := &variables{values: fabricVariables(first)}
		now := first // who listens
		client := first.Client()
		client.Transport.(*http.Transport).DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			return now.Client().Transport.(*http.Transport).DialContext(ctx, network, addr)
		}
		for _, ep := range []*identitytest.Endpoint{first, second} {
			ep.Enqueue(identitytest.Response{Body: grantBody("t", 24*time.Hour), For: time.Hour})
		}
		cred := credentialAt(t, v.environment(), client)
		ask := func(n int) error {
			_, err := cred.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{fmt.Sprintf("https://%d.example/.default", n)}})
			return err
		}
		if err := ask(1); err != nil {
			t.Fatal(err)
		}
		now = second // the platform replaces the certificate, and the variable only later
		wantErrorText(t, ask(2), "another program", "1 attempt")
		v.set("IDENTITY_SERVER_THUMBPRINT", fabricVariables(second)["IDENTITY_SERVER_THUMBPRINT"])
		if err := ask(3); err != nil {
			t.Errorf("with the new thumbprint: %v", err)
		}
		v.set("IDENTITY_SERVER_THUMBPRINT", "pa55word")
		start := time.Now()
		wantErrorText(t, ask(4), "IDENTITY_SERVER_THUMBPRINT", "40 hexadecimal digits", "1 attempt")
		v.set("IDENTITY_SERVER_THUMBPRINT", "")
		wantErrorText(t, ask(5), "IDENTITY_SERVER_THUMBPRINT", "40 hexadecimal digits", "1 attempt")
		if took := time.Since(start); took != 0 {
			t.Errorf("errors after %v, want them at once", took)
		}
		v.set("IDENTITY_SERVER_THUMBPRINT", fabricVariables(first)["IDENTITY_SERVER_THUMBPRINT"])
		wantErrorText(t, ask(6), "another program")
		if a, b := len(first.Requests()), len(second.Requests()); a != 1 || b != 1 {
			t.Errorf("%d and %d requests arrived, want 1 of each", a, b)
		}
		time.Sleep(time.Minute)
		now = first
		if err := ask(6); err != nil {
			t.Errorf("after the cool-down: %v", err)
		}
	})
}

// TestPinnedConnectionsAreNotKept: nobody can close the connections of a transport that only the credential has, a kept
// one outlives the credential, and is used on when the thumbprint has changed.
func TestPinnedConnectionsAreNotKept(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name      string
		transport policy.Transporter
	}{
		{"default", nil},
		{"a client without a transport", &http.Client{}},
		{"a plain transport", &http.Client{Transport: &http.Transport{}}},
		{"http.DefaultClient", http.DefaultClient},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := overTLS(t, &tls.Config{}, false)
			env, thumbprint := h.environment(), new(atomic.Pointer[string])
			old := env.getenv
			env.getenv = func(name string) string {
				if changed := thumbprint.Load(); changed != nil && name == "IDENTITY_SERVER_THUMBPRINT" {
					return *changed
				}
				return old(name)
			}
			cred := credentialAt(t, env, tt.transport, singleTry)
			mustToken(t, cred)
			if got := h.arrivals(); len(got) != 1 || !got[0].Closes {
				t.Errorf("the server saw %+v, want one request that closes its connection", got)
			}
			changed := strings.Repeat("0", 40)
			thumbprint.Store(&changed)
			if err := anotherToken(cred); err == nil {
				t.Error("a connection from before the thumbprint changed was used for another token")
			}
		})
	}
}

func TestPinnedSessionsAreNotResumed(t *testing.T) {
	t.Parallel()
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			t.Parallel()
			h := overTLS(t, &tls.Config{MaxVersion: version}, false)
			own := &http.Client{Transport: &http.Transport{
				DisableKeepAlives: true,
				TLSClientConfig:   &tls.Config{InsecureSkipVerify: true, ClientSessionCache: tls.NewLRUClientSessionCache(0)},
			}}
			for range 3 {
				resp, err := own.Get(h.URL)
				if err != nil {
					t.Fatal(err)
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
			}
			before := h.arrivals()
			if !before[2].Resumed {
				t.Fatal("the user's own client doesn't resume: this test would see nothing")
			}
			cred := credentialAt(t, h.environment(), own, singleTry)
			for _, scope := range scopesOf(3) {
				if _, err := cred.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{scope}}); err != nil {
					t.Fatal(err)
				}
			}
			for _, a := range h.arrivals()[len(before):] {
				if a.Resumed {
					t.Errorf("a session was resumed: %+v", a)
				}
			}
			if len(h.arrivals()) != len(before)+3 {
				t.Errorf("%d requests, want 3", len(h.arrivals())-len(before))
			}
		})
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
		{"TLS 1.0", tls.VersionTLS10, tls.VersionTLS10, 0, false},
		{"TLS 1.1", tls.VersionTLS11, tls.VersionTLS10, 0, false},
		{"TLS 1.2", tls.VersionTLS12, tls.VersionTLS10, 0, true},
		{"TLS 1.3", tls.VersionTLS13, tls.VersionTLS10, 0, true},
		{"TLS 1.2 where the user wants 1.3", tls.VersionTLS12, tls.VersionTLS13, 0, false},
		{"TLS 1.1 at most, by the user", tls.VersionTLS11, tls.VersionTLS10, tls.VersionTLS11, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := overTLS(t, &tls.Config{MinVersion: tt.server, MaxVersion: tt.server}, false)
			own := &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{MinVersion: tt.lowest, MaxVersion: tt.newest}}
			_, err := getToken(t.Context(), credentialAt(t, h.environment(), &http.Client{Transport: own}, singleTry))
			if got := err == nil; got != tt.ok {
				t.Errorf("got error %v, want none: %v", err, tt.ok)
			}
			if got := h.arrivals(); len(got) > 0 != tt.ok || tt.ok && got[0].Version != tt.server {
				t.Errorf("the server saw %+v", got)
			}
			if !tt.ok {
				wantErrorText(t, err, "Service Fabric", "tls: ")
			}
		})
	}
}

// TestPinnedHTTP1Only: an implementation of HTTP/2 may have a dialler of its own.
func TestPinnedHTTP1Only(t *testing.T) {
	t.Parallel()
	h := overTLS(t, &tls.Config{}, true)
	only2, both := new(http.Protocols), new(http.Protocols)
	only2.SetHTTP2(true)
	both.SetHTTP1(true)
	both.SetHTTP2(true)
	unverified := func() *tls.Config { return &tls.Config{InsecureSkipVerify: true} }
	var upgraded atomic.Int64
	for _, tt := range []struct {
		name      string
		transport *http.Transport
		alone     string // the protocol that it speaks by itself; "" for the default transport
	}{
		{"default", nil, ""},
		{"forced", &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: unverified()}, "HTTP/2.0"},
		{"both protocols", &http.Transport{Protocols: both, TLSClientConfig: unverified()}, "HTTP/2.0"},
		{"HTTP/2 alone", &http.Transport{Protocols: only2, TLSClientConfig: unverified()}, "HTTP/2.0"},
		{"offered by hand", &http.Transport{
			TLSClientConfig: &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2", "http/1.1"}},
			TLSNextProto: map[string]func(string, *tls.Conn) http.RoundTripper{"h2": func(string, *tls.Conn) http.RoundTripper {
				upgraded.Add(1)
				return roundTripper(func(*http.Request) (*http.Response, error) { return nil, errors.New("upgraded") })
			}},
		}, "upgraded"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var transport policy.Transporter
			if tt.transport != nil {
				transport = &http.Client{Transport: tt.transport}
				tt.transport.DisableKeepAlives = true
				resp, err := transport.(*http.Client).Get(h.URL)
				if err == nil {
					_ = resp.Body.Close()
				}
				if tt.alone == "upgraded" && upgraded.Load() == 0 || tt.alone != "upgraded" && (err != nil || resp.Proto != tt.alone) {
					t.Fatalf("by itself the transport got %v, error %v: this test would see nothing", resp, err)
				}
			}
			before, upgradedBefore := len(h.arrivals()), upgraded.Load()
			mustToken(t, credentialAt(t, h.environment(), transport, singleTry))
			saw := h.arrivals()[before:]
			if len(saw) != 1 || saw[0].Proto != "HTTP/1.1" || saw[0].Negotiated == "h2" {
				t.Errorf("the server saw %+v, want HTTP/1.1", saw)
			}
			if upgraded.Load() != upgradedBefore {
				t.Error("the user's HTTP/2 was used")
			}
		})
	}
}

// roundTripper is a function as what a client sends with.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestPinnedRedirects(t *testing.T) {
	follow := func(*http.Request, []*http.Request) error { return nil }
	for name, check := range map[string]func(*http.Request, []*http.Request) error{
		"net/http's own way": nil, "a CheckRedirect that follows": follow, "one that fails": func(*http.Request, []*http.Request) error { return errors.New("own") },
	} {
		for _, status := range []int{301, 302, 303, 307, 308} {
			t.Run(fmt.Sprint(name, ", ", status), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					ep := identitytest.NewServiceFabric(nil)
					ep.Enqueue(identitytest.Response{Status: status, Header: http.Header{"Location": {fabricBase + "/elsewhere"}}})
					client := ep.Client()
					client.CheckRedirect = check
					e, took := mustFail(t, credentialAt(t, environmentAt(ep, fabricBase), client))
					if len(ep.Requests()) != 1 {
						t.Errorf("%d requests: the redirect was followed, and the secret with it", len(ep.Requests()))
					}
					if e.StatusCode != status || e.Attempts != 1 || took != 0 {
						t.Errorf("got %v after %v, want the redirect itself at once", e, took)
					}
				})
			})
		}
	}
	t.Run("the default", func(t *testing.T) {
		t.Parallel()
		h := overTLS(t, &tls.Config{}, false)
		h.fake.Enqueue(identitytest.Response{Status: 307, Header: http.Header{"Location": {h.URL + "/elsewhere"}}})
		if e, _ := mustFail(t, credentialAt(t, h.environment(), nil, singleTry)); e.StatusCode != 307 || len(h.arrivals()) != 1 {
			t.Errorf("got %v and %d requests", e, len(h.arrivals()))
		}
	})
}

// embedding is a Transporter that only looks like an *http.Client.
type embedding struct{ *http.Client }

func TestTransportsThatCannotBePinned(t *testing.T) {
	t.Parallel()
	const field = "CredentialOptions.Transport: "
	refused := roundTripper(func(*http.Request) (*http.Response, error) {
		t.Error("it was used")
		return nil, errors.New("used")
	})
	ep := identitytest.NewServiceFabric(nil)
	dial := func(string, string) (net.Conn, error) { return nil, errors.New("dialled") }
	dialContext := func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("dialled") }
	over := func(transport http.RoundTripper) *http.Client { return &http.Client{Transport: transport} }
	for _, tt := range []struct {
		name      string
		transport policy.Transporter
		want      []string
	}{
		{"the fake itself", ep, []string{"*identitytest.Endpoint", "has to be pinned", "*http.Client"}},
		{"nil fake", (*identitytest.Endpoint)(nil), []string{"*identitytest.Endpoint", "has to be pinned"}},
		{"a function", transportFunc(refused), []string{"transportFunc", "has to be pinned"}},
		{"nil function", transportFunc(nil), []string{"transportFunc", "has to be pinned"}},
		{"a client in a struct", embedding{ep.Client()}, []string{"embedding", "has to be pinned"}},
		{"pointer to a client in a struct", &embedding{ep.Client()}, []string{"embedding", "has to be pinned"}},
		{"nil client", (*http.Client)(nil), []string{"nil *http.Client"}},
		{"another RoundTripper", over(refused), []string{"roundTripper", "*http.Transport"}},
		{"nil RoundTripper of another type", over(roundTripper(nil)), []string{"roundTripper", "*http.Transport"}},
		{"nil *http.Transport", over((*http.Transport)(nil)), []string{"nil *http.Transport"}},
		//lint:ignore SA1019 DialTLS is deprecated, but would be used
		{"DialTLS", over(&http.Transport{DialTLS: dial}), []string{"DialTLS"}},
		{"DialTLSContext", over(&http.Transport{DialTLSContext: dialContext}), []string{"DialTLS"}},
		//lint:ignore SA1019 DialTLS is deprecated, but would be used
		{"both", over(&http.Transport{DialTLS: dial, DialTLSContext: dialContext}), []string{"DialTLS"}},
		{"VerifyConnection", over(&http.Transport{TLSClientConfig: &tls.Config{VerifyConnection: func(tls.ConnectionState) error { return nil }}}), []string{"TLSClientConfig", "verifies"}},
		{"VerifyPeerCertificate", over(&http.Transport{TLSClientConfig: &tls.Config{VerifyPeerCertificate: func([][]byte, [][]*x509.Certificate) error { return nil }}}), []string{"TLSClientConfig", "verifies"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, host := range []Host{"", HostServiceFabric} {
				options := &CredentialOptions{Host: host}
				options.Transport = tt.transport
				cred, err := newCredential(options, environmentAt(ep, fabricBase))
				if cred != nil {
					t.Error("there is a credential all the same")
				}
				wantErrorText(t, err, append(tt.want, field, "leave Transport nil")...)
			}
		})
	}
	if got := len(ep.Requests()); got != 0 {
		t.Errorf("constructors sent %d requests", got)
	}
}

func TestTransportsThatCanBePinned(t *testing.T) {
	t.Parallel()
	h := overTLS(t, &tls.Config{}, false)
	for _, tt := range []struct {
		name      string
		transport policy.Transporter
	}{
		{"none", nil},
		{"a client", &http.Client{}},
		{"http.DefaultClient", http.DefaultClient},
		{"http.DefaultTransport", &http.Client{Transport: http.DefaultTransport}},
		{"a plain transport", &http.Client{Transport: &http.Transport{}}},
		{"with a configuration", &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{}}}},
		{"that trusts nobody", &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: x509.NewCertPool(), ServerName: "elsewhere.example"}}}},
		{"that trusts everybody", &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}},
		{"with a timeout", &http.Client{Timeout: 10 * time.Second}},
		{"with a dialler", &http.Client{Transport: &http.Transport{DialContext: (&net.Dialer{}).DialContext}}},
		{"that doesn't like HTTP/1", &http.Client{Transport: &http.Transport{TLSNextProto: map[string]func(string, *tls.Conn) http.RoundTripper{}}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			mustToken(t, credentialAt(t, h.environment(), tt.transport, singleTry))
		})
		t.Run(tt.name+", impostor", func(t *testing.T) {
			t.Parallel()
			h := overTLS(t, &tls.Config{}, false)
			env := h.environment()
			old := env.getenv
			env.getenv = func(name string) string {
				if name == "IDENTITY_SERVER_THUMBPRINT" {
					return strings.Repeat("0", 40)
				}
				return old(name)
			}
			e, _ := mustFail(t, credentialAt(t, env, tt.transport))
			wantErrorText(t, e, "another program", "1 attempt")
			if len(h.arrivals()) != 0 {
				t.Error("a request arrived")
			}
		})
	}
}

// TestReplacedDefaultTransport: telemetry libraries put their own into http.DefaultTransport. Not parallel: it is global.
func TestReplacedDefaultTransport(t *testing.T) {
	h := overTLS(t, &tls.Config{}, false)
	before := http.DefaultTransport
	defer func() { http.DefaultTransport = before }()
	http.DefaultTransport = roundTripper(func(*http.Request) (*http.Response, error) {
		t.Error("it was used")
		return respond(200, grantBody("t", time.Hour)), nil
	})
	options := &CredentialOptions{}
	options.Transport = &http.Client{}
	_, err := newCredential(options, h.environment())
	wantErrorText(t, err, "CredentialOptions.Transport", "roundTripper")
	mustToken(t, credentialAt(t, h.environment(), nil)) // the default is the package's own
}

func TestPinLeavesTheUsersTransportAlone(t *testing.T) {
	t.Parallel()
	h := overTLS(t, &tls.Config{}, false)
	cache := tls.NewLRUClientSessionCache(0)
	own := &tls.Config{MinVersion: tls.VersionTLS10, ClientSessionCache: cache, NextProtos: []string{"http/1.1"}, RootCAs: x509.NewCertPool()}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	transport := &http.Transport{TLSClientConfig: own, Protocols: protocols, MaxIdleConns: 7}
	client := &http.Client{Transport: transport, Timeout: time.Minute}
	cred := credentialAt(t, h.environment(), client, singleTry)
	mustToken(t, cred)
	if client.Transport != http.RoundTripper(transport) || client.CheckRedirect != nil || client.Timeout != time.Minute || client.Jar != nil {
		t.Errorf("the client is %+v now", client)
	}
	if transport.TLSClientConfig != own || transport.Protocols != protocols || transport.DisableKeepAlives || transport.ForceAttemptHTTP2 || transport.TLSNextProto != nil || transport.DialTLSContext != nil || transport.MaxIdleConns != 7 {
		t.Errorf("the transport is %+v now", transport)
	}
	if own.InsecureSkipVerify || own.VerifyConnection != nil || own.VerifyPeerCertificate != nil || own.MinVersion != tls.VersionTLS10 || own.ClientSessionCache != cache {
		t.Errorf("the configuration is %+v now", own)
	}
	if diff := cmp.Diff([]string{"http/1.1"}, own.NextProtos); diff != "" {
		t.Errorf("NextProtos (-want +got):\n%s", diff)
	}
	// It is no less careful than before: it trusts nobody.
	if resp, err := client.Get(h.URL); err == nil {
		_ = resp.Body.Close()
		t.Error("the user's client now talks to a server that it doesn't trust")
	}
	// What the user does to the transport later is the user's.
	transport.DialContext = func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("later") }
	own.VerifyConnection = func(tls.ConnectionState) error { return errors.New("later") }
	if err := anotherToken(cred); err != nil {
		t.Errorf("after the user changed the transport: %v", err)
	}
}

// TestRegisteredProtocolsAreNotUsed: RegisterProtocol("https", …) sends what is for https through anything at all.
func TestRegisteredProtocolsAreNotUsed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var got []string
		thief := roundTripper(func(r *http.Request) (*http.Response, error) {
			got = append(got, r.Header.Get("Secret"))
			return respond(200, grantBody("forged", time.Hour)), nil
		})
		ep := identitytest.NewServiceFabric(nil)
		client := ep.Client()
		transport := client.Transport.(*http.Transport)
		transport.RegisterProtocol("https", thief)
		if resp, err := client.Get(fabricBase); err != nil || resp.StatusCode != 200 || len(got) != 1 {
			t.Fatalf("the protocol isn't in use: this test would see nothing (error %v)", err)
		}
		tk, _ := mustToken(t, credentialAt(t, environmentAt(ep, fabricBase), client))
		if tk.Token == "forged" || len(got) != 1 || len(ep.Requests()) != 1 {
			t.Errorf("token %q, %d requests through the registered protocol, %d to the host", tk.Token, len(got)-1, len(ep.Requests()))
		}
		values := fabricVariables(ep)
		values["IDENTITY_SERVER_THUMBPRINT"] = strings.Repeat("0", 40)
		if e, _ := mustFail(t, credentialAt(t, environmentOf(values), client)); len(got) != 1 {
			t.Errorf("the registered protocol was asked: %v", e)
		}
	})
}

// proxy is an HTTP proxy on loopback that keeps every byte it is sent.
type proxy struct {
	net.Listener
	serving sync.WaitGroup
	mu      sync.Mutex
	read    bytes.Buffer
}

// newProxy starts a proxy. onward takes over a connection once the client has asked for a tunnel.
func newProxy(tb testing.TB, wrap func(net.Conn) net.Conn, onward func(client net.Conn)) *proxy {
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
			p.serving.Go(func() {
				defer func() { _ = conn.Close() }()
				_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
				client := wrap(tapped{conn, p})
				head := make([]byte, 0, 4096)
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
			})
		}
	})
	tb.Cleanup(p.stop)
	return p
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

func TestProxiesDoNotGetTheSecret(t *testing.T) {
	t.Parallel()
	impostor := &tls.Config{Certificates: []tls.Certificate{newLeaf(t)}}
	straight := func(c net.Conn) net.Conn { return c }
	through := func(c net.Conn) net.Conn { return tls.Server(c, impostor) }
	tunnel := func(to string) func(net.Conn) {
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
	for _, tt := range []struct {
		name   string
		scheme string
		wrap   func(net.Conn) net.Conn
		onward func(h *tlsHost, opened *bytes.Buffer) func(net.Conn)
		ok     bool
	}{
		{"honest", "http", straight, func(h *tlsHost, _ *bytes.Buffer) func(net.Conn) { return tunnel(h.Listener.Addr().String()) }, true},
		{"with a certificate of its own inside the tunnel", "http", straight, func(_ *tlsHost, opened *bytes.Buffer) func(net.Conn) {
			return func(client net.Conn) { _, _ = io.Copy(opened, tls.Server(client, impostor)) }
		}, false},
		{"without TLS inside the tunnel", "http", straight, func(_ *tlsHost, opened *bytes.Buffer) func(net.Conn) {
			return func(client net.Conn) {
				_, _ = io.CopyN(opened, client, 5) // or the client takes the answer for a part of the one to CONNECT
				_, _ = io.WriteString(client, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
				_, _ = io.Copy(opened, client)
			}
		}, false},
		{"behind TLS", "https", through, func(h *tlsHost, _ *bytes.Buffer) func(net.Conn) { return tunnel(h.Listener.Addr().String()) }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := overTLS(t, &tls.Config{}, false)
			var opened bytes.Buffer
			p := newProxy(t, tt.wrap, tt.onward(h, &opened))
			var asked atomic.Int64
			own := &http.Transport{
				DisableKeepAlives: true,
				Proxy: func(*http.Request) (*url.URL, error) {
					asked.Add(1)
					return &url.URL{Scheme: tt.scheme, Host: p.Addr().String()}, nil
				},
			}
			secret := h.environment().getenv("IDENTITY_HEADER")
			_, err := getToken(t.Context(), credentialAt(t, h.environment(), &http.Client{Transport: own}, singleTry))
			if got := err == nil; got != tt.ok {
				t.Errorf("got error %v, want none: %v", err, tt.ok)
			}
			if asked.Load() == 0 || tt.scheme == "http" && !strings.Contains(p.seen(), "CONNECT ") {
				t.Fatal("the proxy wasn't used: this test would see nothing")
			}
			p.stop()
			if secret == "" || strings.Contains(p.seen(), secret) || strings.Contains(opened.String(), secret) || strings.Contains(p.seen(), "Secret") {
				t.Errorf("the proxy got the secret, or %q", p.seen())
			}
			if got := len(h.arrivals()); got > 0 != tt.ok {
				t.Errorf("%d requests arrived", got)
			}
		})
	}
}

// TestPlainServerAtThePinnedAddress: what speaks no TLS gets no byte of the request.
func TestPlainServerAtThePinnedAddress(t *testing.T) {
	t.Parallel()
	var got atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { got.Add(1) }))
	t.Cleanup(server.Close)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	ep := identitytest.NewServiceFabric(nil)
	e, _ := mustFail(t, credentialAt(t, environmentAt(ep, "https://"+server.Listener.Addr().String()), nil, singleTry))
	if got.Load() != 0 || e.StatusCode != 0 {
		t.Errorf("%d requests arrived: %v", got.Load(), e)
	}
}

// TestPinnedClientRefusesPlainHTTP: where there is no TLS there is no certificate. A policy in CredentialOptions may change
// the scheme; the secret must not go out without the check all the same.
func TestPinnedClientRefusesPlainHTTP(t *testing.T) {
	t.Parallel()
	var got atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		got.Add(1)
		_, _ = io.WriteString(w, grantBody("forged", time.Hour))
	}))
	t.Cleanup(server.Close)
	ep := identitytest.NewServiceFabric(nil)
	env := environmentAt(ep, "https://"+server.Listener.Addr().String())
	for name, transport := range map[string]policy.Transporter{"default": nil, "a client": &http.Client{}} {
		_, err := getToken(t.Context(), credentialAt(t, env, transport, singleTry, func(o *CredentialOptions) {
			o.PerRetryPolicies = []policy.Policy{policyFunc(func(req *policy.Request) (*http.Response, error) {
				req.Raw().URL.Scheme = "http"
				return req.Next()
			})}
		}))
		if err == nil || got.Load() != 0 {
			t.Errorf("%s: %d requests went out in the clear, error %v", name, got.Load(), err)
		}
	}
}

// underFIPS tells the test binary that it is the child of TestPinUnderFIPS.
const underFIPS = "IDENTITY_TEST_UNDER_FIPS"

// TestPinUnderFIPS: with GODEBUG=fips140=only Go refuses SHA-1, which the platform's thumbprints are. The setting is read
// when a process starts, so that it takes one.
func TestPinUnderFIPS(t *testing.T) {
	if os.Getenv(underFIPS) != "" {
		if !fips140.Enabled() || !fips140.Enforced() {
			t.Skip("Go's FIPS mode can't be enforced here")
		}
		cred, err := NewCredential(nil)
		if err != nil {
			t.Fatal(err)
		}
		tk, err := challenged(t.Context(), cred) // with nothing held it is an ordinary one
		if err == nil {
			tk, err = challenged(t.Context(), cred)
		}
		fmt.Printf("got a token: %v, error: %v\n", tk.Token != "", err)
		return
	}
	t.Parallel()
	ep := identitytest.NewServiceFabric(nil)
	server := httptest.NewUnstartedServer(ep)
	server.TLS = ep.TLSConfig()
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	for _, tt := range []struct {
		name      string
		variables []string
		want      string
	}{
		{"pinned", nil, "got a token: true, error: <nil>\n"},
		{"impostor", []string{"IDENTITY_SERVER_THUMBPRINT=" + strings.Repeat("0", 40)}, "is another program listening there?"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			child := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestPinUnderFIPS$", "-test.v")
			child.Env = append(os.Environ(), ep.Env(server.URL)...)
			child.Env = append(child.Env, tt.variables...)
			child.Env = append(child.Env, underFIPS+"=1", "GODEBUG=fips140=only")
			out, err := child.CombinedOutput()
			switch text := string(out); {
			case strings.Contains(text, "--- SKIP"), err != nil && !strings.Contains(text, "=== RUN"): // the runtime refused the mode
				t.Skipf("this platform has no FIPS mode: %v\n%s", err, out)
			case err != nil || !strings.Contains(text, tt.want):
				t.Errorf("error %v, output %s, want %q in it", err, out, tt.want)
			}
		})
	}
}

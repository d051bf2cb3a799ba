package transport

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/fips140"
	"crypto/rand"
	"crypto/sha1"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// newLeaf is a certificate that nobody has signed.
func newLeaf(tb testing.TB, adjust ...func(*x509.Certificate)) tls.Certificate {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotBefore:    time.Date(1990, 1, 1, 0, 0, 0, 0, time.UTC),
		NotAfter:     time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC),
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

// thumbprintOf works with GODEBUG=fips140=only, too.
func thumbprintOf(b []byte) (sum [sha1.Size]byte) {
	fips140.WithoutEnforcement(func() { sum = sha1.Sum(b) })
	return sum
}

// FuzzPin: only the certificate with a thumbprint has it. Any other bit is another certificate.
func FuzzPin(f *testing.F) {
	f.Add([]byte("certificate"), uint8(0))
	f.Add([]byte{}, uint8(159))
	f.Fuzz(func(t *testing.T, certificate []byte, bit uint8) {
		own := thumbprintOf(certificate)
		state := tls.ConnectionState{PeerCertificates: []*x509.Certificate{
			{Raw: certificate}, {Raw: []byte("of an authority")},
		}}
		if err := checkPin(state, own[:], "VARIABLE"); err != nil {
			t.Error(err)
		}
		other := own
		other[bit/8%sha1.Size] ^= 1 << (bit % 8)
		var refused *pinError
		if err := checkPin(state, other[:], "VARIABLE"); !errors.As(err, &refused) {
			t.Errorf("%x passes for %x: %v", other, own, err)
		}
	})
}

// TestPinWithoutCertificates: a server that shows none is nobody.
func TestPinWithoutCertificates(t *testing.T) {
	t.Parallel()
	empty := thumbprintOf(nil)
	for _, want := range [][]byte{nil, {}, empty[:], make([]byte, sha1.Size)} {
		var final interface{ NonRetriable() }
		if err := checkPin(tls.ConnectionState{}, want, "VARIABLE"); !errors.As(err, &final) {
			t.Errorf("pin %x: got %v, want a final error", want, err)
		}
	}
	leaf, err := x509.ParseCertificate(newLeaf(t).Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	sum := thumbprintOf(leaf.Raw)
	state := tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf}}
	for _, want := range [][]byte{nil, {}, sum[:19], append(sum[:], 0), make([]byte, sha1.Size)} {
		if err := checkPin(state, want, "VARIABLE"); err == nil {
			t.Errorf("a pin of %d bytes, %x, was matched", len(want), want)
		}
	}
	if err := checkPin(state, sum[:], "VARIABLE"); err != nil {
		t.Error(err)
	}
}

// TestPinBesideTheTransportsFirstUse: net/http completes a transport when it is first used, which
// may be at this moment in another goroutine. Only the race detector sees what is wrong.
func TestPinBesideTheTransportsFirstUse(t *testing.T) {
	t.Parallel()
	for range 20 {
		transport := &http.Transport{}
		var wg sync.WaitGroup
		wg.Go(transport.CloseIdleConnections) // as the first request does, it sets TLSClientConfig
		wg.Go(func() {
			none := func() ([]byte, error) { return nil, nil }
			if _, err := Pin(&http.Client{Transport: transport}, "VARIABLE", none); err != nil {
				t.Error(err)
			}
		})
		wg.Wait()
	}
}

// TestPinnedTransportHasNoOtherWay: what could make a connection, or verify one, in another way is
// gone.
func TestPinnedTransportHasNoOtherWay(t *testing.T) {
	t.Parallel()
	base := &http.Transport{
		ForceAttemptHTTP2: true,
		TLSNextProto:      map[string]func(string, *tls.Conn) http.RoundTripper{"h2": nil},
		TLSClientConfig: &tls.Config{
			NextProtos: []string{"h2"}, EncryptedClientHelloConfigList: []byte("x"),
			ClientSessionCache: tls.NewLRUClientSessionCache(1),
		},
	}
	client, err := Pin(&http.Client{Transport: base}, "VARIABLE",
		func() ([]byte, error) { return make([]byte, 20), nil })
	if err != nil {
		t.Fatal(err)
	}
	got := client.Transport.(*http.Transport)
	c := got.TLSClientConfig
	if got.ForceAttemptHTTP2 || got.TLSNextProto == nil || len(got.TLSNextProto) > 0 ||
		got.Protocols.String() != "{HTTP1}" || !got.DisableKeepAlives {
		t.Errorf("protocols: %+v", got)
	}
	if c.NextProtos != nil || c.EncryptedClientHelloConfigList != nil ||
		c.ClientSessionCache != nil || c.VerifyConnection == nil || c.MinVersion < tls.VersionTLS12 {
		t.Errorf("TLS: %+v", c)
	}
	if got.DialContext == nil {
		t.Error("no dialler: with GOOS=js the browser would connect, and nothing be pinned")
	}
	if len(base.TLSNextProto) != 1 || !base.ForceAttemptHTTP2 ||
		base.TLSClientConfig.NextProtos == nil {
		t.Error("the user's transport was changed")
	}
}

// TestPinIsComparedInConstantTime: a comparison that ends at the first difference can't be told
// from outside, so look inside.
func TestPinIsComparedInConstantTime(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("pin.go")
	if err != nil {
		t.Fatal(err)
	}
	text := string(source)
	if !strings.Contains(text, "subtle.ConstantTimeCompare(got[:], want) != 1") ||
		strings.Contains(text, "bytes.Equal") {
		t.Error("pin.go compares thumbprints in another way")
	}
}

package identitytest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/fips140"
	"crypto/rand"
	"crypto/sha1"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"net"
	"time"
)

// certificate is what an endpoint with TLS shows of itself. It never changes.
type certificate struct {
	pair tls.Certificate
	pool *x509.CertPool // of those who trust it, and nothing else
}

// newCertificate makes one for localhost and for names, signed by itself.
func newCertificate(names ...string) *certificate {
	done, err := takeTurn(context.Background())
	if err != nil {
		panic(fmt.Sprintf("identitytest: %v", err))
	}
	defer done()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(fmt.Sprintf("identitytest: %v", err))
	}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: "identitytest"},
		// In a testing/synctest bubble it is the year 2000.
		NotBefore:             time.Date(1990, time.January, 1, 0, 0, 0, 0, time.UTC),
		NotAfter:              time.Date(2100, time.January, 1, 0, 0, 0, 0, time.UTC),
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
		IsCA:                  true, // or only Go would take it for the root of its own chain
		DNSNames:              append([]string{"localhost"}, names...),
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		panic(fmt.Sprintf("identitytest: %v", err))
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		panic(fmt.Sprintf("identitytest: %v", err))
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return &certificate{tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, pool}
}

// thumbprint is the SHA-1 of the certificate in upper-case hex, as Windows and Azure write it. It
// is a name here and protects nothing, so GODEBUG=fips140=only, which refuses SHA-1, has to except
// it.
func (c *certificate) thumbprint() string {
	var sum [sha1.Size]byte
	fips140.WithoutEnforcement(func() { sum = sha1.Sum(c.pair.Certificate[0]) })
	return fmt.Sprintf("%X", sum)
}

// TLSConfig returns a new configuration for a server of your own, with the certificate of the
// endpoint, or nil if the host doesn't have TLS. Service Fabric, workload identity and Entra have
// it:
//
//	server := &http.Server{Handler: endpoint, TLSConfig: endpoint.TLSConfig()}
//	go server.ServeTLS(listener, "", "")
//
// The certificate is made with the endpoint, for localhost, 127.0.0.1 and ::1, and valid until the
// year 2100. It is signed by itself: a process that checks it must be told to trust it, as by the
// environment variable SSL_CERT_FILE.
func (e *Endpoint) TLSConfig() *tls.Config {
	if e.certificate == nil {
		return nil
	}
	return &tls.Config{Certificates: []tls.Certificate{e.certificate.pair}}
}

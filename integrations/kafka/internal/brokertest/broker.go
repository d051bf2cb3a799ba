package brokertest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Namespace is the name of the broker, for which its certificate is.
const Namespace = "example.servicebus.windows.net"

// Audience is that of the namespace's tokens.
const Audience = "https://" + Namespace

// Broker is one in memory, at any address that Dial is given: it works in a synctest bubble.
type Broker struct {
	*Tokens
	Addr    string // by which the cluster calls it
	cluster *kfake.Cluster
	network *kfake.VirtualNetwork
}

// Start starts a broker that ends with the test. Close it before a bubble's end.
func Start(tb testing.TB, tokens *Tokens) *Broker {
	tb.Helper()
	network := new(kfake.VirtualNetwork)
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(9093),
		kfake.ListenFn(network.Listen), kfake.TLS(ServerTLS()), kfake.SeedTopics(1, "orders"))
	if err != nil {
		tb.Fatal(err)
	}
	b := &Broker{Tokens: tokens, Addr: cluster.ListenAddrs()[0], cluster: cluster, network: network}
	cluster.ControlKey(int16(kmsg.SASLHandshake), b.handshake)
	cluster.ControlKey(int16(kmsg.SASLAuthenticate), b.authenticate)
	tb.Cleanup(cluster.Close)
	return b
}

// Close ends the broker.
func (b *Broker) Close() { b.cluster.Close() }

// Dial connects to the broker, whatever the address.
func (b *Broker) Dial(ctx context.Context, network, _ string) (net.Conn, error) {
	return b.network.DialContext(ctx, network, b.Addr)
}

// Trust is a client's TLS that trusts brokers of this package.
func Trust() *tls.Config {
	pool := x509.NewCertPool()
	pool.AddCert(certificate().Leaf)
	return &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
}

// ServerTLS is a broker's TLS.
func ServerTLS() *tls.Config {
	return &tls.Config{
		Certificates: []tls.Certificate{certificate()}, MinVersion: tls.VersionTLS12,
	}
}

func (b *Broker) handshake(r kmsg.Request) (kmsg.Response, error, bool) {
	b.cluster.KeepControl()
	req := r.(*kmsg.SASLHandshakeRequest)
	resp := req.ResponseKind().(*kmsg.SASLHandshakeResponse)
	resp.SupportedMechanisms = []string{"OAUTHBEARER"}
	if req.Mechanism != "OAUTHBEARER" {
		resp.ErrorCode = kerr.UnsupportedSaslMechanism.Code
	}
	return resp, nil, true
}

func (b *Broker) authenticate(r kmsg.Request) (kmsg.Response, error, bool) {
	b.cluster.KeepControl()
	req := r.(*kmsg.SASLAuthenticateRequest)
	resp := req.ResponseKind().(*kmsg.SASLAuthenticateResponse)
	session, challenge, refusal := b.verdict(req.SASLAuthBytes)
	if refusal != "" {
		resp.ErrorCode, resp.ErrorMessage = kerr.SaslAuthenticationFailed.Code, &refusal
		return resp, nil, true
	}
	resp.SASLAuthBytes = []byte(challenge)
	resp.SessionLifetimeMillis = session.Milliseconds()
	return resp, nil, true
}

// certificate is made once, outside of any bubble's time.
var certificate = sync.OnceValue(func() tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotBefore:    time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC),
		NotAfter:     time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC),
		DNSNames:     []string{Namespace, "localhost"},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA:         true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
})

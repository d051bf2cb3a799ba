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
	cluster *kfake.Cluster
	network *kfake.VirtualNetwork
}

const listens = "127.0.0.1:9093" // in its own network

// Start starts a broker that the cluster calls by name, with a topic orders. It panics if it can't.
func Start(name string, tokens *Tokens) *Broker {
	network := new(kfake.VirtualNetwork)
	cluster := kfake.MustCluster(kfake.NumBrokers(1), kfake.Ports(9093), kfake.TLS(ServerTLS()),
		kfake.SeedTopics(1, "orders"),
		kfake.ListenFn(func(protocol, address string) (net.Listener, error) {
			l, err := network.Listen(protocol, address)
			return named{l, addr(name + ":9093")}, err
		}))
	b := &Broker{Tokens: tokens, cluster: cluster, network: network}
	cluster.ControlKey(int16(kmsg.SASLHandshake), b.handshake)
	cluster.ControlKey(int16(kmsg.SASLAuthenticate), b.authenticate)
	return b
}

// named is a listener that says it is at another address.
type named struct {
	net.Listener
	addr addr
}

func (n named) Addr() net.Addr { return n.addr }

type addr string

func (addr) Network() string  { return "tcp" }
func (a addr) String() string { return string(a) }

// Close ends the broker.
func (b *Broker) Close() { b.cluster.Close() }

// Dial connects to the broker, whatever the address.
func (b *Broker) Dial(ctx context.Context, network, _ string) (net.Conn, error) {
	return b.network.DialContext(ctx, network, listens)
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
		DNSNames:     []string{Namespace, "localhost", "broker.example.com"},
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

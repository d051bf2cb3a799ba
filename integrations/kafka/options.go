package identitykafka

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/keyless-go/identity/integrations/kafka/internal/eventhubs"
	"github.com/twmb/franz-go/pkg/kgo"
)

const pkg = "identitykafka"

// Options are what differs from Event Hubs at its own host name. New copies them.
type Options struct {
	// Scope is the scope of the tokens. "" means that of the brokers' namespace; a broker of
	// another name needs it. With a Scope, each broker that the cluster names gets a token;
	// without one only those of the namespace's cloud.
	Scope string

	// Extensions go beside the token, such as Confluent Cloud's logicalCluster and
	// identityPoolId.
	Extensions map[string]string

	// TLS is how to trust the brokers; nil means the system's certificates. There is always TLS, and
	// InsecureSkipVerify without a check of yours is an error.
	TLS *tls.Config

	// Dial makes the connection below TLS, through a proxy say. It has to end with ctx, which ends
	// after 10 s. Nil means the client's own, with its kgo.DialTimeout.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Auth is how a client authenticates. It is safe for concurrent use if its credential is, and can
// serve any number of clients.
type Auth struct {
	brokers    []string
	options    Options
	source     *eventhubs.Source
	extensions map[string]string
}

// New returns the authentication of cred's identity at a cluster with the bootstrap servers
// brokers, such as "example.servicebus.windows.net:9093". Nil options means the defaults. It sends
// nothing. It is an error if cred is nil, if neither brokers nor options say which scope the tokens
// have, if a namespace of Event Hubs has no port, or if Options.TLS looks at no certificate.
func New(cred azcore.TokenCredential, brokers []string, options *Options) (*Auth, error) {
	var o Options
	if options != nil {
		o = *options
	}
	if err := eventhubs.CheckTLS(o.TLS); err != nil {
		return nil, fmt.Errorf("%s: Options.TLS: %w", pkg, err)
	}
	source, err := eventhubs.NewSource(pkg, cred, o.Scope, brokers)
	if err != nil {
		return nil, err
	}
	a := &Auth{brokers: append([]string(nil), brokers...), options: o, source: source}
	a.extensions, err = eventhubs.Extensions(pkg, o.Extensions)
	if err != nil {
		return nil, err
	}
	if a.options.TLS = o.TLS.Clone(); a.options.TLS == nil {
		a.options.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	return a, nil
}

// Scope is the scope of the tokens, for Credential.Ready say.
func (a *Auth) Scope() string { return a.source.Scope }

// Opts returns the options of a client: its seed brokers, TLS and the mechanism. Give no kgo.Dialer
// beside them: it takes the place of Options.Dial and its TLS, and kgo refuses it where there is no
// Options.Dial.
func (a *Auth) Opts() []kgo.Opt {
	opts := []kgo.Opt{kgo.SASL(a.Mechanism())}
	if len(a.brokers) > 0 {
		opts = append(opts, kgo.SeedBrokers(a.brokers...))
	}
	if a.options.Dial == nil {
		return append(opts, kgo.DialTLSConfig(a.options.TLS))
	}
	return append(opts, kgo.Dialer(a.dial))
}

// dialTimeout is kgo's own bound by default, of a dial with its handshake.
const dialTimeout = 10 * time.Second

// dial puts TLS on what Options.Dial has dialed.
func (a *Auth) dial(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	conn, err := a.options.Dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	config := a.options.TLS.Clone()
	if config.ServerName == "" {
		config.ServerName, _, _ = net.SplitHostPort(address)
	}
	secure := tls.Client(conn, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, err
	}
	return secure, nil
}

package identitysarama

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/IBM/sarama"
	"github.com/keyless-go/identity/integrations/kafka/internal/eventhubs"
)

const pkg = "identitysarama"

// defaultTimeout is how long sarama waits for a connection or an answer by default.
const defaultTimeout = 30 * time.Second

// Options are what differs from Event Hubs at its own host name. New copies them.
type Options struct {
	// Scope is the scope of the tokens. "" means that of the brokers' namespace; a broker of
	// another name needs it.
	Scope string

	// Extensions go beside the token, such as Confluent Cloud's logicalCluster and
	// identityPoolId.
	Extensions map[string]string

	// Timeout bounds the wait for a token, as sarama's provider has no context. 0 means 30 s, as
	// sarama's own timeouts are by default.
	Timeout time.Duration
}

// Auth is how clients authenticate. It is safe for concurrent use if its credential is, and can
// serve any number of clients.
type Auth struct {
	ctx        context.Context // of New: the life of the clients
	timeout    time.Duration
	source     *eventhubs.Source
	extensions map[string]string
}

// New returns the authentication of cred's identity at a cluster with the bootstrap servers
// brokers, such as "example.servicebus.windows.net:9093". When ctx ends, waits for a token end, and
// no connection gets another one. Nil options means the defaults. It sends nothing. It is an error
// if cred is nil, if neither brokers nor options say which scope the tokens have, or if Timeout is
// negative.
func New(
	ctx context.Context, cred azcore.TokenCredential, brokers []string, options *Options,
) (*Auth, error) {
	var o Options
	if options != nil {
		o = *options
	}
	if o.Timeout < 0 {
		return nil, fmt.Errorf("%s: Options.Timeout: negative: %v", pkg, o.Timeout)
	}
	if o.Timeout == 0 {
		o.Timeout = defaultTimeout
	}
	source, err := eventhubs.NewSource(pkg, cred, o.Scope, brokers)
	if err != nil {
		return nil, err
	}
	extensions, err := eventhubs.Extensions(pkg, o.Extensions)
	if err != nil {
		return nil, err
	}
	return &Auth{ctx: ctx, timeout: o.Timeout, source: source, extensions: extensions}, nil
}

// Scope is the scope of the tokens, for Credential.Ready say.
func (a *Auth) Scope() string { return a.source.Scope }

// Configure sets what in config is about authentication: Net.SASL's Enable, Mechanism, Version,
// Handshake and TokenProvider, and Net.TLS.Enable. Net.TLS.Config stays if there is one. It is an
// error if config.Version is below 2.2, whose clients don't hear how long a session lasts, and so
// lose their connections when it ends; and if Net.TLS.Config has InsecureSkipVerify without a check
// of yours. config must stay where it is: the provider reads Net.TLS.Enable.
func (a *Auth) Configure(config *sarama.Config) error {
	if config == nil {
		return errors.New(pkg + ": Configure: nil config: want one of sarama.NewConfig")
	}
	if !config.Version.IsAtLeast(sarama.V2_2_0_0) {
		return fmt.Errorf("%s: Configure: Version %v: a client of it doesn't hear how long a "+
			"session lasts; want %v or newer", pkg, config.Version, sarama.V2_2_0_0)
	}
	if err := eventhubs.CheckTLS(config.Net.TLS.Config); err != nil {
		return fmt.Errorf("%s: Configure: Net.TLS.Config: %w", pkg, err)
	}
	config.Net.TLS.Enable = true
	if config.Net.TLS.Config == nil {
		config.Net.TLS.Config = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	config.Net.SASL.Enable = true
	config.Net.SASL.Mechanism = sarama.SASLTypeOAuth
	config.Net.SASL.Version = sarama.SASLHandshakeV1
	config.Net.SASL.Handshake = true
	config.Net.SASL.TokenProvider = &provider{auth: a, config: config}
	return nil
}

// Explain returns err, which a client has returned, with more to it if a broker has refused a
// token: what the token was for, whose it was, and what to check. Any other error, and nil, it
// returns as it is. In the result errors.Is finds what it finds in err.
func (a *Auth) Explain(err error) error {
	if !errors.Is(err, sarama.ErrSASLAuthenticationFailed) {
		return err
	}
	return a.source.Refused(err)
}

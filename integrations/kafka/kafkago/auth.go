package identitykafkago

import (
	"context"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/keyless-go/identity/integrations/kafka/internal/eventhubs"
	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/sasl"
)

const pkg = "identitykafkago"

// Options are what differs from Event Hubs at its own host name. New copies them.
type Options struct {
	// Scope is the scope of the tokens. "" means that of the brokers' namespace; a broker of
	// another name needs it. With a Scope, each broker that the cluster names gets a token;
	// without one only those of the namespace's cloud.
	Scope string

	// Extensions go beside the token, such as Confluent Cloud's logicalCluster and
	// identityPoolId.
	Extensions map[string]string
}

// Auth is OAUTHBEARER, a sasl.Mechanism. It is safe for concurrent use if its credential is.
type Auth struct {
	source     *eventhubs.Source
	extensions string // each with its end
}

var _ sasl.Mechanism = (*Auth)(nil)

// New returns the authentication of cred's identity at a cluster with the bootstrap servers
// brokers, such as "example.servicebus.windows.net:9093". Nil options means the defaults. It sends
// nothing. It is an error if cred is nil, or if neither brokers nor options say which scope the
// tokens have.
func New(cred azcore.TokenCredential, brokers []string, options *Options) (*Auth, error) {
	var o Options
	if options != nil {
		o = *options
	}
	source, err := eventhubs.NewSource(pkg, cred, o.Scope, brokers)
	if err != nil {
		return nil, err
	}
	extensions, err := eventhubs.Extensions(pkg, o.Extensions)
	if err != nil {
		return nil, err
	}
	var b strings.Builder
	for _, key := range slices.Sorted(maps.Keys(extensions)) {
		b.WriteString(key + "=" + extensions[key] + "\x01")
	}
	return &Auth{source: source, extensions: b.String()}, nil
}

// Scope is the scope of the tokens, for Credential.Ready say.
func (a *Auth) Scope() string { return a.source.Scope }

// Name implements sasl.Mechanism.
func (*Auth) Name() string { return "OAUTHBEARER" }

// Start implements sasl.Mechanism. It blocks as the credential's GetToken does, or up to 2 s
// longer, until ctx ends.
func (a *Auth) Start(ctx context.Context) (sasl.StateMachine, []byte, error) {
	broker := ""
	if m := sasl.MetadataFromContext(ctx); m != nil {
		broker = net.JoinHostPort(m.Host, strconv.Itoa(m.Port))
	}
	token, err := a.source.Token(ctx, broker)
	if err != nil {
		return nil, nil, err
	}
	first := "n,,\x01auth=Bearer " + token + "\x01" + a.extensions + "\x01"
	return session{a.source, broker}, []byte(first), nil
}

// session is one authentication.
type session struct {
	source *eventhubs.Source
	broker string
}

// Next implements sasl.StateMachine. A challenge is the broker's refusal.
func (s session) Next(_ context.Context, challenge []byte) (bool, []byte, error) {
	if len(challenge) == 0 {
		return true, nil, nil
	}
	return false, nil, s.source.Refused(fmt.Errorf("%s: %w: %s", s.broker,
		kafka.SASLAuthenticationFailed, eventhubs.Words(string(challenge))))
}

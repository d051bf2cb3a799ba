package identitykafka_test

import (
	"context"
	"testing"

	"github.com/keyless-go/identity/identitytest"
	"github.com/keyless-go/identity/integrations/kafka/internal/brokertest"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/oauth"
)

// BenchmarkConnect is a client's first connection, TLS and all, with a token that is held. The
// ratio is to one whose token is a constant.
func BenchmarkConnect(b *testing.B) {
	compare(b, func(b *testing.B, broker *brokertest.Broker, opts []kgo.Opt, _ sasl.Mechanism) {
		client := newClient(b, opts)
		if err := client.Ping(context.Background()); err != nil {
			b.Fatal(err)
		}
		client.Close()
	})
}

// BenchmarkAuthenticate is our part of it alone.
func BenchmarkAuthenticate(b *testing.B) {
	compare(b, func(b *testing.B, _ *brokertest.Broker, _ []kgo.Opt, m sasl.Mechanism) {
		if _, _, err := m.Authenticate(context.Background(), brokers[0]); err != nil {
			b.Fatal(err)
		}
	})
}

// compare runs one in turns with ours and with a constant token.
func compare(
	b *testing.B, one func(*testing.B, *brokertest.Broker, []kgo.Opt, sasl.Mechanism),
) {
	broker := brokertest.Start(brokertest.Namespace,
		&brokertest.Tokens{Audience: brokertest.Audience})
	defer broker.Close()
	cred := newCredential(b, identitytest.NewIMDS(nil))
	auth := newAuth(b, cred, broker)
	token, err := naiveToken(cred, scope)
	if err != nil {
		b.Fatal(err)
	}
	constant := oauth.Auth{Token: token}.AsMechanism()
	one(b, broker, auth.Opts(), auth.Mechanism()) // the token is held from here on
	var ours, theirs watch
	for b.Loop() {
		ours.time(func() { one(b, broker, auth.Opts(), auth.Mechanism()) })
		theirs.time(func() { one(b, broker, naive(auth, constant), constant) })
	}
	b.ReportMetric(0, "ns/op") // of both together
	b.ReportMetric(ours.mean(), "ours-ns")
	b.ReportMetric(theirs.mean(), "constant-ns")
	b.ReportMetric(ours.mean()/theirs.mean(), "ratio")
}

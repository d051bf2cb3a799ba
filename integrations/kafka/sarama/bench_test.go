package identitysarama_test

import (
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/keyless-go/identity/identitytest"
	"github.com/keyless-go/identity/integrations/kafka/internal/brokertest"
)

// BenchmarkConnect is a connection, TLS and all, with a token that is held. The ratio is to one
// whose token is a constant.
func BenchmarkConnect(b *testing.B) {
	compare(b, func(config *sarama.Config) {
		broker, err := connect(config)
		if err != nil {
			b.Fatal(err)
		}
		broker.Close()
	})
}

// BenchmarkToken is our part of it alone.
func BenchmarkToken(b *testing.B) {
	compare(b, func(config *sarama.Config) {
		if _, err := config.Net.SASL.TokenProvider.Token(); err != nil {
			b.Fatal(err)
		}
	})
}

// compare runs one in turns with our provider and with a constant token.
func compare(b *testing.B, one func(*sarama.Config)) {
	broker := brokertest.Start(brokertest.Namespace,
		&brokertest.Tokens{Audience: brokertest.Audience})
	defer broker.Close()
	cred := newCredential(b, identitytest.NewIMDS(nil))
	ours := newConfig(b, newAuth(b, cred), broker)
	token, err := naiveToken(cred, scope)
	if err != nil {
		b.Fatal(err)
	}
	constant := *ours
	constant.Net.SASL.TokenProvider = naiveProvider(func() (string, error) { return token, nil })
	one(ours) // the token is held from here on
	var took, tookConstant time.Duration
	n := 0
	for ; b.Loop(); n++ {
		start := time.Now()
		one(ours)
		between := time.Now()
		one(&constant)
		took, tookConstant = took+between.Sub(start), tookConstant+time.Since(between)
	}
	b.ReportMetric(0, "ns/op") // of both together
	b.ReportMetric(float64(took)/float64(n), "ours-ns")
	b.ReportMetric(float64(tookConstant)/float64(n), "constant-ns")
	b.ReportMetric(float64(took)/float64(tookConstant), "ratio")
}

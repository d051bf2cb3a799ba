package identitysarama_test

import (
	"testing"

	"github.com/IBM/sarama"
	"github.com/keyless-go/identity/identitytest"
	"github.com/keyless-go/identity/integrations/kafka/internal/brokertest"
)

// TestExample has a broker in memory stand for the Example's.
func TestExample(t *testing.T) {
	t.Parallel()
	broker := brokertest.Start(brokertest.Namespace,
		&brokertest.Tokens{Audience: brokertest.Audience})
	defer broker.Close()
	config := sarama.NewConfig()
	config.Net.TLS.Config = brokertest.Trust()
	config.Net.Proxy.Enable = true
	config.Net.Proxy.Dialer = dialer{broker}
	order, err := roundTrip(t.Context(), newCredential(t, identitytest.NewIMDS(nil)), config)
	if err != nil || order != "42 boxes" {
		t.Errorf("got %q, %v; want what was produced", order, err)
	}
}

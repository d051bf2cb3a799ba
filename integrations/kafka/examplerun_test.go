package identitykafka_test

import (
	"testing"

	"github.com/keyless-go/identity/identitytest"
	identitykafka "github.com/keyless-go/identity/integrations/kafka"
	"github.com/keyless-go/identity/integrations/kafka/internal/brokertest"
)

// TestExample has a broker in memory stand for the Example's.
func TestExample(t *testing.T) {
	t.Parallel()
	broker := brokertest.Start(brokertest.Namespace,
		&brokertest.Tokens{Audience: brokertest.Audience})
	defer broker.Close()
	order, err := roundTrip(t.Context(), newCredential(t, identitytest.NewIMDS(nil)),
		&identitykafka.Options{Dial: broker.Dial, TLS: brokertest.Trust()})
	if err != nil || order != "42 boxes" {
		t.Errorf("got %q, %v; want what was produced", order, err)
	}
}

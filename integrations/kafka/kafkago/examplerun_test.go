package identitykafkago_test

import (
	"context"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/keyless-go/identity"
	"github.com/keyless-go/identity/identitytest"
	"github.com/keyless-go/identity/integrations/kafka/internal/brokertest"
	"github.com/segmentio/kafka-go"
)

// TestExample has a broker in memory stand for the Example's.
func TestExample(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(brokertest.Namespace,
		&brokertest.Tokens{Audience: brokertest.Audience})
	defer b.Close()
	cred, err := identity.NewCredential(&identity.CredentialOptions{
		ClientOptions: azcore.ClientOptions{Transport: identitytest.NewIMDS(nil)},
		Host:          identity.HostIMDS,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	order, err := roundTrip(ctx, cred, &kafka.Dialer{TLS: brokertest.Trust(), DialFunc: b.Dial})
	if err != nil || order != "42 boxes" {
		t.Errorf("got %q, %v; want what was produced", order, err)
	}
}

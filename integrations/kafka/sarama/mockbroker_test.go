package identitysarama_test

import (
	"crypto/tls"
	"net"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/keyless-go/identity/identitytest"
	"github.com/keyless-go/identity/integrations/kafka/internal/brokertest"
)

// mockBroker is sarama's own, over TLS on loopback, with an answer to an authentication.
func mockBroker(
	t *testing.T, answer *sarama.MockSaslAuthenticateResponse,
) (*sarama.MockBroker, *sarama.Config) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	mock := sarama.NewMockBrokerListener(t, 1, tls.NewListener(l, brokertest.ServerTLS()))
	t.Cleanup(mock.Close)
	mock.SetHandlerByMap(map[string]sarama.MockResponse{
		"SaslHandshakeRequest":    sarama.NewMockSaslHandshakeResponse(t),
		"SaslAuthenticateRequest": answer,
		"MetadataRequest": sarama.NewMockMetadataResponse(t).
			SetBroker(mock.Addr(), mock.BrokerID()),
	})
	config := sarama.NewConfig()
	config.Net.TLS.Config = brokertest.Trust()
	config.ApiVersionsRequest = false // MockBroker's answer lacks SaslAuthenticate
	auth := newAuth(t, newCredential(t, identitytest.NewIMDS(nil)))
	if err := auth.Configure(config); err != nil {
		t.Fatal(err)
	}
	return mock, config
}

// authentications are what a mock broker was asked for.
func authentications(mock *sarama.MockBroker) []*sarama.SaslAuthenticateRequest {
	var all []*sarama.SaslAuthenticateRequest
	for _, pair := range mock.History() {
		if r, ok := pair.Request.(*sarama.SaslAuthenticateRequest); ok {
			all = append(all, r)
		}
	}
	return all
}

// The version that Configure asks for makes the broker say how long a session lasts.
func TestMockBrokerSession(t *testing.T) {
	t.Parallel()
	mock, config := mockBroker(t,
		sarama.NewMockSaslAuthenticateResponse(t).SetSessionLifetimeMs(1))
	broker := sarama.NewBroker(mock.Addr())
	if err := broker.Open(config); err != nil {
		t.Fatal(err)
	}
	defer broker.Close()
	for deadline := time.Now().Add(5 * time.Second); len(authentications(mock)) < 3; {
		if err := metadata(broker); err != nil {
			t.Fatal(err)
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d authentications", len(authentications(mock)))
		}
	}
	if v := authentications(mock)[0].Version; v < 1 {
		t.Errorf("SaslAuthenticate v%d, want 1 at least", v)
	}
}

// What sarama 1.61.1 does with a challenge: the doc says it. If this fails, sarama has mended it.
func TestMockBrokerChallenge(t *testing.T) {
	t.Parallel()
	mock, config := mockBroker(t, sarama.NewMockSaslAuthenticateResponse(t).
		SetAuthBytes([]byte(`{"status":"invalid_token"}`)))
	broker := sarama.NewBroker(mock.Addr())
	if err := broker.Open(config); err != nil {
		t.Fatal(err)
	}
	defer broker.Close()
	_, err := broker.Connected()
	all := authentications(mock)
	if len(all) != 2 {
		t.Fatalf("%d authentications, want 2", len(all))
	}
	if got := string(all[1].SaslAuthBytes); got != `\x01` {
		t.Errorf("sarama answers a challenge by %q: the defect in doc.go is gone", got)
	}
	if err != nil {
		t.Errorf("%v: this broker takes the answer, so sarama sees no failure", err)
	}
}

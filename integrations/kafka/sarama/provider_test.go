package identitysarama_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/IBM/sarama"
	"github.com/keyless-go/identity"
	"github.com/keyless-go/identity/identitytest"
	"github.com/keyless-go/identity/integrations/kafka/internal/brokertest"
	identitysarama "github.com/keyless-go/identity/integrations/kafka/sarama"
)

// stuck is a credential that returns when its context ends.
type stuck struct{}

func (stuck) GetToken(
	ctx context.Context, _ policy.TokenRequestOptions,
) (azcore.AccessToken, error) {
	select {
	case <-ctx.Done():
	case <-time.After(time.Hour): // for a context that doesn't end
	}
	return azcore.AccessToken{}, ctx.Err()
}

// failing is a credential that fails with an error.
type failing struct{ err error }

func (f failing) GetToken(
	context.Context, policy.TokenRequestOptions,
) (azcore.AccessToken, error) {
	return azcore.AccessToken{}, f.err
}

// provider is what Configure puts into a configuration.
func provider(
	t *testing.T, auth *identitysarama.Auth,
) (*sarama.Config, sarama.AccessTokenProvider) {
	t.Helper()
	config := sarama.NewConfig()
	if err := auth.Configure(config); err != nil {
		t.Fatal(err)
	}
	return config, config.Net.SASL.TokenProvider
}

func TestTokenIsBounded(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		timeout time.Duration
		cancel  time.Duration // when New's context ends
		want    time.Duration
		words   string
	}{
		{"default", 0, time.Hour, 30 * time.Second, "Options.Timeout is 30s"},
		{"own", 3 * time.Second, time.Hour, 3 * time.Second, "Options.Timeout is 3s"},
		{"context", 0, time.Second, time.Second, "context deadline exceeded"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), test.cancel)
				defer cancel()
				auth, err := identitysarama.New(ctx, stuck{}, brokers,
					&identitysarama.Options{Timeout: test.timeout})
				if err != nil {
					t.Fatal(err)
				}
				_, p := provider(t, auth)
				start := time.Now()
				_, err = p.Token()
				if took := time.Since(start); took != test.want {
					t.Errorf("took %v, want %v", took, test.want)
				}
				if !errors.Is(err, context.DeadlineExceeded) ||
					!strings.Contains(fmt.Sprint(err), test.words) {
					t.Errorf("%v, want %q in it", err, test.words)
				}
				start = time.Now()
				_, _ = naiveProvider(func() (string, error) {
					return naiveToken(stuck{}, scope)
				}).Token()
				if took := time.Since(start); took < time.Hour {
					t.Errorf("naive: took %v, want no end", took)
				}
			})
		})
	}
}

func TestOutageOfTheHost(t *testing.T) {
	bubble(t, &brokertest.Tokens{}, func(t *testing.T, b *brokertest.Broker) {
		endpoint := identitytest.NewIMDS(nil)
		endpoint.Enqueue(identitytest.Response{Status: 503, For: time.Hour})
		auth := newAuth(t, newCredential(t, endpoint))
		config := newConfig(t, auth, b)
		broker := sarama.NewBroker(brokers[0])
		if err := broker.Open(config); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute) // Connected would wait by a mutex, which stops the bubble's clock
		_, err := broker.Connected()
		for _, want := range []string{"identitysarama: no token for " + scope, "identity: ", "503"} {
			if !strings.Contains(fmt.Sprint(err), want) {
				t.Errorf("%v\nwant %q in it", err, want)
			}
		}
		if _, ok := errors.AsType[*identity.AuthenticationError](err); !ok ||
			!identity.Passing(err) {
			t.Errorf("%v: want an AuthenticationError that passes", err)
		}
		config = newConfig(t, newAuth(t, failing{err}), b) // at once: a client waits by mutexes, too
		config.Metadata.Retry.Max = 0
		_, again := sarama.NewClient(brokers, config)
		if !errors.Is(again, sarama.ErrOutOfBrokers) || !identity.Passing(again) {
			t.Errorf("a client: %v: want ErrOutOfBrokers with the credential's error", again)
		}
	})
}

func TestPlainTextIsRefused(t *testing.T) {
	bubble(t, &brokertest.Tokens{}, func(t *testing.T, b *brokertest.Broker) {
		endpoint := identitytest.NewIMDS(nil)
		config, p := provider(t, newAuth(t, newCredential(t, endpoint)))
		config.Net.TLS.Enable = false
		if token, err := p.Token(); err == nil || !strings.Contains(err.Error(), "clear text") {
			t.Errorf("%v, %v, want an error", token, err)
		}
		if n := len(endpoint.Requests()); n != 0 {
			t.Errorf("%d requests, want 0", n)
		}
	})
}

func TestConfigure(t *testing.T) {
	t.Parallel()
	auth := newAuth(t, stuck{})
	own := &tls.Config{ServerName: "broker", MinVersion: tls.VersionTLS13}
	config := sarama.NewConfig()
	config.Net.TLS.Config = own
	if err := auth.Configure(config); err != nil {
		t.Fatal(err)
	}
	if err := config.Validate(); err != nil {
		t.Errorf("sarama: %v", err)
	}
	if s := config.Net.SASL; !s.Enable || s.Mechanism != sarama.SASLTypeOAuth ||
		s.Version != sarama.SASLHandshakeV1 || !s.Handshake || !config.Net.TLS.Enable ||
		config.Net.TLS.Config != own {
		t.Errorf("got %+v", config.Net)
	}
	config.Version = sarama.V2_1_0_0
	if err := auth.Configure(config); err == nil || !strings.Contains(err.Error(), "2.2.0") {
		t.Errorf("Version 2.1: %v", err)
	}
	if err := auth.Configure(nil); err == nil {
		t.Error("nil config: no error")
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		cred    azcore.TokenCredential
		brokers []string
		options identitysarama.Options
		want    string
	}{
		{"nil credential", nil, brokers, identitysarama.Options{}, "nil credential"},
		{"private name", stuck{}, []string{"kafka.corp:9093"}, identitysarama.Options{},
			"set Options.Scope"},
		{"scope of AMQP", stuck{}, nil,
			identitysarama.Options{Scope: "https://eventhubs.azure.net/.default"}, "AMQP"},
		{"timeout", stuck{}, brokers, identitysarama.Options{Timeout: -1}, "negative"},
		{"extension", stuck{}, brokers,
			identitysarama.Options{Extensions: map[string]string{"a_b": ""}}, "letters"},
	} {
		_, err := identitysarama.New(t.Context(), test.cred, test.brokers, &test.options)
		if err == nil || !strings.HasPrefix(err.Error(), "identitysarama: ") ||
			!strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q in it", test.name, err, test.want)
		}
	}
}

func TestExtensionsAndToken(t *testing.T) {
	bubble(t, &brokertest.Tokens{}, func(t *testing.T, b *brokertest.Broker) {
		cred := newCredential(t, identitytest.NewIMDS(nil))
		auth, err := identitysarama.New(t.Context(), cred, brokers, &identitysarama.Options{
			Extensions: map[string]string{"logicalCluster": "lkc-1"},
		})
		if err != nil {
			t.Fatal(err)
		}
		config := newConfig(t, auth, b)
		broker, err := connect(config)
		if err != nil {
			t.Fatal(err)
		}
		broker.Close()
		got := b.All()[0]
		if want := "n,,\x01auth=Bearer " + got.Token + "\x01logicalCluster=lkc-1\x01\x01"; got.Raw !=
			want {
			t.Errorf("sent %q, want %q", got.Raw, want)
		}
		echo := sarama.Wrap(sarama.ErrSASLAuthenticationFailed, errors.New("bad "+got.Token))
		for _, held := range []any{auth, *auth, config.Net.SASL.TokenProvider, auth.Explain(echo)} {
			for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
				if text := fmt.Sprintf(format, held); strings.Contains(text, got.Token) {
					t.Errorf("%T as %s has the token in it", held, format)
				}
			}
		}
	})
}

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

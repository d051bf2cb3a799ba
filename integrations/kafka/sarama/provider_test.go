package identitysarama_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
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
	config = sarama.NewConfig()
	config.Net.TLS.Config = &tls.Config{InsecureSkipVerify: true}
	if err := auth.Configure(config); err == nil || config.Net.SASL.Enable ||
		!strings.Contains(err.Error(), "whoever answers") {
		t.Errorf("any certificate: %v, want an error, and config as it was", err)
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

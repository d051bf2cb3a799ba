package identitysarama_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
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
	"github.com/rcrowley/go-metrics"
)

func init() { metrics.UseNilMetrics = true } // meters have a goroutine that never ends

var brokers = []string{brokertest.Namespace + ":9093"}

const scope = brokertest.Audience + "/.default"

// newCredential returns a credential that asks endpoint.
func newCredential(tb testing.TB, endpoint *identitytest.Endpoint) *identity.Credential {
	tb.Helper()
	cred, err := identity.NewCredential(&identity.CredentialOptions{
		ClientOptions: azcore.ClientOptions{Transport: endpoint}, Host: identity.HostIMDS,
	})
	if err != nil {
		tb.Fatal(err)
	}
	return cred
}

// newAuth returns the authentication of a credential at the namespace's brokers.
func newAuth(tb testing.TB, cred azcore.TokenCredential) *identitysarama.Auth {
	tb.Helper()
	auth, err := identitysarama.New(tb.Context(), cred, brokers, nil)
	if err != nil {
		tb.Fatal(err)
	}
	return auth
}

// dialer dials a broker in memory, in sarama's place for a proxy.
type dialer struct{ b *brokertest.Broker }

func (d dialer) Dial(network, address string) (net.Conn, error) {
	return d.b.Dial(context.Background(), network, address)
}

// newConfig is a configuration of auth for a broker in memory.
func newConfig(tb testing.TB, auth *identitysarama.Auth, b *brokertest.Broker) *sarama.Config {
	tb.Helper()
	config := sarama.NewConfig()
	config.Net.TLS.Config = brokertest.Trust()
	config.Net.Proxy.Enable = true
	config.Net.Proxy.Dialer = dialer{b}
	if err := auth.Configure(config); err != nil {
		tb.Fatal(err)
	}
	return config
}

// naiveProvider is a provider that was written by hand.
type naiveProvider func() (string, error)

func (p naiveProvider) Token() (*sarama.AccessToken, error) {
	token, err := p()
	return &sarama.AccessToken{Token: token}, err
}

func naiveToken(cred azcore.TokenCredential, scope string) (string, error) {
	token, err := cred.GetToken(context.Background(),
		policy.TokenRequestOptions{Scopes: []string{scope}})
	return token.Token, err
}

// connect makes a connection, and returns it or its error.
func connect(config *sarama.Config) (*sarama.Broker, error) {
	broker := sarama.NewBroker(brokers[0])
	if err := broker.Open(config); err != nil {
		return nil, err
	}
	if ok, err := broker.Connected(); !ok {
		return nil, err
	}
	return broker, nil
}

func metadata(broker *sarama.Broker) error {
	_, err := broker.GetMetadata(&sarama.MetadataRequest{Version: 5, Topics: []string{"orders"}})
	return err
}

// bubble runs a test in virtual time with a broker that wants the namespace's tokens.
func bubble(
	t *testing.T, tokens *brokertest.Tokens, f func(t *testing.T, b *brokertest.Broker),
) {
	t.Parallel()
	brokertest.Trust() // makes the certificate outside
	synctest.Test(t, func(t *testing.T) {
		tokens.Audience = brokertest.Audience
		b := brokertest.Start(brokertest.Namespace, tokens)
		f(t, b)
		b.Close()
		time.Sleep(2 * time.Minute) // any renewal under way ends
	})
}

func TestConnect(t *testing.T) {
	bubble(t, &brokertest.Tokens{}, func(t *testing.T, b *brokertest.Broker) {
		auth := newAuth(t, newCredential(t, identitytest.NewIMDS(nil)))
		broker, err := connect(newConfig(t, auth, b))
		if err != nil {
			t.Fatal(auth.Explain(err))
		}
		defer broker.Close()
		if err := metadata(broker); err != nil {
			t.Error(err)
		}
		if _, ok := broker.TLSConnectionState(); !ok {
			t.Error("no TLS")
		}
		if got := auth.Scope(); got != scope {
			t.Errorf("scope %q, want %q", got, scope)
		}
	})
}

func TestScopeOfAMQPIsRefused(t *testing.T) {
	bubble(t, &brokertest.Tokens{}, func(t *testing.T, b *brokertest.Broker) {
		cred := newCredential(t, identitytest.NewIMDS(nil))
		auth := newAuth(t, cred)
		config := newConfig(t, auth, b)
		config.Net.SASL.TokenProvider = naiveProvider(func() (string, error) {
			return naiveToken(cred, "https://eventhubs.azure.net/.default")
		})
		_, err := connect(config)
		if !errors.Is(err, sarama.ErrSASLAuthenticationFailed) {
			t.Errorf("naive: %v, want a refusal", err)
		}
		explained := auth.Explain(err)
		for _, want := range []string{
			"identitysarama: ", "Invalid tenant name 'eventhubs'", scope, "Data Receiver",
		} {
			if !strings.Contains(fmt.Sprint(explained), want) {
				t.Errorf("Explain: %v, want %q in it", explained, want)
			}
		}
		if !errors.Is(explained, sarama.ErrSASLAuthenticationFailed) {
			t.Errorf("Explain lost sarama's error: %v", explained)
		}
	})
}

func TestManyConnectionsAreOneRequest(t *testing.T) {
	bubble(t, &brokertest.Tokens{}, func(t *testing.T, b *brokertest.Broker) {
		const connections = 20
		connectAll := func(config *sarama.Config) {
			var group sync.WaitGroup
			for range connections {
				group.Go(func() {
					broker, err := connect(config)
					if err != nil {
						t.Error(err)
						return
					}
					broker.Close()
				})
			}
			group.Wait()
		}
		ours := identitytest.NewIMDS(nil)
		connectAll(newConfig(t, newAuth(t, newCredential(t, ours)), b))
		theirs := identitytest.NewIMDS(nil)
		config := newConfig(t, newAuth(t, newCredential(t, theirs)), b)
		config.Net.SASL.TokenProvider = naiveProvider(func() (string, error) {
			transport := struct{ *identitytest.Endpoint }{theirs} // no two share a cache
			cred, err := identity.NewCredential(&identity.CredentialOptions{
				ClientOptions: azcore.ClientOptions{Transport: &transport},
				Host:          identity.HostIMDS,
			})
			if err != nil {
				return "", err
			}
			return naiveToken(cred, scope)
		})
		connectAll(config)
		if n := len(ours.Requests()); n != 1 {
			t.Errorf("%d requests for %d connections, want 1", n, connections)
		}
		if n := len(theirs.Requests()); n != connections {
			t.Errorf("naive: %d requests, want %d", n, connections)
		}
	})
}

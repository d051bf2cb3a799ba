package identitykafka_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity"
	"github.com/keyless-go/identity/identitytest"
	identitykafka "github.com/keyless-go/identity/integrations/kafka"
	"github.com/keyless-go/identity/integrations/kafka/internal/brokertest"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/oauth"
)

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

// newAuth returns the authentication of a credential at a broker.
func newAuth(tb testing.TB, cred azcore.TokenCredential, b *brokertest.Broker) *identitykafka.Auth {
	tb.Helper()
	auth, err := identitykafka.New(cred, brokers, &identitykafka.Options{
		TLS: brokertest.Trust(), Dial: b.Dial,
	})
	if err != nil {
		tb.Fatal(err)
	}
	return auth
}

// naive are the options of a client whose mechanism was written by hand.
func naive(auth *identitykafka.Auth, m sasl.Mechanism) []kgo.Opt {
	return append([]kgo.Opt{kgo.SASL(m)}, auth.Opts()[1:]...) // the first one is ours
}

func naiveToken(cred azcore.TokenCredential, scope string) (string, error) {
	token, err := cred.GetToken(context.Background(),
		policy.TokenRequestOptions{Scopes: []string{scope}})
	return token.Token, err
}

// newClient returns a client, which has to be closed before the end of a bubble.
func newClient(tb testing.TB, opts []kgo.Opt) *kgo.Client {
	tb.Helper()
	client, err := kgo.NewClient(opts...)
	if err != nil {
		tb.Fatal(err)
	}
	return client
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

func TestPing(t *testing.T) {
	bubble(t, &brokertest.Tokens{}, func(t *testing.T, b *brokertest.Broker) {
		auth := newAuth(t, newCredential(t, identitytest.NewIMDS(nil)), b)
		client := newClient(t, auth.Opts())
		defer client.Close()
		if err := client.Ping(t.Context()); err != nil {
			t.Fatal(auth.Explain(err))
		}
		if got := auth.Scope(); got != scope {
			t.Errorf("scope %q, want %q", got, scope)
		}
	})
}

func TestScopeOfAMQPIsRefused(t *testing.T) {
	bubble(t, &brokertest.Tokens{}, func(t *testing.T, b *brokertest.Broker) {
		cred := newCredential(t, identitytest.NewIMDS(nil))
		auth := newAuth(t, cred, b)
		client := newClient(t, naive(auth, oauth.Oauth(
			func(context.Context) (oauth.Auth, error) {
				token, err := naiveToken(cred, "https://eventhubs.azure.net/.default")
				return oauth.Auth{Token: token}, err
			})))
		defer client.Close()
		err := client.Ping(t.Context())
		if !errors.Is(err, kerr.SaslAuthenticationFailed) {
			t.Errorf("naive: %v, want a refusal", err)
		}
		const words = "Invalid tenant name 'eventhubs'"
		explained := auth.Explain(err)
		for _, want := range []string{"identitykafka: ", words, scope, "Data Receiver"} {
			if explained == nil || !strings.Contains(explained.Error(), want) {
				t.Errorf("Explain: %v, want %q in it", explained, want)
			}
		}
		if !errors.Is(explained, kerr.SaslAuthenticationFailed) {
			t.Errorf("Explain lost franz-go's error: %v", explained)
		}
	})
}

// naivePerConnection makes a credential for each connection.
type naivePerConnection struct {
	tb       testing.TB
	endpoint *identitytest.Endpoint
}

func (n naivePerConnection) mechanism() sasl.Mechanism {
	return oauth.Oauth(func(context.Context) (oauth.Auth, error) {
		transport := struct{ *identitytest.Endpoint }{n.endpoint} // no two share a cache
		cred, err := identity.NewCredential(&identity.CredentialOptions{
			ClientOptions: azcore.ClientOptions{Transport: &transport}, Host: identity.HostIMDS,
		})
		if err != nil {
			return oauth.Auth{}, err
		}
		token, err := naiveToken(cred, scope)
		return oauth.Auth{Token: token}, err
	})
}

func TestManyConnectionsAreOneRequest(t *testing.T) {
	bubble(t, &brokertest.Tokens{}, func(t *testing.T, b *brokertest.Broker) {
		const connections = 20
		connect := func(opts func(*identitykafka.Auth) []kgo.Opt, auth *identitykafka.Auth) {
			var group sync.WaitGroup
			for range connections {
				group.Go(func() {
					client := newClient(t, opts(auth))
					defer client.Close()
					if err := client.Ping(t.Context()); err != nil {
						t.Error(err)
					}
				})
			}
			group.Wait()
		}
		ours := identitytest.NewIMDS(nil)
		connect((*identitykafka.Auth).Opts, newAuth(t, newCredential(t, ours), b))
		theirs := identitytest.NewIMDS(nil)
		connect(func(auth *identitykafka.Auth) []kgo.Opt {
			return naive(auth, naivePerConnection{t, theirs}.mechanism())
		}, newAuth(t, newCredential(t, theirs), b))
		if n := len(ours.Requests()); n != 1 {
			t.Errorf("%d requests for %d connections, want 1", n, connections)
		}
		if n := len(theirs.Requests()); n != connections {
			t.Errorf("naive: %d requests, want %d", n, connections)
		}
	})
}

func TestContextOfTheClient(t *testing.T) {
	bubble(t, &brokertest.Tokens{}, func(t *testing.T, b *brokertest.Broker) {
		hang := identitytest.Response{Delay: 50 * time.Second}
		took := func(opts func(*identitykafka.Auth, azcore.TokenCredential) sasl.Mechanism,
		) time.Duration {
			endpoint := identitytest.NewIMDS(nil)
			endpoint.Enqueue(hang)
			cred := newCredential(t, endpoint)
			m := opts(newAuth(t, cred, b), cred)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			start := time.Now()
			_, _, err := m.Authenticate(ctx, brokers[0])
			if since := time.Since(start); since <= time.Second &&
				!errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v, want the context's error", err)
			}
			return time.Since(start)
		}
		if d := took(func(a *identitykafka.Auth, _ azcore.TokenCredential) sasl.Mechanism {
			return a.Mechanism()
		}); d > time.Second {
			t.Errorf("Authenticate took %v after its context's end at 1 s", d)
		}
		if d := took(func(_ *identitykafka.Auth, cred azcore.TokenCredential) sasl.Mechanism {
			return oauth.Oauth(func(context.Context) (oauth.Auth, error) {
				token, err := naiveToken(cred, scope)
				return oauth.Auth{Token: token}, err
			})
		}); d < 10*time.Second {
			t.Errorf("naive: took %v, want long", d)
		}
	})
}

func TestOutageOfTheHost(t *testing.T) {
	for _, test := range []struct {
		name    string
		answer  identitytest.Response
		passing bool
		want    string
	}{
		{"throttled", identitytest.Response{Status: 429, For: time.Hour}, true, "429"},
		{"down", identitytest.Response{Err: refusedConnection(), For: time.Hour}, true, "IMDS"},
		{"no identity", identitytest.Response{Status: 400, For: time.Hour}, false, "400"},
	} {
		t.Run(test.name, func(t *testing.T) {
			bubble(t, &brokertest.Tokens{}, func(t *testing.T, b *brokertest.Broker) {
				endpoint := identitytest.NewIMDS(nil)
				endpoint.Enqueue(test.answer)
				auth := newAuth(t, newCredential(t, endpoint), b)
				client := newClient(t, auth.Opts())
				defer client.Close()
				err := client.Ping(t.Context())
				got := fmt.Sprint(err)
				for _, want := range []string{
					"identitykafka: no token for " + scope, brokers[0], "identity: ", test.want,
				} {
					if !strings.Contains(got, want) {
						t.Errorf("%s\nwant %q in it", got, want)
					}
				}
				if _, ok := errors.AsType[*identity.AuthenticationError](err); !ok {
					t.Errorf("no AuthenticationError in %v", err)
				}
				if identity.Passing(err) != test.passing {
					t.Errorf("Passing: %v for %v", !test.passing, err)
				}
				if errors.Is(err, syscall.ECONNREFUSED) {
					t.Errorf("a client takes %v for an error of its connection", err)
				}
			})
		})
	}
}

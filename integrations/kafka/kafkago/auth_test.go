package identitykafkago_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/keyless-go/identity"
	"github.com/keyless-go/identity/identitytest"
	"github.com/keyless-go/identity/integrations/kafka/internal/brokertest"
	identitykafkago "github.com/keyless-go/identity/integrations/kafka/kafkago"
	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/sasl"
)

var brokers = []string{brokertest.Namespace + ":9093"}

func newAuth(
	t *testing.T, endpoint *identitytest.Endpoint, options *identitykafkago.Options,
) *identitykafkago.Auth {
	t.Helper()
	cred, err := identity.NewCredential(&identity.CredentialOptions{
		ClientOptions: azcore.ClientOptions{Transport: endpoint}, Host: identity.HostIMDS,
	})
	if err != nil {
		t.Fatal(err)
	}
	auth, err := identitykafkago.New(cred, brokers, options)
	if err != nil {
		t.Fatal(err)
	}
	return auth
}

// dial makes a connection with a token.
func dial(ctx context.Context, auth sasl.Mechanism, b *brokertest.Broker) error {
	d := &kafka.Dialer{TLS: brokertest.Trust(), SASLMechanism: auth, DialFunc: b.Dial}
	conn, err := d.DialContext(ctx, "tcp", brokers[0])
	if err == nil {
		conn.Close()
	}
	return err
}

// bubble runs a test in virtual time with a broker that wants the namespace's tokens.
func bubble(t *testing.T, tokens *brokertest.Tokens, f func(*testing.T, *brokertest.Broker)) {
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

// captured is a mechanism whose token was taken once.
type captured struct{ first []byte }

func (captured) Name() string { return "OAUTHBEARER" }
func (c captured) Start(context.Context) (sasl.StateMachine, []byte, error) {
	return c, c.first, nil
}
func (captured) Next(context.Context, []byte) (bool, []byte, error) { return true, nil, nil }

func TestConnect(t *testing.T) {
	bubble(t, &brokertest.Tokens{}, func(t *testing.T, b *brokertest.Broker) {
		endpoint := identitytest.NewIMDS(&identitytest.Options{HostCache: true})
		auth := newAuth(t, endpoint, &identitykafkago.Options{
			Extensions: map[string]string{"b": "2", "a": "1"},
		})
		if err := dial(t.Context(), auth, b); err != nil {
			t.Fatal(err)
		}
		got := b.All()[0]
		if want := "n,,\x01auth=Bearer " + got.Token + "\x01a=1\x01b=2\x01\x01"; got.Raw != want {
			t.Errorf("sent %q, want %q", got.Raw, want)
		}
		naive := captured{[]byte(got.Raw)}
		if err := dial(t.Context(), naive, b); err != nil {
			t.Errorf("naive: %v", err)
		}
		time.Sleep(25 * time.Hour)
		if err := dial(t.Context(), naive, b); err == nil {
			t.Error("naive: a captured token works after a day")
		}
		if err := dial(t.Context(), auth, b); err != nil {
			t.Errorf("after a day: %v", err)
		}
	})
}

func TestFailures(t *testing.T) {
	const words = `{"status":"invalid_token"}`
	bubble(t, &brokertest.Tokens{Challenge: words}, func(t *testing.T, b *brokertest.Broker) {
		endpoint := identitytest.NewIMDS(nil)
		auth := newAuth(t, endpoint, nil)
		err := dial(t.Context(), auth, b)
		if !errors.Is(err, kafka.SASLAuthenticationFailed) ||
			!strings.Contains(fmt.Sprint(err), words) ||
			!strings.Contains(fmt.Sprint(err), "token for "+auth.Scope()) {
			t.Errorf("a challenge: %v", err)
		}
		down := identitytest.NewIMDS(nil)
		down.Enqueue(identitytest.Response{Status: 503, For: time.Hour})
		if err := dial(t.Context(), newAuth(t, down, nil), b); !identity.Passing(err) ||
			!strings.Contains(err.Error(), "identitykafkago: no token for ") {
			t.Errorf("the host is down: %v", err)
		}
		hangs := identitytest.NewIMDS(nil)
		hangs.Enqueue(identitytest.Response{Delay: 20 * time.Second})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, _, err = newAuth(t, hangs, nil).Start(ctx)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the context's end: %v", err)
		}
		ctx = sasl.WithMetadata(t.Context(), &sasl.Metadata{Host: "broker.example.com", Port: 9093})
		if _, _, err := auth.Start(ctx); err == nil {
			t.Error("a broker outside of the cloud gets a token")
		}
		token := b.All()[0].Token
		session, _, err := auth.Start(t.Context())
		for _, held := range []any{auth, *auth, session, err} {
			if text := fmt.Sprintf("%v %+v %#v", held, held, held); strings.Contains(text, token) {
				t.Errorf("%T has the token in it", held)
			}
		}
	})
}

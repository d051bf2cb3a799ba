package identitykafka_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/keyless-go/identity/identitytest"
	"github.com/keyless-go/identity/integrations/kafka/internal/brokertest"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/oauth"
)

// sessions pings at intervals for a while, and returns the first error.
func sessions(t *testing.T, client *kgo.Client, during, interval time.Duration) error {
	t.Helper()
	for range int(during / interval) {
		if err := client.Ping(t.Context()); err != nil {
			return err
		}
		time.Sleep(interval)
	}
	return nil
}

// keepConnection stops the client from closing connections between pings.
var keepConnection = kgo.ConnIdleTimeout(15 * time.Minute)

func TestReauthentication(t *testing.T) {
	for _, test := range []struct {
		name      string
		hostCache bool          // the host repeats a token until it ends
		lifetime  time.Duration // of a token
		session   time.Duration // of the broker's at most
		interval  time.Duration // of pings
		atMost    int           // authentications in four lives of a token
	}{
		{"a day", true, 24 * time.Hour, 0, 10 * time.Minute, 14},
		{"an hour", true, time.Hour, 0, time.Minute, 14},
		{"a broker with short sessions", false, time.Hour, 5 * time.Minute, time.Minute, 60},
	} {
		t.Run(test.name, func(t *testing.T) {
			tokens := &brokertest.Tokens{Session: test.session}
			bubble(t, tokens, func(t *testing.T, b *brokertest.Broker) {
				endpoint := identitytest.NewIMDS(&identitytest.Options{
					Lifetime: test.lifetime, HostCache: test.hostCache,
				})
				auth := newAuth(t, newCredential(t, endpoint), b)
				client := newClient(t, append(auth.Opts(), keepConnection))
				defer client.Close()
				err := sessions(t, client, 4*test.lifetime, test.interval)
				if err != nil {
					t.Fatal(err)
				}
				all := tokens.All()
				first := map[string]time.Time{}
				for _, a := range all {
					if _, ok := first[a.Token]; !ok {
						first[a.Token] = a.At
					}
					used := a.At.Sub(first[a.Token])
					if a.Refused != "" {
						t.Errorf("refused after %v: %s", used, a.Refused)
					}
					if !test.hostCache && used > test.lifetime*3/4 {
						t.Errorf("after %v the first token is used, where there is another", used)
					}
				}
				if len(first) < 4 || len(all) > test.atMost {
					t.Errorf("%d tokens in %d authentications, want at least 4 in at most %d",
						len(first), len(all), test.atMost)
				}
				if n := len(endpoint.Requests()); n > 8*len(first) {
					t.Errorf("%d requests at the host for %d tokens", n, len(first))
				}
			})
		})
	}
}

func TestCapturedTokenFails(t *testing.T) {
	bubble(t, &brokertest.Tokens{}, func(t *testing.T, b *brokertest.Broker) {
		cred := newCredential(t, identitytest.NewIMDS(nil))
		captured, err := naiveToken(cred, scope)
		if err != nil {
			t.Fatal(err)
		}
		auth := newAuth(t, cred, b)
		client := newClient(t, append(
			naive(auth, oauth.Auth{Token: captured}.AsMechanism()), keepConnection))
		defer client.Close()
		err = sessions(t, client, 30*time.Hour, 10*time.Minute)
		if !errors.Is(err, kerr.SaslAuthenticationFailed) {
			t.Errorf("naive: %v, want a refusal after a day", err)
		}
		// kgo's error repeats what the broker said, and ours doesn't repeat the token in that.
		if text := auth.Explain(err).Error(); strings.Contains(text, captured) ||
			!strings.Contains(text, "has expired: TOKEN") {
			t.Errorf("Explain: %s", text)
		}
	})
}

package identitysarama_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/keyless-go/identity/identitytest"
	"github.com/keyless-go/identity/integrations/kafka/internal/brokertest"
)

// sessions asks at intervals for a while, and returns the first error.
func sessions(broker *sarama.Broker, during, interval time.Duration) error {
	for range int(during / interval) {
		if err := metadata(broker); err != nil {
			return err
		}
		time.Sleep(interval)
	}
	return nil
}

func TestReauthentication(t *testing.T) {
	for _, test := range []struct {
		name      string
		hostCache bool          // the host repeats a token until it ends
		lifetime  time.Duration // of a token
		session   time.Duration // of the broker's at most
		interval  time.Duration // of requests
		atMost    int           // authentications in four lives of a token
	}{
		{"a day", true, 24 * time.Hour, 0, 10 * time.Minute, 20},
		{"an hour", true, time.Hour, 0, 30 * time.Second, 20},
		{"a broker with short sessions", false, time.Hour, 5 * time.Minute, 30 * time.Second, 60},
	} {
		t.Run(test.name, func(t *testing.T) {
			tokens := &brokertest.Tokens{Session: test.session}
			bubble(t, tokens, func(t *testing.T, b *brokertest.Broker) {
				endpoint := identitytest.NewIMDS(&identitytest.Options{
					Lifetime: test.lifetime, HostCache: test.hostCache,
				})
				broker, err := connect(newConfig(t, newAuth(t, newCredential(t, endpoint)), b))
				if err != nil {
					t.Fatal(err)
				}
				defer broker.Close()
				if err := sessions(broker, 4*test.lifetime, test.interval); err != nil {
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
		auth := newAuth(t, cred)
		config := newConfig(t, auth, b)
		config.Net.SASL.TokenProvider = naiveProvider(func() (string, error) {
			return captured, nil
		})
		broker, err := connect(config)
		if err != nil {
			t.Fatal(err)
		}
		defer broker.Close()
		err = sessions(broker, 30*time.Hour, 10*time.Minute)
		if !errors.Is(err, sarama.ErrSASLAuthenticationFailed) {
			t.Errorf("naive: %v, want a refusal after a day", err)
		}
		if text := fmt.Sprint(auth.Explain(err)); strings.Contains(text, captured) ||
			!strings.Contains(text, "has expired: TOKEN") {
			t.Errorf("Explain: %s", text)
		}
	})
}

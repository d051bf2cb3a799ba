package identitykafka_test

import (
	"context"
	"crypto/tls"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/keyless-go/identity/identitytest"
	identitykafka "github.com/keyless-go/identity/integrations/kafka"
	"github.com/keyless-go/identity/integrations/kafka/internal/brokertest"
	"github.com/twmb/franz-go/pkg/kgo"
)

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	eh := "example.servicebus.windows.net:9093"
	for _, test := range []struct {
		name    string
		cred    azcore.TokenCredential
		brokers []string
		options identitykafka.Options
		want    string
	}{
		{"nil credential", nil, []string{eh}, identitykafka.Options{}, "nil credential"},
		{"private name", failing{}, []string{"kafka.corp:9093"}, identitykafka.Options{},
			"set Options.Scope"},
		{"no port", failing{}, []string{eh, "example.servicebus.windows.net"},
			identitykafka.Options{}, `"example.servicebus.windows.net" has no port: Event Hubs has ` +
				"Kafka at example.servicebus.windows.net:9093"},
		{"scope of AMQP", failing{}, nil,
			identitykafka.Options{Scope: "https://eventhubs.azure.net//.default"}, "AMQP"},
		{"resource for scope", failing{}, nil,
			identitykafka.Options{Scope: "https://" + eh}, "doesn't end in /.default"},
		{"extension auth", failing{}, []string{eh},
			identitykafka.Options{Extensions: map[string]string{"auth": "x"}}, "auth"},
		{"extension's value", failing{}, []string{eh},
			identitykafka.Options{Extensions: map[string]string{"a": "x\x01auth=y"}}, "control"},
		{"any certificate", failing{}, []string{eh},
			identitykafka.Options{TLS: &tls.Config{InsecureSkipVerify: true}}, "whoever answers"},
	} {
		_, err := identitykafka.New(test.cred, test.brokers, &test.options)
		if err == nil || !strings.HasPrefix(err.Error(), "identitykafka: ") ||
			!strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q in it", test.name, err, test.want)
		}
	}
}

// A check of the user's own takes the place of Go's.
func TestOwnCheckOfTLS(t *testing.T) {
	t.Parallel()
	_, err := identitykafka.New(failing{}, brokers, &identitykafka.Options{
		Scope: scope, TLS: &tls.Config{InsecureSkipVerify: true,
			VerifyConnection: func(tls.ConnectionState) error { return nil }}})
	if err != nil {
		t.Error(err)
	}
}

// There is always TLS: what listens without it gets no byte of a token.
func TestPlainTextIsRefused(t *testing.T) {
	t.Parallel()
	auth, err := identitykafka.New(failing{}, brokers, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = kgo.NewClient(append(auth.Opts(), kgo.Dialer((&net.Dialer{}).DialContext))...)
	if err == nil {
		t.Error("a client with a plain dialer beside ours, want an error")
	}
}

func TestExtensions(t *testing.T) {
	bubble(t, &brokertest.Tokens{}, func(t *testing.T, b *brokertest.Broker) {
		extensions := map[string]string{"logicalCluster": "lkc-1"}
		auth, err := identitykafka.New(newCredential(t, identitytest.NewIMDS(nil)), brokers,
			&identitykafka.Options{
				TLS: brokertest.Trust(), Dial: b.Dial, Extensions: extensions,
			})
		if err != nil {
			t.Fatal(err)
		}
		extensions["logicalCluster"] = "changed later"
		client := newClient(t, auth.Opts())
		defer client.Close()
		if err := client.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
		got := b.All()[0]
		want := "n,,\x01auth=Bearer " + got.Token + "\x01logicalCluster=lkc-1\x01\x01"
		if got.Raw != want {
			t.Errorf("sent %q, want %q", got.Raw, want)
		}
	})
}

// A peer that says nothing costs 10 s.
func TestDialIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		silent, ours := net.Pipe()
		defer silent.Close()
		auth, err := identitykafka.New(failing{}, brokers, &identitykafka.Options{
			Dial: func(context.Context, string, string) (net.Conn, error) { return ours, nil },
		})
		if err != nil {
			t.Fatal(err)
		}
		client := newClient(t, append(auth.Opts(), kgo.RequestRetries(0)))
		defer client.Close()
		start := time.Now()
		err = client.Ping(t.Context())
		if took := time.Since(start); err == nil || took > 11*time.Second {
			t.Errorf("%v after %v, want an error after 10 s", err, took)
		}
	})
}

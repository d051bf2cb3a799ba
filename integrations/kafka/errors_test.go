package identitykafka_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity/identitytest"
	identitykafka "github.com/keyless-go/identity/integrations/kafka"
	"github.com/keyless-go/identity/integrations/kafka/internal/brokertest"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// refusedConnection is what dialing a port gives where nobody listens.
func refusedConnection() error {
	return &net.OpError{
		Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED),
	}
}

// failing is a credential that fails with an error.
type failing struct{ err error }

func (f failing) GetToken(
	context.Context, policy.TokenRequestOptions,
) (azcore.AccessToken, error) {
	return azcore.AccessToken{}, f.err
}

// What a client would take for its own connection's end isn't found in an error of the credential.
func TestErrorOfTheHostIsNoneOfTheBroker(t *testing.T) {
	t.Parallel()
	for _, cause := range []error{refusedConnection(), io.EOF, io.ErrUnexpectedEOF, net.ErrClosed} {
		auth, err := identitykafka.New(failing{cause}, brokers, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = auth.Mechanism().Authenticate(t.Context(), brokers[0])
		if !strings.Contains(fmt.Sprint(err), cause.Error()) {
			t.Errorf("%v, want the words %q", err, cause)
		}
		for _, end := range []error{
			syscall.ECONNREFUSED, io.EOF, io.ErrUnexpectedEOF, net.ErrClosed,
		} {
			if errors.Is(err, end) {
				t.Errorf("errors.Is finds %v in %v", end, err)
			}
		}
		if _, ok := errors.AsType[*net.OpError](err); ok {
			t.Errorf("errors.As finds a *net.OpError in %v", err)
		}
		if _, ok := errors.AsType[*os.SyscallError](err); ok {
			t.Errorf("errors.As finds an *os.SyscallError in %v", err)
		}
		if _, ok := errors.AsType[net.Error](err); ok {
			t.Errorf("errors.As finds a net.Error in %v", err)
		}
	}
}

func TestChallengeKeepsTheBrokersWords(t *testing.T) {
	const words = `{"status":"invalid_token","scope":"orders","openid-configuration":"x"}`
	tokens := &brokertest.Tokens{Challenge: words}
	bubble(t, tokens, func(t *testing.T, b *brokertest.Broker) {
		auth := newAuth(t, newCredential(t, identitytest.NewIMDS(nil)), b)
		client := newClient(t, auth.Opts())
		defer client.Close()
		err := client.Ping(t.Context())
		for _, want := range []string{words, brokers[0], "token for " + scope, "object ID "} {
			if !strings.Contains(fmt.Sprint(err), want) {
				t.Errorf("%v\nwant %q in it", err, want)
			}
		}
		if !errors.Is(err, kerr.SaslAuthenticationFailed) {
			t.Errorf("%v isn't kerr.SaslAuthenticationFailed", err)
		}
		if again := auth.Explain(err); again != err {
			t.Errorf("Explain changed an error that says all: %v", again)
		}
	})
}

// A token that would end between GetToken and the broker's look at it isn't sent.
func TestTokenThatEndsAtOnce(t *testing.T) {
	bubble(t, &brokertest.Tokens{}, func(t *testing.T, b *brokertest.Broker) {
		endpoint := identitytest.NewIMDS(&identitytest.Options{HostCache: true})
		cred := newCredential(t, endpoint)
		first, err := cred.GetToken(t.Context(), policy.TokenRequestOptions{
			Scopes: []string{scope}, EnableCAE: true,
		})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Until(first.ExpiresOn) - time.Second)
		auth := newAuth(t, cred, b)
		client := newClient(t, auth.Opts())
		err = client.Ping(t.Context())
		client.Close()
		if err != nil {
			t.Fatal(err)
		}
		if all := b.All(); len(all) != 1 || all[0].Token == first.Token {
			t.Errorf("%d authentications, the first with the token that had 1 s left", len(all))
		}
		second, err := cred.GetToken(t.Context(), policy.TokenRequestOptions{
			Scopes: []string{scope}, EnableCAE: true,
		})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Until(second.ExpiresOn) - 1500*time.Millisecond)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		_, _, err = auth.Mechanism().Authenticate(ctx, brokers[0])
		if took := time.Since(start); took != time.Second ||
			!errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "1.5s left") {
			t.Errorf("%v after %v, want the end of the context at 1 s", err, took)
		}
	})
}

func TestNoTokenInWords(t *testing.T) {
	bubble(t, &brokertest.Tokens{}, func(t *testing.T, b *brokertest.Broker) {
		cred := newCredential(t, identitytest.NewIMDS(nil))
		auth := newAuth(t, cred, b)
		client := newClient(t, auth.Opts())
		defer client.Close()
		if err := client.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
		token := b.All()[0].Token
		session, _, err := auth.Mechanism().Authenticate(t.Context(), brokers[0])
		if err != nil {
			t.Fatal(err)
		}
		_, _, refused := session.Challenge([]byte(`{"status":"invalid ` + token + `"}`))
		echo := fmt.Errorf("%w: bad token %s", kerr.SaslAuthenticationFailed, token)
		synctest.Wait() // the client is looked at, which its goroutines may write to until then
		for _, held := range []any{
			auth, *auth, auth.Mechanism(), session, refused, auth.Explain(echo), client,
		} {
			for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
				if text := fmt.Sprintf(format, held); strings.Contains(text, token) {
					t.Errorf("%T as %s has the token in it", held, format)
				}
			}
		}
	})
}

// A cluster that names a host outside of the namespace's cloud gets no token for it.
func TestForeignBrokerGetsNoToken(t *testing.T) {
	bubble(t, &brokertest.Tokens{}, func(t *testing.T, _ *brokertest.Broker) {
		b := brokertest.Start("broker.example.com",
			&brokertest.Tokens{Audience: brokertest.Audience})
		defer b.Close()
		auth := newAuth(t, newCredential(t, identitytest.NewIMDS(nil)), b)
		client := newClient(t, append(auth.Opts(), kgo.RequestRetries(0)))
		defer client.Close()
		if err := client.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
		_, err := client.Broker(0).Request(t.Context(), kmsg.NewPtrMetadataRequest())
		if err == nil || !strings.Contains(err.Error(), "gets no token") {
			t.Errorf("the broker that the cluster calls broker.example.com: %v, want none", err)
		}
		if n := len(b.All()); n != 1 {
			t.Errorf("%d authentications, want 1", n)
		}
	})
}

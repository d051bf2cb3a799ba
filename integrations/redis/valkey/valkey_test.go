package identityvalkey

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/valkey-io/valkey-go"
)

// credentialFunc is a credential whose nth answer is f(n), from 0 on.
type credentialFunc struct {
	n atomic.Int64
	f func(ctx context.Context, n int64) (azcore.AccessToken, error)
}

func (c *credentialFunc) GetToken(
	ctx context.Context, _ policy.TokenRequestOptions,
) (azcore.AccessToken, error) {
	return c.f(ctx, c.n.Add(1)-1)
}

// always is a credential with one answer.
func always(token azcore.AccessToken) *credentialFunc {
	return &credentialFunc{f: func(context.Context, int64) (azcore.AccessToken, error) {
		return token, nil
	}}
}

func TestRefreshAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for name, tt := range map[string]struct{ left, due, want time.Duration }{ // due 0: it isn't said
		"a managed identity's": {24 * time.Hour, 12 * time.Hour, 12 * time.Hour},
		"not said":             {24 * time.Hour, 0, 24*time.Hour - 5*time.Minute},
		"not said, short":      {6 * time.Minute, 0, 3 * time.Minute},
		"due already":          {12 * time.Hour, -time.Hour, 30 * time.Second},
		"due, near the end":    {time.Minute, -time.Hour, 6 * time.Second},
		"due, at the end":      {time.Second, -time.Hour, time.Second},
		"due in a moment":      {12 * time.Hour, time.Millisecond, 30 * time.Second},
		"due after the end":    {time.Hour, 2 * time.Hour, 55 * time.Minute},
		"has ended":            {-time.Hour, -2 * time.Hour, time.Second},
	} {
		token := azcore.AccessToken{ExpiresOn: now.Add(tt.left)}
		if tt.due != 0 {
			token.RefreshOn = now.Add(tt.due)
		}
		if got := refreshAfter(token, now).Sub(now); got != tt.want {
			t.Errorf("%s: got %v, want %v", name, got, tt.want)
		}
	}
	if got := refreshAfter(azcore.AccessToken{RefreshOn: now}, now); !got.IsZero() {
		t.Errorf("without an end: got %v", got)
	}
}

// TestAuthCredentialsFn: 10 s at most, and the last token while it is valid.
func TestAuthCredentialsFn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hangs := &credentialFunc{f: func(ctx context.Context, n int64) (azcore.AccessToken, error) {
			if n == 1 {
				return azcore.AccessToken{Token: "a", ExpiresOn: time.Now().Add(time.Hour)}, nil
			}
			<-ctx.Done()
			return azcore.AccessToken{}, ctx.Err()
		}}
		get := AuthCredentialsFn(hangs, &Options{User: "me"})
		for i, want := range []struct {
			password string
			took     time.Duration
		}{{"", 10 * time.Second}, {"a", 0}, {"a", 10 * time.Second}} {
			start := time.Now()
			got, err := get(valkey.AuthCredentialsContext{})
			if got.Password != want.password || (err != nil) != (want.password == "") ||
				time.Since(start) != want.took {
				t.Errorf("call %d: %q, %v after %v, want %v", i, got.Password, err, time.Since(start), want)
			}
		}
		time.Sleep(time.Hour) // it ends
		if got, err := get(valkey.AuthCredentialsContext{}); !errors.Is(err, context.DeadlineExceeded) ||
			got.Password != "" {
			t.Errorf("after its end: %q, %v", got.Password, err)
		}
	})
}

func TestConfigureRefuses(t *testing.T) {
	t.Parallel()
	cred := always(azcore.AccessToken{})
	azure := []string{"127.0.0.1:1", "example.westeurope.redis.azure.net:10000"}
	fine := &tls.Config{MinVersion: tls.VersionTLS12}
	for name, tt := range map[string]struct {
		options valkey.ClientOption
		want    string
	}{
		"TLS":      {valkey.ClientOption{InitAddress: azure, TLSConfig: fine}, ""},
		"loopback": {valkey.ClientOption{InitAddress: azure[:1]}, ""},
		"no TLS":   {valkey.ClientOption{InitAddress: azure}, "TLSConfig is nil"},
		"no check": {valkey.ClientOption{InitAddress: azure,
			TLSConfig: &tls.Config{InsecureSkipVerify: true}}, "InsecureSkipVerify"},
		"a password": {valkey.ClientOption{InitAddress: azure, TLSConfig: fine, Password: "p"},
			"other credentials"},
		"a Sentinel": {valkey.ClientOption{InitAddress: azure, TLSConfig: fine,
			Sentinel: valkey.SentinelOption{MasterSet: "m"}}, "Sentinel"},
	} {
		err := Configure(&tt.options, cred, nil)
		if tt.want == "" && err != nil || tt.want != "" && (err == nil ||
			!strings.Contains(err.Error(), tt.want) || tt.options.AuthCredentialsFn != nil) {
			t.Errorf("%s: got %v, want %q", name, err, tt.want)
		}
	}
	if Configure(nil, cred, nil) == nil || Configure(&valkey.ClientOption{}, nil, nil) == nil {
		t.Error("nil is accepted")
	}
	far := valkey.ClientOption{InitAddress: azure, DialCtxFn: func(
		context.Context, string, *net.Dialer, *tls.Config) (net.Conn, error) {
		conn, _ := net.Pipe()
		return conn, nil
	}}
	if err := Configure(&far, cred, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := valkey.NewClient(far); err == nil || !strings.Contains(err.Error(), "has no TLS") ||
		cred.n.Load() > 0 {
		t.Errorf("a dialer without TLS: %v", err)
	}
}

// server is a client of the real server, made by configure, as a user of its own whose passwords
// are given.
func server(
	t testing.TB, configure func(o *valkey.ClientOption, user string) error, passwords ...string,
) (client, admin valkey.Client) {
	t.Helper()
	addr := os.Getenv("IDENTITY_TEST_REDIS")
	if addr == "" {
		t.Skip("IDENTITY_TEST_REDIS isn't set: no redis-server to test with; .ci/run starts one")
	}
	admin, err := valkey.NewClient(valkey.ClientOption{InitAddress: []string{addr},
		Password: os.Getenv("IDENTITY_TEST_REDIS_PASSWORD"), ForceSingleClient: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(admin.Close)
	user := rand.Text()
	for _, p := range passwords {
		do(t, admin, "ACL", "SETUSER", user, "on", "allkeys", "allchannels", "+@all", ">"+p)
	}
	t.Cleanup(func() { do(t, admin, "ACL", "DELUSER", user) })
	o := valkey.ClientOption{InitAddress: []string{addr}, ForceSingleClient: true, DisableRetry: true,
		PipelineMultiplex: -1}
	if err := configure(&o, user); err != nil {
		t.Fatal(err)
	}
	client, err = valkey.NewClient(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client, admin
}

func do(t testing.TB, c valkey.Client, args ...string) {
	t.Helper()
	err := c.Do(context.Background(), c.B().Arbitrary(args...).Build()).Error()
	if err != nil {
		t.Errorf("%s %s: %v", args[0], args[1], err)
	}
}

func connection(t testing.TB, c valkey.Client) int64 {
	t.Helper()
	id, err := c.Do(context.Background(), c.B().ClientId().Build()).ToInt64()
	if err != nil {
		t.Error(err)
	}
	return id
}

// TestConnectionLogsInAnew: the open connection, when the token is due, and a renewal that fails
// costs nothing while the token is valid. A naive function closes the connection.
func TestConnectionLogsInAnew(t *testing.T) {
	t.Parallel()
	for name, naive := range map[string]bool{"naive": true, "ours": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cred := &credentialFunc{f: func(_ context.Context, n int64) (azcore.AccessToken, error) {
				if n == 1 {
					return azcore.AccessToken{}, errors.New("an outage")
				}
				return azcore.AccessToken{Token: []string{"a", "", "b", "b", "b"}[min(n, 4)],
					ExpiresOn: time.Now().Add(10 * time.Second), RefreshOn: time.Now()}, nil
			}}
			c, _ := server(t, func(o *valkey.ClientOption, user string) error {
				if !naive {
					return Configure(o, cred, &Options{User: user})
				}
				o.AuthCredentialsFn = func(valkey.AuthCredentialsContext) (valkey.AuthCredentials, error) {
					token, err := cred.GetToken(context.Background(), policy.TokenRequestOptions{})
					return valkey.AuthCredentials{Username: user, Password: token.Token,
						RefreshAfter: token.RefreshOn.Add(time.Second)}, err
				}
				return nil
			}, "a", "b")
			id := connection(t, c)
			deadline := time.Now().Add(9 * time.Second)
			for cred.n.Load() < 3 && time.Now().Before(deadline) {
				_ = c.Do(t.Context(), c.B().Ping().Build()).Error()
			}
			if same := connection(t, c) == id; same == naive || cred.n.Load() < 3 {
				t.Errorf("the connection is the same: %v, after %d calls", same, cred.n.Load())
			}
		})
	}
}

// TestTokenThatIsRepeated: a naive RefreshAfter is in the past then, and valkey-go logs in without
// end.
func TestTokenThatIsRepeated(t *testing.T) {
	t.Parallel()
	token := azcore.AccessToken{Token: "a", ExpiresOn: time.Now().Add(time.Hour),
		RefreshOn: time.Now().Add(-time.Second)}
	naive, ours := always(token), always(token)
	server(t, func(o *valkey.ClientOption, user string) error {
		return Configure(o, ours, &Options{User: user})
	}, "a")
	server(t, func(o *valkey.ClientOption, user string) error {
		o.AuthCredentialsFn = func(valkey.AuthCredentialsContext) (valkey.AuthCredentials, error) {
			token, err := naive.GetToken(context.Background(), policy.TokenRequestOptions{})
			return valkey.AuthCredentials{Username: user, Password: token.Token,
				RefreshAfter: token.RefreshOn}, err
		}
		return nil
	}, "a")
	deadline := time.Now().Add(8 * time.Second)
	for naive.n.Load() < 100 && time.Now().Before(deadline) {
		<-time.After(time.Millisecond)
	}
	if naive.n.Load() < 100 || ours.n.Load() > 2 {
		t.Errorf("%d calls by the naive one, %d of ours", naive.n.Load(), ours.n.Load())
	}
}

// TestRotation: a subscription lives on when the token ends and its connections with it, and no
// login is refused.
func TestRotation(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	current := "a"
	cred := &credentialFunc{f: func(context.Context, int64) (azcore.AccessToken, error) {
		mu.Lock()
		defer mu.Unlock()
		return azcore.AccessToken{Token: current, ExpiresOn: time.Now().Add(time.Hour)}, nil
	}}
	user := ""
	c, admin := server(t, func(o *valkey.ClientOption, name string) error {
		user, o.DisableRetry = name, false
		return Configure(o, cred, &Options{User: name})
	}, "a")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	messages := make(chan string, 100)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			_ = c.Receive(ctx, c.B().Subscribe().Channel(user).Build(), func(m valkey.PubSubMessage) {
				messages <- m.Message
			})
		}
	}()
	for i := range 4 {
		want := fmt.Sprint("message ", i)
		deadline := time.Now().Add(8 * time.Second)
		for got := ""; got != want && time.Now().Before(deadline); {
			// valkey-go sends a command that isn't read-only once: EOF is the connection's end.
			err := c.Do(t.Context(), c.B().Publish().Channel(user).Message(want).Build()).Error()
			if err != nil && strings.Contains(err.Error(), "WRONGPASS") {
				t.Fatal(err)
			}
			select {
			case got = <-messages:
			case <-time.After(5 * time.Millisecond):
			}
			if got != want && time.Now().After(deadline) {
				t.Fatalf("%s hasn't come in 8 s", want)
			}
		}
		mu.Lock()
		current = fmt.Sprint("token ", i)
		do(t, admin, "ACL", "SETUSER", user, "resetpass", ">"+current)
		mu.Unlock()
		do(t, admin, "CLIENT", "KILL", "USER", user)
	}
	cancel()
	<-done
}

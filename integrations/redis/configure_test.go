package identityredis

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/keyless-go/identity"
	"github.com/keyless-go/identity/identitytest"
	"github.com/redis/go-redis/v9"
)

// TestConfigureRefuses what would give the token away.
func TestConfigureRefuses(t *testing.T) {
	t.Parallel()
	const azure = "example.redis.cache.windows.net:6380"
	fine := &tls.Config{MinVersion: tls.VersionTLS12}
	checked := &tls.Config{InsecureSkipVerify: true,
		VerifyConnection: func(tls.ConnectionState) error { return nil }}
	dial := func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("x") }
	for name, tt := range map[string]struct {
		options redis.Options
		want    string // in the error, "" for none
	}{
		"TLS":           {redis.Options{Addr: azure, TLSConfig: fine}, ""},
		"zero TLS":      {redis.Options{Addr: azure, TLSConfig: &tls.Config{}}, ""},
		"a check":       {redis.Options{Addr: azure, TLSConfig: checked}, ""},
		"loopback":      {redis.Options{Addr: "127.0.0.1:6379"}, ""},
		"loopback 6":    {redis.Options{Addr: "[::1]:6379"}, ""},
		"localhost":     {redis.Options{Addr: "localhost:6379"}, ""},
		"the default":   {redis.Options{}, ""},
		"a socket":      {redis.Options{Addr: "/run/redis.sock"}, ""},
		"unix":          {redis.Options{Network: "unix", Addr: "redis.sock"}, ""},
		"a dialer":      {redis.Options{Addr: azure, Dialer: dial}, ""},
		"no TLS":        {redis.Options{Addr: azure}, "TLSConfig is nil"},
		"private":       {redis.Options{Addr: "10.0.0.4:6379"}, "TLSConfig is nil"},
		"like loopback": {redis.Options{Addr: "localhost.example.com:6379"}, "TLSConfig is nil"},
		"no check": {redis.Options{Addr: azure, TLSConfig: &tls.Config{InsecureSkipVerify: true}},
			"InsecureSkipVerify"},
		"TLS 1.1": {redis.Options{Addr: azure, TLSConfig: &tls.Config{MinVersion: tls.VersionTLS11}},
			"MinVersion"},
		"TLS 1.1 at most": {redis.Options{Addr: azure,
			TLSConfig: &tls.Config{MaxVersion: tls.VersionTLS11}}, "MaxVersion"},
		"a password": {redis.Options{Addr: azure, TLSConfig: fine, Password: "p"}, "other credentials"},
		"a user":     {redis.Options{Addr: azure, TLSConfig: fine, Username: "u"}, "other credentials"},
		"a provider": {redis.Options{Addr: azure, TLSConfig: fine,
			StreamingCredentialsProvider: NewProvider(nil, nil)}, "other credentials"},
	} {
		o := tt.options
		u := redis.UniversalOptions{Addrs: []string{"127.0.0.1:1", o.Addr}, TLSConfig: o.TLSConfig,
			Dialer: o.Dialer, Username: o.Username, Password: o.Password,
			StreamingCredentialsProvider: o.StreamingCredentialsProvider}
		c := redis.ClusterOptions{Addrs: u.Addrs, TLSConfig: o.TLSConfig,
			Dialer: o.Dialer, Username: o.Username, Password: o.Password,
			StreamingCredentialsProvider: o.StreamingCredentialsProvider}
		for kind, err := range map[string]error{
			"Options":          Configure(&o, credentialFunc(nil), nil),
			"UniversalOptions": Configure(&u, credentialFunc(nil), nil),
			"ClusterOptions":   Configure(&c, credentialFunc(nil), nil),
		} {
			switch {
			case o.Network == "unix" && kind != "Options": // they don't have it
			case tt.want == "" && err != nil:
				t.Errorf("%s, %s: %v", name, kind, err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want) ||
				!strings.HasPrefix(err.Error(), "identityredis: Configure: ")):
				t.Errorf("%s, %s: got %v, want %q", name, kind, err, tt.want)
			}
		}
		if tt.want != "" && o.StreamingCredentialsProvider != tt.options.StreamingCredentialsProvider {
			t.Errorf("%s: an error, and the options are configured", name)
		}
	}
	if err := Configure[redis.Options](nil, credentialFunc(nil), nil); err == nil {
		t.Error("nil options are accepted")
	}
	if err := Configure(&redis.Options{}, nil, nil); err == nil {
		t.Error("a nil credential is accepted")
	}
}

// elsewhere is a connection to another machine, by what it says.
type elsewhere struct{ net.Conn }

func (elsewhere) RemoteAddr() net.Addr {
	return &net.TCPAddr{IP: net.IPv4(10, 0, 0, 4), Port: 6379}
}

// TestDialersAreChecked: a Dialer's connection without TLS, and one to an address that the server
// of a cluster has named, get no token.
func TestDialersAreChecked(t *testing.T) {
	t.Parallel()
	asked := false
	cred := credentialFunc(func(context.Context) (azcore.AccessToken, error) {
		asked = true
		return azcore.AccessToken{}, errors.New("asked")
	})
	near, far := net.Pipe()
	defer far.Close()
	o := &redis.Options{MaxRetries: -1, DialerRetries: 1,
		Dialer: func(context.Context, string, string) (net.Conn, error) { return elsewhere{near}, nil }}
	if err := Configure(o, cred, nil); err != nil {
		t.Fatal(err)
	}
	c := redis.NewClient(o)
	defer c.Close()
	err := c.Ping(t.Context()).Err()
	const want = "identityredis: the connection to 10.0.0.4:6379 has no TLS"
	if err == nil || !strings.Contains(err.Error(), want) || asked {
		t.Errorf("got %v; asked for a token: %v", err, asked)
	}
	if _, err := far.Read(make([]byte, 1)); err == nil {
		t.Error("the connection is left open")
	}
}

// TestClients of every kind, with and without TLS, by RESP2 and RESP3.
func TestClients(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	encrypted := os.Getenv(tlsVariable)
	config := trusting(t, encrypted)
	for addr, config := range map[string]*tls.Config{a.addr: nil, encrypted: config} {
		for _, protocol := range []int{2, 3} {
			o := &redis.Options{Addr: addr, TLSConfig: config, Protocol: protocol}
			u := &redis.UniversalOptions{Addrs: []string{addr}, TLSConfig: config, Protocol: protocol}
			c := &redis.ClusterOptions{Addrs: []string{addr}, TLSConfig: config, Protocol: protocol,
				ClusterSlots: func(context.Context) ([]redis.ClusterSlot, error) {
					return []redis.ClusterSlot{{Start: 0, End: 16383,
						Nodes: []redis.ClusterNode{{Addr: addr}}}}, nil
				}}
			err := errors.Join(Configure(o, a, nil), Configure(u, a, nil), Configure(c, a, nil))
			if err != nil {
				t.Fatal(err)
			}
			for _, client := range []redis.UniversalClient{redis.NewClient(o),
				redis.NewUniversalClient(u), redis.NewClusterClient(c)} {
				err := client.Set(t.Context(), a.is.ObjectID, "x", time.Minute).Err()
				if err != nil {
					t.Errorf("%T, RESP%d, TLS is %v: %v", client, protocol, config != nil, err)
				}
				_ = client.Close()
			}
		}
	}
}

// TestOutageReachesTheCaller in the credential's words, and with its type.
func TestOutageReachesTheCaller(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	ep := identitytest.NewIMDS(nil)
	ep.Enqueue(identitytest.Response{Status: 400, For: time.Hour})
	cred := onIMDS(t, ep)
	streaming := &redis.Options{Addr: a.addr, StreamingCredentialsProvider: NewProvider(cred, nil)}
	plain := &redis.Options{Addr: a.addr}
	if err := Configure(plain, cred, nil); err != nil {
		t.Fatal(err)
	}
	for name, o := range map[string]*redis.Options{"streaming": streaming, "plain": plain} {
		c := redis.NewClient(o)
		err := c.Ping(t.Context()).Err()
		_ = c.Close()
		if _, ok := errors.AsType[*identity.AuthenticationError](err); !ok {
			t.Errorf("%s: %T %v", name, err, err)
		}
	}
}

// TestContextOfTheCommand ends the wait for a token; a naive callback's context.Background doesn't.
func TestContextOfTheCommand(t *testing.T) {
	bubble(t, func(t *testing.T) {
		hangs := credentialFunc(func(ctx context.Context) (azcore.AccessToken, error) {
			select {
			case <-ctx.Done():
				return azcore.AccessToken{}, ctx.Err()
			case <-time.After(time.Hour):
				return azcore.AccessToken{}, errors.New("an hour later")
			}
		})
		ours := CredentialsProvider(hangs, nil)
		naive := func(context.Context) (string, string, error) { return ours(context.Background()) }
		for name, tt := range map[string]struct {
			f    func(context.Context) (string, string, error)
			want time.Duration
		}{"naive": {naive, time.Hour}, "ours": {ours, time.Second}} {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			start := time.Now()
			if _, _, err := tt.f(ctx); err == nil || time.Since(start) != tt.want {
				t.Errorf("%s: %v after %v, want %v", name, err, time.Since(start), tt.want)
			}
			cancel()
		}
	})
}

// TestNoTokenIsSeen in what a program might print, nor in an error of a refused login.
func TestNoTokenIsSeen(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	o := &redis.Options{Addr: a.addr}
	if err := Configure(o, a, nil); err != nil {
		t.Fatal(err)
	}
	p := NewProvider(a, nil)
	o.StreamingCredentialsProvider = p
	c := redis.NewClient(o)
	defer c.Close()
	if err := c.Ping(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	soon(t, "the goroutine has a token", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.current != nil
	})
	credentials, end, err := p.Subscribe(&ear{})
	if err != nil {
		t.Fatal(err)
	}
	defer end()
	a.do(t, "ACL", "SETUSER", a.is.ObjectID, "resetpass", ">another")
	a.do(t, "CLIENT", "KILL", "USER", a.is.ObjectID)
	refused := c.Ping(t.Context()).Err()
	if refused == nil || !strings.Contains(refused.Error(), "WRONGPASS") {
		t.Errorf("got %v, want WRONGPASS", refused)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, v := range []any{p, *o, credentials, p.source.Last(), refused} {
		for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
			if got := fmt.Sprintf(format, v); strings.Contains(got, a.token.Token) {
				t.Errorf("%s of %T has the token", format, v)
			}
		}
	}
}

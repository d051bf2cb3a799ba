package nats_test

import (
	"context"
	"crypto/tls"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity"
	"github.com/keyless-go/identity/examples/recipes/internal/standin"
	recipe "github.com/keyless-go/identity/examples/recipes/nats"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

const scope = "api://messages/.default"

// taken is what the real server asks: it takes one token, as an authorization callout would.
type taken struct {
	token  atomic.Pointer[string]
	asked  atomic.Int64
	refuse atomic.Int64 // so many, whatever their token
}

func (a *taken) Check(c server.ClientAuthentication) bool {
	a.asked.Add(1)
	return a.refuse.Add(-1) < 0 && c.GetOpts().Token == *a.token.Load()
}

func serve(
	t *testing.T, token string, secure bool,
) (s *server.Server, takes *taken, trust nats.Option) {
	t.Helper()
	takes = new(taken)
	takes.token.Store(&token)
	options := &server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true,
		CustomClientAuthentication: takes}
	trust = func(*nats.Options) error { return nil }
	if secure {
		certificate, pool := standin.Certificate(t, "nats.example.com")
		options.TLS, options.TLSTimeout = true, 10
		options.TLSConfig = &tls.Config{Certificates: []tls.Certificate{certificate}}
		trust = nats.Secure(&tls.Config{RootCAs: pool, ServerName: "nats.example.com"})
	}
	s, err := server.NewServer(options)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(s.Shutdown)
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("the server doesn't start")
	}
	return s, takes, trust
}

// flaky is a credential that fails a number of times when it is told to.
type flaky struct {
	azcore.TokenCredential
	fail atomic.Int64
}

func (f *flaky) GetToken(
	ctx context.Context, o policy.TokenRequestOptions,
) (azcore.AccessToken, error) {
	if end, ok := ctx.Deadline(); !ok || time.Until(end) > 10*time.Second {
		return azcore.AccessToken{}, errors.New("the wait has no limit")
	}
	if f.fail.Add(-1) >= 0 {
		return azcore.AccessToken{}, standin.ErrBroken
	}
	return f.TokenCredential.GetToken(ctx, o)
}

// client is a connection, and how it goes on after the server has ended it.
type client struct {
	*nats.Conn
	again, ended chan struct{}
}

func connect(t *testing.T, s *server.Server, options ...nats.Option) client {
	t.Helper()
	c := client{again: make(chan struct{}, 1), ended: make(chan struct{}, 1)}
	conn, err := nats.Connect(s.ClientURL(), append(options, nats.MaxReconnects(-1),
		nats.ReconnectWait(time.Millisecond), nats.ReconnectJitter(0, 0), nats.Timeout(10*time.Second),
		nats.ReconnectHandler(func(*nats.Conn) { c.again <- struct{}{} }),
		nats.ClosedHandler(func(*nats.Conn) { c.ended <- struct{}{} }))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	c.Conn = conn
	return c
}

// drop is what the server does when its answer for a connection has ended. It reports whether the
// client came back.
func (c client) drop(t *testing.T, s *server.Server) bool {
	t.Helper()
	id, err := c.GetClientID()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.DisconnectClientByID(id); err != nil {
		t.Fatal(err)
	}
	select {
	case <-c.again:
		return true
	case <-c.ended:
		return false
	case <-time.After(20 * time.Second):
		t.Fatal("neither connected nor closed")
		return false
	}
}

// TestRotation: a client comes back with the token of that moment. One with a captured token is
// refused twice, and gives up for good.
func TestRotation(t *testing.T) {
	t.Parallel()
	azure := standin.New(t)
	first := azure.Token(t, scope)
	s, takes, trust := serve(t, first, true)
	ours := connect(t, s, append(recipe.Options(azure.Credential, scope), trust)...)
	naive := connect(t, s, trust, nats.Token(first))
	heard, err := ours.SubscribeSync("orders")
	if err != nil {
		t.Fatal(err)
	}
	azure.Rotate(t, scope)
	second := azure.Token(t, scope)
	takes.token.Store(&second)
	if !ours.drop(t, s) {
		t.Fatal("closed: ", ours.LastError())
	}
	if err := ours.Publish("orders", []byte("1")); err != nil {
		t.Fatal(err)
	}
	if _, err := heard.NextMsg(10 * time.Second); err != nil {
		t.Errorf("the subscription, after the server ended the connection: %v", err)
	}
	if naive.drop(t, s) || !errors.Is(naive.LastError(), nats.ErrAuthorization) {
		t.Errorf("naive: %v; want it closed for good", naive.LastError())
	}
}

// TestOutage: no token for a while, or refusals for a while, cost time. What returns "" from a
// TokenHandler is refused twice in that time, and gives up for good.
func TestOutage(t *testing.T) {
	t.Parallel()
	azure := standin.New(t)
	s, takes, trust := serve(t, azure.Token(t, scope), true)
	cred := &flaky{TokenCredential: azure.Credential}
	ours := connect(t, s, append(recipe.Options(cred, scope), trust)...)
	cred.fail.Store(5)
	if !ours.drop(t, s) {
		t.Fatal("no token for a while: closed: ", ours.LastError())
	}
	takes.refuse.Store(5)
	if !ours.drop(t, s) {
		t.Error("the server's callout is down for a while: closed: ", ours.LastError())
	}

	cred.fail.Store(0)
	takes.refuse.Store(0)
	naive := connect(t, s, trust, nats.TokenHandler(func() string {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		token, err := identity.TokenFunc(cred, scope)(ctx)
		if err != nil {
			return "" // there is no other way to say it
		}
		return token
	}))
	cred.fail.Store(5)
	if naive.drop(t, s) {
		t.Error("the naive client came back: this test shows nothing")
	}
}

// TestFirst: the first connection fails with what the credential said.
func TestFirst(t *testing.T) {
	t.Parallel()
	s, takes, trust := serve(t, "any", true)
	_, err := nats.Connect(s.ClientURL(), append(recipe.Options(standin.Broken{}, scope), trust)...)
	if !errors.Is(err, standin.ErrBroken) || takes.asked.Load() != 0 {
		t.Errorf("%d connections came: %v", takes.asked.Load(), err)
	}
}

// TestPlain: a server without TLS gets no token.
func TestPlain(t *testing.T) {
	t.Parallel()
	azure := standin.New(t)
	s, takes, _ := serve(t, azure.Token(t, scope), false)
	_, err := nats.Connect(s.ClientURL(), recipe.Options(azure.Credential, scope)...)
	if !errors.Is(err, nats.ErrSecureConnWanted) || takes.asked.Load() != 0 {
		t.Errorf("%d connections came: %v", takes.asked.Load(), err)
	}
	conn, err := nats.Connect(s.ClientURL(), nats.Token(azure.Token(t, scope)))
	if err != nil {
		t.Fatalf("naive: %v: this test shows nothing", err)
	}
	conn.Close()
}

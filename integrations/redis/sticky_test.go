package identityredis

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// TestClientsOfOneConnection, which Watch and Conn are, and clients with Sentinel: they make
// connections by themselves, and go-redis panics there with any StreamingCredentialsProvider.
func TestClientsOfOneConnection(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	sentinel := newSentinel(t, a.addr)
	for name, use := range map[string]func(context.Context, redis.UniversalOptions) error{
		"Watch": func(ctx context.Context, u redis.UniversalOptions) error {
			c := redis.NewClient(u.Simple())
			defer c.Close()
			return c.Watch(ctx, func(tx *redis.Tx) error { return tx.Ping(ctx).Err() }, a.is.ObjectID)
		},
		"Conn": func(ctx context.Context, u redis.UniversalOptions) error {
			c := redis.NewClient(u.Simple())
			defer c.Close()
			conn := c.Conn()
			defer conn.Close()
			return conn.Ping(ctx).Err()
		},
		"Sentinel": func(ctx context.Context, u redis.UniversalOptions) error {
			u.Addrs, u.MasterName = []string{sentinel}, "master"
			c := redis.NewUniversalClient(&u)
			defer c.Close()
			return c.Ping(ctx).Err()
		},
	} {
		t.Run(name, func(t *testing.T) {
			u := redis.UniversalOptions{Addrs: []string{a.addr}, PipelinePoolSize: -1}
			if err := Configure(&u, a, nil); err != nil {
				t.Fatal(err)
			}
			if err := use(t.Context(), u); err != nil {
				t.Errorf("ours: %v", err)
			}
			u.StreamingCredentialsProvider = NewProvider(a, nil)
			if err := panics(func() error { return use(t.Context(), u) }); err != errPanics {
				t.Errorf("naive: %v, want a panic: go-redis has become better, see doc.go", err)
			}
		})
	}
}

var errPanics = errors.New("it panics")

func panics(f func() error) (err error) {
	defer func() {
		if recover() != nil {
			err = errPanics
		}
	}()
	return f()
}

// newSentinel is as much of a Sentinel as says where the master is. It returns its address.
func newSentinel(t *testing.T, master string) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	host, port, _ := net.SplitHostPort(master)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				lines := bufio.NewScanner(conn)
				for lines.Scan() { // one word each, or its length
					switch strings.ToLower(strings.TrimSpace(lines.Text())) {
					case "hello":
						fmt.Fprint(conn, "-ERR unknown command\r\n")
					case "client":
						fmt.Fprint(conn, "+OK\r\n")
					case "get-master-addr-by-name":
						fmt.Fprintf(conn, "*2\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n", len(host), host, len(port), port)
					case "sentinels":
						fmt.Fprint(conn, "*0\r\n")
					}
				}
			}()
		}
	}()
	return listener.Addr().String()
}

// TestConnectionsAreReplaced between commands: each logs in with the token of its time, so that the
// last one's end reaches nobody. A client that keeps its connections has them ended by the server.
func TestConnectionsAreReplaced(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	replaced := a.client(t, &redis.Options{PoolSize: 1, ConnMaxLifetime: time.Millisecond})
	kept := a.client(t, &redis.Options{PoolSize: 1, ConnMaxLifetime: -1})
	id := func(c *redis.Client) int64 {
		t.Helper()
		id, err := c.ClientID(t.Context()).Result()
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	first, firstKept := id(replaced), id(kept)
	soon(t, "another connection", func() bool { return id(replaced) != first })
	if got := id(kept); got != firstKept {
		t.Errorf("a negative ConnMaxLifetime: connection %d, want %d still", got, firstKept)
	}
}

// TestConnMaxLifetime is set where the user has not set it.
func TestConnMaxLifetime(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ lifetime, jitter, want, wantJitter time.Duration }{
		{0, 0, lifetime, jitter},
		{0, time.Hour, lifetime, jitter},
		{-1, 0, -1, 0},
		{time.Hour, time.Minute, time.Hour, time.Minute},
	} {
		o := redis.Options{ConnMaxLifetime: tt.lifetime, ConnMaxLifetimeJitter: tt.jitter}
		c := redis.ClusterOptions{ConnMaxLifetime: tt.lifetime, ConnMaxLifetimeJitter: tt.jitter}
		u := redis.UniversalOptions{ConnMaxLifetime: tt.lifetime, ConnMaxLifetimeJitter: tt.jitter}
		cred := credentialFunc(nil)
		err := errors.Join(Configure(&o, cred, nil), Configure(&c, cred, nil), Configure(&u, cred, nil))
		if err != nil {
			t.Fatal(err)
		}
		for kind, got := range map[string][2]time.Duration{
			"Options":          {o.ConnMaxLifetime, o.ConnMaxLifetimeJitter},
			"ClusterOptions":   {c.ConnMaxLifetime, c.ConnMaxLifetimeJitter},
			"UniversalOptions": {u.ConnMaxLifetime, u.ConnMaxLifetimeJitter},
		} {
			if got != [2]time.Duration{tt.want, tt.wantJitter} {
				t.Errorf("%s, %v and %v: got %v, want %v and %v", kind, tt.lifetime, tt.jitter, got,
					tt.want, tt.wantJitter)
			}
		}
	}
}

package identityredis

import (
	"fmt"
	"testing"

	"github.com/redis/go-redis/v9"
)

// TestPubSubLives through rotations: go-redis subscribes anew with the token of that moment. What
// is published meanwhile is lost, as with any connection that ends.
func TestPubSubLives(t *testing.T) {
	t.Parallel()
	for _, protocol := range []int{2, 3} {
		t.Run(fmt.Sprint("RESP", protocol), func(t *testing.T) {
			t.Parallel()
			a := newAccount(t)
			c := a.client(t, &redis.Options{Protocol: protocol})
			s := c.Subscribe(t.Context(), a.is.ObjectID)
			defer s.Close()
			if _, err := s.Receive(t.Context()); err != nil {
				t.Fatal(err)
			}
			messages := s.Channel()
			for i := range 4 {
				want := fmt.Sprint("after rotation ", i)
				soon(t, "a message "+want, func() bool {
					if err := c.Publish(t.Context(), a.is.ObjectID, want).Err(); err != nil {
						t.Fatal(err)
					}
					for {
						select {
						case m := <-messages:
							if m.Payload == want {
								return true
							}
							continue
						default:
						}
						return false
					}
				})
				a.rotate(t)
			}
		})
	}
}

// TestIdleConnections log in with a new token when they are used next, and no caller sees it.
func TestIdleConnections(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	c, p := a.streaming(t, &redis.Options{PoolSize: 3})
	h := &hook{}
	c.AddHook(h)
	if err := c.Ping(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	e := &ear{}
	_, end := subscribe(t, p, e)
	defer end()
	a.renew(t)
	soon(t, "the new token", func() bool { return len(e.tokens()) > 0 })
	if n := h.auths.Load(); n != 0 {
		t.Errorf("%d AUTH without a command: go-redis has become better, see doc.go", n)
	}
	soon(t, "AUTH on the connection", func() bool {
		if err := c.Ping(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		return h.auths.Load() > 0
	})
	a.end(t)
	if err := c.Ping(t.Context()).Err(); err != nil {
		t.Error(err)
	}
}

// TestMaxActiveConns: with a StreamingCredentialsProvider go-redis refuses callers after a new
// token.
func TestMaxActiveConns(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	naiveOptions := &redis.Options{Addr: a.addr, PoolSize: 1, MaxActiveConns: 1,
		StreamingCredentialsProvider: NewProvider(a, nil)}
	naive := redis.NewClient(naiveOptions)
	defer naive.Close()
	ours := a.client(t, &redis.Options{PoolSize: 1, MaxActiveConns: 1})
	for _, c := range []*redis.Client{naive, ours} {
		if err := c.Ping(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
	}
	e := &ear{}
	_, end := subscribe(t, naiveOptions.StreamingCredentialsProvider.(*Provider), e)
	defer end()
	for range 1 {
		n := len(e.tokens())
		a.renew(t)
		soon(t, "the new token", func() bool { return len(e.tokens()) > n })
		if err := naive.Ping(t.Context()).Err(); err != redis.ErrPoolExhausted {
			t.Errorf("naive: %v, want ErrPoolExhausted: go-redis has become better, see doc.go", err)
		}
		if err := ours.Ping(t.Context()).Err(); err != nil {
			t.Errorf("ours: %v", err)
		}
	}
	a.end(t)
	if err := ours.Ping(t.Context()).Err(); err != nil {
		t.Errorf("ours: %v", err)
	}
}

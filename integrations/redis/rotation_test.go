package identityredis

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/auth"
)

// hook sees the AUTH commands of a client, without their arguments.
type hook struct{ auths atomic.Int64 }

func (h *hook) DialHook(next redis.DialHook) redis.DialHook { return next }

func (h *hook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		if cmd.Name() == "auth" && err == nil {
			h.auths.Add(1)
		}
		return err
	}
}

func (h *hook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// work is commands in some goroutines.
type work struct {
	n     atomic.Int64
	first atomic.Pointer[error]
	stop  func() // and wait
}

// goesOn waits for more commands to end.
func (w *work) goesOn(t *testing.T) {
	t.Helper()
	from := w.n.Load()
	soon(t, "200 commands", func() bool { return w.n.Load() > from+200 })
}

// err is the first error of a command.
func (w *work) err() error {
	if err := w.first.Load(); err != nil {
		return *err
	}
	return nil
}

func load(c redis.Cmdable, key string) *work {
	w := &work{}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	w.stop = func() { cancel(); wg.Wait() }
	for i := range 4 {
		wg.Go(func() {
			for ctx.Err() == nil {
				err := c.Set(context.Background(), fmt.Sprint(key, i), "x", time.Minute).Err()
				if i == 0 && err == nil {
					_, err = c.Pipelined(context.Background(), func(p redis.Pipeliner) error {
						p.Get(context.Background(), key+"0")
						p.Get(context.Background(), key+"0")
						return nil
					})
				}
				if w.n.Add(1); err != nil {
					w.first.CompareAndSwap(nil, &err)
				}
			}
		})
	}
	return w
}

// TestRotationsUnderLoad: no error reaches a caller, while each token ends and takes its
// connections with it.
func TestRotationsUnderLoad(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		options   redis.Options
		streaming bool // open connections are told of a new token
		rotations int
	}{
		"RESP3":           {redis.Options{}, false, 3},
		"RESP2":           {redis.Options{Protocol: 2}, false, 1},
		"two connections": {redis.Options{PoolSize: 2}, false, 2},
		"MaxActiveConns": {redis.Options{PoolSize: 4, MaxActiveConns: 4, PipelinePoolSize: -1}, false,
			10},
		// A provider looks for another token once a second, at most: each of these takes that long.
		"RESP3, streaming":           {redis.Options{}, true, 2},
		"RESP2, streaming":           {redis.Options{Protocol: 2}, true, 1},
		"two connections, streaming": {redis.Options{PoolSize: 2}, true, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAccount(t)
			var c *redis.Client
			if tt.streaming {
				c, _ = a.streaming(t, &tt.options)
			} else {
				c = a.client(t, &tt.options)
			}
			h := &hook{}
			c.AddHook(h)
			w := load(c, a.is.ObjectID)
			defer w.stop()
			for range tt.rotations {
				w.goesOn(t)
				before := h.auths.Load()
				a.renew(t)
				if tt.streaming {
					soon(t, "AUTH on an open connection", func() bool { return h.auths.Load() > before })
				}
				w.goesOn(t) // connections that were being made with the old token
				a.end(t)
			}
			w.goesOn(t)
			if err := w.err(); err != nil {
				t.Errorf("of %d commands one failed: %v", w.n.Load(), err)
			}
		})
	}
}

// TestTokenCapturedOnce is what hand-written code does: it works until the token ends. A naive
// renewal sends AUTH by the client, which reaches one connection and no later one.
func TestTokenCapturedOnce(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	captured := func() *redis.Client {
		c := redis.NewClient(&redis.Options{Addr: a.addr, Username: a.is.ObjectID,
			Password: a.token.Token})
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	naive, renewing, ours := captured(), captured(), a.client(t, &redis.Options{})
	for _, c := range []*redis.Client{naive, renewing, ours} {
		if err := c.Ping(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
	}
	a.renew(t)
	if err := renewing.Do(t.Context(), "AUTH", a.is.ObjectID, a.token.Token).Err(); err != nil {
		t.Fatal(err)
	}
	a.end(t)
	for name, c := range map[string]*redis.Client{"naive": naive, "naive, renewing": renewing} {
		err := c.Ping(t.Context()).Err()
		if err == nil || !strings.Contains(err.Error(), "WRONGPASS") {
			t.Errorf("%s: %v, want WRONGPASS", name, err)
		}
	}
	if err := ours.Ping(t.Context()).Err(); err != nil {
		t.Errorf("ours: %v", err)
	}
}

// TestOtherUserName: the user is the object ID, and neither the client ID nor "default".
func TestOtherUserName(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	for _, naiveUser := range []string{"", a.endpoint.Identities()[0].ClientID} {
		naive := redis.NewClient(&redis.Options{Addr: a.addr, Username: naiveUser,
			Password: a.token.Token})
		err := naive.Ping(t.Context()).Err()
		if _ = naive.Close(); err == nil || !strings.Contains(err.Error(), "WRONGPASS") {
			t.Errorf("as %q: %v, want WRONGPASS", naiveUser, err)
		}
	}
	got, err := a.client(t, &redis.Options{}).Do(t.Context(), "ACL", "WHOAMI").Text()
	if err != nil || got != a.is.ObjectID {
		t.Errorf("logged in as %q, %v", got, err)
	}
}

// TestFailedRenewalKeepsConnections: a naive provider hands the error on, and go-redis closes each
// connection, in an outage again and again, although their token is good for hours.
func TestFailedRenewalKeepsConnections(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	c, p := a.streaming(t, &redis.Options{PoolSize: 1})
	id := func() int64 {
		t.Helper()
		id, err := c.ClientID(t.Context()).Result()
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	first := id()
	var told atomic.Int64
	_, end, err := p.Subscribe(&countsErrors{n: &told})
	if err != nil {
		t.Fatal(err)
	}
	defer end()
	a.fail(fmt.Errorf("an outage: %w", context.DeadlineExceeded)) // as of a slow host
	soon(t, "two failed renewals", func() bool { return told.Load() >= 2 })
	if got := id(); got != first {
		t.Errorf("ours: connection %d after failed renewals, want %d still", got, first)
	}
	p.mu.Lock()
	var listeners []auth.CredentialsListener
	for l := range p.subscriptions {
		listeners = append(listeners, l)
	}
	p.mu.Unlock()
	for _, l := range listeners {
		l.OnError(errors.New("naive: an outage"))
	}
	if got := id(); got == first {
		t.Error("naive: go-redis keeps the connection now, and renewalError isn't needed any more")
	}
}

type countsErrors struct{ n *atomic.Int64 }

func (*countsErrors) OnNext(auth.Credentials) {}
func (c *countsErrors) OnError(error)         { c.n.Add(1) }

// TestNothingIsLeft of a client that is closed.
func TestNothingIsLeft(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	c, p := a.streaming(t, &redis.Options{})
	s := c.Subscribe(t.Context(), a.is.ObjectID)
	if _, err := s.Receive(t.Context()); err != nil {
		t.Fatal(err)
	}
	w := load(c, a.is.ObjectID)
	count := func() int {
		p.mu.Lock()
		defer p.mu.Unlock()
		return len(p.subscriptions)
	}
	soon(t, "some connections", func() bool { return count() > 2 })
	w.goesOn(t)
	a.end(t)
	w.stop()
	if err := w.err(); err != nil {
		t.Error(err)
	}
	_ = s.Close()
	_ = c.Close()
	soon(t, "no subscription is left", func() bool { return count() == 0 })
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.end != nil {
		t.Error("the goroutine is left")
	}
}

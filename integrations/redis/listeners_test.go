package identityredis

import (
	"context"
	"encoding/base64"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/keyless-go/identity/identitytest"
	"github.com/keyless-go/identity/integrations/redis/internal/login"
	"github.com/redis/go-redis/v9/auth"
)

// TestListenersHurtThemselves only: one that blocks, one that panics, one that ends its goroutine,
// and one that comes and goes from within.
func TestListenersHurtThemselves(t *testing.T) {
	for name, harm := range map[string]struct {
		do    func(release <-chan struct{})
		times func(others int) int // that it is told
	}{
		"blocks":             {func(release <-chan struct{}) { <-release }, func(int) int { return 1 }},
		"panics":             {func(<-chan struct{}) { panic("x") }, func(n int) int { return n }},
		"ends its goroutine": {func(<-chan struct{}) { runtime.Goexit() }, func(n int) int { return n }},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				release := make(chan struct{})
				p := NewProvider(onIMDS(t, identitytest.NewIMDS(
					&identitytest.Options{Lifetime: time.Hour})), nil)
				bad, good := &ear{before: func() { harm.do(release) }}, &ear{}
				_, endBad := subscribe(t, p, bad)
				_, endGood := subscribe(t, p, good)
				time.Sleep(4 * time.Hour)
				all := len(good.tokens())
				if all < 7 {
					t.Errorf("the other one was told of %d tokens, want 7", all)
				}
				times := harm.times(all)
				if n := len(bad.tokens()); n != times {
					t.Errorf("it was told of %d tokens, want %d", n, times)
				}
				if n := len(bad.errors()); name == "panics" && n != all {
					t.Errorf("it was told of %d of its %d panics", n, all)
				}
				start := time.Now()
				_, end := subscribe(t, p, &ear{}) // isn't kept waiting
				_ = end()
				_ = endBad()
				_ = endGood()
				if took := time.Since(start); took > 0 {
					t.Errorf("the others waited %v", took)
				}
				close(release)
				synctest.Wait()
				if n := len(bad.tokens()); n != times {
					t.Errorf("told after its end")
				}
			})
		})
	}
}

// TestListenerUnsubscribesWithin a call, as go-redis does when it closes a connection in OnError.
func TestListenerUnsubscribesWithin(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := NewProvider(onIMDS(t, identitytest.NewIMDS(&identitytest.Options{Lifetime: time.Hour})), nil)
		its := make(chan auth.UnsubscribeFunc, 1)
		e := &ear{before: func() { _ = (<-its)() }}
		_, end := subscribe(t, p, e)
		its <- end
		time.Sleep(3 * time.Hour)
		synctest.Wait()
		p.mu.Lock()
		defer p.mu.Unlock()
		if len(e.tokens()) != 1 || p.end != nil {
			t.Errorf("told %d times, want once; the goroutine has ended: %v", len(e.tokens()), p.end == nil)
		}
	})
}

// TestListenersAtOnce come and go in many goroutines, while tokens are replaced.
func TestListenersAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ep := identitytest.NewIMDS(&identitytest.Options{Lifetime: time.Minute})
		p := NewProvider(onIMDS(t, ep), nil)
		var wg sync.WaitGroup
		for i := range 50 {
			wg.Go(func() {
				for range 40 {
					e := &ear{}
					last, end := subscribe(t, p, e)
					time.Sleep(time.Duration(i+1) * time.Second)
					_ = end()
					for _, h := range e.tokens() {
						if h.token == last {
							t.Error("told of the token that it had")
						}
						last = h.token
					}
				}
			})
		}
		wg.Wait()
		if synctest.Wait(); p.end != nil || len(p.subscriptions) != 0 || p.current != nil {
			t.Error("something is left")
		}
	})
}

// TestSubscribeWaits for 10 s at most, and nobody else with it. Then it fails, unless a token is
// held that is valid.
func TestSubscribeWaits(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var hangs atomic.Bool
		p := NewProvider(credentialFunc(func(ctx context.Context) (azcore.AccessToken, error) {
			if hangs.Swap(false) {
				<-ctx.Done()
				return azcore.AccessToken{}, ctx.Err()
			}
			return azcore.AccessToken{Token: "a", ExpiresOn: time.Now().Add(time.Hour)}, nil
		}), &Options{User: "me"})
		start := time.Now()
		hangs.Store(true)
		if _, _, err := p.Subscribe(&ear{}); !errors.Is(err, context.DeadlineExceeded) ||
			time.Since(start) != 10*time.Second {
			t.Fatalf("without a token, after %v: %v", time.Since(start), err)
		}
		start = time.Now()
		hangs.Store(true)
		done := make(chan error)
		go func() {
			_, end, err := p.Subscribe(&ear{})
			if err == nil {
				_ = end()
			}
			done <- err
		}()
		synctest.Wait()
		_, end := subscribe(t, p, &ear{})
		if took := time.Since(start); took > 0 {
			t.Errorf("another one waited %v", took)
		}
		if err := <-done; err != nil || time.Since(start) != 10*time.Second {
			t.Errorf("with a token held, after %v: %v", time.Since(start), err)
		}
		_ = end()
	})
}

// TestCredentialsThatFail or panic: the goroutine goes on, and the newest token serves on.
func TestCredentialsThatFail(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var made atomic.Int32
		p := NewProvider(credentialFunc(func(context.Context) (azcore.AccessToken, error) {
			calls := made.Add(1)
			token := azcore.AccessToken{Token: string(rune('a' + calls)),
				ExpiresOn: time.Now().Add(time.Hour)}
			switch calls {
			case 3: // in the goroutine
				panic("secret")
			case 5: // in Subscribe, while the last one is valid
				return azcore.AccessToken{}, errors.New("x")
			}
			return token, nil
		}), &Options{User: "me"})
		e := &ear{}
		first, end := subscribe(t, p, e)
		time.Sleep(31 * time.Minute)
		all := e.errors()
		if len(all) != 1 || all[0].err.Error() != "identityredis: no new token, the last one is used "+
			"until its end: the credential panicked with a string" {
			t.Fatalf("told of %v, want the panic", all)
		}
		if n := len(e.tokens()); n != 2 || made.Load() != 4 {
			t.Fatalf("told of %d tokens, %d calls; want 2 and 4", n, made.Load())
		}
		second, end2 := subscribe(t, p, &ear{})
		if second != e.tokens()[1].token || second == first {
			t.Errorf("given %q while the credential fails, want the newest", second)
		}
		_ = end()
		_ = end2()
	})
}

// TestNewestToken: a credential may answer Subscribe with an older token than the goroutine has.
// A goroutine that has been ended tells the listeners of the next one nothing.
func TestNewestToken(t *testing.T) {
	t.Parallel()
	old := azcore.AccessToken{Token: "old", ExpiresOn: time.Now().Add(time.Hour)}
	p := NewProvider(credentialFunc(func(context.Context) (azcore.AccessToken, error) {
		return old, nil
	}), &Options{User: "me"})
	p.current = &login.Login{User: "me",
		Token: azcore.AccessToken{Token: "new", ExpiresOn: old.ExpiresOn.Add(time.Hour)}}
	got, end := subscribe(t, p, &ear{})
	defer end()
	if got != "new" {
		t.Errorf("given %q, want the newest", got)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	p.each(ended, func(*subscription) { t.Error("told by a goroutine that has been ended") })
}

// TestAnotherUser: a chain has come upon another source. A failure doesn't bring back the one that
// had the token before, though that ends later.
func TestAnotherUser(t *testing.T) {
	bubble(t, func(t *testing.T) {
		user, fails := "a", false
		lives := map[string]time.Duration{"a": time.Hour, "b": time.Minute}
		p := NewProvider(credentialFunc(func(context.Context) (azcore.AccessToken, error) {
			if fails {
				return azcore.AccessToken{}, errors.New("x")
			}
			return azcore.AccessToken{Token: unsigned(`{"oid":"` + user + `"}`),
				ExpiresOn: time.Now().Add(lives[user])}, nil
		}), nil)
		as := func() string {
			t.Helper()
			credentials, end, err := p.Subscribe(&ear{})
			if err != nil {
				t.Fatal(err)
			}
			_ = end()
			synctest.Wait()
			is, _ := credentials.BasicAuth()
			return is
		}
		a, err := p.source.GetNow()
		if err != nil || a.User != "a" {
			t.Fatalf("logs in as %s, %v, want a", a.User, err)
		}
		user = "b"
		p.current = &a // as the goroutine has it until it looks
		if got := as(); got != "b" {
			t.Errorf("logs in as %s, want b, whom the credential is now", got)
		}
		fails = true
		if got := as(); got != "b" {
			t.Errorf("after a failure it logs in as %s, want b still", got)
		}
	})
}

func unsigned(claims string) string {
	return "e30." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + ".e30"
}

// TestRenewalError: go-redis closes a connection over any error but the server's (isBadConn), and
// over the end of a context.
func TestRenewalError(t *testing.T) {
	t.Parallel()
	cause := errors.New("x")
	err := error(&renewalError{errors.Join(cause, context.Canceled, context.DeadlineExceeded)})
	var isRedis interface {
		error
		RedisError()
	}
	if !errors.As(err, &isRedis) || errors.Is(err, context.Canceled) ||
		errors.Is(err, context.DeadlineExceeded) {
		t.Error("go-redis would close the connection")
	}
	if !errors.Is(err, cause) {
		t.Error("the cause can't be found")
	}
}

package identityredis

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity/identitytest"
	"github.com/redis/go-redis/v9/auth"
)

// naiveManager has the faults of streaming providers that are in use: Subscribe starts a refresh
// goroutine under a lock, and keeps the lock when that fails; the goroutine ends for good at an
// error that isn't a timeout, and after a number of tries.
type naiveManager struct {
	cred      azcore.TokenCredential
	lock      chan struct{} // a mutex, which synctest can see a goroutine wait for
	listeners map[auth.CredentialsListener]bool
	stop      chan struct{} // of the refresh goroutine, nil while there is none
}

func newNaiveManager(cred azcore.TokenCredential) *naiveManager {
	return &naiveManager{cred: cred, lock: make(chan struct{}, 1),
		listeners: make(map[auth.CredentialsListener]bool)}
}

func (m *naiveManager) get() (azcore.AccessToken, error) {
	return m.cred.GetToken(context.Background(), policy.TokenRequestOptions{Scopes: []string{Scope}})
}

func (m *naiveManager) Subscribe(
	l auth.CredentialsListener,
) (auth.Credentials, auth.UnsubscribeFunc, error) {
	m.lock <- struct{}{}
	token, err := m.get()
	if err != nil && m.stop == nil {
		return nil, nil, err // and the lock is held for ever
	}
	m.listeners[l] = true
	if m.stop == nil {
		m.stop = make(chan struct{})
		go m.refresh(token, m.stop)
	}
	<-m.lock
	return auth.NewBasicCredentials("me", token.Token), func() error {
		m.lock <- struct{}{}
		defer func() { <-m.lock }()
		if delete(m.listeners, l); len(m.listeners) == 0 && m.stop != nil {
			close(m.stop)
			m.stop = nil
		}
		return nil
	}, nil
}

func (m *naiveManager) refresh(token azcore.AccessToken, stop <-chan struct{}) {
	for tries := 0; ; {
		wait := time.Until(token.ExpiresOn) * 7 / 10
		if tries > 0 {
			wait = time.Second << tries
		}
		select {
		case <-stop:
			return
		case <-time.After(wait):
		}
		next, err := m.get()
		if err != nil {
			if tries++; tries == 3 || !errors.Is(err, context.DeadlineExceeded) {
				m.each(func(l auth.CredentialsListener) { l.OnError(err) })
				return
			}
			continue
		}
		token, tries = next, 0
		m.each(func(l auth.CredentialsListener) {
			l.OnNext(auth.NewBasicCredentials("me", token.Token))
		})
	}
}

func (m *naiveManager) each(f func(auth.CredentialsListener)) {
	m.lock <- struct{}{}
	defer func() { <-m.lock }()
	for l := range m.listeners {
		f(l)
	}
}

// TestSubscribeAfterAFailure, when all connections are gone and the host is down: naiveManager
// deadlocks for ever, ours fails and then works.
func TestSubscribeAfterAFailure(t *testing.T) {
	for name, tt := range map[string]struct {
		provider func(azcore.TokenCredential) auth.StreamingCredentialsProvider
		works    bool
	}{
		"naive": {func(c azcore.TokenCredential) auth.StreamingCredentialsProvider {
			return newNaiveManager(c)
		}, false},
		"ours": {func(c azcore.TokenCredential) auth.StreamingCredentialsProvider {
			return NewProvider(c, nil)
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				ep := identitytest.NewIMDS(&identitytest.Options{Lifetime: time.Hour})
				p := tt.provider(onIMDS(t, ep))
				_, end := subscribe(t, p, &ear{})
				_ = end()
				ep.Enqueue(identitytest.Response{Status: 503, For: 3 * time.Hour})
				time.Sleep(2 * time.Hour)
				if _, _, err := p.Subscribe(&ear{}); err == nil {
					t.Fatal("the host is down, and there is a token")
				}
				time.Sleep(2 * time.Hour)
				done := make(chan struct{})
				go func() {
					defer close(done)
					if _, end, err := p.Subscribe(&ear{}); err == nil {
						_ = end()
					} else if tt.works {
						t.Error(err)
					}
				}()
				works := true
				select {
				case <-done:
				case <-time.After(24 * time.Hour):
					works = false
					<-p.(*naiveManager).lock
					<-done
				}
				if works != tt.works {
					t.Errorf("a day later: Subscribe returns is %v, want %v", works, tt.works)
				}
				synctest.Wait()
			})
		})
	}
}

// TestGoroutineSurvives an error that isn't a timeout, and more than a few of them: naiveManager
// has no new token for ever after.
func TestGoroutineSurvives(t *testing.T) {
	timeout := func(ctx context.Context) error { return context.DeadlineExceeded }
	refusal := func(context.Context) error { return errors.New("429") }
	for name, tt := range map[string]struct {
		naive  bool
		fails  func(context.Context) error
		works  bool
		errors int // at least
	}{
		"naive, 429":      {true, refusal, false, 1},
		"naive, timeouts": {true, timeout, false, 1},
		"ours, 429":       {false, refusal, true, 100},
		"ours, timeouts":  {false, timeout, true, 100},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				start := time.Now()
				cred := credentialFunc(func(ctx context.Context) (azcore.AccessToken, error) {
					if d := time.Since(start); d > time.Minute && d < 2*time.Hour {
						return azcore.AccessToken{}, tt.fails(ctx)
					}
					return azcore.AccessToken{Token: time.Since(start).String(),
						ExpiresOn: time.Now().Add(time.Hour)}, nil
				})
				var p auth.StreamingCredentialsProvider = NewProvider(cred, &Options{User: "me"})
				if tt.naive {
					p = newNaiveManager(cred)
				}
				e := &ear{}
				_, end := subscribe(t, p, e)
				time.Sleep(4 * time.Hour)
				if works := len(e.tokens()) > 0; works != tt.works || len(e.errors()) < tt.errors {
					t.Errorf("told of %d tokens and %d errors in 4 hours", len(e.tokens()), len(e.errors()))
				}
				_ = end()
				synctest.Wait()
			})
		})
	}
}

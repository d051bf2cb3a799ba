package identityredis

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity"
	"github.com/keyless-go/identity/identitytest"
	"github.com/redis/go-redis/v9/auth"
)

// told is what a listener was told, and when.
type told struct {
	token string
	err   error
	at    time.Time
}

// ear is a listener that remembers.
type ear struct {
	before func() // each call, nil for nothing
	mu     sync.Mutex
	all    []told
}

func (e *ear) hear(h told) {
	e.mu.Lock()
	e.all = append(e.all, h)
	e.mu.Unlock()
	if e.before != nil {
		e.before()
	}
}

func (e *ear) OnNext(c auth.Credentials) {
	_, password := c.BasicAuth()
	e.hear(told{token: password, at: time.Now()})
}

func (e *ear) OnError(err error) { e.hear(told{err: err, at: time.Now()}) }

// tokens are those that it was told of.
func (e *ear) tokens() (all []told) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, h := range e.all {
		if h.err == nil {
			all = append(all, h)
		}
	}
	return all
}

func (e *ear) errors() (all []told) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, h := range e.all {
		if h.err != nil {
			all = append(all, h)
		}
	}
	return all
}

// bubble runs f on virtual time. A goroutine that f leaves behind fails the test.
func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, f)
}

func onIMDS(t *testing.T, ep *identitytest.Endpoint) *identity.Credential {
	t.Helper()
	cred, err := identity.NewCredential(&identity.CredentialOptions{Host: identity.HostIMDS,
		ClientOptions: azcore.ClientOptions{Transport: ep}})
	if err != nil {
		t.Fatal(err)
	}
	return cred
}

// subscribe returns the token that the listener was given.
func subscribe(
	t *testing.T, p auth.StreamingCredentialsProvider, l auth.CredentialsListener,
) (string, auth.UnsubscribeFunc) {
	t.Helper()
	c, unsubscribe, err := p.Subscribe(l)
	if err != nil {
		t.Fatal(err)
	}
	_, password := c.BasicAuth()
	return password, unsubscribe
}

// credentialFunc is a credential of somebody else's.
type credentialFunc func(context.Context) (azcore.AccessToken, error)

func (f credentialFunc) GetToken(
	ctx context.Context, _ policy.TokenRequestOptions,
) (azcore.AccessToken, error) {
	return f(ctx)
}

// TestProviderInTime: Redis wants AUTH at least 3 minutes before the end of a connection's token.
func TestProviderInTime(t *testing.T) {
	for name, tt := range map[string]struct {
		options identitytest.Options
		days    int
		early   time.Duration // before the end of the last one, at least
		tokens  int           // a day, at least
	}{
		"a managed identity's": {identitytest.Options{Lifetime: 24 * time.Hour}, 3, 10 * time.Hour, 1},
		"Entra's of an hour":   {identitytest.Options{Lifetime: time.Hour}, 1, 20 * time.Minute, 33},
		"of 10 minutes": {identitytest.Options{Lifetime: 10 * time.Minute}, 1, 3 * time.Minute,
			230},
		// A host that repeats its token until the end has no other one to give.
		"a host that repeats": {identitytest.Options{Lifetime: time.Hour, HostCache: true}, 1, 0, 23},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				e := &ear{}
				p := NewProvider(onIMDS(t, identitytest.NewIMDS(&tt.options)), nil)
				last, unsubscribe := subscribe(t, p, e)
				end := time.Now().Add(tt.options.Lifetime)
				time.Sleep(time.Duration(tt.days) * 24 * time.Hour)
				if err := unsubscribe(); err != nil {
					t.Error(err)
				}
				synctest.Wait()
				if want := tt.days * tt.tokens; len(e.tokens()) < want || len(e.errors()) > 0 {
					t.Errorf("told of %d tokens, %d errors; want %d and none",
						len(e.tokens()), len(e.errors()), want)
				}
				for i, h := range e.tokens() {
					if h.token == last {
						t.Fatalf("%d: told of a token that it has", i)
					}
					if early := end.Sub(h.at); early < tt.early {
						t.Errorf("%d: told %v before the end of the last token, want %v", i, early, tt.early)
					}
					last, end = h.token, h.at.Add(tt.options.Lifetime)
				}
			})
		})
	}
}

// TestProviderSurvives an outage of any length: an error for each failed renewal, and then a token.
func TestProviderSurvives(t *testing.T) {
	const outage = 90 * time.Minute // of which some 30 are without a token
	for name, status := range map[string]int{"503": 503, "a refusal": 400, "throttling": 429} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				ep := identitytest.NewIMDS(&identitytest.Options{Lifetime: time.Hour})
				p := NewProvider(onIMDS(t, ep), nil)
				e := &ear{}
				_, unsubscribe := subscribe(t, p, e)
				ep.Enqueue(identitytest.Response{Status: status, For: outage})
				time.Sleep(outage + 2*time.Minute)
				defer unsubscribe()
				if n := len(e.tokens()); n != 1 {
					t.Errorf("told of %d tokens after the outage, want 1", n)
				}
				all := e.errors()
				if len(all) < 100 {
					t.Fatalf("told of %d errors in an outage of %v", len(all), outage)
				}
				for i, h := range all {
					if _, ok := errors.AsType[*identity.AuthenticationError](h.err); !ok {
						t.Fatalf("%T doesn't have the credential's: %v", h.err, h.err)
					}
					if i > 0 && h.at.Sub(all[i-1].at) < time.Second {
						t.Errorf("told twice within %v", h.at.Sub(all[i-1].at))
					}
				}
			})
		})
	}
}

// TestProviderSubscribe: one subscription for one listener, whose end is any of its functions'.
func TestProviderSubscribe(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := NewProvider(onIMDS(t, identitytest.NewIMDS(&identitytest.Options{Lifetime: time.Hour})), nil)
		a, b := &ear{}, &ear{}
		token, end1 := subscribe(t, p, a)
		again, end2 := subscribe(t, p, a)
		other, endB := subscribe(t, p, b)
		if token != again || token != other {
			t.Error("the listeners have different tokens")
		}
		// more waits until tokens are replaced, and says who was told.
		more := func() (toA, toB bool) {
			nA, nB := len(a.tokens()), len(b.tokens())
			time.Sleep(40 * time.Minute)
			return len(a.tokens()) > nA, len(b.tokens()) > nB
		}
		if toA, toB := more(); !toA || !toB || len(a.tokens()) != len(b.tokens()) {
			t.Errorf("told %d and %d times, want the same", len(a.tokens()), len(b.tokens()))
		}
		_ = end1()
		_ = end1()
		if toA, toB := more(); toA || !toB {
			t.Errorf("after its end told is %v, and the other %v", toA, toB)
		}
		_, end3 := subscribe(t, p, a)
		_ = end2() // of the subscription that has ended
		if toA, _ := more(); !toA {
			t.Error("an old function ended the new subscription")
		}
		_ = end3()
		_ = endB()
		synctest.Wait()
		if p.end != nil || len(p.subscriptions) > 0 {
			t.Error("the goroutine or a subscription is left")
		}
		_, endB = subscribe(t, p, b) // anew, after the goroutine has ended
		if toA, toB := more(); toA || !toB {
			t.Errorf("subscribed anew: told is %v, and the other, which isn't, %v", toB, toA)
		}
		_ = endB()
	})
}

// equalEar is a listener that can't be a map's key.
type equalEar struct{ _ []told }

func (equalEar) OnNext(auth.Credentials) {}
func (equalEar) OnError(error)           {}

func TestProviderRefuses(t *testing.T) {
	t.Parallel()
	p := NewProvider(credentialFunc(nil), nil)
	for _, l := range []auth.CredentialsListener{nil, equalEar{}} {
		if _, _, err := p.Subscribe(l); err == nil || !strings.Contains(err.Error(), "pass a pointer") {
			t.Errorf("%T: %v", l, err)
		}
	}
	if _, _, err := NewProvider(nil, nil).Subscribe(&ear{}); err == nil ||
		!strings.HasPrefix(err.Error(), "identityredis: nil credential") {
		t.Errorf("without a credential: %v", err)
	}
	opaque := credentialFunc(func(context.Context) (azcore.AccessToken, error) {
		return azcore.AccessToken{Token: "opaque", ExpiresOn: time.Now().Add(time.Hour)}, nil
	})
	if _, _, err := NewProvider(opaque, nil).Subscribe(&ear{}); err == nil ||
		!strings.Contains(err.Error(), "Options.User") || strings.Contains(err.Error(), "opaque") {
		t.Errorf("with an opaque token: %v", err)
	}
	c, unsubscribe, err := NewProvider(opaque, &Options{User: "me"}).Subscribe(&ear{})
	if err != nil {
		t.Fatal(err)
	}
	defer unsubscribe()
	if user, password := c.BasicAuth(); user != "me" || password != "opaque" ||
		c.RawCredentials() != "me:opaque" {
		t.Errorf("got %q, %q", user, password)
	}
	if got := fmt.Sprintf("%v %+v %#v %s", c, c, c, c); strings.Contains(got, "opaque") {
		t.Errorf("prints the token: %s", got)
	}
}

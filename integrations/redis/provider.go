package identityredis

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/keyless-go/identity"
	"github.com/keyless-go/identity/integrations/redis/internal/login"
	"github.com/redis/go-redis/v9/auth"
)

// afterPanic is how long the goroutine leaves a credential alone that panicked.
const afterPanic = 10 * time.Second

// Provider is the StreamingCredentialsProvider of a go-redis client: each connection logs in with
// the token that is held then, and is told of each token that replaces it. One Provider can serve
// any number of clients. It is safe for concurrent use if its credential is.
//
// While there are listeners it has one goroutine, a loop over identity.Tokens. That starts with the
// first Subscribe and ends with the last UnsubscribeFunc, which go-redis calls when it closes a
// connection; no failure ends it. There is nothing to close.
type Provider struct {
	source *login.Source

	mu            sync.Mutex
	subscriptions map[auth.CredentialsListener]*subscription
	end           context.CancelFunc // of the goroutine; nil while there is none
	current       *login.Login       // what the goroutine got last; nil before
}

var _ auth.StreamingCredentialsProvider = (*Provider)(nil)

// NewProvider returns a Provider of cred's tokens. It asks for none and starts nothing. options may
// be nil.
//
// Nothing here can see whether the connection has TLS: use [Configure], which can, and set the
// Provider after it. The package's documentation says what go-redis can't do with one.
func NewProvider(cred azcore.TokenCredential, options *Options) *Provider {
	return &Provider{
		source:        newSource(cred, options),
		subscriptions: make(map[auth.CredentialsListener]*subscription),
	}
}

// Format implements fmt.Formatter, for every verb, so that no log has the token that is held.
func (p *Provider) Format(f fmt.State, _ rune) { fmt.Fprint(f, "identityredis.Provider") }

// Subscribe implements auth.StreamingCredentialsProvider. It returns the credentials to log in
// with, at once if the credential holds a token, after 10 s at worst if not; other calls don't wait
// for it. Its error is the credential's, and then nothing is subscribed.
//
// A listener is subscribed once, however often it comes, and any of its UnsubscribeFuncs ends that.
// OnNext has each token that replaces the one before. OnError has each failed renewal: the token
// that the listener has is good until its end, and go-redis keeps the connection. Each listener has
// a goroutine of its own, with one call at a time. A listener that blocks or panics hurts only
// itself, and a slow one gets only the newest token. A call that is under way may outlast
// UnsubscribeFunc.
func (p *Provider) Subscribe(
	listener auth.CredentialsListener,
) (auth.Credentials, auth.UnsubscribeFunc, error) {
	if listener == nil || !reflect.ValueOf(listener).Comparable() {
		return nil, nil, fmt.Errorf("identityredis: Subscribe: %T can't be told from other listeners: "+
			"pass a pointer", listener)
	}
	got, err := p.source.GetNow()
	if err != nil {
		return nil, nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if c := p.current; c != nil && c.User == got.User &&
		c.Token.ExpiresOn.After(got.Token.ExpiresOn) {
		got = *c
	}
	s := p.subscriptions[listener]
	if s == nil {
		s = &subscription{listener: listener}
		p.subscriptions[listener] = s
	}
	s.known = got.Token.Token
	if p.end == nil {
		var ctx context.Context
		ctx, p.end = context.WithCancel(context.Background())
		go p.watch(ctx)
	}
	return credentials{got}, func() error { p.unsubscribe(s); return nil }, nil
}

// unsubscribe ends a subscription, if it hasn't ended, and with the last one the goroutine.
func (p *Provider) unsubscribe(s *subscription) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s.ended {
		return
	}
	s.ended = true
	delete(p.subscriptions, s.listener)
	if len(p.subscriptions) == 0 {
		p.end()
		p.end, p.current = nil, nil
	}
}

// watch is the goroutine. It ends with ctx, which the last unsubscribe cancels.
func (p *Provider) watch(ctx context.Context) {
	for ctx.Err() == nil {
		p.follow(ctx)
		// Before the end of ctx only a panic of the credential gets here.
		timer := time.NewTimer(afterPanic)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
	}
}

func (p *Provider) follow(ctx context.Context) {
	defer func() {
		if v := recover(); v != nil { // its text may be anything, a token, too
			p.each(ctx, func(s *subscription) {
				s.failure = &renewalError{fmt.Errorf("the credential panicked with a %T", v)}
			})
		}
	}()
	for token, err := range identity.Tokens(ctx, p.source.Credential, p.source.TokenScope()) {
		var next login.Login
		if err == nil {
			next, err = p.source.Of(token)
		}
		p.each(ctx, func(s *subscription) {
			switch {
			case err != nil:
				s.failure = &renewalError{err}
			default:
				p.current = &next
				if s.known != token.Token {
					s.known, s.next, s.failure = token.Token, credentials{next}, nil
				}
			}
		})
	}
}

// each does f for all subscriptions and has their listeners told what is new, unless ctx has ended.
func (p *Provider) each(ctx context.Context, f func(*subscription)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if ctx.Err() != nil { // the listeners of now are another goroutine's
		return
	}
	for _, s := range p.subscriptions {
		f(s)
		p.start(s)
	}
}

// credentials are those of one login. They print as the user alone.
type credentials struct{ login.Login }

func (c credentials) BasicAuth() (username, password string) { return c.User, c.Token.Token }

func (c credentials) RawCredentials() string { return c.User + ":" + c.Token.Token }

// renewalError is a failed renewal, for OnError. go-redis closes the connection after any error
// that isn't the server's, in the midst of a command, too; but the connection is good until its
// token ends. Hence the method RedisError, by which go-redis tells the server's errors, and hence
// Is.
type renewalError struct{ err error }

func (e *renewalError) Error() string {
	return "identityredis: no new token, the last one is used until its end: " + e.err.Error()
}

// RedisError marks it as one over which go-redis closes no connection.
func (e *renewalError) RedisError() {}

// Is finds what the credential's error has, save for the ends of contexts, over which go-redis
// would close the connection.
func (e *renewalError) Is(target error) bool {
	return target != context.Canceled && target != context.DeadlineExceeded &&
		errors.Is(e.err, target)
}

func (e *renewalError) As(target any) bool { return errors.As(e.err, target) }

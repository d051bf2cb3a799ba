// Package login is what the adapters to Redis clients share: whom to log in as, with which token,
// and whether the connection may carry it.
package login

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity"
)

// Scope is that of Azure Managed Redis and of Azure Cache for Redis.
const Scope = "https://redis.azure.com/.default"

// Patience is how long a client waits for a token where it passes no context. It is about what
// go-redis takes for the tries of one dial, and as long as this library's longest silence after a
// failure, so that a caller who waits that long hears of something new.
const Patience = 10 * time.Second

// Login is a user and its password. It prints as the user alone.
type Login struct {
	User  string
	Token azcore.AccessToken
}

// Format implements fmt.Formatter, for every verb, so that no log has the token.
func (l Login) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "%s with a token", l.User) }

// Source is where an adapter's logins come from. It is safe for concurrent use if Credential is.
type Source struct {
	Package    string // that is the adapter's, and begins its errors
	Credential azcore.TokenCredential
	Scope      string // "" is Scope
	User       string // "" is the object ID in the token

	mu   sync.Mutex
	last Login // of the last user, the newest one that Get or Of returned
}

// Get asks for a token as Azure SDK clients and identity.Tokens do. If the credential fails while
// the last token is valid, Get returns that one.
func (s *Source) Get(ctx context.Context) (Login, error) {
	if s.Credential == nil {
		return Login{}, errors.New(s.Package +
			": nil credential: want one, such as one of identity.NewCredential")
	}
	token, err := s.Credential.GetToken(ctx, policy.TokenRequestOptions{
		Scopes: []string{s.TokenScope()}, EnableCAE: true,
	})
	if err == nil && token.Token == "" {
		err = errors.New(s.Package + ": the credential returned an empty token")
	}
	if err != nil {
		if last := s.Last(); ctx.Err() != context.Canceled && time.Now().Before(last.Token.ExpiresOn) {
			return last, nil
		}
		return Login{}, err
	}
	return s.Of(token)
}

// GetNow is Get for a client that passes no context: it waits for Patience at most.
func (s *Source) GetNow() (Login, error) {
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	return s.Get(ctx)
}

// Of is the login with a token, and remembers it.
func (s *Source) Of(token azcore.AccessToken) (Login, error) {
	l := Login{User: s.User, Token: token}
	if l.User == "" {
		is, err := identity.PrincipalOf(token.Token)
		if err != nil || is.ObjectID == "" {
			return Login{}, fmt.Errorf("%s: the token has no object ID (oid), which is Redis's user name: "+
				"set Options.User to that of the identity", s.Package)
		}
		l.User = is.ObjectID
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	// Goroutines may come in another order than their tokens. Another user is no older token: the
	// credential is another identity now, and a failure must not bring the last one back.
	if l.User != s.last.User || !token.ExpiresOn.Before(s.last.Token.ExpiresOn) {
		s.last = l
	}
	return l, nil
}

// Last is the last user's login that ends last of those so far; the zero one if there was none.
func (s *Source) Last() Login {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}

// TokenScope is what tokens are for.
func (s *Source) TokenScope() string { return cmp.Or(s.Scope, Scope) }

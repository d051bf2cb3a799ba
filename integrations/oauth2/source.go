package identityoauth2

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"golang.org/x/oauth2"
)

// limit is how long a call of Token waits. It has no context of its own, so that something else has
// to end it. 30 s is what the hosts other than IMDS are given to recover. An acquisition that takes
// longer goes on behind it, and a later call gets what it brings.
const limit = 30 * time.Second

// TokenSource returns a source of cred's tokens for one scope, such as
// "https://api.example.com/.default". As with the constructors of oauth2, ctx is for all calls of
// its Token: give one that lives as long as the client does. A source costs nothing, so one for a
// single call, with that call's context, is fine as well.
//
// Token returns at once while a token is held. Otherwise it waits, for 30 s or until ctx ends, as
// cred's GetToken does. It asks for tokens that can be challenged (EnableCAE), as Credential.Ready
// and Azure SDK clients do, and so shares theirs. The package's documentation says what a token's
// Expiry is. The source is safe for concurrent use if cred is, and each token is the caller's own.
func TokenSource(
	ctx context.Context, cred azcore.TokenCredential, scope string,
) oauth2.TokenSource {
	return &source{ctx: ctx, cred: cred, scope: scope}
}

type source struct {
	ctx   context.Context
	cred  azcore.TokenCredential
	scope string
}

// String keeps what the context and the credential hold out of logs.
func (s *source) String() string { return "identityoauth2.TokenSource for " + s.scope }

// Token implements oauth2.TokenSource.
func (s *source) Token() (*oauth2.Token, error) {
	if s.cred == nil {
		return nil, errors.New("identityoauth2: nil credential: want one, " +
			"such as one of identity.NewCredential")
	}
	ctx, cancel := context.WithTimeout(s.ctx, limit)
	defer cancel()
	got, err := s.cred.GetToken(ctx,
		policy.TokenRequestOptions{Scopes: []string{s.scope}, EnableCAE: true})
	now := time.Now()
	switch {
	case err == nil && got.Token == "":
		return nil, fmt.Errorf("identityoauth2: the credential returned an empty token for %s", s.scope)
	case err == nil && !now.Before(got.ExpiresOn):
		return nil, fmt.Errorf("identityoauth2: the credential returned a token for %s that ended at %s",
			s.scope, got.ExpiresOn.UTC().Format(time.RFC3339))
	case err == nil:
		return &oauth2.Token{
			AccessToken: got.Token,
			TokenType:   "Bearer",
			Expiry:      expiry(got, now),
			ExpiresIn:   int64(got.ExpiresOn.Sub(now) / time.Second),
		}, nil
	case s.ctx.Err() != nil:
		return nil, fmt.Errorf("identityoauth2: the context that TokenSource was given has ended; "+
			"give it one that lives as long as the client: %w", err)
	case ctx.Err() != nil:
		return nil, fmt.Errorf("identityoauth2: no token for %s within %v: %w", s.scope, limit, err)
	}
	return nil, err
}

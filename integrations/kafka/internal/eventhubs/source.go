// Package eventhubs has what the adapters of all Kafka clients share: the scope of a namespace, a
// token that is good for an authentication, and what an error says.
package eventhubs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity"
)

// spare is what a token must have left to be sent. Between GetToken and the broker's look at it
// there is a round trip, which across continents takes most of a second, and the two clocks differ.
// Less than this is not sent: it could have ended on arrival.
const spare = 2 * time.Second

// Source gets tokens of one scope. It is safe for concurrent use if its credential is.
type Source struct {
	Package string // that an error begins with
	Scope   string

	cred azcore.TokenCredential
	// the domain of its brokers; "" for any, where the user named the scope
	suffix string
	last   atomic.Pointer[func() (identity.Principal, error)] // whom the last token names
}

// NewSource returns the source for brokers. An empty scope is that of the brokers' namespace.
func NewSource(
	pkg string, cred azcore.TokenCredential, scope string, brokers []string,
) (*Source, error) {
	s := &Source{Package: pkg, Scope: scope, cred: cred}
	var err error
	switch {
	case cred == nil:
		err = errors.New("nil credential: want one, such as one of identity.NewCredential")
	case scope != "":
		err = checkScope(scope)
	default:
		if s.Scope, err = Scope(brokers); err == nil {
			_, s.suffix, err = namespace(brokers[0])
		}
		if err == nil {
			err = checkPorts(brokers)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", pkg, err)
	}
	return s, nil
}

// Token gets a token to authenticate with at a broker, which is "" where the client doesn't say. It
// blocks as GetToken does, and 2 s longer in the last 2 s of a token.
func (s *Source) Token(ctx context.Context, broker string) (string, error) {
	if s.suffix != "" && broker != "" && !strings.HasSuffix(hostOf(broker), s.suffix) {
		return "", fmt.Errorf("%s: broker %q gets no token: it isn't in *%s, as the first one is; "+
			"set Options.Scope if it should get one", s.Package, broker, s.suffix)
	}
	token, err := s.get(ctx)
	if left := time.Until(token.ExpiresOn); err == nil && left > 0 && left < spare {
		if err = wait(ctx, left); err == nil {
			token, err = s.get(ctx)
		}
	}
	if err != nil {
		return "", &tokenError{text: fmt.Sprintf("%s: no token for %s to authenticate with at %s",
			s.Package, s.Scope, cmp.Or(broker, "a broker")), err: err}
	}
	// It is read for an error only. A function shows nothing of the token in any format.
	whose := func() (identity.Principal, error) { return identity.PrincipalOf(token.Token) }
	s.last.Store(&whose)
	return token.Token, nil
}

// get asks as identity.Ready, identity.TokenFunc and Azure SDK clients do, and so shares what they
// hold.
func (s *Source) get(ctx context.Context) (azcore.AccessToken, error) {
	token, err := s.cred.GetToken(ctx, policy.TokenRequestOptions{
		Scopes: []string{s.Scope}, EnableCAE: true,
	})
	if err == nil && token.Token == "" {
		err = errors.New("the credential returned an empty token")
	}
	return token, err
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("the held one has %v left, and the wait for its end was cut short: %w",
			d.Round(time.Millisecond), ctx.Err())
	}
}

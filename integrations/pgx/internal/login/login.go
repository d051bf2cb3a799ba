// Package login is what a login to PostgreSQL with a token takes, whichever the driver: whether the
// token may be sent, what it is for, and whose name goes with it.
package login

import (
	"context"
	"fmt"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/keyless-go/identity"
)

// Client logs in with the tokens of one credential. It never changes.
type Client struct {
	Package    string // the adapter's, with which errors begin
	Credential azcore.TokenCredential
	Scope      string // "" means that of the servers' names
}

// Attempt is one connection that a driver is about to open.
type Attempt struct {
	Servers    []Server      // all that the driver may try, at least one
	User       string        // as the driver has it, maybe its guess
	ConnString string        // which the driver has parsed
	OSUser     func() string // whom the driver guesses where no user is named
	Timeout    time.Duration // of connecting; 0 is none
}

// Login returns the user and the token that is the password. It asks for nothing if the token might
// be sent in clear text. It blocks until the credential answers, ctx ends, or the attempt's time is
// up.
func (c Client) Login(ctx context.Context, a Attempt) (user, token string, err error) {
	user, token, err = c.login(ctx, a)
	if err != nil {
		return "", "", fmt.Errorf("%s: %q: %w", c.Package, names(a.Servers), err)
	}
	return user, token, nil
}

func (c Client) login(ctx context.Context, a Attempt) (user, token string, err error) {
	if err := encrypted(a.Servers); err != nil {
		return "", "", err
	}
	scope, err := c.scope(a.Servers)
	if err != nil {
		return "", "", err
	}
	if a.Timeout <= 0 {
		return c.named(ctx, a, scope)
	}
	late := fmt.Errorf("no token within connect_timeout, %v", a.Timeout)
	ctx, end := context.WithTimeoutCause(ctx, a.Timeout, late)
	defer end()
	user, token, err = c.named(ctx, a, scope)
	if err != nil && context.Cause(ctx) == late {
		err = fmt.Errorf("%w: %w", late, err)
	}
	return user, token, err
}

// named asks for a token, and for whom it names if nobody else does.
func (c Client) named(
	ctx context.Context, a Attempt, scope string,
) (user, token string, err error) {
	token, err = c.token(ctx, scope)
	if err != nil || a.namesUser() {
		return a.User, token, err
	}
	user, err = c.role(ctx, scope, token)
	return user, token, err
}

func (c Client) token(ctx context.Context, scope string) (string, error) {
	return identity.TokenFunc(c.Credential, scope)(ctx)
}

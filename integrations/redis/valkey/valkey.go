package identityvalkey

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/keyless-go/identity/integrations/redis/internal/login"
	"github.com/valkey-io/valkey-go"
)

// Scope is what tokens for Azure Managed Redis and Azure Cache for Redis are for.
const Scope = login.Scope

// Options are for what the defaults don't fit. nil has the defaults.
type Options struct {
	// Scope is what to ask for a token for; "" means [Scope].
	Scope string
	// User is the user name; "" means the object ID that the token names, which is what Azure wants.
	User string
}

// AuthCredentialsFn returns a function for AuthCredentialsFn of valkey-go's ClientOption. It
// returns the token that is held, and asks to be called again when that token is due for renewal.
// It is safe for concurrent use if cred is. options may be nil.
//
// valkey-go passes no context, so the function waits for a token for 10 s at most. An error of the
// function, which is cred's, would close the connection. So while the last token is valid it
// returns that one instead. Nothing here can see whether the connection has TLS: use [Configure],
// which can.
func AuthCredentialsFn(
	cred azcore.TokenCredential, options *Options,
) func(valkey.AuthCredentialsContext) (valkey.AuthCredentials, error) {
	source := &login.Source{Package: "identityvalkey", Credential: cred}
	if options != nil {
		source.Scope, source.User = options.Scope, options.User
	}
	return func(valkey.AuthCredentialsContext) (valkey.AuthCredentials, error) {
		got, err := source.GetNow()
		if err != nil {
			return valkey.AuthCredentials{}, err
		}
		return valkey.AuthCredentials{Username: got.User, Password: got.Token.Token,
			RefreshAfter: refreshAfter(got.Token, time.Now())}, nil
	}
}

const (
	// beforeEnd is when to log in anew with a token that doesn't say when it is due: Redis wants that
	// at least 3 minutes before the end, and azidentity asks for a new token from 5 minutes on.
	beforeEnd = 5 * time.Minute
	// again is the longest pause after a token that is due for renewal already. The host may not have
	// another one, or be down. valkey-go calls at once, and so without end, if it is told a time that
	// has passed.
	again = 30 * time.Second
)

// refreshAfter is when to ask for the token that replaces t.
func refreshAfter(t azcore.AccessToken, now time.Time) time.Time {
	if t.ExpiresOn.IsZero() {
		return time.Time{} // it has no end
	}
	left := t.ExpiresOn.Sub(now)
	at := t.RefreshOn
	if at.IsZero() || at.After(t.ExpiresOn) {
		at = t.ExpiresOn.Add(-min(beforeEnd, left/2))
	}
	soonest := now.Add(max(time.Second, min(again, left/10)))
	if at.Before(soonest) {
		return soonest
	}
	return at
}

// Configure makes the client of o log in as cred's identity: it sets o.AuthCredentialsFn. It sends
// nothing. options may be nil.
//
// It is an error if the token would travel in clear text or to whoever answers: without TLSConfig,
// with its InsecureSkipVerify and no check of yours, or with TLS below 1.2. This machine's own
// addresses may do without TLS. If o has a DialCtxFn, or no TLS, Configure wraps the DialCtxFn: the
// command that needs a connection without TLS that leaves this machine gets an error. It is an
// error, too, if o has other credentials, a DialFn, or a Sentinel, which Azure doesn't have.
func Configure(o *valkey.ClientOption, cred azcore.TokenCredential, options *Options) error {
	if o == nil || cred == nil {
		return errors.New("identityvalkey: Configure: want options and a credential, not nil")
	}
	if o.Username != "" || o.Password != "" || o.AuthCredentialsFn != nil {
		return errors.New("identityvalkey: Configure: the options have other credentials: leave " +
			"Username, Password and AuthCredentialsFn empty")
	}
	if o.DialFn != nil || o.Sentinel.MasterSet != "" {
		return errors.New("identityvalkey: Configure: want DialCtxFn, not DialFn, and no Sentinel")
	}
	if err := secure(o); err != nil {
		return fmt.Errorf("identityvalkey: Configure: %w", err)
	}
	o.AuthCredentialsFn = AuthCredentialsFn(cred, options)
	return nil
}

// secure checks what can be known of the connections, and has DialCtxFn check the rest.
func secure(o *valkey.ClientOption) error {
	own := o.DialCtxFn
	if own == nil {
		err := login.CheckTLS(o.TLSConfig)
		if o.TLSConfig != nil || err != nil && !local(o) {
			return err
		}
		own = func(ctx context.Context, addr string, d *net.Dialer, _ *tls.Config) (net.Conn, error) {
			return d.DialContext(ctx, "tcp", addr)
		}
	}
	o.DialCtxFn = func(
		ctx context.Context, addr string, d *net.Dialer, c *tls.Config,
	) (net.Conn, error) {
		conn, err := own(ctx, addr, d, c)
		if err != nil {
			return nil, err
		}
		if conn, err = login.Carries(conn); err != nil {
			err = fmt.Errorf("identityvalkey: %w", err)
		}
		return conn, err
	}
	return nil
}

func local(o *valkey.ClientOption) bool {
	for _, a := range o.InitAddress {
		if !login.IsLocal(a) {
			return false
		}
	}
	return true
}

package identityredis

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/keyless-go/identity/integrations/redis/internal/login"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/auth"
)

// Configure makes the client of o log in as cred's identity. o is a *redis.Options,
// *redis.ClusterOptions or *redis.UniversalOptions. It sends nothing. options may be nil.
//
// It sets CredentialsProviderContext to a [CredentialsProvider]. Where ConnMaxLifetime is 0, it
// sets that to 20 minutes, give or take 2, so that connections are replaced between commands, as a
// rule before their token ends. A negative one stays, and leaves it to the server to end them.
//
// It is an error if the token would travel in clear text or to whoever answers: without TLSConfig,
// with InsecureSkipVerify in it and no check of yours, or with TLS below 1.2. This machine's own
// addresses may do without TLS. If o has a Dialer, or no TLS, Configure wraps the Dialer: the
// command that needs a connection without TLS that leaves this machine gets an error. It is an
// error, too, if o has other credentials.
func Configure[O redis.Options | redis.ClusterOptions | redis.UniversalOptions](
	o *O, cred azcore.TokenCredential, options *Options,
) error {
	if o == nil || cred == nil {
		return errors.New("identityredis: Configure: want options and a credential, not nil")
	}
	c := fieldsOf(o)
	if *c.user != "" || *c.password != "" || *c.plain != nil || *c.withContext != nil ||
		*c.streaming != nil {
		return errors.New("identityredis: Configure: the options have other credentials: leave " +
			"Username, Password, CredentialsProvider, CredentialsProviderContext and " +
			"StreamingCredentialsProvider empty")
	}
	if err := c.secure(); err != nil {
		return fmt.Errorf("identityredis: Configure: %w", err)
	}
	*c.withContext = CredentialsProvider(cred, options)
	if *c.lifetime == 0 {
		*c.lifetime, *c.jitter = lifetime, jitter
	}
	return nil
}

// A token of Entra's lives for an hour, and is replaced after 33 minutes at the latest. So a
// connection that logs in has 27 minutes as a rule, and Azure wants to see the next token 3 minutes
// before the end.
const (
	lifetime = 20 * time.Minute
	jitter   = 2 * time.Minute // so that not all connections are replaced at once
)

type dialer = func(ctx context.Context, network, addr string) (net.Conn, error)

// fields are those of a client's options that matter here.
type fields struct {
	addresses      []string
	network        string
	tls            *tls.Config
	dialer         *dialer
	defaultDialer  func() dialer
	user, password *string
	plain          *func() (string, string)
	withContext    *func(context.Context) (string, string, error)
	streaming      *auth.StreamingCredentialsProvider

	lifetime, jitter *time.Duration // ConnMaxLifetime
}

func fieldsOf(o any) fields {
	switch o := o.(type) {
	case *redis.Options:
		return fields{[]string{o.Addr}, o.Network, o.TLSConfig, &o.Dialer,
			func() dialer { return redis.NewDialer(o) }, &o.Username, &o.Password,
			&o.CredentialsProvider, &o.CredentialsProviderContext, &o.StreamingCredentialsProvider,
			&o.ConnMaxLifetime, &o.ConnMaxLifetimeJitter}
	case *redis.ClusterOptions:
		return fields{o.Addrs, "", o.TLSConfig, &o.Dialer,
			func() dialer { return redis.NewDialer(&redis.Options{DialTimeout: o.DialTimeout}) },
			&o.Username, &o.Password,
			&o.CredentialsProvider, &o.CredentialsProviderContext, &o.StreamingCredentialsProvider,
			&o.ConnMaxLifetime, &o.ConnMaxLifetimeJitter}
	}
	u := o.(*redis.UniversalOptions)
	return fields{u.Addrs, "", u.TLSConfig, &u.Dialer,
		func() dialer { return redis.NewDialer(&redis.Options{DialTimeout: u.DialTimeout}) },
		&u.Username, &u.Password,
		&u.CredentialsProvider, &u.CredentialsProviderContext, &u.StreamingCredentialsProvider,
		&u.ConnMaxLifetime, &u.ConnMaxLifetimeJitter}
}

// secure checks what can be known of the connections, and has the Dialer check the rest: what it
// returns itself, and, without TLS, addresses that the server of a cluster names.
func (c fields) secure() error {
	own := *c.dialer
	if own == nil {
		if err := login.CheckTLS(c.tls); c.tls != nil || err != nil && !c.local() {
			return err
		}
		own = c.defaultDialer()
	}
	*c.dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := own(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		if conn, err = login.Carries(conn); err != nil {
			err = fmt.Errorf("identityredis: %w", err)
		}
		return conn, err
	}
	return nil
}

// local reports whether all addresses are this machine's. go-redis's default address is one.
func (c fields) local() bool {
	if c.network == "unix" {
		return true
	}
	for _, a := range c.addresses {
		if a != "" && !login.IsLocal(a) {
			return false
		}
	}
	return true
}

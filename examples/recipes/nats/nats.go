// Package nats connects to a NATS server that takes Entra's tokens, as one does whose authorization
// callout checks them.
package nats

import (
	"context"
	"net"
	"sync/atomic"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/keyless-go/identity"
	"github.com/nats-io/nats.go"
)

// limit is how long a connection waits for a token. NATS holds the client's lock meanwhile, so that
// Publish and Close wait as well.
const limit = 10 * time.Second

// Options are for nats.Connect: each connection, the first and all after it, has a token of that
// moment, and TLS. scope is that of the application for which the server's callout wants tokens.
//
// NATS's TokenHandler has neither a context nor an error. So the token is got when the server is
// dialed: its failure is then that of the connection, by name, and a client that reconnects tries
// again. IgnoreAuthErrorAbort is for a server that refuses everybody for a while, as without its
// callout: without it two refusals end the client for good. nats.MaxReconnects is still its limit.
//
// A user name goes with a token where the callout wants one: then it's nats.UserInfoHandler in
// place of TokenHandler, with identity.PrincipalOf's ObjectID, say.
func Options(cred azcore.TokenCredential, scope string) []nats.Option {
	d := &dialer{token: identity.TokenFunc(cred, scope)}
	return []nats.Option{
		nats.Secure(), // the token is not for those who listen: without TLS there is no connection
		nats.SetCustomDialer(d),
		nats.TokenHandler(func() string { return *d.last.Load() }),
		nats.IgnoreAuthErrorAbort(),
	}
}

// dialer gets a token before it connects. NATS asks for the token after that, under the same lock.
type dialer struct {
	token func(context.Context) (string, error)
	last  atomic.Pointer[string]
}

func (d *dialer) Dial(network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	token, err := d.token(ctx)
	if err != nil {
		return nil, err
	}
	d.last.Store(&token)
	return (&net.Dialer{Timeout: nats.DefaultTimeout}).DialContext(ctx, network, address)
}

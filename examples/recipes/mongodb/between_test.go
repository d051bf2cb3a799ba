package mongodb_test

import (
	"context"
	"crypto/tls"
	"sync/atomic"
	"testing"

	"github.com/keyless-go/identity/examples/recipes/internal/standin"
	"github.com/keyless-go/identity/examples/recipes/mongodb"
	"go.mongodb.org/mongo-driver/v2/event"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// between is somebody between a client and MongoDB, without TLS or with a certificate of their own
// making. They answer as the server would, to get the token.
type between struct {
	*server
	token atomic.Value
}

func startBetween(t *testing.T, secure bool) *between {
	t.Helper()
	var theirs *tls.Config
	if secure {
		certificate, _ := standin.Certificate(t, host)
		theirs = &tls.Config{Certificates: []tls.Certificate{certificate}}
	}
	b := &between{}
	b.server = start(t, func(token string) bool { b.token.Store(token); return true }, theirs)
	return b
}

// asks says whether the token has come after a client has logged in, or has given up.
func (b *between) asks(t *testing.T, o *options.ClientOptions, token string) bool {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	o.SetServerMonitor(&event.ServerMonitor{
		ServerHeartbeatFailed: func(*event.ServerHeartbeatFailedEvent) { cancel() },
	})
	_ = b.client(t, o).Ping(ctx, nil)
	return b.token.Load() == token
}

// TestOptionsWantTLS: nobody else reads the token. To somebody in between a naive client sends it,
// unless its TLS is what ours wants.
func TestOptionsWantTLS(t *testing.T) {
	t.Parallel()
	azure := standin.New(t)
	token := azure.Token(t, mongodb.Scope)
	for query, ok := range map[string]bool{
		"": false, "&tls=false": false, "&tls=true": true, "&tls=true&tlsInsecure=true": false,
		"&tls=true&tlsInsecure=false": true,
	} {
		uri := "mongodb://" + host + ":10260/?directConnection=true" + query
		has := false
		for _, secure := range []bool{false, true} {
			naive := options.Client().ApplyURI(uri).SetAuth(options.Credential{
				AuthMechanism: "MONGODB-OIDC", OIDCMachineCallback: func(
					context.Context, *options.OIDCArgs,
				) (*options.OIDCCredential, error) {
					return &options.OIDCCredential{AccessToken: token}, nil
				}})
			has = startBetween(t, secure).asks(t, naive, token) || has
			ours, err := mongodb.Options(uri, azure.Credential, mongodb.Scope)
			if (err == nil) != ok {
				t.Errorf("%q: error %v, want it to be taken: %v", query, err, ok)
			}
			if err == nil && startBetween(t, secure).asks(t, ours, token) {
				t.Errorf("%q: somebody in between has the token", query)
			}
		}
		if has == ok {
			t.Errorf("%q, naive: somebody in between has the token: %v, want %v", query, has, !ok)
		}
	}
}

package identitytest

import (
	"context"
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"sync"

	"github.com/keyless-go/identity/internal/seam"
)

// Client returns a new client whose every connection leads to the endpoint, in memory, whatever the
// address. It is a transport for clients that look at the connection, as they do where the host has
// TLS: the certificate is real there, and so is its check. Nothing leaves the process, so tests can
// run in parallel; no goroutine outlives its exchange, so it works in a testing/synctest bubble,
// too.
//
//	azcore.ClientOptions{Transport: endpoint.Client()}
//
// Its Transport is an [*http.Transport] that trusts the endpoint's certificate and no other,
// without any hook of TLS, so that a client may copy it and put its own check in. It keeps no
// connection and has no proxy. A redirect is followed, as is usual, and leads to the endpoint as
// well.
//
// An exchange blocks and fails as with [Endpoint.ServeHTTP]: what a scripted error says doesn't go
// over a connection.
func (e *Endpoint) Client() *http.Client {
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			seam.Meet(ctx, e.activity)
			greeted := func() {}
			if e.certificate != nil {
				var err error
				if greeted, err = takeTurn(ctx); err != nil {
					return nil, err
				}
			}
			client, server := pipe()
			e.serveOne(server, greeted)
			return client, nil
		},
		DisableKeepAlives: true, // a kept connection is two goroutines
	}
	if e.certificate != nil {
		transport.TLSClientConfig = &tls.Config{RootCAs: e.certificate.pool}
	}
	return &http.Client{Transport: transport}
}

// serveOne serves one connection, in a goroutine that ends with it. It calls greeted once: when the
// handshake of TLS is over, or when the connection ends before that.
func (e *Endpoint) serveOne(connection net.Conn, greeted func()) {
	if config := e.TLSConfig(); config != nil {
		connection = tls.Server(connection, config)
	}
	over := sync.OnceFunc(greeted)
	server := &http.Server{
		Handler: e,
		ConnState: func(_ net.Conn, state http.ConnState) {
			if state != http.StateNew { // a request has begun, or there will be none
				over()
			}
		},
		// the client has the error, too
		ErrorLog: log.New(io.Discard, "", 0),
		// HTTP/1.1: it can be cut short and reset
		TLSNextProto: make(map[string]func(*http.Server, *tls.Conn, http.Handler)),
	}
	_ = server.Serve(&oneConnection{connection}) // returns at once, when there is no second connection
}

// oneConnection is a listener that has one connection and then no more.
type oneConnection struct{ connection net.Conn }

func (l *oneConnection) Accept() (net.Conn, error) {
	connection := l.connection
	if connection == nil {
		return nil, net.ErrClosed
	}
	l.connection = nil
	return connection, nil
}

func (*oneConnection) Close() error   { return nil }
func (*oneConnection) Addr() net.Addr { return pipeAddr{} }

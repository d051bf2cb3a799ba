package identitytest

import (
	"crypto/tls"
	"io"
	"maps"
	"net"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"
)

var _ http.Handler = (*Endpoint)(nil)

// ServeHTTP answers r over a connection, for an Endpoint that a server of your own serves; see
// [Endpoint.Env] for how a process finds it there. It blocks as [Endpoint.Do] does. A scripted
// connection error closes the connection, with a reset if it is TCP; an answer that is cut short
// ends with the connection before its Content-Length. Only the fact of such an error goes over a
// connection, not its text.
func (e *Endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a, err := e.handle(r)
	if err != nil {
		panic(http.ErrAbortHandler) // the client is gone
	}
	if a.status == 0 {
		reset(w)
		return
	}
	a.write(w)
}

func (a answer) write(w http.ResponseWriter) {
	header := w.Header()
	// or net/http adds them to what is meant to be exact
	header["Date"], header["Content-Type"] = nil, nil
	maps.Copy(header, a.header)
	if a.err == nil {
		w.WriteHeader(a.status)
		_, _ = io.WriteString(w, a.body)
		if a.status < 200 {
			panic(http.ErrAbortHandler) // or net/http sends a 200 after it
		}
		return
	}
	header.Set("Content-Length", strconv.FormatInt(declaredLength(a), 10))
	w.WriteHeader(a.status)
	_, _ = io.WriteString(w, a.body)
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

// reset closes the connection of w without an answer.
func reset(w http.ResponseWriter) {
	connection, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // HTTP/2, say: this ends the stream
	}
	if secure, ok := connection.(*tls.Conn); ok {
		connection = secure.NetConn() // a reset has no goodbye of TLS
	}
	if tcp, ok := connection.(interface{ SetLinger(seconds int) error }); ok {
		_ = tcp.SetLinger(0)
	}
	_ = connection.Close()
}

// Start serves the endpoint on a free port of 127.0.0.1, with TLS where the host has it, and, by
// tb.Setenv, sets the environment variables by which a process finds it, as [Endpoint.Env] lists
// them, so that code under test needs no change at all. When the test ends, the variables get back
// their values and the server is stopped, with its connections and goroutines.
//
// It fails the test if it can't listen or if the endpoint is started already. Like tb.Setenv it
// can't be used in parallel tests, and, as connections are of no use there, not in a
// testing/synctest bubble: see [Endpoint.Do] for both.
func (e *Endpoint) Start(tb testing.TB) {
	tb.Helper()
	if !e.setStarted(true) {
		tb.Fatal("identitytest: Start: the endpoint is started already")
	}
	tb.Cleanup(func() { e.setStarted(false) })

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatalf("identitytest: Start: %v", err)
	}
	base := "http://" + listener.Addr().String()
	if config := e.TLSConfig(); config != nil {
		base = "https://" + listener.Addr().String()
		listener = tls.NewListener(listener, config)
	}
	tb.Cleanup(serve(listener, e))
	for _, v := range variables(e.Env(base)) {
		tb.Setenv(v.name, v.value)
	}
}

// setStarted reports whether that is a change.
func (e *Endpoint) setStarted(started bool) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	changed := e.started != started
	e.started = started
	return changed
}

// serve serves handler on listener until the returned function is called, which waits for the end
// of every connection.
func serve(listener net.Listener, handler http.Handler) (stop func()) {
	// one for Serve and one per connection; Serve is the one that adds connections
	var open sync.WaitGroup
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		ConnState: func(_ net.Conn, state http.ConnState) {
			switch state {
			case http.StateNew:
				open.Add(1)
			case http.StateClosed, http.StateHijacked:
				open.Done()
			}
		},
	}
	open.Go(func() { _ = server.Serve(listener) }) // it always ends with ErrServerClosed here
	return func() {
		_ = server.Close()
		open.Wait()
	}
}

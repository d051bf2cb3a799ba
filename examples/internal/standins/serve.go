package standins

import (
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"time"
)

// Serve serves handler until the returned function is called, which waits for what is under way:
// nothing is written into a directory that is about to be removed.
func Serve(listener net.Listener, handler http.Handler) (stop func()) {
	var open sync.WaitGroup // the connections, and what accepts them
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          log.New(io.Discard, "", 0), // what a client sees is told by the client
		ConnState: func(_ net.Conn, state http.ConnState) {
			switch state {
			case http.StateNew:
				open.Add(1)
			case http.StateClosed, http.StateHijacked:
				open.Done()
			}
		},
	}
	open.Go(func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			panic(err) // a listener on loopback doesn't fail by itself
		}
	})
	return func() {
		_ = server.Close()
		open.Wait()
	}
}

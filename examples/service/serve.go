package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// requestTimeout is what a handler has: for a connection, a query and the answer.
const requestTimeout = 10 * time.Second

// newServer has a limit for all that a client may draw out. TLS is the platform's, which ends it
// in front of the service.
func newServer(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      requestTimeout + 10*time.Second, // counts from the request's header
		IdleTimeout:       2 * time.Minute,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
}

// serve serves until ctx ends, or a server fails. Then it takes no more requests, lets those under
// way finish, and closes the pool when none needs it. The probes answer until then.
//
// In Kubernetes, give the pod a preStop hook that sleeps for some seconds: a pod still gets
// requests for a moment after it was told to stop.
func (s *service) serve(ctx context.Context, public, admin net.Listener) error {
	users, inside := s.handlers()
	server, adminServer := newServer(users, s.log), newServer(inside, s.log)
	background, endBackground := context.WithCancel(context.WithoutCancel(ctx))
	failed := make(chan error, 2)
	var running sync.WaitGroup
	running.Go(func() { s.key.keep(background, s.log) })
	running.Go(func() { failed <- server.Serve(public) })
	running.Go(func() { failed <- adminServer.Serve(admin) })
	s.log.Info("serving", "users", public.Addr().String(), "admin", admin.Addr().String())

	var err error
	select {
	case err = <-failed:
	case <-ctx.Done():
		s.log.Info("stopping: requests under way may finish", "within", s.stopTimeout.String())
	}
	s.stopping.Store(true)
	wait, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.stopTimeout)
	defer cancel()
	if late := server.Shutdown(wait); late != nil {
		err = errors.Join(err, fmt.Errorf("requests were cut off: %w", late))
		_ = server.Close() // ends their contexts, so that they give their connections back
	}
	endBackground()
	_ = adminServer.Close()
	running.Wait()
	s.db.Close() // waits for connections that are in use
	if err == nil {
		s.log.Info("stopped")
	}
	return err
}

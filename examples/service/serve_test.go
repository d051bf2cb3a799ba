package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// answer is what a client got.
type answer struct {
	status int
	body   string
	err    error
}

func fetch(url string) (a answer) {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Minute}
	resp, err := client.Get(url)
	if err != nil {
		return answer{err: err}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, string(body), err}
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(time.Minute)
	for !condition() {
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("after a minute not yet: %s", what)
		}
	}
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// serving is a service whose requests wait in the database, from arrived to hold's end.
type serving struct {
	*world
	public, admin string // URLs
	arrived, hold chan struct{}
	stop          func()
	ended         chan error
}

func startServing(t *testing.T, stopTimeout time.Duration) *serving {
	s := &serving{world: newWorld(t), arrived: make(chan struct{}), hold: make(chan struct{}),
		ended: make(chan error, 1)}
	s.service.stopTimeout = stopTimeout
	s.readKey(t)
	s.database.Query = func(sql string) {
		if strings.Contains(sql, "FROM orders") {
			s.arrived <- struct{}{}
			<-s.hold
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	public, admin := listen(t), listen(t)
	s.public, s.admin = "http://"+public.Addr().String(), "http://"+admin.Addr().String()
	s.stop = stop
	go func() { s.ended <- s.service.serve(ctx, public, admin) }()
	return s
}

// TestGracefulStop: a request that is under way when the service is told to stop is answered; the
// probe says that it stops meanwhile, a new request finds nobody, and the pool is closed at last.
func TestGracefulStop(t *testing.T) {
	t.Parallel()
	w := startServing(t, time.Minute)
	answers := make(chan answer, 1)
	go func() { answers <- fetch(w.public + "/orders/1") }()
	<-w.arrived
	w.stop()
	eventually(t, "the probe says that the service stops", func() bool {
		probe := fetch(w.admin + "/readyz")
		return probe.status == http.StatusServiceUnavailable && probe.body == "stopping\n"
	})
	eventually(t, "new requests find nobody", func() bool {
		return fetch(w.public+"/orders/1").err != nil
	})
	select {
	case err := <-w.ended:
		t.Fatalf("ended with a request under way: %v", err)
	default:
	}
	if n := w.service.db.Stat().TotalConns(); n != 1 {
		t.Errorf("%d connections while a request needs one, want 1", n)
	}
	close(w.hold)
	if a := <-answers; a.status != http.StatusOK || !strings.Contains(a.body, "tea") {
		t.Errorf("the request under way got %+v, want the order", a)
	}
	if err := <-w.ended; err != nil {
		t.Error(err)
	}
	if n := w.service.db.Stat().TotalConns(); n != 0 {
		t.Errorf("%d connections are open at the end, want none", n)
	}
	if err := w.service.db.Ping(t.Context()); err == nil {
		t.Error("the pool is not closed")
	}
}

// TestLateRequest: one that takes too long is cut off, and doesn't keep the pool open.
func TestLateRequest(t *testing.T) {
	t.Parallel()
	w := startServing(t, time.Millisecond)
	answers := make(chan answer, 1)
	go func() { answers <- fetch(w.public + "/orders/1") }()
	<-w.arrived
	w.stop()
	if a := <-answers; a.err == nil {
		t.Errorf("got %+v, want no answer", a)
	}
	close(w.hold) // pgx takes leave of the server, for which it has 15 s
	if err := <-w.ended; err == nil || !strings.Contains(err.Error(), "cut off") {
		t.Errorf("got %v, want an error that says so", err)
	}
}

// TestServerFails: the end of one server is the end of the service, with an error.
func TestServerFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	public, admin := listen(t), listen(t)
	_ = admin.Close()
	if err := w.service.serve(t.Context(), public, admin); err == nil {
		t.Error("no error, want the listener's")
	}
	if fetch("http://"+public.Addr().String()+"/orders/1").err == nil {
		t.Error("users are still served")
	}
}

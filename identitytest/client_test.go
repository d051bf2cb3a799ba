package identitytest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A client that pins takes a copy of the transport and puts its own check in the place of the usual
// one.
func TestClientCanBePinned(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := NewServiceFabric(nil)
		pinned := func(thumbprint string) (*http.Response, error) {
			transport := e.Client().Transport.(*http.Transport).Clone()
			transport.TLSClientConfig.InsecureSkipVerify = true
			transport.TLSClientConfig.VerifyConnection = func(state tls.ConnectionState) error {
				if sha1Of(state.PeerCertificates[0].Raw) != thumbprint {
					return errScripted
				}
				return nil
			}
			r := fabricRequest(t, inMemory(e), "")
			r.URL.Host, r.Host = "10.0.0.4:2377", "10.0.0.4:2377" // which the certificate isn't for
			return transport.RoundTrip(r)
		}
		_, err := pinned(inMemory(NewServiceFabric(nil))("IDENTITY_SERVER_THUMBPRINT"))
		if n := len(e.Requests()); !errors.Is(err, errScripted) || n != 0 {
			t.Errorf("got error %v and %d requests: the secret must not go to a stranger", err, n)
		}
		response, err := pinned(inMemory(e)("IDENTITY_SERVER_THUMBPRINT"))
		if err != nil {
			t.Fatal(err)
		}
		tokenOf(t, read(t, response))
	})
}

func TestClientTransport(t *testing.T) {
	t.Parallel()
	for _, e := range []*Endpoint{NewIMDS(nil), NewServiceFabric(nil)} {
		one, other := e.Client(), e.Client()
		transport, ok := one.Transport.(*http.Transport)
		if !ok || transport.DialTLSContext != nil || transport.DialContext == nil ||
			transport.Proxy != nil || !transport.DisableKeepAlives {
			t.Errorf("%T: got %+v, want an *http.Transport with DialContext alone", e.host, one.Transport)
		}
		if c := transport.TLSClientConfig; c != nil &&
			(c.InsecureSkipVerify || c.VerifyConnection != nil || c.VerifyPeerCertificate != nil) {
			t.Errorf("%T: got a check of its own in the TLS configuration", e.host)
		}
		if one == other || one.Transport == other.Transport {
			t.Errorf("%T: got the same client twice", e.host)
		}
	}
}

func TestClientChecksTheCertificate(t *testing.T) {
	t.Parallel()
	e := NewServiceFabric(nil)
	for name, change := range map[string]func(*http.Transport, *http.Request){
		"another's client": func(transport *http.Transport, _ *http.Request) {
			transport.TLSClientConfig.RootCAs = NewServiceFabric(nil).certificate.pool
		},
		"nobody trusted": func(transport *http.Transport, _ *http.Request) {
			transport.TLSClientConfig.RootCAs = x509.NewCertPool()
		},
		"another name": func(_ *http.Transport, r *http.Request) { r.URL.Host = "fabric.example" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			transport := e.Client().Transport.(*http.Transport)
			r := fabricRequest(t, inMemory(e), "")
			change(transport, r)
			response, err := transport.RoundTrip(r)
			var wrong *tls.CertificateVerificationError
			if !errors.As(err, &wrong) {
				t.Errorf("got %v, error %v; want the certificate refused", response, err)
			}
		})
	}
	if n := len(e.Requests()); n != 0 {
		t.Errorf("got %d requests, want none", n)
	}
}

// A plain request to a host with TLS gets what net/http's server says to it, and the other way
// round.
func TestClientMistakesTheScheme(t *testing.T) {
	t.Parallel()
	secure := NewServiceFabric(nil)
	r := fabricRequest(t, inMemory(secure), "")
	r.URL.Scheme = "http"
	response, err := secure.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if response.StatusCode != 400 || !strings.Contains(string(body), "HTTPS") || err != nil {
		t.Errorf("got %d %q, error %v; want 400 and a word on HTTPS", response.StatusCode, body, err)
	}
	plain := NewIMDS(nil)
	r = imdsRequest(t, "")
	r.URL.Scheme = "https"
	if response, err := plain.Client().Do(r); err == nil {
		response.Body.Close()
		t.Errorf("got status %d over TLS from a host without it", response.StatusCode)
	}
	if n := len(secure.Requests()) + len(plain.Requests()); n != 0 {
		t.Errorf("got %d requests, want none", n)
	}
}

// What Do answers, the client gets too, and the requests look alike.
func TestClientAnswersAsDo(t *testing.T) {
	secureAndPlain(t, func(t *testing.T, e *Endpoint, right func() *http.Request) {
		e.Enqueue(Response{Status: 502, Body: "<html>"}, Response{Status: 502, Body: "<html>"})
		post := func() *http.Request {
			r := right()
			r.Method, r.Header = "POST", http.Header{"X": {"1", "2"}, "User-Agent": {"test"}}
			form(strings.Repeat("body", 10_000))(r)
			return r
		}
		want, got := do(t, e, post()), throughClient(e.Client())(t, post())
		got.Header.Del("Content-Length")
		got.Header.Del("Connection")
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-Do +Client):\n%s", diff)
		}
		both := e.Requests()
		if len(both) != 2 {
			t.Fatalf("got %d requests, want 2", len(both))
		}
		bodies := make([]string, 2)
		for i, r := range both {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				t.Fatal(err)
			}
			bodies[i] = string(body)
		}
		if bodies[0] != bodies[1] || both[0].URL.String() != both[1].URL.String() ||
			both[0].Host != both[1].Host {
			t.Errorf("got %s and %s, want the same", both[0].URL, both[1].URL)
		}
		if both[1].Header.Get("User-Agent") != "test" || len(both[1].Header["X"]) != 2 {
			t.Errorf("got header %v", both[1].Header)
		}
	})
}

func TestClientConnectionError(t *testing.T) {
	secureAndPlain(t, func(t *testing.T, e *Endpoint, right func() *http.Request) {
		e.Enqueue(Response{Err: errScripted, Delay: time.Minute})
		begin := time.Now()
		response, err := e.Client().Do(right())
		if took := time.Since(begin); !errors.Is(err, errReset) || took != time.Minute {
			t.Errorf("got %v, error %v after %v; want %v after 1m", response, err, took, errReset)
		}
		if n := len(e.Requests()); n != 1 {
			t.Errorf("got %d requests, want 1: the client doesn't try again by itself", n)
		}
	})
}

// A reset over TCP is one under TLS as well.
func TestStartedConnectionErrorUnderTLS(t *testing.T) {
	e := NewServiceFabric(nil)
	e.Start(t)
	e.Enqueue(Response{Err: errScripted, For: time.Hour})
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: e.certificate.pool},
		DisableKeepAlives: true}
	if response, err := transport.RoundTrip(fabricRequest(t, os.Getenv, "")); !errors.Is(err,
		errReset) && !errors.Is(err, io.EOF) {
		t.Errorf("got %v, error %v; want a connection that ends without an answer", response, err)
	}
}

func TestClientCutShort(t *testing.T) {
	secureAndPlain(t, func(t *testing.T, e *Endpoint, right func() *http.Request) {
		e.Enqueue(Response{Status: 200, Body: "partial", Err: errScripted})
		response, err := e.Client().Do(right())
		if err != nil {
			t.Fatal(err)
		}
		checkPartial(t, response)
	})
}

// A client that gives up leaves nothing behind, neither its own goroutines nor the server's.
func TestClientGivesUp(t *testing.T) {
	secureAndPlain(t, func(t *testing.T, e *Endpoint, right func() *http.Request) {
		e.Enqueue(Response{Delay: 24 * time.Hour})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begin := time.Now()
		_, err := e.Client().Do(right().WithContext(ctx))
		if took := time.Since(begin); !errors.Is(err, context.DeadlineExceeded) || took != time.Second {
			t.Errorf("got error %v after %v, want %v after 1s", err, took, context.DeadlineExceeded)
		}
		if n := len(e.Requests()); n != 1 {
			t.Errorf("got %d requests, want 1", n)
		}
	})
}

func TestClientAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := NewServiceFabric(&Options{RateLimit: true})
		client := e.Client()
		e.Enqueue(Response{Delay: time.Minute, For: time.Second})
		statuses := make(chan int, 10)
		var group sync.WaitGroup
		for range 10 {
			group.Go(func() {
				statuses <- throughClient(client)(t, fabricRequest(t, inMemory(e), "")).Status
			})
		}
		group.Wait()
		close(statuses)
		got := make(map[int]int)
		for status := range statuses {
			got[status]++
		}
		if diff := cmp.Diff(map[int]int{200: 5, 429: 5}, got); diff != "" {
			t.Errorf("statuses (-want +got):\n%s", diff)
		}
	})
}

// secureAndPlain are a host with TLS and one without, and a right request to each.
func secureAndPlain(t *testing.T, f func(t *testing.T, e *Endpoint, right func() *http.Request)) {
	t.Parallel()
	for _, constructor := range []func(*Options) *Endpoint{NewIMDS, NewServiceFabric} {
		e := constructor(nil)
		t.Run(fmt.Sprintf("%T", e.host), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f(t, e, func() *http.Request {
					if e.certificate == nil {
						return imdsRequest(t, "")
					}
					return fabricRequest(t, inMemory(e), "")
				})
			})
		})
	}
}

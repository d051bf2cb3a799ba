package identity

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity/identitytest"
)

// oddBody does something of its own when it is read and closed.
type oddBody struct{ read, close func() }

func (b oddBody) Read([]byte) (int, error) { b.read(); return 0, io.EOF }
func (b oddBody) Close() error             { b.close(); return nil }

// recovering is a host that answers with odd bodies until it is well.
type recovering struct {
	well   atomic.Bool
	asked  atomic.Int64
	status int
	body   func(*http.Request) io.ReadCloser
	imds   *identitytest.Endpoint
}

func (h *recovering) Do(r *http.Request) (*http.Response, error) {
	if h.well.Load() {
		return h.imds.Do(r)
	}
	h.asked.Add(1)
	resp := respond(h.status, "", "Server", "IMDS/1")
	resp.Body = h.body(r)
	return resp, nil
}

// checkRecovery: when the host is well, there is a token at once.
func (h *recovering) checkRecovery(t *testing.T, cred *Credential) {
	t.Helper()
	h.well.Store(true)
	if _, took := mustToken(t, cred); took != 0 {
		t.Errorf("a token took %v after the host's recovery", took)
	}
}

// TestBodiesThatDoNotEnd: a try ends in its time whatever its answer's body does, and gives its
// place back.
func TestBodiesThatDoNotEnd(t *testing.T) {
	nothing, panics := func() {}, func() { panic("bug") }
	for name, tt := range map[string]struct {
		status      int
		read, close func() // nil doesn't end with its request, nor when it is closed
	}{
		"101, which never ends":    {101, nil, nil},
		"ignores its context":      {200, nil, nil},
		"of a refusal":             {503, nil, nil},
		"Read panics":              {200, panics, nothing},
		"Read ends its goroutine":  {200, runtime.Goexit, nothing},
		"Close panics":             {200, nothing, panics},
		"Close ends its goroutine": {200, nothing, runtime.Goexit},
		"101, and Close panics":    {101, nothing, panics},
	} {
		bubbleIn(t, name, func(t *testing.T) {
			end := make(chan struct{})
			defer close(end)
			if tt.read == nil {
				tt.read, tt.close = func() { <-end }, func() { <-end }
			}
			host := &recovering{status: tt.status, imds: identitytest.NewIMDS(nil),
				body: func(*http.Request) io.ReadCloser { return oddBody{tt.read, tt.close} }}
			cred := onIMDS(t, host, retries(policy.RetryOptions{MaxRetries: -1, TryTimeout: time.Second}))
			for _, scope := range scopesOf(3 * imdsAtOnce) {
				start := time.Now()
				if _, err := tokenFor(t.Context(), cred, scope); err == nil ||
					time.Since(start) > 2*time.Second {
					t.Errorf("got %v after %v, want an error within 2 s", err, time.Since(start))
				}
			}
			host.checkRecovery(t, cred)
		})
	}
}

// TestUpgradeIsNotRead: the body of a 101 is another protocol's. It is closed, and not a byte of it
// is read, so that the request's place is free at once.
func TestUpgradeIsNotRead(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var read, closed atomic.Int64
		host := &recovering{status: 101, imds: identitytest.NewIMDS(nil),
			body: func(r *http.Request) io.ReadCloser {
				return oddBody{func() { read.Add(1); <-r.Context().Done() }, func() { closed.Add(1) }}
			}}
		cred := onIMDS(t, host, once)
		start := time.Now()
		var all sync.WaitGroup
		for _, scope := range scopesOf(3 * imdsAtOnce) {
			all.Go(func() {
				_, err := tokenFor(t.Context(), cred, scope)
				want101(t, err)
			})
		}
		all.Wait()
		if took := time.Since(start); took != 0 {
			t.Errorf("the places were free after %v, want at once", took)
		}
		synctest.Wait()
		if asked := host.asked.Load(); read.Load() != 0 || asked == 0 || closed.Load() != asked {
			t.Errorf("of %d bodies %d were read and %d closed, want none and all", asked, read.Load(),
				closed.Load())
		}
		host.checkRecovery(t, cred)
	})
}

func want101(t *testing.T, err error) {
	t.Helper()
	var e *AuthenticationError
	if !errors.As(err, &e) || e.StatusCode != http.StatusSwitchingProtocols {
		t.Errorf("got %v, want an error about the 101", err)
	}
}

// TestSwitchingProtocols: over TCP the connection is closed, too.
func TestSwitchingProtocols(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	closed := make(chan error, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			closed <- err
			return
		}
		defer c.Close()
		_, _ = http.ReadRequest(bufio.NewReader(c))
		_, _ = io.WriteString(c,
			"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
		_, err = c.Read(make([]byte, 1))
		closed <- err
	}()
	_, err = getToken(t.Context(), credentialAt(t, environmentOf(map[string]string{
		envEndpoint: "http://" + l.Addr().String() + "/msi/token", envHeader: "secret-secret"}), nil, once))
	want101(t, err)
	if err := <-closed; !errors.Is(err, io.EOF) {
		t.Errorf("the connection ended with %v, want that it is closed", err)
	}
}

func TestBodiesAreClosed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		opened, closed := 0, 0
		cred := onIMDS(t, transportFunc(func(*http.Request) (*http.Response, error) {
			opened++
			r := respond(503, imdsError)
			if opened == 3 {
				r = respond(200, grantBody("t", time.Hour))
			}
			r.Body = struct {
				io.Reader
				io.Closer
			}{r.Body, oddBody{close: func() { closed++ }}}
			if opened == 2 {
				return r, io.ErrClosedPipe
			}
			return r, nil
		}))
		mustToken(t, cred)
		if closed != opened || opened != 3 {
			t.Errorf("%d of %d bodies were closed", closed, opened)
		}
	})
}

package identity

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity/identitytest"
)

// stubborn is a body that doesn't end with its request, nor when it is closed.
type stubborn struct{ end chan struct{} }

func (b stubborn) Read([]byte) (int, error) { <-b.end; return 0, io.EOF }
func (b stubborn) Close() error             { <-b.end; return nil }

// badBody does something else than to be read or closed.
type badBody struct{ read, close func() }

func (b badBody) Read([]byte) (int, error) { b.read(); return 0, io.EOF }
func (b badBody) Close() error             { b.close(); return nil }

// TestBodiesThatDoNotEnd: a try ends in its time whatever its answer's body does, and gives its
// place back: when the host is well, there is a token at once.
func TestBodiesThatDoNotEnd(t *testing.T) {
	nothing := func() {}
	for name, answer := range map[string]func(end chan struct{}) (int, io.ReadCloser){
		"101, which never ends":    func(end chan struct{}) (int, io.ReadCloser) { return 101, stubborn{end} },
		"ignores its context":      func(end chan struct{}) (int, io.ReadCloser) { return 200, stubborn{end} },
		"of a refusal":             func(end chan struct{}) (int, io.ReadCloser) { return 503, stubborn{end} },
		"Read panics":              func(chan struct{}) (int, io.ReadCloser) { return 200, badBody{func() { panic("bug") }, nothing} },
		"Read ends its goroutine":  func(chan struct{}) (int, io.ReadCloser) { return 200, badBody{runtime.Goexit, nothing} },
		"Close panics":             func(chan struct{}) (int, io.ReadCloser) { return 200, badBody{nothing, func() { panic("bug") }} },
		"Close ends its goroutine": func(chan struct{}) (int, io.ReadCloser) { return 200, badBody{nothing, runtime.Goexit} },
		"101, and Close panics":    func(chan struct{}) (int, io.ReadCloser) { return 101, badBody{nothing, func() { panic("bug") }} },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				end := make(chan struct{})
				defer close(end)
				var well atomic.Bool
				ep := identitytest.NewIMDS(nil)
				cred := onIMDS(t, transportFunc(func(r *http.Request) (*http.Response, error) {
					if well.Load() {
						return ep.Do(r)
					}
					resp := respond(0, "", "Server", "IMDS/1")
					resp.StatusCode, resp.Body = answer(end)
					return resp, nil
				}), retries(policy.RetryOptions{MaxRetries: -1, TryTimeout: time.Second}))
				for _, scope := range scopesOf(3 * imdsAtOnce) {
					start := time.Now()
					if _, err := cred.GetToken(t.Context(),
						policy.TokenRequestOptions{Scopes: []string{scope}}); err == nil ||
						time.Since(start) > 2*time.Second {
						t.Errorf("got %v after %v, want an error within 2 s", err,
							time.Since(start))
					}
				}
				well.Store(true)
				if _, took := mustToken(t, cred); took != 0 {
					t.Errorf("a token took %v after the host's recovery", took)
				}
			})
		})
	}
}

// TestUpgradeIsNotRead: the body of a 101 is another protocol's. It is closed, and not a byte of it is
// read, so that the request's place is free at once.
func TestUpgradeIsNotRead(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var well atomic.Bool
		var asked, read, closed atomic.Int64
		ep := identitytest.NewIMDS(nil)
		cred := onIMDS(t, transportFunc(func(r *http.Request) (*http.Response, error) {
			if well.Load() {
				return ep.Do(r)
			}
			asked.Add(1)
			resp := respond(http.StatusSwitchingProtocols, "", "Server", "IMDS/1")
			resp.Body = badBody{
				read:  func() { read.Add(1); <-r.Context().Done() },
				close: func() { closed.Add(1) },
			}
			return resp, nil
		}), retries(policy.RetryOptions{MaxRetries: -1}))
		start := time.Now()
		var all sync.WaitGroup
		for _, scope := range scopesOf(3 * imdsAtOnce) {
			all.Go(func() {
				var e *AuthenticationError
				if _, err := cred.GetToken(t.Context(),
					policy.TokenRequestOptions{Scopes: []string{scope}}); !errors.As(err, &e) ||
					e.StatusCode != http.StatusSwitchingProtocols {
					t.Errorf("got %v, want an error about the 101", err)
				}
			})
		}
		all.Wait()
		if took := time.Since(start); took != 0 {
			t.Errorf("the places were free after %v, want at once", took)
		}
		synctest.Wait()
		if read.Load() != 0 || asked.Load() == 0 || closed.Load() != asked.Load() {
			t.Errorf("of %d bodies %d were read and %d closed, want none and all", asked.Load(),
				read.Load(), closed.Load())
		}
		well.Store(true)
		if _, took := mustToken(t, cred); took != 0 {
			t.Errorf("a token took %v after the host's recovery", took)
		}
	})
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
		if _, err := http.ReadRequest(bufio.NewReader(c)); err != nil {
			closed <- err
			return
		}
		_, _ = io.WriteString(c,
			"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
		_, err = c.Read(make([]byte, 1))
		closed <- err
	}()
	env := environmentOf(map[string]string{envEndpoint: "http://" + l.Addr().String() +
		"/msi/token", envHeader: "secret-secret"})
	cred, err := newCredentialIn(newShared(),
		&CredentialOptions{ClientOptions: azcore.ClientOptions{Retry: policy.RetryOptions{MaxRetries: -1}}},
		env)
	if err != nil {
		t.Fatal(err)
	}
	var e *AuthenticationError
	if _, err := getToken(t.Context(), cred); !errors.As(err, &e) ||
		e.StatusCode != http.StatusSwitchingProtocols {
		t.Errorf("got %v, want an error about the 101", err)
	}
	if err := <-closed; !errors.Is(err, io.EOF) {
		t.Errorf("the connection ended with %v, want that it is closed", err)
	}
}

// TestHalfAnAnswerIsTriedAgain: also when the connection itself reports no error.
func TestHalfAnAnswerIsTriedAgain(t *testing.T) {
	for _, env := range []environment{nowhere(), appServiceAt()} {
		t.Run(detectIn(env).Host.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				n := 0
				mustToken(t, credentialAt(t, env, transportFunc(func(*http.Request) (*http.Response, error) {
					if n++; n < 3 {
						return respond(200, `{"access_token":"t`, "Server", "IMDS/1"), nil
					}
					return respond(200, grantBody("t", time.Hour)), nil
				})))
			})
		})
	}
}

type countingBody struct {
	io.Reader
	closed *int
}

func (b countingBody) Close() error { *b.closed++; return nil }

func TestBodiesAreClosed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		opened, closed := 0, 0
		body := func(text string) io.ReadCloser {
			opened++
			return countingBody{strings.NewReader(text), &closed}
		}
		cred := onIMDS(t, transportFunc(func(*http.Request) (*http.Response, error) {
			r := respond(503, "")
			r.Body = body(imdsError)
			switch opened {
			case 2:
				return r, io.ErrClosedPipe
			case 3:
				r.StatusCode, r.Body = 200, countingBody{strings.NewReader(grantBody("t", time.Hour)), &closed}
			}
			return r, nil
		}))
		mustToken(t, cred)
		if closed != opened || opened != 3 {
			t.Errorf("%d of %d bodies were closed", closed, opened)
		}
	})
}

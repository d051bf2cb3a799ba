package identity

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity/identitytest"
)

// countingError writes to itself in each of its methods, which the race detector notices when two
// goroutines call them.
type countingError struct {
	calls, most int // it panics after most calls, 0 for never
	inner       error
}

func (e *countingError) count() {
	if e.calls++; e.most > 0 && e.calls > e.most {
		panic("asked too often")
	}
}

func (e *countingError) Error() string { e.count(); return fmt.Sprint("call ", e.calls) }
func (e *countingError) Unwrap() error { e.count(); return e.inner }
func (e *countingError) Is(error) bool { e.count(); return false }
func (e *countingError) As(any) bool   { e.count(); return false }

// countingAddr does so as an address.
type countingAddr struct{ calls *int }

func (countingAddr) Network() string  { return "tcp" }
func (a countingAddr) String() string { *a.calls++; return fmt.Sprint("call ", *a.calls) }

// listError can't be compared.
type listError []error

func (listError) Error() string     { return "several" }
func (l listError) Unwrap() []error { return l }

// TestErrorsOfOthersAreNotShared: all who wait for one request get its error, so that no method of
// an error object that a Transport or a policy has made is called once they have it.
func TestErrorsOfOthersAreNotShared(t *testing.T) {
	for name, from := range map[string]func(error) (policy.Transporter, []policy.Policy){
		"Transport": func(err error) (policy.Transporter, []policy.Policy) {
			return transportFunc(func(*http.Request) (*http.Response, error) { return nil, err }), nil
		},
		"body": func(err error) (policy.Transporter, []policy.Policy) {
			return transportFunc(func(*http.Request) (*http.Response, error) {
				resp := respond(200, "")
				resp.Body = io.NopCloser(io.MultiReader(strings.NewReader("{"), failingReader{err}))
				return resp, nil
			}), nil
		},
		"policy": func(err error) (policy.Transporter, []policy.Policy) {
			return identitytest.NewIMDS(nil),
				[]policy.Policy{policyFunc(func(*policy.Request) (*http.Response, error) {
					return nil, err
				})}
		},
	} {
		for kind, wrap := range map[string]func(*countingError) error{
			"itself":             func(e *countingError) error { return e },
			"wrapped":            func(e *countingError) error { return fmt.Errorf("outer: %w", e) },
			"joined":             func(e *countingError) error { return errors.Join(syscall.EPIPE, e) },
			"in a standard type": func(e *countingError) error { return &net.OpError{Op: "dial", Err: e} },
			"as an address": func(e *countingError) error {
				return &net.OpError{Op: "dial", Addr: countingAddr{&e.calls}, Err: syscall.ECONNREFUSED}
			},
			"not comparable": func(e *countingError) error { return listError{e} },
		} {
			t.Run(name+"/"+kind, func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					foreign := &countingError{inner: syscall.ECONNREFUSED}
					transport, policies := from(wrap(foreign))
					cred := onIMDS(t, transport, func(o *CredentialOptions) {
						o.Retry.MaxRetries = -1
						o.PerCallPolicies = policies
					})
					use := func() {
						e, _ := mustFail(t, cred)
						if _, ok := errors.AsType[*countingError](e); ok || !errors.Is(e, syscall.ECONNREFUSED) {
							t.Errorf("errors.As finds the object of another, or errors.Is not what it wraps: %v", e)
						}
						_ = fmt.Sprintf("%v %+v %#v", e, e, e)
						for _, inner := range e.Unwrap() {
							_ = inner.Error()
						}
						if kind == "itself" && !errors.Is(e, foreign) {
							t.Error("errors.Is doesn't find the error itself")
						}
					}
					var all sync.WaitGroup
					for range 8 {
						all.Go(use)
					}
					all.Wait()
					calls := foreign.calls
					use() // in the cool-down: the same error
					if foreign.calls != calls {
						t.Errorf("a caller's use of the error has called its methods %d times", foreign.calls-calls)
					}
					time.Sleep(time.Hour)
				})
			})
		}
	}
}

// failingReader fails.
type failingReader struct{ err error }

func (r failingReader) Read([]byte) (int, error) { return 0, r.err }

// TestErrorsOfOthersThatPanic: wherever it does, all who wait get an error, and nothing goes on.
func TestErrorsOfOthersThatPanic(t *testing.T) {
	bubble(t, func(t *testing.T) {
		for most := range 60 {
			cred := onIMDS(t, transportFunc(func(*http.Request) (*http.Response, error) {
				time.Sleep(time.Second)
				return nil, &countingError{most: most + 1}
			}), func(o *CredentialOptions) { o.Retry.MaxRetries = -1 })
			var all sync.WaitGroup
			for range 3 {
				all.Go(func() { _, _ = mustFail(t, cred) })
			}
			all.Wait()
			synctest.Wait()
			if n := inFlight(cred); n != 0 {
				t.Fatalf("%d flights are under way for ever", n)
			}
		}
	})
}

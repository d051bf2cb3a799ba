package identity

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/iotest"
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

// TestErrorsOfOthersAreNotShared: all who wait for one request get its error, so that no method of
// an error object that a Transport or a policy has made is called once they have it.
func TestErrorsOfOthersAreNotShared(t *testing.T) {
	for name, fail := range map[string]func(*CredentialOptions, error){
		"Transport": func(o *CredentialOptions, err error) {
			o.Transport = transportFunc(func(*http.Request) (*http.Response, error) { return nil, err })
		},
		"body": func(o *CredentialOptions, err error) {
			o.Transport = transportFunc(func(*http.Request) (*http.Response, error) {
				resp := respond(200, "")
				resp.Body = io.NopCloser(io.MultiReader(strings.NewReader("{"), iotest.ErrReader(err)))
				return resp, nil
			})
		},
		"policy": func(o *CredentialOptions, err error) {
			o.PerCallPolicies = []policy.Policy{
				policyFunc(func(*policy.Request) (*http.Response, error) { return nil, err }),
			}
		},
	} {
		bubbleIn(t, name, func(t *testing.T) {
			object := &countingError{inner: syscall.ECONNREFUSED}
			cred := onIMDS(t, identitytest.NewIMDS(nil), func(o *CredentialOptions) {
				o.Retry.MaxRetries = -1
				fail(o, object)
			})
			use := func() {
				e, _ := mustFail(t, cred)
				_ = fmt.Sprintf("%v %+v %#v", e, e, e)
				if _, ok := errors.AsType[*countingError](e); ok || !errors.Is(e, object) ||
					!errors.Is(e, syscall.ECONNREFUSED) {
					t.Errorf("errors.As finds the object, or errors.Is not what it wraps: %v", e)
				}
			}
			var all sync.WaitGroup
			for range 8 {
				all.Go(use)
			}
			all.Wait()
			calls := object.calls
			use() // in the cool-down: the same error
			if now := object.calls; now != calls {
				t.Errorf("a caller's use of the error has called its methods %d times", now-calls)
			}
		})
	}
}

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

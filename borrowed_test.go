package identity

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptrace"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/tracing"
	"github.com/keyless-go/identity/identitytest"
	"github.com/keyless-go/identity/internal/failure"
)

// recycled is a context as web frameworks have them: once its request is done, it is the next
// one's. Its fields are not synchronised, so that the race detector sees a late call, too.
type recycled struct {
	context.Context
	done bool
	late int
}

func (c *recycled) Value(key any) any {
	c.note()
	return c.Context.Value(key)
}

func (c *recycled) Err() error                  { c.note(); return c.Context.Err() }
func (c *recycled) Deadline() (time.Time, bool) { c.note(); return c.Context.Deadline() }
func (c *recycled) Done() <-chan struct{}       { c.note(); return c.Context.Done() }
func (c *recycled) note() {
	if c.done {
		c.late++
	}
}

// TestContextsOfCallersWhoHaveLeft: no method of a caller's context, nor a hook in it, is called
// after the caller has left, however long the request goes on.
func TestContextsOfCallersWhoHaveLeft(t *testing.T) {
	type parent struct{}
	provider := tracing.NewProvider(func(string, string) tracing.Tracer {
		return tracing.NewTracer(func(ctx context.Context, name string,
			_ *tracing.SpanOptions) (context.Context, tracing.Span) {
			_, _ = ctx.Value(parent{}), ctx.Value(name) // another one for each request
			return context.WithValue(ctx, parent{}, name), tracing.Span{}
		}, nil)
	}, nil)
	for name, options := range map[string]func(*CredentialOptions){
		"plain":  func(*CredentialOptions) {},
		"traced": func(o *CredentialOptions) { o.TracingProvider = provider },
		"a policy that asks for values": func(o *CredentialOptions) {
			o.PerRetryPolicies = []policy.Policy{policyFunc(func(r *policy.Request) (*http.Response, error) {
				_ = r.Raw().Context().Value(parent{})
				_ = r.Raw().Context().Value([]int{}) // which can't be the key of a map
				return r.Next()
			})}
		},
	} {
		for _, forced := range []bool{false, true} {
			bubbleIn(t, name, func(t *testing.T) {
				dials, asked := 0, 0
				cred := onIMDS(t, transportFunc(func(r *http.Request) (*http.Response, error) {
					asked++
					// As net does it: its own hooks are under a key of its own.
					_, err := (&net.Dialer{}).DialContext(r.Context(), "unix", "/nonexistent/socket")
					if trace := httptrace.ContextClientTrace(r.Context()); trace != nil &&
						trace.ConnectStart != nil {
						trace.ConnectStart("", "")
					}
					return nil, err
				}), options, func(o *CredentialOptions) { o.Retry.MaxRetries = 10 })
				inner, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
				defer cancel()
				inner = httptrace.WithClientTrace(inner, &httptrace.ClientTrace{
					ConnectStart: func(string, string) { dials++ },
					GetConn:      func(string) { dials++ },
					DNSStart:     func(httptrace.DNSStartInfo) { dials++ },
				})
				ctx := &recycled{Context: inner}
				var claims string
				if forced {
					claims = "{}"
				}
				_, err := cred.GetToken(ctx,
					policy.TokenRequestOptions{Scopes: []string{vaultScope}, Claims: claims})
				if !errors.Is(err, context.DeadlineExceeded) {
					t.Fatalf("got %v, want the caller's deadline", err)
				}
				ctx.done = true
				time.Sleep(time.Minute)
				synctest.Wait()
				if asked < 2 || ctx.late != 0 || dials != 0 {
					t.Errorf("%d requests; the context was asked %d times after its caller had left, its "+
						"hooks were called %d times, want neither",
						asked, ctx.late, dials)
				}
			})
		}
	}
}

// TestProbeOfCallersWhoHaveLeft: as above, of the default credential's probe.
func TestProbeOfCallersWhoHaveLeft(t *testing.T) {
	bubble(t, func(t *testing.T) {
		chain, err := newDefaultCredential(newShared(),
			&DefaultCredentialOptions{ClientOptions: azcore.ClientOptions{
				Transport: transportFunc(func(r *http.Request) (*http.Response, error) {
					<-r.Context().Done()
					time.Sleep(time.Second) // somewhat late
					_ = r.Context().Value("key")
					return nil, r.Context().Err()
				}),
			}}, nowhere())
		if err != nil {
			t.Fatal(err)
		}
		inner, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		ctx := &recycled{Context: inner}
		if _, err := getToken(ctx, firstSource(chain)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the caller's deadline", err)
		}
		ctx.done = true
		time.Sleep(time.Minute)
		synctest.Wait()
		if ctx.late != 0 {
			t.Errorf("the context was asked %d times after its caller had left", ctx.late)
		}
	})
}

// TestSpanOfTheCaller: a tracer gets what it wants of the caller's context, also the span of an
// HTTP request that is sent after the caller has left, and nothing of it in a renewal.
func TestSpanOfTheCaller(t *testing.T) {
	bubble(t, func(t *testing.T) {
		type span struct{}
		type baggage struct{}
		var spans []string
		provider := tracing.NewProvider(func(string, string) tracing.Tracer {
			return tracing.NewTracer(func(ctx context.Context, name string,
				_ *tracing.SpanOptions) (context.Context, tracing.Span) {
				above, _ := ctx.Value(span{}).(string)
				with, _ := ctx.Value(baggage{}).(string)
				spans = append(spans, above+" > "+name+" "+with)
				return context.WithValue(ctx, span{}, name), tracing.Span{}
			}, nil)
		}, nil)
		ep := identitytest.NewIMDS(nil)
		cred := onIMDS(t, ep, func(o *CredentialOptions) { o.TracingProvider = provider })
		ep.Enqueue(identitytest.Response{Status: 503, For: time.Second})
		ctx, cancel := context.WithTimeout(context.WithValue(context.WithValue(t.Context(), span{},
			"caller"), baggage{}, "b"), time.Millisecond)
		defer cancel()
		_, _ = getToken(ctx, cred)
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(spans) < 3 || spans[0] != "caller > Credential.GetToken b" ||
			spans[len(spans)-1] != "Credential.GetToken > HTTP GET b" {
			t.Errorf("spans %q, want the acquisition's below the caller's, and the requests' below that",
				spans)
		}
		spans = nil
		time.Sleep(14 * time.Hour)
		if _, err := getToken(context.WithValue(t.Context(), span{}, "caller"), cred); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if len(spans) != 2 || spans[0] != " > Credential.GetToken " {
			t.Errorf("spans of a renewal %q, want one that is nobody's", spans)
		}
	})
}

// TestBadTracers: a tracer that panics, or ends its goroutine, loses a span and nothing else,
// wherever it does.
func TestBadTracers(t *testing.T) {
	for how, bad := range badThings {
		for _, where := range []string{"NewTracer", "Start", "nil context", "End", "SetAttributes",
			"SetStatus", "AddEvent"} {
			bubbleIn(t, where+" "+how, func(t *testing.T) {
				var made, spans atomic.Int64
				wicked := true
				at := func(here string) {
					if wicked && here == where {
						bad()
					}
				}
				provider := tracing.NewProvider(func(string, string) tracing.Tracer {
					made.Add(1)
					at("NewTracer")
					return tracing.NewTracer(func(ctx context.Context, _ string,
						_ *tracing.SpanOptions) (context.Context, tracing.Span) {
						at("Start")
						spans.Add(1)
						if wicked && where == "nil context" {
							ctx = nil
						}
						return ctx, tracing.NewSpan(tracing.SpanImpl{
							End:           func() { at("End") },
							SetAttributes: func(...tracing.Attribute) { at("SetAttributes") },
							SetStatus:     func(tracing.SpanStatus, string) { at("SetStatus") },
							AddEvent:      func(string, ...tracing.Attribute) { at("AddEvent") },
						})
					}, nil)
				}, nil)
				ep := identitytest.NewIMDS(nil)
				ep.Enqueue(identitytest.Response{Status: 500})
				cred := onIMDS(t, ep, func(o *CredentialOptions) { o.TracingProvider = provider })
				mustToken(t, cred)
				synctest.Wait()
				wicked = false
				spans.Store(0)
				time.Sleep(14 * time.Hour)
				mustToken(t, cred)
				synctest.Wait()
				if spans.Load() == 0 {
					t.Errorf("no spans after the tracer has recovered, %d tracers were made", made.Load())
				}
			})
		}
	}
}

// ctxOf is a context whose methods are given.
type ctxOf struct {
	context.Context
	err func() error
}

func (c ctxOf) Err() error { return c.err() }

// slowCause is an error whose text takes a lock of the application's. It is a channel with room for
// one, because a bubble's time stands still while a goroutine waits for a sync.Mutex.
type slowCause struct{ lock chan struct{} }

func (e slowCause) Error() string {
	e.lock <- struct{}{}
	defer func() { <-e.lock }()
	return "shutting down"
}

// TestNoUserCodeUnderTheLock: what a caller's context does when it is asked, or the cause that it
// has ended of, holds up nobody else, and the caller for no longer than it takes itself.
func TestNoUserCodeUnderTheLock(t *testing.T) {
	for name, ctxWith := range map[string]func(lock chan struct{}) context.Context{
		"cause": func(lock chan struct{}) context.Context {
			ctx, cancel := context.WithCancelCause(context.Background())
			cancel(slowCause{lock})
			return ctx
		},
		"Err": func(lock chan struct{}) context.Context {
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			return ctxOf{ctx, func() error {
				_ = slowCause{lock}.Error()
				return context.Canceled
			}}
		},
	} {
		for _, claims := range []string{"", "{}"} {
			bubbleIn(t, name+claims, func(t *testing.T) {
				cred := onIMDS(t, identitytest.NewIMDS(nil))
				lock := make(chan struct{}, 1)
				ctx := ctxWith(lock)
				lock <- struct{}{} // the application holds it
				go func() {
					_, _ = cred.GetToken(ctx,
						policy.TokenRequestOptions{Scopes: []string{"https://other/.default"}, Claims: claims})
				}()
				synctest.Wait()
				done := make(chan struct{})
				go func() {
					defer close(done)
					mustToken(t, cred)
					_ = cred.Status()
				}()
				synctest.Wait()
				select {
				case <-done:
				default:
					t.Error("GetToken waits for a lock that another caller's context wants")
				}
				<-lock
				<-done
			})
		}
	}
}

// TestPanicsThatCannotBePrinted: what is panicked with has methods, too. A Transport may also end
// its goroutine.
func TestPanicsThatCannotBePrinted(t *testing.T) {
	bubble(t, func(t *testing.T) {
		for _, value := range []error{panicking{}, endingError{}, nil} {
			cred := onIMDS(t, transportFunc(func(*http.Request) (*http.Response, error) {
				if value == nil {
					runtime.Goexit()
				}
				panic(value)
			}))
			if e, took := mustFail(t, cred); !errors.Is(e, failure.ErrAborted) || took != 0 {
				t.Errorf("got %v after %v, want that the Transport has panicked", e, took)
			}
			synctest.Wait()
			if n := inFlight(cred); n != 0 {
				t.Errorf("%d flights are under way for ever", n)
			}
			mustFail(t, onIMDS(t, transportFunc(func(*http.Request) (*http.Response, error) {
				return nil, value
			})))
		}
	})
}

// endingError ends the goroutine of whoever prints it.
type endingError struct{}

func (endingError) Error() string { runtime.Goexit(); return "" }

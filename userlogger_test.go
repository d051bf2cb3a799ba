package identity

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/keyless-go/identity/identitytest"
	"github.com/keyless-go/identity/internal/usercode"
)

// badHandler is a slog.Handler of which one method does something bad for as long as bad is not
// nil. Otherwise it writes text.
type badHandler struct {
	slog.Handler
	state  *badState
	method string
}

type badState struct {
	mu  sync.Mutex
	bad func()
	log bytes.Buffer
}

func (s *badState) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.Write(p)
}

func (s *badState) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.String()
}

func (s *badState) turn(bad func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bad = bad
}

func (h badHandler) meet(method string) {
	h.state.mu.Lock()
	bad := h.state.bad
	h.state.mu.Unlock()
	if bad != nil && method == h.method {
		bad()
	}
}

func (h badHandler) Enabled(ctx context.Context, level slog.Level) bool {
	h.meet("Enabled")
	return h.Handler.Enabled(ctx, level)
}

func (h badHandler) Handle(ctx context.Context, r slog.Record) error {
	h.meet("Handle")
	return h.Handler.Handle(ctx, r)
}

func (h badHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	h.meet("WithAttrs")
	return badHandler{h.Handler.WithAttrs(attrs), h.state, h.method}
}

func (h badHandler) WithGroup(name string) slog.Handler {
	h.meet("WithGroup")
	return badHandler{h.Handler.WithGroup(name), h.state, h.method}
}

// badThings are what code of the user's may do instead of returning.
var badThings = map[string]func(){
	"panics":              func() { panic("a bug") },
	"ends its goroutine":  runtime.Goexit,
	"panics with a panic": func() { panic(panicking{}) },
}

// TestBadLogHandlers: a handler that panics or ends its goroutine loses the line and nothing else,
// whoever logs. A panic that got through would end this test's process.
func TestBadLogHandlers(t *testing.T) {
	away := &scripted{err: errAway}
	for name, credential := range map[string]func(t *testing.T, log *slog.Logger,
		ep *identitytest.Endpoint) azcore.TokenCredential{
		"credential": func(t *testing.T, log *slog.Logger,
			ep *identitytest.Endpoint) azcore.TokenCredential {
			return onIMDS(t, ep, func(o *CredentialOptions) { o.Logger, o.ID = log, ClientID("id") })
		},
		"chain": func(t *testing.T, log *slog.Logger, ep *identitytest.Endpoint) azcore.TokenCredential {
			return mustChain(t, &ChainOptions{Logger: log}, away, onIMDS(t, ep))
		},
		"default credential": func(t *testing.T, log *slog.Logger,
			ep *identitytest.Endpoint) azcore.TokenCredential {
			return must(newDefaultCredential(newShared(),
				&DefaultCredentialOptions{Logger: log,
					ClientOptions: azcore.ClientOptions{Transport: ep}}, nowhere()))(t)
		},
		"Azure CLI": func(t *testing.T, log *slog.Logger,
			ep *identitytest.Endpoint) azcore.TokenCredential {
			return must(newAzureCLI(newShared(), &AzureCLICredentialOptions{Logger: log,
				TenantID: homeTenant}, granting(azSays).env()))(t)
		},
	} {
		for _, method := range []string{"Enabled", "Handle", "WithAttrs"} {
			for how, bad := range badThings {
				t.Run(name+"/"+method+" "+how, func(t *testing.T) {
					bubble(t, func(t *testing.T) {
						state := &badState{bad: bad}
						log := slog.New(badHandler{slog.NewTextHandler(state,
							&slog.HandlerOptions{Level: slog.LevelDebug}), state, method})
						if method == "WithAttrs" {
							// until the chain, which has no attributes of its own, is made
							state.turn(nil)
						}
						ep := identitytest.NewIMDS(&identitytest.Options{Identities: []identitytest.Identity{{ClientID: "id"}}})
						cred := credential(t, log, ep)
						state.turn(bad)
						mustToken(t, cred)
						synctest.Wait()
						if text := state.text(); method != "WithAttrs" && text != "" {
							t.Errorf("the log has %q, want nothing", text)
						}
						state.turn(nil)
						ep.Enqueue(identitytest.Response{Status: 400, For: time.Minute})
						_, _ = challenged(t.Context(), cred)
						synctest.Wait()
						if text := state.text(); name == "credential" &&
							!strings.Contains(text, "token renewal failed") {
							t.Errorf("the log has %q after the handler has recovered, want the failure",
								text)
						}
					})
				})
			}
		}
	}
}

// panicking is a value of which each method panics that somebody may call who prints it.
type panicking struct{}

func (panicking) Error() string    { panic("Error") }
func (panicking) String() string   { panic("String") }
func (panicking) Unwrap() error    { panic("Unwrap") }
func (panicking) Is(error) bool    { panic("Is") }
func (panicking) As(any) bool      { panic("As") }
func (panicking) GoString() string { runtime.Goexit(); return "" }

// TestLoggersThatAreNone: a Logger without a handler, and a handler that makes none.
func TestLoggersThatAreNone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		for _, log := range []*slog.Logger{{}, slog.New(barren{slog.DiscardHandler})} {
			mustToken(t, onIMDS(t, identitytest.NewIMDS(nil), func(o *CredentialOptions) { o.Logger = log }))
			mustToken(t, mustChain(t, &ChainOptions{Logger: log}, &scripted{err: errAway},
				onIMDS(t, identitytest.NewIMDS(nil))))
		}
		log := usercode.Logger(slog.New(barren{slog.DiscardHandler})).WithGroup("g").With("a", 1)
		log.Info("lost")
		log.Error("lost", "error", errors.New("x"))
	})
}

// barren makes no handlers.
type barren struct{ slog.Handler }

func (barren) WithAttrs([]slog.Attr) slog.Handler { return nil }
func (barren) WithGroup(string) slog.Handler      { return nil }

package identity

import (
	"context"
	"log/slog"
	"runtime"
	"testing"
	"testing/synctest"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/keyless-go/identity/identitytest"
)

// badThings are what code of the user's may do instead of returning.
var badThings = map[string]func(){
	"panics":              func() { panic("a bug") },
	"ends its goroutine":  runtime.Goexit,
	"panics with a panic": func() { panic(panicking{}) },
}

// badHandler is a slog.Handler that does that whatever it is asked.
type badHandler struct{ bad func() }

func (h badHandler) Enabled(context.Context, slog.Level) bool  { h.bad(); return true }
func (h badHandler) Handle(context.Context, slog.Record) error { h.bad(); return nil }
func (h badHandler) WithAttrs([]slog.Attr) slog.Handler        { h.bad(); return h }
func (h badHandler) WithGroup(string) slog.Handler             { h.bad(); return h }

// TestBadLogHandlers: no Logger of a user's is called but by internal/usercode, which loses the
// line and nothing else. A panic that got through would end this test's process.
func TestBadLogHandlers(t *testing.T) {
	for how, bad := range badThings {
		bubbleIn(t, how, func(t *testing.T) {
			log := slog.New(badHandler{bad})
			ep := identitytest.NewIMDS(&identitytest.Options{
				Identities: []identitytest.Identity{{ClientID: "id"}}})
			cred := onIMDS(t, ep, withID(ClientID("id")), func(o *CredentialOptions) { o.Logger = log })
			for _, cred := range []azcore.TokenCredential{
				cred,
				mustChain(t, &ChainOptions{Logger: log}, &scripted{err: errAway}, onIMDS(t, ep)),
				must(newDefaultCredential(newShared(), &DefaultCredentialOptions{Logger: log,
					ClientOptions: optionsWith(ep)}, nowhere()))(t),
				must(newAzureCLI(newShared(), &AzureCLICredentialOptions{Logger: log,
					TenantID: homeTenant}, granting(azSays).env()))(t),
			} {
				mustToken(t, cred)
				synctest.Wait()
				ep.Enqueue(identitytest.Response{Status: 400})
				_, _ = challenged(t.Context(), cred)
				synctest.Wait()
			}
		})
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

package identity

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/tracing"
)

// asker is one of the ways in which callers of a world ask for a token.
type asker struct {
	name    string
	get     func(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error)
	refresh func(context.Context, string) (azcore.AccessToken, bool, error) // nil for none
	ready   func(context.Context, ...string) error
	budget  time.Duration // for which a call takes at the longest, and overtime
	// it has the default options, so that it has a token within a minute of the host's recovery
	usual bool
}

func askerOf(name string, c *Credential, usual bool) asker {
	return asker{name: name, get: c.GetToken, refresh: c.Refresh, ready: c.Ready,
		budget: c.hosted.budget(context.Background()), usual: usual}
}

// theOther is the credential that shares the tokens. In the books the first one has no name.
const theOther = "the other credential"

// anothersRetry is what another library in the process may have set for its credential of the same
// identity.
var anothersRetry = []policy.RetryOptions{
	{MaxRetries: -1},
	{MaxRetries: 1, TryTimeout: 5 * time.Second, RetryDelay: time.Second},
	{TryTimeout: 2 * time.Minute},
	{MaxRetries: 100, RetryDelay: 20 * time.Second},
}

// people draws who asks: the credential itself, through a chain whose first source is never here,
// and, on a third of all hosts, another credential that shares its tokens.
func (w *world) people(t *testing.T, adjust func(*CredentialOptions)) []asker {
	usual := askerOf("the credential", w.cred, true)
	options := &ChainOptions{}
	if w.fragile {
		options.Logger = slog.New(&fragileHandler{})
		options.ContinueOn = func(error) bool { panic("a fault of the user's ContinueOn") }
	}
	chain, err := NewChain([]azcore.TokenCredential{absent{}, w.cred}, options)
	if err != nil {
		t.Fatal(err)
	}
	people := []asker{usual, usual, usual, {name: "the chain", get: chain.GetToken,
		ready: chain.Ready, budget: usual.budget, usual: true}}
	if w.random.IntN(3) == 0 {
		w.shared = true
		o := anothersRetry[w.random.IntN(len(anothersRetry))]
		w.count(fmt.Sprintf("credentials beside one with MaxRetries %d, RetryDelay %v, TryTimeout %v",
			o.MaxRetries, o.RetryDelay, o.TryTimeout))
		other := w.credential(t, theOther, sharedOf(w.cred), adjust,
			func(c *CredentialOptions) { c.Retry = o })
		other.tokens = w.cred.tokens // policies or not
		people = append(people, askerOf(theOther, other, false))
	}
	return people
}

// absent is a source that is never here.
type absent struct{}

func (absent) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{}, fmt.Errorf("not here: %w", ErrUnavailable)
}

// credential makes one whose requests reach the world. Service Fabric's transport has to be pinned
// to a certificate: there the fake's own is the transport, and a policy answers before it.
func (w *world) credential(
	t *testing.T, name string, shared *shared, adjust ...func(*CredentialOptions),
) *Credential {
	t.Helper()
	door := door{w, name}
	var transport policy.Transporter = door
	if w.viaPolicy {
		transport = w.fake.Client()
	}
	options := &CredentialOptions{ClientOptions: azcore.ClientOptions{Transport: transport,
		PerRetryPolicies: []policy.Policy{policyFunc(door.policy)}}}
	for _, f := range adjust {
		f(options)
	}
	cred, err := newCredentialIn(shared, options, w.env.environment())
	if err != nil {
		t.Fatal(err)
	}
	cred.source = watched{cred.source, w}
	return cred
}

// policy is the user's: it panics when that is what the host's users suffer from.
func (d door) policy(r *policy.Request) (*http.Response, error) {
	d.mu.Lock()
	ill := d.ailment == "policy panics"
	if ill {
		d.count("panics of a policy")
	}
	d.mu.Unlock()
	switch {
	case ill:
		panic("a fault of the user's policy")
	case d.viaPolicy:
		return d.Do(r.Raw())
	}
	return r.Next()
}

// fragileHandler is a slog.Handler that panics at each third record.
type fragileHandler struct{ records atomic.Int64 }

func (h *fragileHandler) Enabled(context.Context, slog.Level) bool { return true }

func (h *fragileHandler) Handle(context.Context, slog.Record) error {
	if h.records.Add(1)%3 == 0 {
		panic(errors.New("a fault of the user's handler"))
	}
	return nil
}

func (h *fragileHandler) WithAttrs([]slog.Attr) slog.Handler { return h }
func (h *fragileHandler) WithGroup(string) slog.Handler      { return h }

// fragileTracing panics now when a tracer is made, now when a span begins, and now when it ends.
func fragileTracing() tracing.Provider {
	var calls atomic.Int64
	now := func() {
		if calls.Add(1)%5 == 0 {
			panic("a fault of the user's tracer")
		}
	}
	return tracing.NewProvider(func(string, string) tracing.Tracer {
		now()
		return tracing.NewTracer(func(ctx context.Context, _ string,
			_ *tracing.SpanOptions) (context.Context, tracing.Span) {
			now()
			return ctx, tracing.NewSpan(tracing.SpanImpl{End: now})
		}, nil)
	}, nil)
}

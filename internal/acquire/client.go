package acquire

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/keyless-go/identity/internal/failure"
	"github.com/keyless-go/identity/internal/token"
	"github.com/keyless-go/identity/internal/transport"
	"github.com/keyless-go/identity/internal/usercode"
)

// Client asks one host for tokens: it is the only way a request is sent, an answer read and a
// failure judged.
type Client struct {
	host     Host
	endpoint string // the host's at construction
	node     *Node
	rules    Rules
	options  policy.ClientOptions

	// The pipeline is built by the first request: many services make a credential per request, and
	// a warm cache needs none.
	build    sync.Once
	built    *azcore.Client
	buildErr error
}

// Module name and version, as azcore's User-Agent and tracing show them.
const (
	moduleName = "github.com/keyless-go/identity"
	version    = "v0.1.0"
)

// New makes a client. An error begins with the name of the field of options that it is about.
func New(h Host, options policy.ClientOptions, n *Node) (*Client, error) {
	c := &Client{host: h, endpoint: h.Endpoint(), node: n, rules: h.Rules()}
	var err error
	if c.rules.Rules, err = c.rules.With(options.Retry); err != nil {
		return nil, fmt.Errorf("Retry.%w", err)
	}
	if own, ok := options.Transport.(*http.Client); ok && own == nil {
		//lint:ignore ST1005 it begins with the name of a field
		return nil, errors.New("Transport: nil *http.Client: leave Transport nil for the default")
	}
	own := options.Transport
	if h, ok := h.(Connects); ok {
		if own, err = h.Connect(own); err != nil {
			//lint:ignore ST1005 it begins with the name of a field
			return nil, fmt.Errorf("Transport: %w", err)
		}
	}
	c.options = transport.Options(options, own)
	c.options.Transport = placed{c.options.Transport, n}
	return c, nil
}

// Rules are the host's, with the user's options on top.
func (c *Client) Rules() Rules { return c.rules }

// Budget is how long an acquisition takes at the longest.
func (c *Client) Budget() time.Duration { return c.rules.Preparation + c.rules.Budget }

func (c *Client) pipeline() (*azcore.Client, error) {
	c.build.Do(func() {
		c.built, c.buildErr = azcore.NewClient(moduleName, version, runtime.PipelineOptions{
			PerRetry: []policy.Policy{tries{}},
			Tracing:  runtime.TracingOptions{Namespace: "Microsoft.Entra"},
		}, &c.options)
	})
	return c.built, c.buildErr
}

// Begin takes what an acquisition needs of the context of the caller that starts it, in that
// caller's goroutine. A tracer finds the parent of the acquisition's span in that context, and
// whatever else it wants to know of it. The context that Begin returns doesn't end, and calls no
// method of the caller's any more. The function ends the span.
func (c *Client) Begin(ctx context.Context) (context.Context, func(error)) {
	client, err := c.pipeline()
	if err != nil || !client.Tracer().Enabled() {
		return context.Background(), func(error) {}
	}
	b := usercode.Borrow(ctx)
	defer b.GiveBack()
	return runtime.StartSpan(b, "Credential.GetToken", client.Tracer(), nil)
}

// Acquire asks the host for a token until it has one, a failure is final, or the budget is spent,
// which is the longest that it blocks, with the host's Preparation: IMDS 75 s, other hosts 30 s,
// unless the options for retries say otherwise. ctx is Begin's. A failure has no more to do with
// the Client.
func (c *Client) Acquire(
	ctx context.Context, r Request, p Progress,
) (t token.Token, f *failure.Failure) {
	ctx, cancel := context.WithTimeout(ctx, c.Budget())
	defer cancel()
	pipeline, err := c.pipeline()
	a := &acquisition{
		inquiry: inquiry{host: c.host, node: c.node, retries: c.rules.Retries, request: r,
			endpoint: c.endpoint},
		course: course{rules: c.rules, progress: p, start: time.Now()},
	}
	defer func() {
		// In the user's Transport or policy: net/http, too, would not let it end the program.
		if p := recover(); p != nil {
			t, f = token.Token{}, a.panicked(p)
		}
	}()
	if err != nil {
		f := a.failure(err)
		f.Verdict = failure.Later // says nothing of the host
		return token.Token{}, f
	}
	if f := a.acquire(ctx, pipeline); !a.granted {
		return token.Token{}, f
	}
	return a.token, nil
}

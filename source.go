package identity

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
)

// source is what is particular to a host. A host is one small file that implements it; sending, reading, retrying and
// caching stand once, for all of them.
type source interface {
	host() Host
	endpoint() string                         // for messages and cache keys: no query, no secret
	identity() ID                             // nil for the host's default
	request(resource string) (request, error) // what to send; read anew for each try, because hosts rotate secrets
	recognises(a answer) bool                 // is this the host's own answer, or that of something in its place?
	notAssigned(status int, f fault) bool     // does it refuse the identity?
	hint(status int, f fault) string          // what to check after an answer that is an error; "" for nothing in particular
	rules() rules                             // when to try again
}

// request is one token request, as plain data that a test can compare.
type request struct {
	method string
	url    *url.URL
	header http.Header
	secret string // the part of header that must not be seen anywhere; "" for none
}

// answer is one response, wholly read.
type answer struct {
	status int
	header http.Header
	body   []byte
	raw    *http.Response
}

// validateSecret refuses what can't be sent in a header, without repeating it.
func validateSecret(variable, value string) error {
	switch {
	case value == "":
		return errors.New("identity: " + variable + ": is empty")
	case strings.ContainsFunc(value, unicode.IsControl):
		return errors.New("identity: " + variable + ": contains a control character")
	}
	return nil
}

// sender acquires tokens from a source: it is the only way a request is sent, an answer read and a failure judged.
type sender struct {
	source  source
	node    *node
	rules   rules
	log     *slog.Logger
	options policy.ClientOptions
	// client is built by the first request: many services make a credential per request, and a warm cache needs none.
	client func() (*azcore.Client, error)
}

// Module name and version, as azcore's User-Agent and tracing show them.
const (
	moduleName = "github.com/keyless-go/identity"
	version    = "v0.1.0"
)

func newSender(src source, options *CredentialOptions, n *node) (*sender, error) {
	r, err := src.rules().with(options.Retry)
	if err != nil {
		return nil, err
	}
	if client, ok := options.Transport.(*http.Client); ok && client == nil {
		return nil, errors.New("identity: CredentialOptions.Transport: nil *http.Client: leave Transport nil for the default")
	}
	s := &sender{source: src, node: n, rules: r, log: options.Logger, options: pipelineOptions(options.ClientOptions)}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.client = sync.OnceValues(func() (*azcore.Client, error) {
		return azcore.NewClient(moduleName, version, runtime.PipelineOptions{
			PerRetry: []policy.Policy{retryPolicy{}},
			Tracing:  runtime.TracingOptions{Namespace: "Microsoft.Entra"},
		}, &s.options)
	})
	return s, nil
}

// budget implements acquirer.
func (s *sender) budget() time.Duration { return s.rules.budget }

// logger implements acquirer.
func (s *sender) logger() *slog.Logger {
	log := s.log.With("host", string(s.source.host()), "endpoint", s.source.endpoint())
	if id := s.source.identity(); id != nil {
		log = log.With("identity", describeID(id))
	}
	return log
}

// acquire implements acquirer. It asks the host for a token until it has one, a failure is final, or the budget is spent,
// which is the longest it blocks: IMDS 75 s, other hosts 30 s, unless CredentialOptions.Retry says otherwise. report
// receives the failure of each try.
func (s *sender) acquire(ctx context.Context, resource string, report func(error)) (g grant, err error) {
	ctx, cancel := context.WithTimeout(ownValues{ctx}, s.rules.budget)
	defer cancel()
	client, err := s.client()
	if err != nil {
		return grant{}, err
	}
	ctx, end := runtime.StartSpan(ctx, "Credential.GetToken", client.Tracer(), nil)
	defer func() { end(err) }()

	t := &trial{sender: s, resource: resource, endpoint: s.source.endpoint(), start: time.Now(), report: report}
	first, err := s.source.request(resource)
	if err != nil {
		return grant{}, t.failure(err).AuthenticationError
	}
	t.firstURL = first.url.String()
	req, err := runtime.NewRequest(ctx, first.method, t.firstURL)
	if err != nil {
		return grant{}, t.failure(errors.New("can't make a request of the endpoint's URL")).AuthenticationError
	}
	first.apply(req)
	req.SetOperationValue(t)
	resp, err := client.Pipeline().Do(req)
	if err == nil && resp != nil && !t.granted && t.last == nil { // a policy of the user's answered by itself
		t.last = t.judge(resp, first.secret)
	}
	switch {
	case t.granted:
		return t.grant, nil
	case t.last == nil && err == nil:
		return grant{}, t.failure(errors.New("a policy in CredentialOptions returned neither a response nor an error")).AuthenticationError
	case t.last == nil: // a policy of the user's refused before the first try
		f := t.failure(errors.New("a policy in CredentialOptions failed: " + t.plain(err, first.secret)))
		f.cause = t.cause(err, first.secret)
		return grant{}, f.AuthenticationError
	}
	return grant{}, t.final()
}

// apply writes the host's headers into a pipeline's request.
func (r request) apply(req *policy.Request) {
	if req.Raw().Header == nil { // a policy of the user's did that
		req.Raw().Header = http.Header{}
	}
	for name, values := range r.header {
		req.Raw().Header[name] = values
	}
}

// send is one try. The place is held while the request is under way, not while waiting for the next one.
func (t *trial) send(req *policy.Request, timeout time.Duration) (*http.Response, *failure) {
	s := t.sender
	ctx := req.Raw().Context()
	t.tried = time.Since(t.start)
	if f := t.enter(ctx); f != nil {
		return nil, f
	}
	defer s.node.slots.Release(1) // deferred, because a Transport may end this goroutine
	r, err := s.source.request(t.resource)
	if err != nil {
		return nil, t.failure(err)
	}
	t.endpoint = displayURL(r.url.String())
	tryCtx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel() // the body has been read
	var connecting atomic.Bool
	try := req.Clone(httptrace.WithClientTrace(tryCtx, &httptrace.ClientTrace{
		GetConn: func(string) { connecting.Store(true) },
		GotConn: func(httptrace.GotConnInfo) { connecting.Store(false) },
	}))
	if left := s.rules.unanswered - time.Since(t.start); t.unanswered() && left < timeout {
		// A Transport of the user's may try to connect for ever. One that has connected gets the full time.
		defer time.AfterFunc(left, func() {
			if connecting.Load() {
				cancel()
			}
		}).Stop()
	}
	if r.url.String() != t.firstURL { // the platform has moved the endpoint since
		try.Raw().URL = r.url
		try.Raw().Host = ""
	}
	r.apply(try)
	t.attempts++
	resp, err := try.Next()
	switch {
	case err != nil:
		timedOut := tryCtx.Err() != nil && !connecting.Load() // slow; otherwise nobody is there
		return nil, t.silence(err, r.secret, timedOut, timeout)
	case resp == nil:
		return nil, t.failure(errors.New("a policy in CredentialOptions returned neither a response nor an error"))
	}
	return resp, t.judge(resp, r.secret)
}

// enter waits for one of the endpoint's places: at an endpoint that has never answered not longer than that would take to
// find out.
func (t *trial) enter(ctx context.Context) *failure {
	n := t.sender.node
	if t.unanswered() {
		short, cancel := context.WithTimeout(ctx, max(t.sender.rules.unanswered-time.Since(t.start), 0))
		err := n.slots.Acquire(short, 1)
		cancel()
		if err == nil {
			return nil
		}
	}
	if t.unanswered() || n.slots.Acquire(ctx, 1) != nil {
		if t.last != nil {
			return t.last // says more than that we had to wait
		}
		f := t.failure(fmt.Errorf("no place among the %d requests at once to %s in %v", maxConcurrent, t.endpoint, round(time.Since(t.start))))
		f.final, f.transient, f.silent = false, true, t.unanswered()
		return f
	}
	return nil
}

// judge reads an answer: the token, or the failure that it is.
func (t *trial) judge(resp *http.Response, secret string) *failure {
	a := answer{status: resp.StatusCode, header: resp.Header, raw: resp}
	body, err := runtime.Payload(resp)
	if err != nil { // only a policy of the user's can have exchanged the body for one that breaks
		return t.silence(err, secret, false, 0)
	}
	a.body = body
	src := t.sender.source
	ours := src.recognises(a)
	if ours {
		t.sender.node.answered.Store(true)
	}
	if a.status != http.StatusOK && a.status != http.StatusAccepted || !ours {
		return t.refusal(a, secret, ours)
	}
	g, err := parseToken(a.body, time.Now())
	if err != nil {
		f := t.failure(err)
		f.StatusCode = a.status
		f.hint = "the answer of " + t.endpoint + " is no usable token response"
		switch {
		case errors.Is(err, errNotJSON): // cut short on its way, most likely
			f.final, f.transient = false, true
		case errors.Is(err, errExpired): // the host will have another one
			f.transient = true
			f.hint = "is this machine's clock right? It says " + time.Now().UTC().Format(time.RFC3339)
		}
		return f
	}
	if got := mismatch(src.identity(), g); got != "" {
		f := t.failure(ErrIdentityMismatch)
		f.StatusCode = a.status
		f.reason = ErrIdentityMismatch
		f.hint = "asked for " + describeID(src.identity()) + ", got the token of " + got + ": is the identity assigned, and does this host support selecting one?"
		return f
	}
	t.grant, t.granted = g, true
	return nil
}

// ownValues hides azcore's context values, and httptrace's, from an acquisition. They belong to the operation of the caller that happened
// to start it: retry options would multiply the tries, a captured response would hand the token to the caller's
// variable, and the span state may not be used by two goroutines at once. The caller's httptrace hooks, too, would see the
// secret header, and run after the caller has left. All other values, such as a parent span, stay.
type ownValues struct{ context.Context }

func (c ownValues) Value(key any) any {
	if t := reflect.TypeOf(key); t != nil && (strings.HasPrefix(t.PkgPath(), "github.com/Azure/azure-sdk-for-go/sdk/") || t.PkgPath() == "net/http/httptrace") {
		return nil
	}
	return c.Context.Value(key)
}

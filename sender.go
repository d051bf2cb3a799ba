package identity

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptrace"
	"slices"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/keyless-go/identity/internal/failure"
	"github.com/keyless-go/identity/internal/redact"
	"github.com/keyless-go/identity/internal/token"
	"github.com/keyless-go/identity/internal/transport"
	"github.com/keyless-go/identity/internal/usercode"
)

// sender acquires tokens from a source: it is the only way a request is sent, an answer read and a failure judged.
type sender struct {
	source  source
	node    *node
	rules   rules
	log     *slog.Logger
	options policy.ClientOptions

	// The client is built by the first request: many services make a credential per request, and a warm cache needs none.
	build    sync.Once
	built    *azcore.Client
	buildErr error
}

// Module name and version, as azcore's User-Agent and tracing show them.
const (
	moduleName = "github.com/keyless-go/identity"
	version    = "v0.1.0"
)

func newSender(src source, options settings, n *node) (*sender, error) {
	r, err := src.rules().with(options)
	if err != nil {
		return nil, err
	}
	if client, ok := options.Transport.(*http.Client); ok && client == nil {
		return nil, errors.New("identity: " + options.options +
			".Transport: nil *http.Client: leave Transport nil for the default")
	}
	own := options.Transport
	if c, ok := src.(connector); ok {
		if own, err = c.connect(own); err != nil {
			return nil, fmt.Errorf("identity: %s.Transport: %w", options.options, err)
		}
	}
	s := &sender{source: src, node: n, rules: r, log: usercode.Logger(options.Logger),
		options: transport.Options(options.ClientOptions, own)}
	s.options.Transport = placed{s.options.Transport, n}
	return s, nil
}

func (s *sender) client() (*azcore.Client, error) {
	s.build.Do(func() {
		s.built, s.buildErr = azcore.NewClient(moduleName, version, runtime.PipelineOptions{
			PerRetry: []policy.Policy{retryPolicy{}},
			Tracing:  runtime.TracingOptions{Namespace: "Microsoft.Entra"},
		}, &s.options)
	})
	return s.built, s.buildErr
}

// public makes the error of a failure, for one caller.
func (s *sender) public(f *failure.Failure) *AuthenticationError {
	e := publicError(f)
	e.Host, e.ID = s.source.host(), s.source.identity()
	return e
}

// begin starts a span, and returns a context that doesn't end and what ends the span. A tracer
// finds the parent of the acquisition's span in the caller's
// context, and whatever else it wants to know of that.
func (s *sender) begin(ctx context.Context) (context.Context, func(error)) {
	client, err := s.client()
	if err != nil || !client.Tracer().Enabled() {
		return context.Background(), func(error) {}
	}
	b := usercode.Borrow(ctx)
	defer b.GiveBack()
	return runtime.StartSpan(b, "Credential.GetToken", client.Tracer(), nil)
}

// acquire asks the host for a token until it has one, a failure is final, or the budget is spent,
// which is the longest it blocks: IMDS 75 s, other hosts 30 s, unless CredentialOptions.Retry says otherwise.
func (s *sender) acquire(ctx context.Context, a ask, p progress) (g grant, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.rules.Budget)
	defer cancel()
	t := &trial{sender: s, ask: a, endpoint: s.source.endpoint(), start: time.Now(), progress: p}
	defer func() {
		if p := recover(); p != nil { // in the user's Transport or policy: net/http, too, would not let it end the program
			g, err = grant{}, panicError(p, t.secrets...)
		}
	}()
	client, err := s.client()
	if err != nil {
		f := t.failure(err)
		f.Verdict = failure.Later // says nothing of the host
		return grant{}, s.public(f)
	}
	first, err := s.source.request(a)
	if err != nil {
		return grant{}, s.public(t.failure(err))
	}
	t.firstURL = first.url.String()
	t.keep(first)
	req, err := runtime.NewRequest(ctx, first.method, t.firstURL)
	if err != nil {
		return grant{}, s.public(t.failure(errors.New("can't make a request of the endpoint's URL")))
	}
	if err := first.apply(req); err != nil {
		return grant{}, s.public(t.failure(err))
	}
	req.SetOperationValue(t)
	resp, err := client.Pipeline().Do(req)
	if err == nil && resp != nil && !t.granted && t.last == nil { // a policy of the user's answered by itself
		got, f := t.read(resp)
		if f == nil {
			f = t.judge(got)
		}
		t.last = f
	}
	switch {
	case t.granted:
		return t.grant, nil
	case t.last == nil && err == nil:
		return grant{}, s.public(t.failure(errors.New("a policy in CredentialOptions returned neither a response nor an error")))
	case t.last == nil: // a policy of the user's refused before the first try
		f := t.failure(errors.New("a policy in CredentialOptions failed: " + t.plain(err)))
		f.Cause = t.cause(err)
		return grant{}, s.public(f)
	}
	return grant{}, s.public(t.final())
}

// keep remembers the secrets of a request, which are not to be shown from now on: its own, and
// what the endpoint's URL has in its query beside our parameters, which may be a key to it.
func (t *trial) keep(r request) {
	known, fresh := map[string]bool{"": true}, []string(nil)
	for _, secret := range t.secrets {
		known[secret] = true
	}
	hide := func(secret string) {
		if !known[secret] {
			known[secret] = true
			fresh = append(fresh, secret)
		}
	}
	hide(r.secret)
	for name, values := range r.url.Query() {
		for _, value := range values {
			if !transport.IsShown(name) && len(value) >= redact.LeastSecret {
				hide(value)
			}
		}
	}
	t.secrets = append(slices.Clip(t.secrets), fresh...) // others have a slice of the old ones
}

// send is one try.
func (t *trial) send(req *policy.Request, timeout time.Duration) (*http.Response, *failure.Failure) {
	s := t.sender
	ctx := req.Raw().Context()
	t.tried, t.asked = time.Since(t.start), t.asking()
	r, err := s.source.request(t.ask)
	if err != nil {
		return nil, t.failure(err)
	}
	began := t.asking()
	tryCtx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil) // the body has been read
	w := &try{trial: t, silent: t.unanswered(), since: time.Now()}
	defer w.stop()
	w.after(timeout, func() { cancel(context.DeadlineExceeded) })
	traced := httptrace.WithClientTrace(context.WithValue(tryCtx, tryKey{}, w),
		&httptrace.ClientTrace{
			GetConn: func(string) { w.connecting.Store(true) },
			GotConn: func(httptrace.GotConnInfo) { w.connecting.Store(false) },
		})
	if left := s.rules.Unanswered - t.asking(); t.unanswered() && left < timeout {
		// A Transport of the user's may try to connect for ever. One that has connected gets the full time.
		w.after(left, func() {
			if w.connecting.Load() {
				cancel(context.DeadlineExceeded)
			}
		})
	}
	for followed := false; ; followed = true {
		t.endpoint = redact.URL(r.url.String())
		t.keep(r)
		try := req.Clone(transport.WithSecrets(traced, t.secrets))
		if r.url.String() != t.firstURL { // the platform has moved the endpoint since
			try.Raw().URL = r.url
			try.Raw().Host = ""
		}
		if err := r.apply(try); err != nil {
			return nil, t.failure(err)
		}
		w.next(r.header)
		resp, err := try.Next()
		if none, ok := errors.AsType[*noPlaceError](err); ok {
			return nil, t.noPlace(none.deserted)
		}
		t.attempts++
		w.count() // if a policy of the user's has answered
		switch {
		case err != nil:
			// slow; otherwise nobody is there
			timedOut := tryCtx.Err() != nil && !w.connecting.Load()
			f := t.silence(err, timedOut, timeout)
			if tryCtx.Err() != nil && f.StatusCode == 0 && t.last != nil &&
				(timeout < s.rules.TryTimeout || ctx.Err() != nil) {
				f = t.outOfTime(t.asking() - began)
			}
			if tryCtx.Err() != nil {
				f.Waited = timeout
			}
			return nil, f
		case resp == nil:
			return nil, t.failure(errors.New("a policy in CredentialOptions returned neither a response nor an error"))
		}
		got, f := t.read(resp)
		if f != nil {
			return nil, f
		}
		if !followed {
			next, again, f := t.follow(r, got)
			if f != nil {
				return nil, f
			}
			if again {
				r = next
				continue
			}
		}
		return resp, t.judge(got)
	}
}

// follow decides whether an answer is a reason to ask again at once: to the source, or because the secret has changed.
func (t *trial) follow(sent request, got answer) (next request, again bool, f *failure.Failure) {
	if !t.recognises(got) {
		return request{}, false, nil
	}
	if sent.secret != "" && (got.status == http.StatusUnauthorized || got.status == http.StatusForbidden) { // perhaps it was rotated on its way
		if next, err := t.sender.source.request(t.ask); err == nil && next.secret != sent.secret {
			return next, true, nil
		}
	}
	src, ok := t.sender.source.(follower)
	if !ok {
		return request{}, false, nil
	}
	next, again, err := src.follow(t.ask, got)
	if err == nil {
		return next, again, nil
	}
	t.sender.node.answered.Store(true)
	f = t.failure(err)
	f.StatusCode = got.status
	return request{}, false, f
}

// noPlace is a try that had no place among the requests at once in the time that there was. That
// alone says nothing of the endpoint, which was not asked; what it said before says more.
func (t *trial) noPlace(deserted bool) *failure.Failure {
	if t.last != nil {
		f := *t.last
		f.Silent = f.Silent && deserted
		return &f
	}
	f := t.failure(fmt.Errorf("no place among the %d requests at once to %s in %v",
		t.sender.node.limit, t.endpoint, redact.Round(time.Since(t.start))))
	f.Settled, f.Silent = false, deserted
	f.Verdict = failure.Again
	f.Waited = t.sender.rules.TryTimeout
	return f
}

// read takes an answer out of a response.
func (t *trial) read(resp *http.Response) (answer, *failure.Failure) {
	body, err := runtime.Payload(resp)
	if err != nil { // only a policy of the user's can have exchanged the body for one that breaks
		return answer{}, t.silence(err, false, 0)
	}
	return answer{status: resp.StatusCode, header: resp.Header, body: body, raw: resp}, nil
}

// recognises reports whether an answer is the host's own. A refusal with a number of Entra's is,
// whatever shape it has: only what asks Entra has one to pass on.
func (t *trial) recognises(a answer) bool {
	return t.sender.source.recognises(a) || a.status >= 400 && failure.EntraNumber(a.body) != ""
}

// judge finds the token in an answer, or the failure that it is.
func (t *trial) judge(a answer) *failure.Failure {
	src := t.sender.source
	ours := t.recognises(a)
	if ours {
		t.sender.node.answered.Store(true)
	}
	if a.status != http.StatusOK && a.status != http.StatusAccepted || !ours {
		return t.refusal(a, ours)
	}
	granted, err := token.Parse(a.body, time.Now())
	if err != nil {
		f := t.failure(err)
		f.StatusCode = a.status
		f.Hint = "the answer of " + t.endpoint + " is no usable token response"
		switch {
		case errors.Is(err, token.ErrNotJSON): // cut short on its way, most likely
			f.Settled = false
			f.Verdict = failure.Again
		case errors.Is(err, token.ErrExpired): // the host will have another one
			f.Verdict = failure.Later
			f.Hint = "is this machine's clock right? It says " + time.Now().UTC().Format(time.RFC3339)
		}
		return f
	}
	_, mustEcho := src.(echoer)
	if got := mismatch(src.identity(), granted, mustEcho); got != "" {
		f := t.failure(ErrIdentityMismatch)
		f.StatusCode = a.status
		f.Reason = failure.IdentityMismatch
		f.Hint = "asked for " + describeID(src.identity()) + ", got the token of " + redact.Text(got, t.secrets...) + ": is the identity assigned, and does this host support selecting one?"
		return f
	}
	t.grant, t.granted = grantFrom(granted), true
	t.grant.ofUser = src.host() != HostCloudShell && token.ClaimsOf(granted.Value).OfUser()
	return nil
}

package identity

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity/internal/acquire"
	"github.com/keyless-go/identity/internal/assertion"
	"github.com/keyless-go/identity/internal/failure"
	"github.com/keyless-go/identity/internal/seam"
	"github.com/keyless-go/identity/internal/token"
	"github.com/keyless-go/identity/internal/tokencache"
	"github.com/keyless-go/identity/internal/usercode"
	"github.com/keyless-go/identity/internal/wording"
)

// tokenSource is what the cache asks for tokens, with what this package wants to know of it.
type tokenSource interface {
	tokencache.Source
	// budget is how long an acquisition takes at the longest, if it starts for a caller with ctx.
	// It asks ctx for its deadline.
	budget(ctx context.Context) time.Duration
	signer
}

// acquisition runs one acquisition of s for the cache. It calls end, which ends the span, with the
// error that callers get.
//
// A panic in the user's Transport or policy is recovered here, where its text can be told. It
// doesn't end the program, just as net/http's server lets no panic of a handler end it. After a
// runtime.Goexit (testing.T.FailNow in a fake) the cache itself says that the acquisition was
// aborted.
func acquisition(
	s tokenSource, resource string, end func(error),
	acquire func() (tokencache.Grant, *failure.Failure),
) (g tokencache.Grant, err error) {
	var failed *failure.Failure
	returned := false
	defer func() {
		switch p := recover(); {
		case p != nil:
			failed = failure.Panicked(p)
		case !returned:
			failed = failure.Aborted()
		}
		if failed == nil {
			end(nil)
			return
		}
		end(publicError(failed, s, resource))
		err = &tokencache.Failure{
			Err:        failed,
			RetryAfter: failed.RetryAfter,
			Final:      failed.Verdict == failure.Never && failed.Cause != failure.ErrAborted,
			Waited:     failed.Waited,
		}
	}()
	g, failed = acquire()
	returned = true
	return g, nil
}

// grantFrom makes a token one for the cache.
func grantFrom(t token.Token) tokencache.Grant {
	return tokencache.Grant{Token: t.Value, ExpiresOn: t.ExpiresOn, RefreshIn: t.RefreshIn}
}

// logEvent says what became of an acquisition. heeds reports whether a challenge's claims reach
// whoever grants the token.
func logEvent(
	to *slog.Logger, s tokenSource, r tokencache.Request, e tokencache.Event, heeds bool,
) {
	if e.Err == nil {
		wording.LogToken(to, r, e, heeds)
		return
	}
	// errors.Is would call methods of an error of the user's Transport, and a panic in one would
	// end the program here.
	f, ok := e.Err.(*failure.Failure)
	wording.LogFailure(to, r, e, ok && f.Reason == failure.IdentityMismatch,
		sharedError(e.Err, s, r.Resource).Error())
}

// anyHost is one of the hosts, with what only this package calls by name. A host is one small file
// that implements it; sending, reading and retrying stand once, for all of them.
type anyHost interface {
	acquire.Host
	host() Host
	identity() ID // nil for the host's default
}

// hosted is a host as the cache's source of tokens. What it is made of is behind a pointer: a
// Credential that somebody prints shows none of it.
type hosted struct{ *hostParts }

// hostParts are a host and what asks it.
type hostParts struct {
	seam.Flights // under way: what a fake waits for
	host         anyHost
	is           Host
	id           ID     // that is asked for, nil for the host's default
	endpoint     string // to be shown, as it was at construction
	node         *acquire.Node
	client       *acquire.Client
	log          *slog.Logger
}

func newHosted(h anyHost, options settings, n *acquire.Node) (hosted, error) {
	s := hosted{&hostParts{host: h, is: h.host(), id: h.identity(), endpoint: h.Endpoint(),
		node: n, log: usercode.Logger(options.Logger)}}
	o := options.ClientOptions
	if o.Retry.ShouldRetry != nil {
		o.Retry.ShouldRetry = s.shouldRetry(o.Retry.ShouldRetry)
	}
	var err error
	if s.client, err = acquire.New(h, o, n); err != nil {
		return hosted{}, fmt.Errorf("%s.%w", options.options, err)
	}
	return s, nil
}

// shouldRetry asks the user's function about the error as users know it.
func (h hosted) shouldRetry(
	own func(*http.Response, error) bool,
) func(*http.Response, error) bool {
	return func(resp *http.Response, err error) bool {
		if f, ok := err.(*failure.Failure); ok {
			err = publicError(f, &h, f.Resource)
		}
		return own(resp, err)
	}
}

// termsOf are the terms of a credential with these options.
func (h *hosted) termsOf(o policy.RetryOptions) tokencache.Terms {
	t := tokencache.Terms{Patience: h.client.Rules().TryTimeout, Budget: h.client.Budget()}
	if o.MaxRetries != 0 || o.TryTimeout != 0 || o.RetryDelay != 0 || o.MaxRetryDelay != 0 ||
		o.StatusCodes != nil {
		t.Rules = fmt.Sprint(o.MaxRetries, o.TryTimeout, o.RetryDelay, o.MaxRetryDelay,
			o.StatusCodes, o.StatusCodes == nil)
	}
	if o.ShouldRetry != nil { // functions can't be compared
		t.Owner = h.client
	}
	return t
}

// Begin implements tokencache.Source.
func (h *hosted) Begin(ctx context.Context, r tokencache.Request) tokencache.Acquisition {
	own, end := h.client.Begin(ctx)
	own = seam.With(assertion.Carry(own, ctx), &h.Flights)
	return func(p *tokencache.Progress) (tokencache.Grant, error) {
		return acquisition(h, r.Resource, end, func() (tokencache.Grant, *failure.Failure) {
			t, f := h.client.Acquire(own, requestOf(r), told{p})
			g := grantFrom(t)
			g.OfUser = h.is != HostCloudShell && t.OfUser
			return g, f
		})
	}
}

// requestOf is a Request of the cache's in the words of hosts.
func requestOf(r tokencache.Request) acquire.Request {
	return acquire.Request{Resource: r.Resource,
		Variant: acquire.Variant{Tenant: r.Tenant, CAE: r.CAE},
		Claims:  r.Claims, Rejected: r.Rejected, Once: r.Once}
}

// told tells the callers that wait what an acquisition has done so far.
type told struct{ *tokencache.Progress }

// Failed implements acquire.Progress. It keeps a copy: the last failure changes at the end.
func (t told) Failed(f *failure.Failure) {
	own := *f
	t.Progress.Failed(&own)
}

// Report implements tokencache.Source.
func (h *hosted) Report(r tokencache.Request, e tokencache.Event) {
	h.Landed()
	_, heeds := h.host.(acquire.Varies)
	logEvent(h.logger(), h, r, e, heeds)
}

func (h *hosted) logger() *slog.Logger {
	who := slog.String("host", string(h.is))
	if h.is == "" {
		who = slog.String("source", h.host.Name())
	}
	log := h.log.With(who, "endpoint", h.endpoint)
	if h.id != nil {
		log = log.With("identity", inWords(h.id))
	}
	return log
}

// budget implements tokenSource.
func (h *hosted) budget(context.Context) time.Duration { return h.client.Budget() }

// sign implements tokenSource.
func (h *hosted) sign(e *AuthenticationError) {
	e.Host, e.Endpoint, e.ID = h.is, h.endpoint, h.id
	if h.is == "" {
		e.tool = h.host.Name()
	}
}

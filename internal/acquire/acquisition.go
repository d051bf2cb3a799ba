package acquire

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/keyless-go/identity/internal/failure"
	"github.com/keyless-go/identity/internal/retry"
	"github.com/keyless-go/identity/internal/token"
)

// acquisition is one of a token: its tries and what became of them.
type acquisition struct {
	inquiry
	course
	first *Call // for the first try; nil after that
	// as the pipeline's request was made; a policy of the user's may have changed it there
	firstURL string

	attempts int
	tried    time.Duration    // from start to the beginning of the last try
	queued   time.Duration    // the part of tried that went by in waits for a place
	last     *failure.Failure // of the last try; nil if none has failed
	token    token.Token
	granted  bool
}

// acquire sends the request through the pipeline, in which run makes the tries of it.
func (a *acquisition) acquire(ctx context.Context, client *azcore.Client) *failure.Failure {
	first, f := a.prepared(ctx)
	if f != nil {
		return f
	}
	a.start = time.Now()
	a.first, a.firstURL = &first, first.URL.String()
	a.keep(first)
	req, err := runtime.NewRequest(ctx, first.Method, a.firstURL)
	if err != nil {
		return a.failure(errors.New("can't make a request of the endpoint's URL"))
	}
	if err := first.apply(req); err != nil {
		return a.failure(err)
	}
	req.SetOperationValue(a)
	resp, err := client.Pipeline().Do(req)
	// A policy of the user's answered by itself.
	if err == nil && resp != nil && !a.granted && a.last == nil {
		_, a.last = a.note(ctx, resp, nil)
	}
	switch {
	case a.granted:
		return nil
	case a.last == nil && err == nil:
		return a.failure(errNoResponse)
	case a.last == nil: // a policy of the user's refused before the first try
		f := a.failure(errors.New("a policy in CredentialOptions failed: " + a.plain(err)))
		f.Cause = a.cause(err)
		return f
	}
	return a.final()
}

// prepared is the first call. What it waits for isn't the host, and has a time of its own.
func (a *acquisition) prepared(ctx context.Context) (call Call, f *failure.Failure) {
	schedule := a.schedule(a.rules.Preparation)
	_, _ = retry.Run(ctx, schedule, func() (_ Call, past *retry.Past, err error) {
		began := time.Since(a.start)
		if call, err = a.host.Call(ctx, a.request); err == nil {
			f = nil
			return call, nil, nil
		}
		f = a.failure(err)
		a.progress.Failed(f)
		if f.Verdict == failure.Again {
			past = &retry.Past{Elapsed: time.Since(a.start), Tried: began, Status: -1, Wait: f.Wait,
				OfHost: true}
		}
		return call, past, f
	})
	return call, f
}

// schedule is the one of an acquisition, or of a part of it.
func (a *acquisition) schedule(budget time.Duration) *retry.Schedule {
	rules := a.rules.Rules
	if rules.Budget = budget; a.request.Once {
		rules.MaxTries = 1
	}
	return retry.NewSchedule(rules)
}

// errNoResponse is of a policy that breaks its contract.
var errNoResponse = errors.New(
	"a policy in CredentialOptions returned neither a response nor an error")

// panicked is what waiters get after a panic.
func (a *acquisition) panicked(p any) *failure.Failure {
	f, said := a.failure(errors.New("")), failure.Panicked(p, a.secrets...)
	f.Endpoint, f.What, f.Cause = a.host.Endpoint(), said.What, said.Cause
	return f
}

// note reads a response, and keeps what it comes to. next is a call to be sent at once, if any.
func (a *acquisition) note(
	ctx context.Context, resp *http.Response, sent *Call,
) (next *Call, f *failure.Failure) {
	lost, _ := a.lost.Load().(string)
	r := a.read(ctx, resp, sent, lost, a.last)
	switch {
	case r.next != nil:
		return r.next, nil
	case r.failed == nil:
		a.token, a.granted = r.token, true
	case r.failed.Reason == failure.Throttled:
		a.progress.Throttled()
	}
	return nil, r.failed
}

// tries stands in the pipeline where azcore's own retry policy would: below PerCallPolicies, above
// PerRetryPolicies.
type tries struct{}

// Do implements policy.Policy.
func (tries) Do(req *policy.Request) (*http.Response, error) {
	var a *acquisition
	if !req.OperationValue(&a) {
		return req.Next()
	}
	return a.run(req)
}

// run tries until there is a token, a final failure, or no time left.
func (a *acquisition) run(req *policy.Request) (*http.Response, error) {
	return retry.Run(req.Raw().Context(), a.schedule(a.rules.Budget),
		func() (*http.Response, *retry.Past, error) {
			resp, f := a.send(req, a.tryTimeout())
			if f == nil {
				return resp, nil, nil
			}
			f.Verdict = a.overrule(f)
			f.Attempts, f.Elapsed = a.attempts, time.Since(a.start)
			a.last = f
			told := *f // final changes the other one later
			a.progress.Failed(&told)
			if f.Verdict != failure.Again {
				return nil, nil, f
			}
			return nil, a.past(f), f
		})
}

// past is what decides about another try after a failed one.
func (a *acquisition) past(f *failure.Failure) *retry.Past {
	enough := a.rules.Enough()
	p := &retry.Past{
		Elapsed:      time.Since(a.start),
		Tried:        a.tried,
		Status:       f.Status,
		Wait:         f.Wait,
		OfHost:       f.RetryAfter > 0,
		Stranger:     f.Silent,
		Unanswered:   a.unanswered(),
		Queued:       time.Duration(a.waited.Load()),
		QueuedBefore: a.queued,
	}
	p.Deserted = p.Unanswered && p.Elapsed >= enough && a.node.deserted(enough)
	return p
}

// unanswered reports whether nothing has answered yet as the host would, at this endpoint, in this
// process.
func (a *acquisition) unanswered() bool {
	return (a.last == nil || a.last.Silent) && !a.node.Answered()
}

// tryTimeout is the rules', but not longer than the time that is left to a place where nothing
// answers. The first try gets the full time, because a real host can be slow.
func (a *acquisition) tryTimeout() time.Duration {
	r := a.rules
	if a.last != nil && a.unanswered() {
		return min(r.TryTimeout, max(r.Unanswered-a.asking(), 100*time.Millisecond))
	}
	return r.TryTimeout
}

// overrule applies the user's options to a verdict, in azcore's order: what is settled by itself,
// then the user's function, then the user's statuses. They say whether another try is made. Ready
// waits over what either they or we think passes.
func (a *acquisition) overrule(f *failure.Failure) failure.Verdict {
	r := a.rules
	var wanted bool
	switch {
	case f.Settled:
		return f.Verdict
	case r.ShouldRetry != nil && f.Answer != nil:
		wanted = r.ShouldRetry(response(f), nil)
	case r.ShouldRetry != nil:
		own := *f
		wanted = r.ShouldRetry(nil, &own)
	case f.Status >= 0 && r.StatusCodes != nil:
		wanted = slices.Contains(r.StatusCodes, f.Status)
	default:
		return f.Verdict
	}
	if wanted {
		return failure.Again
	}
	return min(f.Verdict, failure.Later)
}

// response is a failure's answer with its body, to be read once.
func response(f *failure.Failure) *http.Response {
	own := *f.Answer
	own.Header = own.Header.Clone()
	own.Body = io.NopCloser(strings.NewReader(f.Body))
	return &own
}

// final is the failure of the whole acquisition, made of that of the last try.
func (a *acquisition) final() *failure.Failure {
	f, h := a.last, a.host
	f.Attempts, f.Elapsed = a.attempts, time.Since(a.start)
	switch unavailable := a.rules.Unavailable; {
	case f.Settled:
	case a.unanswered():
		f.Hint = h.Hint(a.request, NoAnswer, failure.Said{})
		if unavailable {
			f.Reason = failure.Unavailable
		}
	case f.StatusCode == 0 && f.Hint == "" && !unavailable: // it has answered before
		f.Hint = h.Hint(a.request, NoAnswer, failure.Said{})
	}
	return f
}

package acquire

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity/internal/failure"
	"github.com/keyless-go/identity/internal/redact"
	"github.com/keyless-go/identity/internal/transport"
)

// send is one try: a call, and a second one if the answer to the first is a reason for it.
func (a *acquisition) send(
	req *policy.Request, timeout time.Duration,
) (*http.Response, *failure.Failure) {
	a.tried, a.queued = time.Since(a.start), time.Duration(a.waited.Load())
	call, err := a.nextCall(req.Raw().Context())
	switch {
	case err != nil && a.last != nil && req.Raw().Context().Err() != nil:
		f := *a.last // the time is up: what came before says more
		return nil, &f
	case err != nil:
		return nil, a.failure(err)
	}
	began := a.asking()
	ctx, cancel := context.WithCancelCause(req.Raw().Context())
	defer cancel(nil) // the body has been read
	y := &try{of: &a.course, unanswered: a.unanswered(), since: time.Now()}
	defer y.stop()
	y.after(timeout, func() { cancel(context.DeadlineExceeded) })
	if left := a.rules.Unanswered - a.asking(); y.unanswered && left < timeout {
		// A Transport of the user's may try to connect for ever. One that has connected gets the
		// full time.
		y.after(left, func() {
			if y.connecting.Load() {
				cancel(context.DeadlineExceeded)
			}
		})
	}
	traced := httptrace.WithClientTrace(context.WithValue(ctx, tryKey{}, y),
		&httptrace.ClientTrace{
			GetConn: func(string) { y.connecting.Store(true) },
			GotConn: func(httptrace.GotConnInfo) { y.connecting.Store(false) },
		})
	for followed := false; ; followed = true {
		try, err := a.prepare(req, traced, call)
		if err != nil {
			return nil, a.failure(err)
		}
		y.next(call.Header)
		resp, err := try.Next()
		if none, ok := errors.AsType[*noPlaceError](err); ok {
			return nil, a.noPlace(none.deserted)
		}
		a.attempts++
		y.count() // if a policy of the user's has answered
		switch {
		case err != nil:
			return nil, a.unansweredTry(err, y, ctx, req.Raw().Context(), timeout, began)
		case resp == nil:
			return nil, a.failure(errNoResponse)
		}
		sent := &call
		if followed {
			sent = nil
		}
		next, f := a.note(req.Raw().Context(), resp, sent)
		if next == nil {
			return resp, f
		}
		call = *next
		a.keep(call)
	}
}

// nextCall is what a try sends first.
func (a *acquisition) nextCall(ctx context.Context) (Call, error) {
	if first := a.first; first != nil {
		a.first = nil
		return *first, nil
	}
	call, err := a.host.Call(ctx, a.request)
	if err == nil {
		a.keep(call)
	}
	return call, err
}

// prepare makes the request of a call, out of the pipeline's.
func (a *acquisition) prepare(
	req *policy.Request, ctx context.Context, call Call,
) (*policy.Request, error) {
	a.endpoint = redact.URL(call.URL.String())
	try := req.Clone(transport.WithSecrets(ctx, a.secrets))
	if call.URL.String() != a.firstURL { // the platform has moved the endpoint since
		try.Raw().URL = call.URL
		try.Raw().Host = ""
	}
	return try, call.apply(try)
}

// unansweredTry is the failure of a try without an answer. Its context is ctx, which is made of
// outer. It was allowed timeout, and the acquisition had been asking for began when it started.
func (a *acquisition) unansweredTry(
	err error, y *try, ctx, outer context.Context, timeout, began time.Duration,
) *failure.Failure {
	// Slow; otherwise nobody is there.
	timedOut := ctx.Err() != nil && !y.connecting.Load()
	f := a.silence(err, timedOut, timeout, a.last)
	if ctx.Err() != nil && f.StatusCode == 0 && a.last != nil &&
		(timeout < a.rules.TryTimeout || outer.Err() != nil) {
		f = outOfTime(a.last, a.asking()-began)
	}
	if ctx.Err() != nil {
		f.Waited = timeout
	}
	return f
}

// noPlace is a try that had no place among the requests at once in the time that there was. That
// alone says nothing of the endpoint, which was not asked; what it said before says more.
func (a *acquisition) noPlace(deserted bool) *failure.Failure {
	if a.last != nil {
		f := *a.last
		f.Silent = f.Silent && deserted
		return &f
	}
	f := a.failure(fmt.Errorf("no place among the %d requests at once to %s in %v",
		a.node.limit, a.endpoint, redact.Round(time.Since(a.start))))
	f.Settled, f.Silent, f.Verdict = false, deserted, failure.Again
	f.Waited = a.rules.TryTimeout
	return f
}

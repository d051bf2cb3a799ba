package identity

import (
	"net/http"
	"sync/atomic"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity/internal/failure"
	"github.com/keyless-go/identity/internal/retry"
)

// retryPolicy stands in the pipeline where azcore's own would: below PerCallPolicies, above PerRetryPolicies.
type retryPolicy struct{}

func (retryPolicy) Do(req *policy.Request) (*http.Response, error) {
	var t *trial
	if !req.OperationValue(&t) {
		return req.Next()
	}
	return t.run(req)
}

// trial is one acquisition: its tries and what became of them.
type trial struct {
	sender   *sender
	ask      ask
	endpoint string   // the one asked last: App Service's can move
	firstURL string   // as the pipeline's request was made; a policy of the user's may have changed it there
	secrets  []string // of all requests so far: a host may remember
	start    time.Time
	progress progress

	attempts int
	tried    time.Duration // from start to the beginning of the last try
	asked    time.Duration // the same without waits for a place
	waited   atomic.Int64  // for places so far, as a time.Duration
	// the header of the source's, a string, that the last request went out without; "" for none
	lost    atomic.Value
	last    *failure.Failure // kept here, because backoff drops it when the context ends
	grant   grant
	granted bool
}

// run tries until there is a token, a final failure, or no time left.
func (t *trial) run(req *policy.Request) (*http.Response, error) {
	rules := t.sender.rules.Rules
	if t.ask.once {
		rules.MaxTries = 1
	}
	return retry.Run(req.Raw().Context(), retry.NewSchedule(rules),
		func() (*http.Response, *retry.Past, error) {
			resp, f := t.send(req, t.tryTimeout())
			if f == nil {
				return resp, nil, nil
			}
			f.Verdict = t.overrule(f)
			t.last = f
			f.Attempts, f.Elapsed = t.attempts, time.Since(t.start)
			t.progress.Failed(t.sender.public(f)) // a copy: final changes this one later
			if f.Verdict != failure.Again {
				return nil, nil, t.sender.public(f)
			}
			return nil, t.past(f), t.sender.public(f)
		})
}

// past is what decides about another try after a failed one.
func (t *trial) past(f *failure.Failure) *retry.Past {
	enough := t.sender.rules.Enough()
	p := &retry.Past{
		Elapsed:      time.Since(t.start),
		Tried:        t.tried,
		Status:       f.Status,
		Wait:         f.Wait,
		OfHost:       f.RetryAfter > 0,
		Stranger:     f.Silent,
		Unanswered:   t.unanswered(),
		Queued:       time.Duration(t.waited.Load()),
		QueuedBefore: t.tried - t.asked,
	}
	p.Deserted = p.Unanswered && p.Elapsed >= enough && t.sender.node.deserted(enough)
	return p
}

// asking is the time since the start without waits for a place, which say nothing of the endpoint.
func (t *trial) asking() time.Duration {
	return time.Since(t.start) - time.Duration(t.waited.Load())
}

// unanswered reports whether nothing has answered yet as the host would, at this endpoint, in this process.
func (t *trial) unanswered() bool {
	return (t.last == nil || t.last.Silent) && !t.sender.node.answered.Load()
}

// tryTimeout is the rules', but not longer than the time that is left to a place where nothing answers. The first try
// gets the full time, because a real host can be slow.
func (t *trial) tryTimeout() time.Duration {
	r := t.sender.rules
	if t.last != nil && t.unanswered() {
		return min(r.TryTimeout, max(r.Unanswered-t.asking(), 100*time.Millisecond))
	}
	return r.TryTimeout
}

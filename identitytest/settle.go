package identitytest

import (
	"context"
	"fmt"
)

// Settle waits until nothing is under way at the endpoint: no request, from wherever it came, and
// no acquisition of a credential of this process that has asked the endpoint before. It takes the
// place of sleeping for a renewal, which runs in the background. A renewal counts as begun when the
// GetToken that starts it returns, although its request may not have been sent yet. It is over when
// GetToken returns its token, or its failure has been noted.
//
//	time.Sleep(…) // until the token is due for renewal
//	_, _ = credential.GetToken(ctx, options) // the token that is held, and a renewal begins
//	err := endpoint.Settle(ctx)
//	token, _ := credential.GetToken(ctx, options) // the new one
//
// That holds for credentials of this module, whichever way they ask: by [Endpoint.Do], also below a
// transport of the test's own that passes on the request's context, by [Endpoint.Client] or by
// [Endpoint.Start]. Of other clients, and of other processes, Settle knows requests only: their
// renewal may begin, or be stored, after Settle has returned. It says nothing of what comes later:
// a renewal that has failed is over, and the next one begins with a GetToken.
//
// It blocks for as long as the slowest acquisition, retries and a scripted Delay included: by
// default at most 75 s on IMDS, 30 s elsewhere, and up to 2 min where an assertion is got first. If
// ctx ends before, that is its error. It can be used in a testing/synctest bubble, if all that it
// waits for is in the same bubble, and takes no time there but what the others take.
func (e *Endpoint) Settle(ctx context.Context) error {
	idle := e.activity.Idle()
	select {
	case <-idle:
	case <-ctx.Done():
	}
	select {
	case <-idle:
		return nil
	default:
		return fmt.Errorf("identitytest: Settle: %d requests and acquisitions are still under way: %w",
			e.activity.Count(), context.Cause(ctx))
	}
}

package identity

import (
	"errors"
	"math/rand/v2"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
)

// held is a token with its times. It is replaced, never changed.
type held struct {
	token    azcore.AccessToken
	due      time.Time  // until then a caller gets the token without looking any further; by the wall clock, never after ExpiresOn
	again    *time.Time // not beyond this, either: the end of a cool-down, or of the time for a renewal, monotonic; nil, in most hits, for none
	ofUser   bool       // the token is a person's where it should be a managed identity's
	expiring time.Time  // ExpiresOn less 5 minutes for a token that lived over 10 when it came; otherwise ExpiresOn
}

// until is the same token with another due time, which may lie beyond the token's end. The wall clock and the monotonic one both
// count: one ends the token, also on a machine that was suspended, the other the cool-down, also if the clock is set back.
func (h *held) until(due time.Time) *held {
	other := *h
	other.due, other.again = due.UTC(), &due
	if other.due.After(h.token.ExpiresOn) {
		other.due = h.token.ExpiresOn
	}
	return &other
}

// rests reports whether the token is handed out without looking any further.
func (h *held) rests(now time.Time) bool {
	return now.Before(h.due) && (h.again == nil || now.Before(*h.again))
}

// doubted reports whether a resource has refused the token: see cache.doubt.
func (h *held) doubted() bool { return h.expiring.IsZero() }

const (
	// expiringWindow and longLived: azcore's clients also begin to press for a new token 5 minutes before the end. A
	// token that lives 10 minutes or less spends its life near the end, and waiting would be the rule.
	expiringWindow = 5 * time.Minute
	longLived      = 10 * time.Minute
	// expiringWait is what a caller pays for a token that outlives its own request.
	expiringWait = 2 * time.Second

	// overtime is how much longer than its budget a flight may take before nobody waits for it any more.
	overtime = time.Second

	// longestRenewal: Azure's tokens live for a day. One that claims more is asked after all the same.
	longestRenewal = 24 * time.Hour

	// minRenewal keeps a host that repeats its own cached token to its end from being asked ever faster.
	minRenewal = 30 * time.Second
	// leastEvery keeps a host whose tokens live for a moment from being asked all the time: a
	// caller who finds that the last one has ended waits for the rest of this second. It is the
	// window of IMDS's limit, 20 requests, for all resources.
	leastEvery = time.Second
	// claimsEvery: azcore, too, asks again at most every 30 s, and no host can do better than repeat itself.
	claimsEvery = 30 * time.Second

	// Cool-downs after failures: long enough that a flood of callers is a trickle at the host, short enough that a
	// token is renewed within a minute of the host's recovery.
	renewalCoolDown    = 5 * time.Second
	maxRenewalCoolDown = 30 * time.Second
	coldCoolDown       = time.Second
	maxColdCoolDown    = 10 * time.Second
)

// outlives reports whether a flight that starts now will have ended before anybody needs it to succeed. Such a renewal is a
// single try, followed by a cool-down if it fails: in an outage that a token bridges, cool-downs alone are a try in 15 to 30 s,
// and flights that are retried as a cold one is five times as many.
func outlives(h *held, budget time.Duration, now time.Time) bool {
	return h.expiring.Sub(now) > budget+overtime
}

// whileRenewed is how long a stale token is handed out without a look at the flight that renews it: longer than a flight takes,
// whose end will say more, but not to the end: one that is stuck in a Transport that ignores its context is replaced halfway, and
// not sooner, because each of them keeps one of the endpoint's few places.
func whileRenewed(h *held, budget time.Duration, now time.Time) time.Time {
	left := h.expiring.Sub(now)
	return now.Add(min(max(left/2, budget+overtime), left))
}

// keepUntil is how long a token stays in the store. The limit keeps a host that dates a token to the year 9999 from
// overflowing the sum, which go-cache would take for "for ever".
func keepUntil(h *held, now time.Time) time.Duration {
	return min(h.token.ExpiresOn.Sub(now), maxSeconds*time.Second) + keepExpired
}

// newHeld decides when a token is renewed: when the host said (refresh_in), otherwise at half of its remaining life, give
// or take a tenth, so that a fleet that started together does not renew together. An example: a token that comes with
// 24 hours to live is renewed between 10 h 48 min and 13 h 12 min, and covers an outage of at least 10 h 48 min. Of a
// million hosts that start within a minute, 17,000 ask in each second of it; their renewals come in waves of at most 5 times
// the mean, 120 a second, that flatten from day to day. Twice the jitter would halve that, which no service that survived the
// start would notice, and cost 72 minutes of the outage: internal/bench simulates it.
func newHeld(g grant, before *held, now time.Time) *held {
	life := g.expiresOn.Sub(now)
	repeated := before != nil && before.token.Token == g.token
	wait := life/2 - life/20 + jitter(life/10)
	if g.refreshIn > 0 && g.refreshIn < life {
		wait = max(g.refreshIn, min(minRenewal, life/2))
	}
	wait = min(wait, longestRenewal)
	if repeated { // by the host's own cache: it will have another one nearer to the end, or only after it
		wait = min(max(wait, minRenewal), life)
	}
	renewAt := now.Add(wait).UTC()
	h := &held{
		token:    azcore.AccessToken{Token: g.token, ExpiresOn: g.expiresOn, RefreshOn: renewAt},
		due:      renewAt,
		expiring: g.expiresOn,
		ofUser:   g.ofUser,
	}
	switch {
	case repeated && before.token.ExpiresOn.Equal(g.expiresOn) && !before.doubted():
		h.expiring = before.expiring
	case life > longLived:
		h.expiring = g.expiresOn.Add(-expiringWindow)
	}
	return h
}

// coolDown is how long a key is left alone after a failure: doubling with each in a row, jittered down to its half so that
// processes part, and not shorter than the host's Retry-After. valid is the token that is held, or nil; near its end the
// host is asked more often, so that one that recovers in the last minute is in time. A single try that took long to fail has
// left the host alone meanwhile: otherwise one that hangs would be asked again 70 s later, and its recovery noticed as late.
func coolDown(err error, failures int, valid *held, f *flight, now time.Time) time.Duration {
	wait, limit := coldCoolDown, maxColdCoolDown
	if valid != nil {
		wait = renewalCoolDown
		if now.Before(valid.expiring) {
			limit = maxRenewalCoolDown
		}
	}
	wait = min(wait<<min(failures, 10), limit)
	wait = wait/2 + jitter(wait/2)
	if f.once {
		wait = max(wait-now.Sub(f.started), renewalCoolDown/2)
	}
	return max(wait, wantedWait(err))
}

// wantedWait is the Retry-After of the host's that a failure came with, 0 if none.
func wantedWait(err error) time.Duration {
	if ae, ok := errors.AsType[*AuthenticationError](err); ok {
		return ae.retryAfter
	}
	return 0
}

// jitter is a uniformly distributed time from 0 to limit.
func jitter(limit time.Duration) time.Duration {
	if limit <= 0 {
		return 0
	}
	return rand.N(limit)
}

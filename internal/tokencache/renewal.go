package tokencache

import (
	"math/rand/v2"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
)

// held is a token with its times. It is replaced, never changed.
type held struct {
	token azcore.AccessToken
	// Until then a caller gets the token without looking any further: by the wall clock, and never
	// after ExpiresOn.
	quietUntil time.Time
	// Not beyond this, either: the end of a cool-down, or of the time for a renewal, by the
	// monotonic clock. It is nil, for none, in most hits.
	quietMonotonic *time.Time
	ofUser         bool // see Grant.OfUser
	// ExpiresOn less 5 minutes for a token that lived over 10 when it came; otherwise ExpiresOn.
	// It is zero for a token that a resource has refused.
	expiring time.Time
}

// until is the same token with another due time, which may lie beyond the token's end. The wall
// clock and the monotonic one both count: one ends the token, also on a machine that was suspended,
// the other the cool-down, also if the clock is set back.
func (h *held) until(due time.Time) *held {
	other := *h
	other.quietUntil, other.quietMonotonic = due.UTC(), &due
	if other.quietUntil.After(h.token.ExpiresOn) {
		other.quietUntil = h.token.ExpiresOn
	}
	return &other
}

// rests reports whether the token is handed out without looking any further.
func (h *held) rests(now time.Time) bool {
	return now.Before(h.quietUntil) && (h.quietMonotonic == nil || now.Before(*h.quietMonotonic))
}

// distrusted reports whether a resource has refused the token: see Cache.Distrust.
func (h *held) distrusted() bool { return h.expiring.IsZero() }

const (
	// expiringWindow and longLived: azcore's clients also begin to press for a new token 5 minutes
	// before the end. A token that lives 10 minutes or less spends its life near the end, and
	// waiting would be the rule.
	expiringWindow = 5 * time.Minute
	longLived      = 10 * time.Minute
	// expiringWait is what a caller pays for a token that outlives its own request.
	expiringWait = 2 * time.Second

	// overtime is how much longer than its budget a flight may take. After that nobody waits for it.
	overtime = time.Second

	// longestKept is a hundred years: what a host says beyond it makes no difference.
	longestKept = 100 * 365 * 24 * time.Hour

	// keepExpired is how long an expired token stays in the store, unused: a clock that was an hour
	// fast and is set right again makes it valid again.
	keepExpired = time.Hour

	// longestRenewal: Azure's tokens live for a day. One that claims more is asked after all the
	// same.
	longestRenewal = 24 * time.Hour

	// minRenewal keeps a host that repeats its own cached token to its end from being asked ever
	// faster.
	minRenewal = 30 * time.Second
	// leastEvery keeps a host whose tokens live for a moment from being asked all the time: a
	// caller who finds that the last one has ended waits for the rest of this second. It is the
	// window of IMDS's limit, 20 requests, for all resources.
	leastEvery = time.Second
	// claimsEvery: azcore, too, asks again at most every 30 s, and no host can do better than
	// repeat itself.
	claimsEvery = 30 * time.Second
)

// outlives reports whether a flight that starts now will have ended before anybody needs it to
// succeed. Such a renewal is a single try, followed by a cool-down if it fails: in an outage that a
// token bridges, such renewals are one try in 15 to 30 s. Retried as without a token, they would be
// five times as many.
func outlives(h *held, budget time.Duration, now time.Time) bool {
	return h.expiring.Sub(now) > budget+overtime
}

// whileRenewed is how long a stale token is handed out without a look at the flight that renews it.
// That is longer than a flight takes, since its end will say more. It isn't until the token's end:
// a flight that is stuck in a Transport that ignores its context is replaced halfway. It isn't
// replaced sooner, because each stuck flight keeps one of the endpoint's few places.
func whileRenewed(h *held, budget time.Duration, now time.Time) time.Time {
	left := h.expiring.Sub(now)
	return now.Add(min(max(left/2, budget+overtime), left))
}

// keepUntil is how long a token stays in the store. The limit keeps a host that dates a token to
// the year 9999 from overflowing the sum, which go-cache would take for "for ever".
func keepUntil(h *held, now time.Time) time.Duration {
	return min(h.token.ExpiresOn.Sub(now), longestKept) + keepExpired
}

// newHeld decides when a token is renewed: when the host said (refresh_in), otherwise at half of
// its remaining life, give or take a tenth, so that a fleet that started together does not renew
// together. An example: a token that comes with 24 hours to live is renewed between 10 h 48 min and
// 13 h 12 min, and covers an outage of at least 10 h 48 min. Of a million hosts that start within a
// minute, 17,000 ask in each second of it; their renewals come in waves of at most 5 times the
// mean, 120 a second, that flatten from day to day. Twice the jitter would halve that, which no
// service that survived the start would notice, and cost 72 minutes of the outage: internal/bench
// simulates it.
func newHeld(g Grant, before *held, now time.Time) *held {
	life := g.ExpiresOn.Sub(now)
	repeated := before != nil && before.token.Token == g.Token
	wait := life/2 - life/20 + jitter(life/10)
	if g.RefreshIn > 0 && g.RefreshIn < life {
		wait = max(g.RefreshIn, min(minRenewal, life/2))
	}
	wait = min(wait, longestRenewal)
	if repeated {
		// by the host's own cache: it will have another one nearer to the end, or only after it
		wait = min(max(wait, minRenewal), life)
	}
	renewAt := now.Add(wait).UTC()
	h := &held{
		token:      azcore.AccessToken{Token: g.Token, ExpiresOn: g.ExpiresOn, RefreshOn: renewAt},
		quietUntil: renewAt,
		expiring:   g.ExpiresOn,
		ofUser:     g.OfUser,
	}
	switch {
	case repeated && before.token.ExpiresOn.Equal(g.ExpiresOn) && !before.distrusted():
		h.expiring = before.expiring
	case life > longLived:
		h.expiring = g.ExpiresOn.Add(-expiringWindow)
	}
	return h
}

// jitter is a uniformly distributed time from 0 to limit.
func jitter(limit time.Duration) time.Duration {
	if limit <= 0 {
		return 0
	}
	return rand.N(limit)
}

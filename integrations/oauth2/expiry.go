package identityoauth2

import (
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
)

const (
	// early is how long before a token's Expiry oauth2 asks for another (its defaultExpiryDelta).
	early = 10 * time.Second
	// soonest is how long a cache in front keeps a token whose renewal is due. A renewal that goes
	// well takes milliseconds, and asking costs nothing.
	soonest = time.Second
)

// expiry is the Expiry of a token that was got now, so that a cache in front asks again when a
// renewal is due:
//
//	got at 0 h, RefreshOn 12 h, ExpiresOn 24 h: 12 h and 10 s, so that it asks at 12 h
//	got at 12 h, while it is renewed:           11 s later, so that it asks 1 s later
//	got 5 s before its end:                     the end, so that it asks each time
//
// A token without RefreshOn is due at half of what is left, as in identity.Tokens.
func expiry(t azcore.AccessToken, now time.Time) time.Time {
	wait := t.RefreshOn.Sub(now)
	if t.RefreshOn.IsZero() {
		wait = t.ExpiresOn.Sub(now) / 2
	}
	at := now.Add(max(wait, soonest) + early).Round(0).UTC()
	if at.After(t.ExpiresOn) {
		return t.ExpiresOn
	}
	return at
}

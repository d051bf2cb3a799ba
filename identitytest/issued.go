package identitytest

import (
	"errors"
	"fmt"
	"time"
)

// issue returns the token that answers r, from the host's cache if it has one. The script may say
// whose it is and how long it lives.
func (e *Endpoint) issue(r received, d demand, now time.Time) token {
	if r.scripted.Identity != (Identity{}) {
		d.id = r.scripted.Identity
	}
	if d.lifetime = r.scripted.Lifetime; d.lifetime != 0 {
		d.anew = true
	}
	i := e.issuer
	if t, ok := i.cached(d, now); ok {
		return t
	}
	t := i.sign(d, now)
	i.announce(Token{Raw: t.raw, Identity: t.id, Resource: t.resource, ExpiresOn: time.Unix(t.expires, 0)})
	return i.keep(t, d, now)
}

// Verify returns what the endpoint knows of a token that it has issued, for the stand-in of a
// service that gets tokens as passwords or in a header. Compare the Resource with the service's
// own, and the Identity with who may log in. The error says why a real service would refuse the
// token: another issuer's, or one that has ended. It has no byte of the token. An earlier token is
// good until its own end, as on Azure, whatever has replaced it.
func (e *Endpoint) Verify(raw string) (Token, error) {
	e.issuer.mu.Lock()
	t, ok := e.issuer.known[raw]
	e.issuer.mu.Unlock()
	switch now := time.Now(); {
	case !ok:
		return Token{}, errors.New("identitytest: Verify: no token of this endpoint's")
	case !now.Before(t.ExpiresOn):
		return Token{}, fmt.Errorf("identitytest: Verify: the token has ended %v ago, at %s",
			now.Sub(t.ExpiresOn).Round(time.Millisecond), t.ExpiresOn.UTC().Format(time.RFC3339))
	}
	return t, nil
}

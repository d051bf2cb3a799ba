package identitytest

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// refuse says why an assertion fits none of the federated credentials that a client has, or that it
// isn't in its time; nil if it is good. What it says is read before its signature is.
func refuse(
	clientID string, credentials []FederatedCredential, assertion string, now time.Time,
) *entraError {
	c, err := readAssertion(assertion)
	if err != nil {
		return malformedAssertion()
	}
	left := credentials
	fits := func(f func(FederatedCredential) bool) bool {
		left = slices.DeleteFunc(slices.Clone(left), func(c FederatedCredential) bool { return !f(c) })
		return len(left) > 0
	}
	switch {
	case len(credentials) == 0:
		return noCredentials(clientID)
	case !fits(func(f FederatedCredential) bool { return f.Issuer == c.Issuer }):
		return strangeAssertion(700211, "issuer", c.Issuer)
	case !fits(func(f FederatedCredential) bool { return c.Audience.has(f.Audience) }):
		return strangeAssertion(700212, "audience", strings.Join(c.Audience, ","))
	case !slices.ContainsFunc(left, func(f FederatedCredential) bool {
		return strings.EqualFold(f.Subject, c.Subject)
	}):
		return strangeAssertion(700213, "subject", c.Subject)
	case !fits(func(f FederatedCredential) bool { return f.Subject == c.Subject }):
		return otherLetters(c.Subject)
	case now.Unix() >= c.Expires, now.Unix() < c.NotBefore:
		return expiredAssertion()
	}
	return nil
}

// assertionClaims are what a federated credential is compared with, and the time.
type assertionClaims struct {
	Audience  audience `json:"aud"`
	Expires   int64    `json:"exp"`
	Issuer    string   `json:"iss"`
	NotBefore int64    `json:"nbf"`
	Subject   string   `json:"sub"`
}

// audience is one, or a list of them: RFC 7519 has both.
type audience []string

// has reports whether name, or api://AzureADTokenExchange if that is empty, is among them.
func (a audience) has(name string) bool {
	name = cmp.Or(name, exchangeAudience)
	return slices.Contains(a, name) || name == exchangeAudience && slices.Contains(a, exchangeID)
}

// UnmarshalJSON implements json.Unmarshaler.
func (a *audience) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*a = audience{one}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(a))
}

func readAssertion(jwt string) (c assertionClaims, err error) {
	segments := strings.Split(jwt, ".")
	if len(segments) != 3 {
		return c, fmt.Errorf("%d segments", len(segments))
	}
	payload, err := base64.RawURLEncoding.DecodeString(segments[1])
	if err != nil {
		return c, err
	}
	return c, json.Unmarshal(payload, &c)
}

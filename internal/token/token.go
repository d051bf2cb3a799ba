// Package token reads what a host grants: the answer with a token, and what the token says of
// itself.
//
// It knows the fields that the hosts of Azure are known to send, and the forms of their dates. It
// doesn't know which host sent an answer, nor which identity was asked for: who asked compares the
// Echo and the Claims with that. It verifies no signature, which only the resource can do.
//
// Parse reads the fields (token.go, text.go), refuses what can't be a bearer token (Check), dates
// it (expiry.go, date.go), and heeds an earlier end that the token itself names (claims.go). No
// error repeats a byte of the token.
//
// All functions may be called by many goroutines at once.
package token

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/keyless-go/identity/internal/redact"
)

// Token is a token as a host granted it.
type Token struct {
	Value     string
	ExpiresOn time.Time     // by the wall clock, UTC
	RefreshIn time.Duration // from the time of the answer; 0 if the host didn't say
	Echo      Echo
	OfUser    bool // it says that it is a person's
}

// Echo holds the fields by which an answer names the identity it is for, beside the token itself.
// One that is absent is "".
type Echo struct{ ClientID, ObjectID, PrincipalID, ResourceID string }

// response is the union of the hosts' success bodies. Every field but the token is read leniently:
// hosts and look-alikes send numbers as strings and strings as numbers, and a token that can be
// dated is never refused.
type response struct {
	AccessToken json.RawMessage `json:"access_token"`
	TokenType   Text            `json:"token_type"`
	ExpiresOn   Text            `json:"expires_on"`
	ExpiresIn   Text            `json:"expires_in"`
	RefreshIn   Text            `json:"refresh_in"`
	ClientID    Text            `json:"client_id"`
	ObjectID    Text            `json:"object_id"`
	PrincipalID Text            `json:"principal_id"`
	MSIResID    Text            `json:"msi_res_id"`
	MIResID     Text            `json:"mi_res_id"`
}

var (
	// ErrNotJSON is what Parse returns for a body that is no JSON object, such as one that was cut.
	ErrNotJSON = errors.New("the token response is not a JSON object")
	// ErrExpired is in the error for a token that has ended already.
	ErrExpired = errors.New("the token expired")
)

// Parse reads a success body received at now. Errors never repeat a byte of it.
func Parse(body []byte, now time.Time) (Token, error) {
	var r response
	if err := json.Unmarshal(body, &r); err != nil {
		return Token{}, ErrNotJSON
	}
	var t Token
	_ = json.Unmarshal(r.AccessToken, &t.Value) // anything but a string leaves it empty
	t.Echo = Echo{
		ClientID:    string(r.ClientID),
		ObjectID:    string(r.ObjectID),
		PrincipalID: string(r.PrincipalID),
		ResourceID:  string(cmp.Or(r.MSIResID, r.MIResID)),
	}
	if err := Check(t.Value, string(r.TokenType), "access_token"); err != nil {
		return Token{}, err
	}
	expiresOn, ok := expiry(r, t.Value, now)
	if !ok {
		return Token{}, errors.New("the token response does not say when the token expires: " +
			"expires_on, expires_in and the token's exp are absent or unreadable")
	}
	if err := t.Until(expiresOn, now); err != nil {
		return Token{}, err
	}
	if s, ok := Number(string(r.RefreshIn)); ok && s > 0 {
		t.RefreshIn = seconds(s)
	}
	return t, nil
}

// Check refuses what can't be a bearer token. kind is the token_type, "" for none; field is where
// the token was.
func Check(value, kind, field string) error {
	switch {
	case strings.TrimSpace(value) == "":
		return errors.New("the token response has no " + field)
	case strings.ContainsFunc(value, func(c rune) bool { return c <= ' ' || c >= 0x7f }):
		// It goes into an HTTP header, where such a character would be an injection.
		return errors.New("the " + field + " contains characters that no token has")
	case kind != "" && !strings.EqualFold(kind, "Bearer"):
		return fmt.Errorf("token_type is %q, want Bearer", redact.Line(redact.Text(kind, value)))
	}
	return nil
}

// In finds the token in an answer that should have none.
func In(body []byte) []string {
	var r struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.Unmarshal(body, &r); err != nil || len(r.AccessToken) < redact.LeastSecret {
		return nil
	}
	return []string{r.AccessToken}
}

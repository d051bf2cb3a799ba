package token

import (
	"bytes"
	"encoding/json"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/keyless-go/identity/internal/redact"
)

// lastFields reads the fields of a JSON object as encoding/json's structs do: in any case, and of
// several the last. It is slow and obvious. It is false for what is no object.
func lastFields(object []byte, names ...string) (map[string]json.RawMessage, bool) {
	if !json.Valid(object) {
		return nil, false
	}
	found := map[string]json.RawMessage{}
	d := json.NewDecoder(bytes.NewReader(object))
	first, err := d.Token()
	switch {
	case err != nil: // a number that is too large
		return nil, false
	case first == nil: // null, which changes nothing
		return found, true
	case first != json.Delim('{'):
		return nil, false
	}
	for d.More() {
		key, err := d.Token()
		var value json.RawMessage
		if err != nil || d.Decode(&value) != nil {
			return nil, false
		}
		for _, name := range names {
			if strings.EqualFold(key.(string), name) {
				found[name] = value
			}
		}
	}
	return found, true
}

// stringIn is the content of a JSON string, "" for anything else.
func stringIn(raw json.RawMessage) string {
	var v any
	if json.Unmarshal(raw, &v) != nil {
		return ""
	}
	s, _ := v.(string)
	return s
}

// wholeIn is a whole number, as a JSON number or a string of digits, in the span in which no
// rounding is allowed.
func wholeIn(raw json.RawMessage) (int64, bool) {
	s := stringIn(raw)
	if s == "" {
		s = string(raw)
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil && n > 0 && n < 1<<40
}

// tokenRefusals are the texts of all errors. Of the one about a type the type is taken.
var tokenRefusals = regexp.MustCompile(`^(the token response is not a JSON object` +
	`|the token response has no access_token` +
	`|the access_token contains characters that no token has` +
	`|token_type is ("[^\n]*"), want Bearer` +
	`|the token response does not say when the token expires: ` +
	`expires_on, expires_in and the token's exp are absent or unreadable` +
	`|the token expired at [0-9TZ:-]+, [0-9a-z.µ]+ ago)$`)

// FuzzParseToken: a token is taken only out of a field for it, goes into a header as it is, and
// ends when its answer says; and a refusal says nothing but one of a few texts.
func FuzzParseToken(f *testing.F) {
	answers, err := os.ReadFile("testdata/answers.txt")
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range append([]string{
		`{"access_token":"0123456789","expires_in":"3600","token_type":"Bearer"}`,
		`{"access_token":"` + jwtOf(`{"exp":1800000000}`) + `"}`,
		`{"access_token":"` + jwtOf(`{"exp":1483326300}`) + `","expires_on":"1483412644"}`,
		`{"access_token":"` + jwtOf(`{"exp":1400000000}`) + `","expires_on":1400000000}`,
		`{"access_token":"t\n","expires_on":1e300}`, `{"access_token":"t\u007f","expires_in":1}`,
		`{"access_token":"t","expires_on":-1,"expires_in":99999999999999999999}`,
		`{"access_token":"t","expires_on":253402300799}`,
		`{"access_token":"t","expires_on":253402300800}`,
		`{"access_token":"t","expires_on":"253402300799999"}`,
		`{"access_token":"t","expires_on":"AM PM 00 PM"}`,
		`{"access_token":"t","expires_on":"1/1/0001 12:00:00 AM +00:00","expires_in":1}`,
		`{"access_token":"a","ACCESS_TOKEN":"b","acceſſ_toKen":"c","expires_in":1}`,
		`{"access_token":{"access_token":"a"},"expires_in":1}`,
		`{"access_token":"0123456789","token_type":"x0123456789x","expires_in":1}`,
		`{"access_token":"0123456789","token_type":"\u0030123456789","expires_in":1}`,
		`{"access_token":"t","refresh_in":1.5,"expires_in":"0x10"}`,
		`{"error":"invalid_request","error_description":"Identity not found"}`,
		`[]`, `null`, `1E1000`, `{`, `<html>`, `{}{}`, ``,
	}, strings.Split(string(answers), "\n")...) {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		g, err := Parse(body, parsedAt)
		fields, isObject := lastFields(body, "access_token", "token_type", "expires_on", "expires_in",
			"refresh_in")
		token := stringIn(fields["access_token"])
		if err != nil {
			if g != (Token{}) {
				t.Error("a grant came with the error")
			}
			said := tokenRefusals.FindStringSubmatch(err.Error())
			if said == nil || len(err.Error()) > 600 {
				t.Fatalf("the error is none of the texts: %q", err)
			}
			if kind, _ := strconv.Unquote(said[2]); len(token) >= 8 && strings.Contains(kind, token) ||
				redact.Token(kind) != kind {
				t.Errorf("error shows the token: %q", err)
			}
			if (err == ErrNotJSON) == isObject {
				t.Errorf("%q: %v", body, err)
			}
			return
		}
		if g.Value == "" || g.Value != token {
			t.Errorf("took the token %q, the field has %q", g.Value, fields["access_token"])
		}
		if strings.ContainsFunc(g.Value, func(r rune) bool { return r < '!' || r > '~' }) {
			t.Errorf("no header can have the token %q", g.Value)
		}
		if kind := stringIn(fields["token_type"]); strings.TrimSpace(kind) != "" &&
			!strings.EqualFold(strings.TrimSpace(kind), "bearer") {
			t.Errorf("took a token of type %q", kind)
		}
		end := g.ExpiresOn
		if !end.After(parsedAt) || end.Year() > 9999 || end.Location() != time.UTC ||
			end != end.Round(0) {
			t.Errorf("it ends at %v", end)
		}
		if g.RefreshIn < 0 || g.RefreshIn > maxSeconds*time.Second {
			t.Errorf("it is renewed in %v", g.RefreshIn)
		}
		if n, ok := wholeIn(fields["refresh_in"]); ok && n < maxSeconds &&
			g.RefreshIn != time.Duration(n)*time.Second {
			t.Errorf("refresh_in %s is %v", fields["refresh_in"], g.RefreshIn)
		}
		if strings.Count(token, ".") == 2 { // it may say itself when it ends
			return
		}
		on, absolute := wholeIn(fields["expires_on"])
		in, relative := wholeIn(fields["expires_in"])
		switch {
		case absolute && on >= plausible && on <= latest:
			if end.Unix() != on {
				t.Errorf("expires_on %d became %v", on, end)
			}
		// the other is no date, or empty
		case relative && in < maxSeconds && (absolute || len(fields["expires_on"]) <= 2):
			if got := end.Sub(parsedAt); got != time.Duration(in)*time.Second {
				t.Errorf("expires_in %d became %v", in, got)
			}
		}
	})
}

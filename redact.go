package identity

import (
	"encoding/json"
	"html"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

// jwtLike finds what may be a token, also one cut in the middle.
var jwtLike = regexp.MustCompile(`eyJ[A-Za-z0-9_-]{8,}[A-Za-z0-9_.-]*`)

// refreshToken finds a field for one. Entra's errors have its bare name.
var refreshToken = regexp.MustCompile(`refresh_?token["'\\]*\s*[:=]`)

const redacted = "REDACTED"

// leastKey is the length from which on a text that only may be a secret is taken for one: hiding "1" would hide all numbers.
const leastKey = 8

// jsonEscape finds those that can stand for a piece of a secret. Two of them make one character beyond U+FFFF.
var jsonEscape = regexp.MustCompile(`\\(u[dD][89ABab][0-9A-Fa-f]{2}\\u[dD][C-Fc-f][0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|["\\/])`)

// unescapeJSON undoes the escapes of a JSON string, wherever in the text they are.
func unescapeJSON(text string) string {
	return jsonEscape.ReplaceAllStringFunc(text, func(escape string) string {
		if r, _, _, err := strconv.UnquoteChar(strings.Replace(escape, `\/`, `/`, 1), '"'); err == nil {
			return string(r)
		}
		var pair string // such escapes are rare, and this is slower
		if json.Unmarshal([]byte(`"`+escape+`"`), &pair) == nil {
			return pair
		}
		return escape
	})
}

var percentEscape = regexp.MustCompile(`%[0-9A-Fa-f]{2}`)

// unescapeURL undoes the escapes of a URL, wherever in the text they are, and whatever else is in it.
func unescapeURL(text string) string {
	return percentEscape.ReplaceAllStringFunc(text, func(escape string) string {
		plain, _ := url.PathUnescape(escape) // which is one
		return plain
	})
}

// unescapeQuery undoes those of a query, where a plus sign is a blank.
func unescapeQuery(text string) string { return unescapeURL(strings.ReplaceAll(text, "+", " ")) }

// piece is the length from which on what a text and a secret have in common is no accident.
const piece = 12

// sharesPiece reports whether text has the secret in it, or a piece of it: servers cut the long values that they repeat.
func sharesPiece(text, secret string) bool {
	if len(secret) <= piece {
		return strings.Contains(text, secret)
	}
	// Any piece has in it a block of the text that begins at a multiple of half its length.
	const block = piece / 2
	for i := 0; i+block <= len(text); i += block {
		for from := 0; ; from++ {
			j := strings.Index(secret[from:], text[i:i+block])
			if j < 0 {
				break
			}
			if from += j; inCommon(text, i, secret, from) >= piece {
				return true
			}
		}
	}
	return false
}

// inCommon is the length of what a has around i and b around j.
func inCommon(a string, i int, b string, j int) (n int) {
	for i > 0 && j > 0 && a[i-1] == b[j-1] {
		i, j = i-1, j-1
	}
	for i+n < len(a) && j+n < len(b) && a[i+n] == b[j+n] {
		n++
	}
	return n
}

// shows reports whether text has the secret or a piece of it in it, plain or under two layers of escapes.
func shows(text, secret string, layers int) bool {
	if sharesPiece(text, secret) {
		return true
	}
	if layers == 0 {
		return false
	}
	for _, decode := range []func(string) string{html.UnescapeString, unescapeJSON, unescapeURL, unescapeQuery} {
		if plain := decode(text); plain != text && shows(plain, secret, layers-1) {
			return true
		}
	}
	return false
}

// redact removes from text what must not be shown: secrets, should something echo them, and whatever looks like a token.
// A text that has a field for a token is not shown at all.
func redact(text string, secrets ...string) string {
	text = conceal(text, secrets...)
	lower := strings.ToLower(text)
	if strings.Contains(lower, "access_token") || strings.Contains(lower, "refresh") && refreshToken.MatchString(lower) {
		return redacted
	}
	return jwtLike.ReplaceAllString(text, redacted)
}

// conceal is redact for texts of our own.
func conceal(text string, secrets ...string) string {
	for _, secret := range secrets {
		secret = strings.TrimSpace(secret) // as it is sent: net/http takes off what is around a header's value
		if secret == "" {
			continue
		}
		text = strings.ReplaceAll(text, secret, redacted)
		if quoted, err := json.Marshal(secret); err == nil {
			text = strings.ReplaceAll(text, string(quoted[1:len(quoted)-1]), redacted)
		}
		if shows(text, secret, 2) {
			return redacted
		}
	}
	return text
}

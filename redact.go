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

const redacted = "REDACTED"

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

// shows reports whether text has the secret in it, plain or under two layers of escapes.
func shows(text, secret string, layers int) bool {
	if strings.Contains(text, secret) {
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
	if strings.Contains(strings.ToLower(text), "access_token") {
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

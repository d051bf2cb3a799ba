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

var jsonEscape = regexp.MustCompile(`\\(u[0-9A-Fa-f]{4}|["\\/])`)

// unescapeJSON undoes the escapes of a JSON string, wherever in the text they are.
func unescapeJSON(text string) string {
	return jsonEscape.ReplaceAllStringFunc(text, func(escape string) string {
		if r, _, _, err := strconv.UnquoteChar(strings.Replace(escape, `\/`, `/`, 1), '"'); err == nil {
			return string(r)
		}
		return escape
	})
}

func unescapeURL(text string) string {
	if plain, err := url.QueryUnescape(text); err == nil {
		return plain
	}
	return text
}

// redact removes from text what must not be shown: the secret of the request, should something echo it, and whatever
// looks like a token. A text that has a field for a token is not shown at all.
func redact(text, secret string) string {
	if secret != "" {
		text = strings.ReplaceAll(text, secret, redacted)
		if quoted, err := json.Marshal(secret); err == nil {
			text = strings.ReplaceAll(text, string(quoted[1:len(quoted)-1]), redacted)
		}
		for _, decode := range []func(string) string{html.UnescapeString, unescapeJSON, unescapeURL} {
			if strings.Contains(decode(text), secret) {
				return redacted
			}
		}
	}
	if strings.Contains(strings.ToLower(text), "access_token") {
		return redacted
	}
	return jwtLike.ReplaceAllString(text, redacted)
}

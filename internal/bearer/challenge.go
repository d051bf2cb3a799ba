package bearer

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
)

// maxHeader bounds what is read of a server's challenges, and so what is asked for on its behalf.
const maxHeader = 16 << 10

// claims are those of a claims challenge, "" for none:
//
//	WWW-Authenticate: Bearer error="insufficient_claims", claims="eyJhY2Nlc3NfdG9rZW4…"
//
// There may be several challenges, in one header or in several, of other schemes, too.
// https://learn.microsoft.com/entra/identity-platform/claims-challenge
func claims(header http.Header) string {
	for _, line := range header.Values("WWW-Authenticate") {
		if len(line) > maxHeader {
			continue
		}
		for rest, scheme := line, ""; rest != ""; {
			var name, value string
			name, value, rest = next(rest)
			if words := strings.Fields(name); len(words) > 1 || value == "" && len(words) > 0 {
				scheme, name = words[0], words[len(words)-1] // another challenge begins
			}
			if !strings.EqualFold(scheme, "Bearer") ||
				!strings.EqualFold(strings.TrimSpace(name), "claims") {
				continue
			}
			if found := decode(value); found != "" {
				return found
			}
		}
	}
	return ""
}

// next takes the first parameter off a list: of `Bearer realm="a, b", x=y` the name with its
// scheme, and a, b. Both are as they are written, but for quotes.
func next(list string) (name, value, rest string) {
	at := strings.IndexAny(list, `=,`)
	switch {
	case at < 0:
		return list, "", ""
	case list[at] == ',':
		return list[:at], "", list[at+1:]
	}
	name, rest = list[:at], strings.TrimLeft(list[at+1:], " \t")
	if !strings.HasPrefix(rest, `"`) {
		value, rest, _ = strings.Cut(rest, ",")
		return name, strings.TrimSpace(value), rest
	}
	var b strings.Builder
	for i := 1; i < len(rest); i++ {
		switch c := rest[i]; {
		case c == '"':
			_, rest, _ = strings.Cut(rest[i+1:], ",")
			return name, b.String(), rest
		case c == '\\' && i+1 < len(rest):
			i++
			b.WriteByte(rest[i])
		default:
			b.WriteByte(c)
		}
	}
	return name, "", "" // the quote has no end
}

// decode reads a challenge's claims: base64 of either alphabet, padded or not, of a JSON object. It
// is "" for what is none.
func decode(value string) string {
	value = strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(value, "="))
	text, err := base64.RawStdEncoding.DecodeString(value)
	var object map[string]json.RawMessage
	if err != nil || json.Unmarshal(text, &object) != nil || object == nil {
		return ""
	}
	return string(text)
}

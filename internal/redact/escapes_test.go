package redact

import (
	"fmt"
	"html"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// escapes are the ways in which a secret comes back: as it is, or as JSON, HTML and URLs write it,
// and how each is read.
var escapes = []struct {
	name           string
	encode, decode func(string) string
}{
	{name: "plain", encode: strings.Clone, decode: strings.Clone},
	{name: "JSON", encode: inJSON, decode: decodeJSON},
	{name: "JSON in ASCII", decode: decodeJSON, encode: func(s string) string {
		var b strings.Builder
		for _, unit := range utf16.Encode([]rune(s)) {
			fmt.Fprintf(&b, `\u%04X`, unit)
		}
		return b.String()
	}},
	{name: "JSON with slashes", decode: decodeJSON, encode: func(s string) string {
		return strings.ReplaceAll(inJSON(s), "/", `\/`)
	}},
	{name: "HTML", encode: html.EscapeString, decode: html.UnescapeString},
	{name: "path", encode: url.PathEscape, decode: decodeURL},
	{name: "query", encode: url.QueryEscape, decode: decodeForm},
}

// inJSON is what is between the quotes of a JSON string.
func inJSON(s string) string {
	quoted := jsonOf(s)
	return quoted[1 : len(quoted)-1]
}

// decodeJSON reads what there is of a JSON string's escapes, wherever in a text they are.
func decodeJSON(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); {
		var units []uint16
		for i+6 <= len(s) && s[i:i+2] == `\u` {
			unit, err := strconv.ParseUint(s[i+2:i+6], 16, 16)
			if err != nil {
				break
			}
			units, i = append(units, uint16(unit)), i+6
		}
		switch {
		case len(units) > 0:
			b.WriteString(string(utf16.Decode(units)))
		case i+1 < len(s) && s[i] == '\\' && strings.IndexByte(`"\/`, s[i+1]) >= 0:
			b.WriteByte(s[i+1])
			i += 2
		default:
			b.WriteByte(s[i])
			i++
		}
	}
	return b.String()
}

// decodeURL does the same for a URL's.
func decodeURL(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+3 <= len(s) {
			if c, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
				b.WriteByte(byte(c))
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// FuzzRedact: a secret that somebody repeats is not shown, in whichever two escapes one in the
// other, nor is a token.
func FuzzRedact(f *testing.F) {
	for i, secret := range []string{
		"QJX7canaryVBK2", "c2VjcmV0+dmFsdWU=", "c2VjcmV0/dmFsdWU=", `s3<cr>&"et\`, "a", "ED",
		"0A1B2C3D-1111-4222-8333-944455556666", "größe 世界 😀", "  blanks around ", "100%25", "&amp;",
		`\u0041`, "+ +", aJWT,
	} {
		for j, around := range []string{
			"", "you sent ", `{"statusCode":403,"message":"`, `\`, "%", "&", "<a href='",
			"access_token", "eyJhbGciOiJub25l",
		} {
			f.Add(around, secret, "\"}", byte(i+j), byte(i))
		}
	}
	for _, body := range innocent(f) {
		f.Add(body, "QJX7canaryVBK2", body, byte(1), byte(1))
	}
	f.Fuzz(func(t *testing.T, before, secret, behind string, inner, outer byte) {
		one, other := escapes[int(inner)%len(escapes)], escapes[int(outer)%len(escapes)]
		sent := strings.TrimSpace(secret) // as net/http sends it
		if strings.TrimSpace(secret) == "" || strings.ContainsFunc(secret, unicode.IsControl) ||
			!utf8.ValidString(secret) {
			t.Skip() // it is none that a header can have
		}
		said := before + other.encode(one.encode(sent)) + behind
		if sent != "" && len(said) <= MaxText/4 && len(secret) <= MaxText/4 {
			for _, text := range []string{said, before + behind} {
				if got, want := len(NewIndex([]string{secret}).search(text, 1)) > 0,
					slowlyShows(text, sent); got != want {
					t.Errorf("%q in %q: found %v, want %v", sent, text, got, want)
				}
			}
		}
		shown := Text(said, secret)
		if jwtLike.Get().MatchString(shown) {
			t.Errorf("a token is shown: %q", shown)
		}
		if strings.Contains(Mark, sent) { // a secret that is a piece of that word
			return
		}
		for what, text := range map[string]string{
			"plain": shown, "read once": other.decode(shown),
			"read in another way": one.decode(shown), "read twice": one.decode(other.decode(shown)),
		} {
			if strings.Contains(text, sent) {
				t.Errorf("the secret %q, as %s in %s, is shown when %s: %q", sent, one.name, other.name, what,
					shown)
			}
		}
		if again := Text(shown, secret); again != shown {
			t.Errorf("%q becomes %q when looked at again", shown, again)
		}
	})
}

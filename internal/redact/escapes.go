package redact

import (
	"html"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// unescapes undo one layer of the escapes that a secret comes back in, each of its own kind.
var unescapes = []func(string) string{html.UnescapeString, unescapeJSON, unescapeURL, unescapeQuery}

// unescapeJSON undoes the escapes of a JSON string, wherever in the text they are, and those that
// other languages share.
func unescapeJSON(text string) string { return unescapeEach(text, '\\', jsonEscape) }

// unescapeURL undoes the escapes of a URL, wherever in the text they are, and whatever else is in
// it.
func unescapeURL(text string) string { return unescapeEach(text, '%', percentEscape) }

// unescapeQuery undoes those of a query, where a plus sign is a blank.
func unescapeQuery(text string) string { return unescapeURL(strings.ReplaceAll(text, "+", " ")) }

// unescapeEach replaces each escape, which begins with mark, by what it stands for. The function
// reads one at the head of a text, and says how many bytes it has; 0 if there is none.
func unescapeEach(text string, mark byte, read func(string) (plain string, n int)) string {
	at := strings.IndexByte(text, mark)
	if at < 0 {
		return text
	}
	var b strings.Builder
	b.Grow(len(text))
	for ; at >= 0; at = strings.IndexByte(text, mark) {
		b.WriteString(text[:at])
		text = text[at:]
		plain, n := read(text)
		if n == 0 {
			plain, n = text[:1], 1
		}
		b.WriteString(plain)
		text = text[n:]
	}
	b.WriteString(text)
	return b.String()
}

// jsonEscape reads one that can stand for a piece of a secret, which has no control characters. Two
// of them make one character beyond U+FFFF; half of such a pair makes none.
func jsonEscape(text string) (plain string, n int) {
	if len(text) < 2 {
		return "", 0
	}
	switch text[1] {
	case '"', '\\', '/', '\'':
		return text[1:2], 2
	case 'x': // JavaScript's and Python's
		if c, ok := hexDigits(text, 2, 2); ok && c < utf8.RuneSelf {
			return string(c), 4
		}
		return "", 0
	case 'u':
	default:
		return "", 0
	}
	unit, ok := hexDigits(text, 2, 4)
	if !ok {
		return "", 0
	}
	if utf16.IsSurrogate(unit) {
		if strings.HasPrefix(text[6:], `\u`) {
			if low, ok := hexDigits(text, 8, 4); ok {
				if r := utf16.DecodeRune(unit, low); r != utf8.RuneError {
					return string(r), 12
				}
			}
		}
		unit = utf8.RuneError
	}
	return string(unit), 6
}

// percentEscape reads one of a URL's.
func percentEscape(text string) (plain string, n int) {
	if c, ok := hexDigits(text, 1, 2); ok {
		return string([]byte{byte(c)}), 3
	}
	return "", 0
}

// hexDigits reads n of them from a place on.
func hexDigits(text string, at, n int) (rune, bool) {
	if at+n > len(text) {
		return 0, false
	}
	value, err := strconv.ParseUint(text[at:at+n], 16, 32)
	return rune(value), err == nil
}

// htmlEscape reads one of HTML's that is whole.
func htmlEscape(text string) (plain string, n int) {
	// of those that stand for what a field's value is set off by: &DiacriticalAcute; is none
	const longest = 12
	end := strings.IndexByte(text[:min(len(text), longest)], ';')
	if end < 0 {
		return "", 0
	}
	if plain = html.UnescapeString(text[:end+1]); plain == text[:end+1] {
		return "", 0
	}
	return plain, end + 1
}

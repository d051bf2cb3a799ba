package redact

import (
	"bytes"
	"strings"
)

// longestScheme bounds what stands before the credentials of a request: SharedAccessSignature is
// the longest in use.
const longestScheme = 24

// field is a name, and what sets its value off.
type field struct {
	name      string // bare
	separator int    // where the sign is behind the name
	prose     bool   // the name and the sign may be a sentence's
}

// value finds what the field holds whose name, bare, is from begin to end. It is false if there is
// no value, or none that could be a secret.
func (r *reading) value(name string, begin, end int) (value span, ok bool) {
	f, at, ok := r.fieldNamed(name, begin, end)
	if !ok {
		return span{}, false
	}
	at = r.skipBlanks(r.block(r.skipBlanks(at)))
	if bytes.HasPrefix(r.text[min(at, len(r.text)):], []byte(Mark)) &&
		!isTokenByte(r.at(at+len(Mark))) {
		return span{}, false
	}
	quote := at
	for quote < at+2 && isLetter(rune(r.at(quote))) { // Python has up to two letters before one
		quote++
	}
	if isQuote(r.at(quote)) {
		return r.valueInQuotes(f, at, quote)
	}
	return r.valueInWords(f, at)
}

// fieldNamed is the field whose name is from begin to end, and where its value begins. It is false
// for a name that sets off no value.
func (r *reading) fieldNamed(name string, begin, end int) (f field, at int, ok bool) {
	quoted := isQuote(r.at(end)) && r.at(begin-1) != '/' // which is the end of a URL
	at = end
	for isQuote(r.at(at)) || r.at(at) == '\\' || r.at(at) == ']' {
		at++
	}
	at = r.skipBlanks(at)
	f = field{name: name, separator: at}
	for r.at(at) == ':' || r.at(at) == '=' {
		at++
	}
	switch before := r.at(begin - 1); {
	case f.separator < at:
		f.prose = !quoted && at == f.separator+1 && r.text[f.separator] == ':' &&
			isBlank(r.at(at))
		if r.at(at) == '>' { // =>
			at++
		}
	// <access_token>x</access_token>, <a:token>x
	case r.at(at) == '>' && (before == '<' || before == ':'):
		at++
	case quoted && r.hasWord(at, "value"): // <input name="access_token" value="x">
		if at = r.skipBlanks(at + len("value")); r.at(at) != '=' {
			return field{}, 0, false
		}
		at++
	case quoted && r.at(at) == ',': // ('access_token', 'x'), {"name": "access_token", "value": "x"}
		if at = r.skipBlanks(at + 1); !isQuote(r.at(at)) {
			return field{}, 0, false
		}
		if next, of := r.fieldAt(at); of > 0 {
			if next != "value" {
				return field{}, 0, false
			}
			at = of
		} else if r.namesOnly(at) {
			return field{}, 0, false
		}
	case r.text[begin] == '-' && f.separator > end: // --access-token x
	default:
		return field{}, 0, false
	}
	return f, at, true
}

// isAuthorization reports whether the value is the credentials of a request.
func (f field) isAuthorization() bool { return strings.HasSuffix(f.name, "authorization") }

// valueInQuotes is a value with quotes around it, which may have letters of Python's before them.
func (r *reading) valueInQuotes(f field, at, quote int) (value span, ok bool) {
	value, ok = r.quotedValue(quote)
	if strings.Trim(strings.ToLower(string(r.text[at:quote])), "bruf") != "" { // it's
		value.from = at
	}
	// where to ask, of a challenge
	if f.isAuthorization() && bytes.HasPrefix(r.text[value.from:], []byte("https://")) {
		ok = false
	}
	return value, ok
}

// valueInWords is a value without quotes. It is false for words that can't be one.
func (r *reading) valueInWords(f field, at int) (value span, ok bool) {
	depth := r.depth(min(f.separator, len(r.text)-1))
	to := r.word(at, depth)
	word := r.text[min(at, to):to]
	switch string(bytes.ToLower(bytes.Trim(word, ",;]})<>"))) {
	case "", "null", "none", "nil", "undefined", "true", "false", "[", "{", "(":
		return span{}, false
	}
	if f.prose && (isPlainWord(word) || whatFailed.Get().Match(word)) && endsIn(f.name, proseNames) &&
		(!endsIn(f.name, certainNames) || strings.HasSuffix(f.name, "validtoken")) {
		// "can't parse the token: it has expired", "fetching token: AzureCLICredential: no"
		return span{}, false
	}
	// Bearer and its like
	if f.isAuthorization() && len(word) < longestScheme && !bytes.ContainsAny(word, "=,([{") {
		to = max(to, r.word(r.skipBlanks(to), depth))
	}
	return span{at, to}, true
}

// fieldAt is the name in quotes at a place, and where its value begins; 0 if it is no field's.
func (r *reading) fieldAt(open int) (name string, at int) {
	value, ok := r.quotedValue(open)
	if !ok {
		return "", 0
	}
	for at = value.to; isQuote(r.at(at)) || r.at(at) == '\\'; at++ {
	}
	if at = r.skipBlanks(at); r.at(at) != ':' {
		return "", 0
	}
	return bareField(r.text[value.from:value.to]), at + 1
}

// block is behind the sign at a place by which YAML says that the value is in the next lines, such
// as | and >-.
func (r *reading) block(at int) int {
	if r.at(at) != '|' && r.at(at) != '>' {
		return at
	}
	to := at + 1
	for strings.IndexByte("+-123456789", r.at(to)) >= 0 {
		to++
	}
	if r.at(to) != '\n' && r.at(to) != '\r' {
		return at
	}
	return to
}

func (r *reading) hasWord(at int, word string) bool {
	return bytes.HasPrefix(bytes.ToLower(r.text[at:min(at+len(word), len(r.text))]), []byte(word))
}

// namesOnly reports whether what is in quotes is a name of another field.
func (r *reading) namesOnly(open int) bool {
	value, ok := r.quotedValue(open)
	return !ok || !bytes.ContainsFunc(r.text[value.from:value.to],
		func(c rune) bool { return (c < 'a' || c > 'z') && c != '_' })
}

// bearer is the token behind the word for its kind. It is false for prose, and for a parameter of a
// challenge: error="…".
func (r *reading) bearer(at int) (token span, ok bool) {
	for r.at(at) == ':' || r.at(at) == '+' || isBlank(r.at(at)) {
		at++
	}
	to := at
	for isTokenByte(r.at(to)) {
		r.effort--
		to++
	}
	word := r.text[min(at, to):to]
	parameter := r.at(to-1) == '=' && (isQuote(r.at(to)) || r.at(to) == '\\')
	return span{at, to}, len(word) > 0 && !parameter && string(word) != Mark &&
		!isPlainWord(word)
}

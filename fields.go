package identity

import (
	"bytes"
	"cmp"
	"regexp"
	"slices"
	"strings"
)

// secretNames are the ends of the names that fields for secrets have, without what joins words:
// access_token, refreshToken, id-token. What follows tells whether a value does: a function named
// get_access_token has none.
var secretNames = []string{
	"token", "tokenvalue", "tokenstring", "secret", "secretvalue", "assertion", "authorization",
	"password", "passwd", "passphrase", "pwd", "connectionstring", "identityheader",
	"accountkey", "accesskey", "apikey", "subscriptionkey", "signingkey", "privatekey",
	"primarykey", "secondarykey", "functionkey", "hostkey",
}

// proseNames of these stand in sentences, too: behind one of them and a colon a word may be no
// value. Behind certainNames it always is taken for one.
var (
	proseNames   = []string{"token", "secret", "assertion"}
	certainNames = []string{"accesstoken", "refreshtoken", "idtoken", "sastoken", "bearertoken",
		"clientsecret", "clientassertion"}
)

// userInfo finds the name and the password in a URL.
var userInfo = regexp.MustCompile(`://([^\s/?#"'<>@]+)@`)

// privateKey finds one in PEM, with its first line, also one cut in the middle.
var privateKey = regexp.MustCompile(
	`-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----[^-]+(?:-----END [A-Z ]{0,20}PRIVATE KEY-----)?`)

// hideFields replaces what a field for a token or another secret holds, and whatever looks like a
// token, under any layers of escapes. Where it can't be told that something is no value it is
// hidden.
func hideFields(text string) string {
	for range 3 {
		shown := hideFieldsOnce(text)
		if shown == text {
			return text
		}
		text = shown
	}
	return redacted // it changes each time that it is read, which nothing innocent does
}

// effort bounds how often the bytes of a text are looked at for where values end. One value in the
// other, as in JSON, is looked at twice; a text with a hundred that don't end is written to keep us
// busy.
const effort = 16

// span is a part of a text.
type span struct{ from, to int }

func hideFieldsOnce(text string) string {
	r, settled := unescapeAll(text)
	var hidden []span // in what r reads
	r.effort = effort * len(text)
	for from, to := r.nextName(0); from < to; from, to = r.nextName(to) {
		name := bareField(r.text[from:to])
		value, ok := span{}, false
		switch {
		case name == "bearer":
			value, ok = r.bearer(to)
		case name == "sig" || endsIn(name, secretNames):
			value, ok = r.value(name, from, to)
		}
		switch {
		case r.effort < 0, ok && !settled: // more than anybody writes
			return redacted
		case ok:
			hidden = append(hidden, value)
		}
	}
	if bytes.IndexByte(r.text, '@') >= 0 {
		for _, m := range userInfo.FindAllSubmatchIndex(r.text, -1) {
			hidden = append(hidden, span{m[2], m[3]})
		}
	}
	for _, looks := range []*regexp.Regexp{jwtLike, privateKey} {
		for _, m := range looks.FindAllIndex(r.text, -1) {
			hidden = append(hidden, span{m[0], m[1]})
		}
	}
	if len(hidden) == 0 {
		return text
	}
	for i, h := range hidden { // in the text itself
		hidden[i] = span{r.from(h.from), r.to(h.to - 1)}
	}
	slices.SortFunc(hidden, func(a, b span) int {
		return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(a.to, b.to))
	})
	var b strings.Builder
	end := 0
	for i := 0; i < len(hidden); {
		h := hidden[i]
		for i++; i < len(hidden) && hidden[i].from < h.to; i++ {
			h.to = max(h.to, hidden[i].to)
		}
		b.WriteString(text[end:h.from])
		b.WriteString(redacted)
		end = h.to
	}
	b.WriteString(text[end:])
	return b.String()
}

// nextName is the next run of what names are made of.
func (r *reading) nextName(at int) (from, to int) {
	for at < len(r.text) && !isNameByte(r.text[at]) {
		at++
	}
	for to = at; to < len(r.text) && isNameByte(r.text[to]); to++ {
	}
	return at, to
}

// longestScheme bounds what stands before the credentials of a request: SharedAccessSignature is
// the longest in use.
const longestScheme = 24

// longestName bounds how much of a name is looked at.
const longestName = 64

// bareField is the end of a field's name in small letters, without what joins words, without a
// number, and of several the name of one: tokens.
func bareField[T []byte | string](name T) string {
	name = name[max(len(name)-longestName, 0):]
	bare := make([]byte, 0, longestName)
	for _, c := range []byte(name) {
		switch {
		case c >= 'A' && c <= 'Z':
			bare = append(bare, c-'A'+'a')
		case c != '_' && c != '-':
			bare = append(bare, c)
		}
	}
	return string(bytes.TrimRight(bare, "0123456789s"))
}

func endsIn(name string, ends []string) bool {
	return slices.ContainsFunc(ends, func(end string) bool { return strings.HasSuffix(name, end) })
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
	return span{at, to}, len(word) > 0 && !parameter && string(word) != redacted &&
		!isPlainWord(word)
}

// whatFailed is a name that programs give to what may fail, or to how it did.
var whatFailed = regexp.MustCompile(
	`^(?:[a-z]{1,20}\.){0,4}[A-Z][A-Za-z]{0,40}(?:Credential|Error|Exception)[.,:;]?$`)

// isPlainWord reports whether a word is one of a sentence, or a number such as a status or Entra's.
func isPlainWord(word []byte) bool {
	bare := strings.TrimRight(string(word), ".,:;!?)")
	switch digits := strings.TrimPrefix(bare, "AADSTS"); {
	case bare == "":
		return true
	case len(digits) <= 8 && strings.Trim(digits, "0123456789") == "": // AADSTS or an HTTP status
		return len(digits) <= 3 || len(digits) < len(bare)
	}
	letters := strings.ReplaceAll(bare, "'", "")
	if len(letters) > 20 ||
		strings.ContainsFunc(letters, func(c rune) bool { return !isLetter(c) }) {
		return false
	}
	rest := letters[min(len(letters), 1):]
	return rest == strings.ToLower(rest) || letters == strings.ToUpper(letters)
}

func isLetter(c rune) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }

// value finds what the field holds whose name, bare, is from begin to end. It is false if there is
// no value, or none that could be a secret.
func (r *reading) value(name string, begin, end int) (value span, ok bool) {
	quoted := isQuote(r.at(end)) && r.at(begin-1) != '/' // which is the end of a URL
	authorization := strings.HasSuffix(name, "authorization")
	at := end
	for isQuote(r.at(at)) || r.at(at) == '\\' || r.at(at) == ']' {
		at++
	}
	at = r.skipBlanks(at)
	separator := at
	for r.at(at) == ':' || r.at(at) == '=' {
		at++
	}
	prose := false
	switch before := r.at(begin - 1); {
	case separator < at:
		prose = !quoted && at == separator+1 && r.text[separator] == ':' && isBlank(r.at(at))
		if r.at(at) == '>' { // =>
			at++
		}
	// <access_token>x</access_token>, <a:token>x
	case r.at(at) == '>' && (before == '<' || before == ':'):
		at++
	case quoted && r.hasWord(at, "value"): // <input name="access_token" value="x">
		if at = r.skipBlanks(at + len("value")); r.at(at) != '=' {
			return span{}, false
		}
		at++
	case quoted && r.at(at) == ',': // ('access_token', 'x'), {"name": "access_token", "value": "x"}
		if at = r.skipBlanks(at + 1); !isQuote(r.at(at)) {
			return span{}, false
		}
		if next, of := r.fieldAt(at); of > 0 {
			if next != "value" {
				return span{}, false
			}
			at = of
		} else if r.namesOnly(at) {
			return span{}, false
		}
	case r.text[begin] == '-' && separator > end: // --access-token x
	default:
		return span{}, false
	}
	at = r.skipBlanks(r.block(r.skipBlanks(at)))
	if bytes.HasPrefix(r.text[min(at, len(r.text)):], []byte(redacted)) && !isTokenByte(r.at(at+len(redacted))) {
		return span{}, false
	}
	quote := at
	for quote < at+2 && isLetter(rune(r.at(quote))) { // Python has up to two letters before one
		quote++
	}
	if isQuote(r.at(quote)) {
		value, ok = r.quotedValue(quote)
		if strings.Trim(strings.ToLower(string(r.text[at:quote])), "bruf") != "" { // it's
			value.from = at
		}
		// where to ask, of a challenge
		if authorization && bytes.HasPrefix(r.text[value.from:], []byte("https://")) {
			ok = false
		}
		return value, ok
	}
	depth := r.depth(min(separator, len(r.text)-1))
	to := r.word(at, depth)
	word := r.text[min(at, to):to]
	switch string(bytes.ToLower(bytes.Trim(word, ",;]})<>"))) {
	case "", "null", "none", "nil", "undefined", "true", "false", "[", "{", "(":
		return span{}, false
	}
	if prose && (isPlainWord(word) || whatFailed.Match(word)) && endsIn(name, proseNames) && (!endsIn(name, certainNames) || strings.HasSuffix(name, "validtoken")) {
		// "can't parse the token: it has expired", "fetching token: AzureCLICredential: no"
		return span{}, false
	}
	// Bearer and its like
	if authorization && len(word) < longestScheme && !bytes.ContainsAny(word, "=,([{") {
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

// at is a byte, 0 beyond the ends.
func (r *reading) at(i int) byte {
	if i < 0 || i >= len(r.text) {
		return 0
	}
	return r.text[i]
}

func (r *reading) skipBlanks(at int) int {
	for at < len(r.text) && isBlank(r.text[at]) {
		at++
	}
	return at
}

func (r *reading) hasWord(at int, word string) bool {
	return bytes.HasPrefix(bytes.ToLower(r.text[at:min(at+len(word), len(r.text))]), []byte(word))
}

// quotedValue is what is between a quote and the next one that was escaped alike; all that is left
// if there is none. Two of them stand for one, as in CSV, and hold up three.
func (r *reading) quotedValue(open int) (span, bool) {
	quote := r.source(open)
	for at := open + 1; at < len(r.text); at++ {
		r.effort--
		if r.text[at] != r.text[open] || r.source(at) != quote {
			continue
		}
		if r.at(at+1) == r.text[open] && r.source(at+1) == quote {
			at++
			continue
		}
		return r.inQuotes(open+1, at)
	}
	return r.inQuotes(open+1, len(r.text))
}

func (r *reading) inQuotes(from, to int) (span, bool) {
	return span{from, to}, from < to && string(r.text[from:to]) != redacted
}

// namesOnly reports whether what is in quotes is a name of another field.
func (r *reading) namesOnly(open int) bool {
	value, ok := r.quotedValue(open)
	return !ok || !bytes.ContainsFunc(r.text[value.from:value.to],
		func(c rune) bool { return (c < 'a' || c > 'z') && c != '_' })
}

// word is where a value without quotes ends: at a blank, an ampersand, a double quote or the end of
// what encloses it. An escaped one is a part of the value, unless the separator was escaped as
// deep. What is in brackets is a part of it with all that is between them.
func (r *reading) word(at, depth int) int {
	for at < len(r.text) {
		r.effort--
		c := r.text[at]
		switch {
		case strings.IndexByte("([{", c) >= 0:
			at = r.closing(at)
			continue
		case r.depth(at) > depth:
		case isBlank(c), c == '&', c == '"':
			return at
		case strings.IndexByte(")]}'`,;<>", c) >= 0:
			if next := r.at(at + 1); next == 0 || isBlank(next) ||
				strings.IndexByte(")]}'`,;<>\"&./:", next) >= 0 {
				return at
			}
		}
		at++
	}
	return at
}

// closing is behind the bracket that closes the one at a place; the end of the text if there is
// none. Brackets in quotes don't count, nor does what may only look like quotes: of the two ways to
// read it the longer one is hidden.
func (r *reading) closing(open int) int {
	return max(r.closingIn(open, false), r.closingIn(open, true))
}

func (r *reading) closingIn(open int, quotes bool) int {
	level := 0
	for at := open; at < len(r.text); at++ {
		r.effort--
		switch c := r.text[at]; {
		case strings.IndexByte("([{", c) >= 0:
			level++
		case strings.IndexByte(")]}", c) >= 0:
			if level--; level == 0 {
				return at + 1
			}
		case quotes && isQuote(c) && strings.IndexByte("([{,:=bruf \t\n", r.at(at-1)) >= 0:
			value, _ := r.quotedValue(at)
			at = value.to
		}
	}
	return len(r.text)
}

func isBlank(c byte) bool     { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }
func isQuote(c byte) bool     { return c == '"' || c == '\'' || c == '`' }
func isNameByte(c byte) bool  { return isTokenLetter(c) || c == '_' || c == '-' }
func isTokenByte(c byte) bool { return isTokenLetter(c) || strings.IndexByte("-._~+/=", c) >= 0 }
func isTokenLetter(c byte) bool {
	return isLetter(rune(c)) || c >= '0' && c <= '9'
}

// reading is a text as it reads without its escapes, with where each of its bytes comes from.
type reading struct {
	original string
	text     []byte
	origins  []origin // of each byte; nil if there were no escapes
	effort   int      // that is left
}

// origin is where a byte comes from, and under how many layers of escapes it was.
type origin struct {
	from, to uint32
	depth    uint8
}

func (r *reading) from(i int) int {
	if r.origins == nil {
		return i
	}
	return int(r.origins[i].from)
}

func (r *reading) to(i int) int {
	if r.origins == nil {
		return i + 1
	}
	return int(r.origins[i].to)
}

func (r *reading) depth(i int) int {
	if r.origins == nil || i < 0 || i >= len(r.origins) {
		return 0
	}
	return int(r.origins[i].depth)
}

// source is how a byte was written.
func (r *reading) source(i int) string { return r.original[r.from(i):r.to(i)] }

// maxLayers is more than anybody makes: JSON in JSON in a query.
const maxLayers = 4

// unescapeAll undoes all escapes that can stand for what a field is made of, layer by layer. It is
// false if there are more.
func unescapeAll(text string) (r *reading, settled bool) {
	r = &reading{original: text, text: []byte(text)}
	for range maxLayers + 1 {
		if !r.unescapeLayer() {
			return r, true
		}
	}
	return r, false
}

// unescapeLayer undoes one layer of whatever escapes there are. It is false if there are none.
func (r *reading) unescapeLayer() bool {
	text := string(r.text)
	next := strings.IndexAny(text, `\%&`)
	if next < 0 {
		return false
	}
	var plain []byte
	var origins []origin
	done := 0 // in text
	for at := next; at < len(text); at++ {
		var s string
		n := 0
		switch text[at] {
		case '\\':
			if s, n = jsonEscape(text[at:]); n == 0 && at+1 < len(text) &&
				strings.IndexByte("nrt", text[at+1]) >= 0 {
				s, n = " ", 2
			}
		case '%':
			s, n = percentEscape(text[at:])
		case '&':
			s, n = htmlEscape(text[at:])
		}
		if n == 0 {
			continue
		}
		if plain == nil {
			plain, origins = make([]byte, 0, len(text)), make([]origin, 0, len(text))
		}
		plain, origins = r.copy(plain, origins, text, done, at)
		o := origin{uint32(r.from(at)), uint32(r.to(at + n - 1)), 0}
		for i := at; i < at+n; i++ {
			o.depth = max(o.depth, uint8(r.depth(i)))
		}
		o.depth++
		for range len(s) {
			origins = append(origins, o)
		}
		plain = append(plain, s...)
		at += n - 1
		done = at + 1
	}
	if plain == nil {
		return false
	}
	r.text, r.origins = r.copy(plain, origins, text, done, len(text))
	return true
}

// copy appends a part of a text that has no escapes.
func (r *reading) copy(
	plain []byte, origins []origin, text string, from, to int,
) ([]byte, []origin) {
	for i := from; i < to; i++ {
		origins = append(origins, origin{uint32(r.from(i)), uint32(r.to(i)), uint8(r.depth(i))})
	}
	return append(plain, text[from:to]...), origins
}

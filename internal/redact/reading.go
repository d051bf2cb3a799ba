package redact

import "strings"

// reading is a text as it reads without its escapes, with where each of its bytes comes from.
type reading struct {
	original string
	text     []byte
	origins  []origin // of each byte; nil if there were no escapes
	effort   int      // that is left
}

// span is a part of a text.
type span struct{ from, to int }

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

// nextName is the next run of what names are made of.
func (r *reading) nextName(at int) (from, to int) {
	for at < len(r.text) && !isNameByte(r.text[at]) {
		at++
	}
	for to = at; to < len(r.text) && isNameByte(r.text[to]); to++ {
	}
	return at, to
}

func isBlank(c byte) bool     { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }
func isQuote(c byte) bool     { return c == '"' || c == '\'' || c == '`' }
func isNameByte(c byte) bool  { return isTokenLetter(c) || c == '_' || c == '-' }
func isTokenByte(c byte) bool { return isTokenLetter(c) || strings.IndexByte("-._~+/=", c) >= 0 }
func isTokenLetter(c byte) bool {
	return isLetter(rune(c)) || c >= '0' && c <= '9'
}

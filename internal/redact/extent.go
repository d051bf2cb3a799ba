package redact

import "strings"

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
	return span{from, to}, from < to && string(r.text[from:to]) != Mark
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

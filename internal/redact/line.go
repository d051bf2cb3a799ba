package redact

import (
	"strconv"
	"strings"
	"time"
	"unicode"
)

// MaxLine bounds what is quoted of a host's answer: the first lines of an HTML page are enough to
// know it.
const MaxLine = 300

// Printable makes one line of text: what can't be printed and runs of white space become one blank.
func Printable(text string) string {
	text = strings.Map(func(r rune) rune {
		if Unprintable(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	return strings.Join(strings.Fields(text), " ")
}

// Line makes one line of at most MaxLine bytes.
func Line(text string) string {
	const more = "…"
	text = Printable(text)
	if len(text) > MaxLine {
		text = strings.ToValidUTF8(text[:MaxLine-len(more)], "") + more
	}
	return text
}

// Quoted shows a value in which white space may matter: in quotes, with its control characters and
// runs of blanks visible, no token in it, and no longer than a message.
func Quoted(value string) string {
	value = Text(value)
	if len(value) > MaxLine {
		value = strings.ToValidUTF8(value[:MaxLine], "") + "…"
	}
	// Printable would make one blank of several, and of U+FFFD. So in quotes each second blank and
	// each U+FFFD are written as escapes.
	return strings.NewReplacer("  ", ` \x20`, "\ufffd", `\ufffd`).Replace(strconv.Quote(value))
}

// Unprintable are the characters that have no place in an ID, a scope or a one-line message.
func Unprintable(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar }

// IsWord reports whether a text has neither a blank nor an unprintable character.
func IsWord(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r == ' ' || Unprintable(r) })
}

// Round keeps three digits or so of a duration that is shown: nobody needs nanoseconds of a minute.
func Round(d time.Duration) time.Duration {
	switch {
	case d > time.Minute:
		return d.Round(time.Second)
	case d > time.Second:
		return d.Round(100 * time.Millisecond)
	case d > time.Millisecond:
		return d.Round(time.Millisecond)
	}
	return d.Round(time.Microsecond)
}

package main

import (
	"regexp"
	"strings"
	"unicode"
)

// maxMessage bounds what is said of a failure, which may be what a program printed.
const maxMessage = 1000

// jwtLike finds what may be a token.
var jwtLike = regexp.MustCompile(`eyJ[A-Za-z0-9_-]{8,}[A-Za-z0-9_.-]*`)

// clean makes a message fit for an answer and for the log: one line, without what looks like a token and without the secret,
// whoever put them there.
func (h *handler) clean(text string) string {
	text = jwtLike.ReplaceAllString(text, "REDACTED")
	if h.secret != "" {
		text = strings.ReplaceAll(text, h.secret, "REDACTED")
	}
	return oneLine(text)
}

// oneLine turns line breaks, other control characters and runs of blanks into single blanks.
func oneLine(text string) string {
	blank := func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }
	text = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(text, "?"), blank), " ")
	if len(text) > maxMessage {
		text = strings.ToValidUTF8(text[:maxMessage], "") + "…"
	}
	return text
}

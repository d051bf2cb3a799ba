package main

import (
	"regexp"
	"strings"

	"github.com/keyless-go/identity/examples/internal/commandline"
)

// maxMessage bounds what is said of a failure, which may be what a program printed.
const maxMessage = 1000

// jwtLike finds what may be a token.
var jwtLike = regexp.MustCompile(`eyJ[A-Za-z0-9_-]{8,}[A-Za-z0-9_.-]*`)

// clean makes a message fit for an answer and for the log: one line, without what looks like a
// token and without the secret, whoever put them there.
func (h *handler) clean(text string) string {
	text = jwtLike.ReplaceAllString(text, "REDACTED")
	if h.secret != "" {
		text = strings.ReplaceAll(text, h.secret, "REDACTED")
	}
	return oneLine(text)
}

// oneLine is a text of at most maxMessage bytes in one line.
func oneLine(text string) string {
	text = commandline.OneLine(text)
	if len(text) > maxMessage {
		text = strings.ToValidUTF8(text[:maxMessage], "") + "…"
	}
	return text
}

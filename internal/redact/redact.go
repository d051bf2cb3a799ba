// Package redact cleans text before it may be shown: an error, a log line, a header, a URL.
//
// It knows two kinds of secrets. Those that the caller names, such as the header that a host wants,
// are found as a whole and in pieces, plain and under two layers of escapes: servers quote what
// they were sent as JSON, as HTML or as a query. Those that nobody can name, such as the token in a
// host's answer, are known by what they look like (a JWT, a private key) or by the name of the
// field that holds them. Where it can't be told that something is no secret, it is hidden.
//
// It doesn't know hosts, tokens' claims or errors of this module, and imports nothing of it. Each
// function takes time in proportion to its input, whoever wrote that input, and looks into no more
// than [MaxText] bytes. All may be called by many goroutines at once.
//
// A text goes through [Index.Text]: it is cut (redact.go), the secrets that were named are replaced
// (index.go, escapes.go), then what fields for secrets hold (fields.go, names.go, value.go,
// extent.go, prose.go), read without its escapes (reading.go). What stays becomes one line in
// [Line].
package redact

import (
	"encoding/json"
	"slices"
	"strings"
)

// LeastSecret is the length in bytes from which on a text that only may be a secret is taken for
// one: hiding "1" would hide all numbers.
const LeastSecret = 8

// MaxText is as far as a text is looked into; the rest is dropped. It is more than any host
// says and far more than is quoted, and looking into that much takes at most some ten milliseconds,
// whoever wrote it.
const MaxText = 64 << 10

// cutMargin is what a text loses at its end after it was cut at MaxText, since the cut may have
// left less of a secret than is recognised: 11 bytes, of up to 36 each under two layers of escapes.
const cutMargin = 1 << 10

// maxSecretsFound is how many secrets are replaced one by one. Of a text with more of them nothing
// is shown.
const maxSecretsFound = 16

// Text removes from a text what must not be shown: secrets, should something echo them, whatever
// looks like a token, and what a field for one holds. All else stays as it is. It takes time in
// proportion to the text, of which it reads MaxText bytes, and to the secrets, whatever they hold.
func Text(text string, secrets ...string) string { return NewIndex(secrets).Text(text) }

// Conceal is Text for texts of our own: only the secrets are removed.
func Conceal(text string, secrets ...string) string { return NewIndex(secrets).Conceal(text) }

// Text is the function of that name, for many texts.
func (x *Index) Text(text string) string {
	return bounded64K(text, func(text string) string { return hideFields(x.hide(text)) })
}

// Conceal is the function of that name, for many texts.
func (x *Index) Conceal(text string) string { return bounded64K(text, x.hide) }

// bounded64K cuts a text before it is cleaned, and what is clean once more where the cut may have
// left a piece of a secret.
func bounded64K(text string, clean func(string) string) string {
	if len(text) <= MaxText {
		return clean(text)
	}
	text = clean(text[:MaxText])
	return strings.ToValidUTF8(text[:max(len(text)-cutMargin, 0)], "") + "…"
}

// hide replaces the secrets that are in a text. Where that leaves one under escapes, or a piece of
// one, nothing of the text is shown.
func (x *Index) hide(text string) string {
	found := x.search(text, maxSecretsFound+1)
	switch {
	case len(found) == 0:
		return text
	case len(found) > maxSecretsFound:
		return Mark
	}
	slices.Sort(found) // in the order in which they were given
	for _, i := range found {
		secret := x.secrets[i]
		text = strings.ReplaceAll(text, secret, Mark)
		if quoted, err := json.Marshal(secret); err == nil {
			text = strings.ReplaceAll(text, string(quoted[1:len(quoted)-1]), Mark)
		}
		if len(text) > 8*MaxText { // of a secret of one letter, which the word for it has, too
			return Mark
		}
	}
	if len(x.search(text, 1)) > 0 {
		return Mark
	}
	return text
}

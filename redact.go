package identity

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
)

// jwtLike finds what may be a token, also one cut in the middle.
var jwtLike = regexp.MustCompile(`eyJ[A-Za-z0-9_-]{8,}[A-Za-z0-9_.-]*`)

const redacted = "REDACTED"

// leastKey is the length from which on a text that only may be a secret is taken for one: hiding "1" would hide all numbers.
const leastKey = 8

// maxRedacted is as far as a text is looked into; the rest is dropped. It is more than any host
// says and far more than is quoted, and looking into that much takes at most some ten milliseconds,
// whoever wrote it.
const maxRedacted = 64 << 10

// cutMargin is what a text loses at its end after it was cut at maxRedacted, since the cut may have
// left less of a secret than is recognised: 11 bytes, of up to 36 each under two layers of escapes.
const cutMargin = 1 << 10

// maxSecretsFound is how many secrets are replaced one by one. Of a text with more of them nothing
// is shown.
const maxSecretsFound = 16

// redact removes from text what must not be shown: secrets, should something echo them, whatever
// looks like a token, and what a field for one holds. All else stays as it is. It takes time in
// proportion to the text, of which it reads maxRedacted, and to the secrets, whatever they hold.
func redact(text string, secrets ...string) string { return newSecretIndex(secrets).redact(text) }

// conceal is redact for texts of our own: only the secrets are removed.
func conceal(text string, secrets ...string) string { return newSecretIndex(secrets).conceal(text) }

// redact is the function of that name, for many texts.
func (x *secretIndex) redact(text string) string {
	return bounded64K(text, func(text string) string { return hideFields(x.hide(text)) })
}

// conceal is the function of that name, for many texts.
func (x *secretIndex) conceal(text string) string { return bounded64K(text, x.hide) }

// bounded64K cuts a text before it is cleaned, and what is clean once more where the cut may have
// left a piece of a secret.
func bounded64K(text string, clean func(string) string) string {
	if len(text) <= maxRedacted {
		return clean(text)
	}
	text = clean(text[:maxRedacted])
	return strings.ToValidUTF8(text[:max(len(text)-cutMargin, 0)], "") + "…"
}

// hide replaces the secrets that are in a text. Where that leaves one under escapes, or a piece of
// one, nothing of the text is shown.
func (x *secretIndex) hide(text string) string {
	found := x.search(text, maxSecretsFound+1)
	switch {
	case len(found) == 0:
		return text
	case len(found) > maxSecretsFound:
		return redacted
	}
	slices.Sort(found) // in the order in which they were given
	for _, i := range found {
		secret := x.secrets[i]
		text = strings.ReplaceAll(text, secret, redacted)
		if quoted, err := json.Marshal(secret); err == nil {
			text = strings.ReplaceAll(text, string(quoted[1:len(quoted)-1]), redacted)
		}
		if len(text) > 8*maxRedacted { // of a secret of one letter, which the word for it has, too
			return redacted
		}
	}
	if len(x.search(text, 1)) > 0 {
		return redacted
	}
	return text
}

package redact

import (
	"strings"

	"github.com/keyless-go/identity/internal/lazy"
)

// whatFailed is a name that programs give to what may fail, or to how it did.
var whatFailed = lazy.Regexp{Expr: `^(?:[a-z]{1,20}\.){0,4}` +
	`[A-Z][A-Za-z]{0,40}(?:Credential|Error|Exception)[.,:;]?$`}

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

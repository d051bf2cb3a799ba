package recorder

import (
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/keyless-go/identity/internal/record"
	"github.com/keyless-go/identity/internal/redact"
)

// maxText is as much as is kept of an answer that isn't JSON: a page of a gateway, say.
const maxText = 4 << 10

// pieces are what a text is taken apart into. What stands between them are blanks and marks.
var pieces = regexp.MustCompile(
	`eyJ[\w-]+\.[\w-]*\.[\w-]*` + // a token
		`|[A-Za-z][A-Za-z0-9+.-]*://[^\s"'<>()\\,;]+` + // a URL
		`|/subscriptions/[^\s"'<>()?,;]+` +
		`|[^\s@"'<>(),;:=]+@[^\s@"'<>(),;:=]+` + // a mail address
		`|\B'[^'\n]{1,400}'` +
		`|\[[0-9A-Fa-f:.]{2,45}\]` + // an address of IPv6
		`|[\pL\pN_][\pL\pN\pM_.~%+/=\\*$!&#|-]*`)

// text masks prose: of an error, of a page. Secrets that are known go first, and what looks like
// one.
func (m *mask) text(text string) string {
	if len(text) > maxText {
		text = strings.ToValidUTF8(text[:maxText], "") + "…"
	}
	text = redact.Text(text, m.secrets...)
	return pieces.ReplaceAllStringFunc(text, m.piece)
}

func (m *mask) piece(piece string) string {
	switch {
	case piece == redact.Mark || record.IsPlaceholder(piece):
		return piece
	case strings.HasPrefix(piece, "eyJ"):
		return m.token(piece)
	case strings.Contains(piece, "://"):
		rest := strings.TrimRight(piece, ".:!?")
		return m.url(rest) + piece[len(rest):]
	case strings.HasPrefix(piece, "/subscriptions/"):
		return m.resourceID(piece)
	case strings.Contains(piece, "@"):
		return m.named("NAME", piece)
	case strings.HasPrefix(piece, "'"):
		if inner := piece[1 : len(piece)-1]; !slices.Contains(fixedWords, inner) {
			return "'" + m.quoted(inner) + "'"
		}
		return piece
	case strings.HasPrefix(piece, "["):
		if a, err := netip.ParseAddr(strings.Trim(piece, "[]")); err == nil {
			return "[" + m.address(a) + "]"
		}
		return piece
	}
	word := strings.TrimRight(piece, ".~%+/=\\*$!&#|-")
	return m.word(word) + piece[len(word):]
}

// quoted is what a host quotes: a name of somebody's, as a rule.
func (m *mask) quoted(value string) string {
	switch {
	case guids.MatchString(value):
		return m.guid(value)
	case strings.Contains(value, "://"):
		return m.audience(value)
	}
	return m.named("TEXT", value)
}

// fixedWords are quoted, or have a mark in them, and are the protocols' and this library's.
var fixedWords = []string{
	"api-version", "resource", "bypass_cache", "client_id", "object_id", "msi_res_id", "scope",
	"system-assigned", "user-assigned", "multi-factor", "az", "azd", "az login", "oauth2", "v2.0",
	"clientId", "resourceId", "i/o", "read/write", "x509", "sha256", "IPv4", "IPv6", "utf-8", "UTF-8",
	"and/or", "text/html", "application/json", "not-before", "time-out", "ca-certificates",
	"CP1", "cp1", "Arc-enabled",
}

var (
	plain     = regexp.MustCompile(`^[A-Z]?[a-z]{1,20}$|^[A-Z]{1,12}s?$`)
	camel     = regexp.MustCompile(`^[A-Za-z]?[a-z]+([A-Z]{1,3}[a-z]+){0,4}[A-Z]{0,3}$`)
	errorCode = regexp.MustCompile(`^[a-z]{2,20}(_[a-z]{2,20}){1,4}$`)
	variable  = regexp.MustCompile(`^[A-Z]{2,12}(_[A-Z]{2,12}){1,5}$`)
	number    = regexp.MustCompile(`^\d{1,6}$|^\d{1,3}\.\d{1,3}$`)
	aadsts    = regexp.MustCompile(`^AADSTS\d{4,9}$`)
	duration  = regexp.MustCompile(`^(\d{1,4}(\.\d{1,4})?(h|m|s|ms|µs|ns)){1,3}$`)
	stamp     = regexp.MustCompile(`^\d{4}-\d\d-\d\d(T\d\d)?$|^\d\dZ$`)
	hosts     = regexp.MustCompile(`^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)+$`)
	goNames   = regexp.MustCompile(`^((Default|Federated|)CredentialOptions|identity)\.[A-Za-z.]{2,40}$`)
)

// maxCamel bounds a word in mixed case, which a short key might be.
const maxCamel = 32

// word is one of prose. A key in letters alone, and a name, look like one: what is known to be a
// secret has been taken out before.
func (m *mask) word(word string) string {
	switch {
	case word == "", strings.Contains(word, redact.Mark), record.IsPlaceholder(word),
		slices.Contains(fixedWords, word), plain.MatchString(word), errorCode.MatchString(word),
		variable.MatchString(word), number.MatchString(word), aadsts.MatchString(word),
		duration.MatchString(word), stamp.MatchString(word), goNames.MatchString(word),
		len(word) <= maxCamel && camel.MatchString(word):
		return word
	case guids.MatchString(word):
		return m.guid(word)
	}
	if a, err := netip.ParseAddr(word); err == nil {
		return m.address(a)
	}
	if strings.ContainsAny(word, "/=") { // a path, a query, or base64
		if masked, ok := m.parts(word); ok {
			return masked
		}
		return m.secret(word)
	}
	if hosts.MatchString(word) {
		return m.host(word)
	}
	return m.named("NAME", word)
}

// parts masks each part of a word that has several. It is false where one of them is long enough to
// be a piece of a key.
func (m *mask) parts(word string) (string, bool) {
	var out strings.Builder
	for part := range strings.FieldsFuncSeq(word, func(r rune) bool { return r == '/' || r == '=' }) {
		if len(part) > 20 && !guids.MatchString(part) && !variable.MatchString(part) {
			return "", false
		}
	}
	start := 0
	for i, r := range word + "/" {
		if r == '/' || r == '=' {
			out.WriteString(m.word(word[start:i]))
			if i < len(word) {
				out.WriteRune(r)
			}
			start = i + 1
		}
	}
	return out.String(), true
}

package identity

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/keyless-go/identity/internal/redact"
)

// randomText looks random and is the same in each run.
func randomText(seed string, n int) string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	source := rand.New(rand.NewChaCha8(sha256.Sum256([]byte(seed))))
	text := make([]byte, n)
	for i := range text {
		text[i] = letters[source.IntN(len(letters))]
	}
	return string(text)
}

// form is a way to write a secret down.
type form struct {
	name  string
	write func(string) string
	json  bool // it is the inside of a JSON string already
}

// showsToken reports whether something in a text looks like a token.
func showsToken(text string) bool { return redact.Token(text) != text }

func everyByte(format string) func(string) string {
	return func(s string) string {
		var b strings.Builder
		for _, c := range []byte(s) {
			fmt.Fprintf(&b, format, c)
		}
		return b.String()
	}
}

func inJSON(s string) string {
	quoted, _ := json.Marshal(s) // a string always can be
	return string(quoted[1 : len(quoted)-1])
}

// echoedForms are those in which a host may repeat what it was sent, whole or in part.
var echoedForms = []form{
	{"plain", func(s string) string { return s }, false},
	{"without blanks around", strings.TrimSpace, false}, // as it goes over the wire
	{"in Go's quotes", func(s string) string { return fmt.Sprintf("%q", s) }, false},
	{"as JSON", inJSON, true},
	{"as JSON, slashes escaped", func(s string) string {
		return strings.ReplaceAll(inJSON(s), "/", `\/`)
	}, true},
	{"as JSON, every byte", everyByte(`\u%04x`), true},
	{"as JSON, every byte in capitals", everyByte(`\u%04X`), true},
	{"as a query", url.QueryEscape, false},
	{"as a path", url.PathEscape, false},
	{"as a query, every byte", everyByte("%%%02X"), false},
	{"as a query, twice", func(s string) string { return url.QueryEscape(url.QueryEscape(s)) }, false},
	{"as HTML", html.EscapeString, false},
	{"its head", func(s string) string { return s[:24] }, false}, // a server that cuts long values
	{"its tail", func(s string) string { return s[len(s)-24:] }, false},
	{"its middle, as a query", func(s string) string {
		return url.QueryEscape(s[8 : len(s)-8])
	}, false},
}

// soughtForms are those that nothing of ours may write a secret in.
var soughtForms = append(slices.Clip(echoedForms),
	form{"as HTML, all of it", everyByte("&#%d;"), false},
	form{"as a query in lower case", func(s string) string {
		return strings.ToLower(everyByte("%%%02x")(s))
	}, false},
	form{"in hexadecimal", func(s string) string { return hex.EncodeToString([]byte(s)) }, false},
	form{"in HEXADECIMAL", func(s string) string {
		return strings.ToUpper(hex.EncodeToString([]byte(s)))
	}, false},
	form{"in base64", func(s string) string {
		return base64.RawStdEncoding.EncodeToString([]byte(s))
	}, false},
	form{"in base64, shifted by 1", func(s string) string {
		return base64.RawStdEncoding.EncodeToString([]byte(s[1:]))
	}, false},
	form{"in base64, shifted by 2", func(s string) string {
		return base64.RawStdEncoding.EncodeToString([]byte(s[2:]))
	}, false},
	form{"in base64 of URLs", func(s string) string {
		return base64.RawURLEncoding.EncodeToString([]byte(s))
	}, false},
	form{"as bytes", func(s string) string { return fmt.Sprint([]byte(s)) }, false},
	form{"as bytes in Go", func(s string) string { return fmt.Sprintf("%#v", []byte(s)) }, false},
	form{"backwards", func(s string) string {
		b := []byte(s)
		slices.Reverse(b)
		return string(b)
	}, false},
)

// sought is the length from which on what a text and a secret have in common is no accident.
const sought = 12

// secretSearch finds secrets, and any piece of them, in whatever form.
type secretSearch struct {
	pieces map[string]string // what each is of
	first  [1 << 16]bool     // by the first two bytes: nearly no text needs more
}

// add begins to look for a secret.
func (s *secretSearch) add(name, secret string) {
	if s.pieces == nil {
		s.pieces = map[string]string{}
	}
	for _, f := range soughtForms {
		text := f.write(secret)
		for i := range len(text) - sought + 1 {
			s.pieces[text[i:i+sought]] = name + " " + f.name
			s.first[int(text[i])<<8|int(text[i+1])] = true
		}
	}
}

// find says what a text shows, and where; "" if it is nothing.
//
// The race detector would watch each of a hundred million bytes.
//
//go:norace
func (s *secretSearch) find(text string) string {
	for i := range len(text) - sought + 1 {
		if !s.first[int(text[i])<<8|int(text[i+1])] {
			continue
		}
		if name := s.pieces[text[i:i+sought]]; name != "" {
			return fmt.Sprintf("%s: …%s…", name, text[max(i-200, 0):min(i+200, len(text))])
		}
	}
	return ""
}

// TestSecretSearch: what the tests of secrets look with sees.
func TestSecretSearch(t *testing.T) {
	t.Parallel()
	secret := randomText("search", 40) + `&<"/+=%41'\ ` + randomText("search 2", 40)
	var s secretSearch
	s.add("it", secret)
	for _, f := range soughtForms {
		text := f.write(secret)
		for i := range len(text) - sought + 1 {
			if piece := text[i : i+sought]; s.find("left "+piece+" right") == "" {
				t.Fatalf("%s: the piece %q is not found", f.name, piece)
			}
		}
	}
	for _, text := range []string{
		"", "short", secret[:sought-1], "another " + randomText("other", 200),
		`identity: IMDS: 400 invalid_request "Identity not found" (token for https://vault.azure.net, 1 attempt, 12ms)`,
		"00000000-0000-0000-0000-000000000000", strings.Repeat("REDACTED", 10),
	} {
		if got := s.find(text); got != "" {
			t.Errorf("found in %q: %s", text, got)
		}
	}
}

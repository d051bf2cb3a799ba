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

func slashes(s string) string   { return strings.ReplaceAll(inJSON(s), "/", `\/`) }
func asQuery2(s string) string  { return url.QueryEscape(url.QueryEscape(s)) }
func head(s string) string      { return s[:24] } // a server that cuts long values
func tail(s string) string      { return s[len(s)-24:] }
func middle(s string) string    { return url.QueryEscape(s[8 : len(s)-8]) }
func quotedGo(s string) string  { return fmt.Sprintf("%q", s) }
func lowQuery(s string) string  { return strings.ToLower(everyByte("%%%02x")(s)) }
func asHex(s string) string     { return hex.EncodeToString([]byte(s)) }
func asHEX(s string) string     { return strings.ToUpper(asHex(s)) }
func asBase64(s string) string  { return base64.RawStdEncoding.EncodeToString([]byte(s)) }
func asURL64(s string) string   { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
func shifted1(s string) string  { return asBase64(s[1:]) }
func shifted2(s string) string  { return asBase64(s[2:]) }
func asBytes(s string) string   { return fmt.Sprint([]byte(s)) }
func asGoBytes(s string) string { return fmt.Sprintf("%#v", []byte(s)) }
func backwards(s string) string {
	b := []byte(s)
	slices.Reverse(b)
	return string(b)
}

// echoedForms are those in which a host may repeat what it was sent, whole or in part. The second
// is how it goes over the wire.
var echoedForms = []form{
	{name: "plain", write: strings.Clone}, {name: "without blanks around", write: strings.TrimSpace},
	{name: "in Go's quotes", write: quotedGo}, {name: "as JSON", write: inJSON, json: true},
	{name: "as JSON, slashes escaped", write: slashes, json: true},
	{name: "as JSON, every byte", write: everyByte(`\u%04x`), json: true},
	{name: "as JSON, every byte in capitals", write: everyByte(`\u%04X`), json: true},
	{name: "as a query", write: url.QueryEscape}, {name: "as a path", write: url.PathEscape},
	{name: "as a query, every byte", write: everyByte("%%%02X")},
	{name: "as a query, twice", write: asQuery2}, {name: "as HTML", write: html.EscapeString},
	{name: "its head", write: head}, {name: "its tail", write: tail},
	{name: "its middle, as a query", write: middle},
}

// soughtForms are those that nothing of ours may write a secret in.
var soughtForms = append(slices.Clip(echoedForms),
	form{name: "as HTML, all of it", write: everyByte("&#%d;")},
	form{name: "as a query in lower case", write: lowQuery},
	form{name: "in hexadecimal", write: asHex}, form{name: "in HEXADECIMAL", write: asHEX}, form{name: "in base64", write: asBase64},
	form{name: "in base64, shifted by 1", write: shifted1},
	form{name: "in base64, shifted by 2", write: shifted2},
	form{name: "in base64 of URLs", write: asURL64}, form{name: "as bytes", write: asBytes},
	form{name: "as bytes in Go", write: asGoBytes}, form{name: "backwards", write: backwards},
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
		`identity: IMDS: 400 invalid_request "Identity not found" (token for https://x, 1 attempt, 12ms)`,
		"00000000-0000-0000-0000-000000000000", strings.Repeat("REDACTED", 10),
	} {
		if got := s.find(text); got != "" {
			t.Errorf("found in %q: %s", text, got)
		}
	}
}

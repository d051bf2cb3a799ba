package redact

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestLine(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"": "", "plain text": "plain text", "  a \n": "a", "a \t\n  b": "a b",
		"a\r\nb\nc\rd": "a b c d", "a\vb\fc\u0085d\u2028e\u2029f": "a b c d e f",
		"a\x00b\x7fc": "a b c", "a\x1b[31mb": "a [31mb", "a\u009b31mb": "a 31mb",
		"a\xff\xfeb": "a?b", "größe – 世界": "größe – 世界",
		strings.Repeat("a", 300): strings.Repeat("a", 300),
	} {
		if got := Line(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
	for shift := range 4 { // the cut falls into the middle of a character
		got := Line(strings.Repeat("a", shift) + strings.Repeat("世", 1<<18))
		if n := utf8.RuneCountInString(got); n > 300 || !strings.HasSuffix(got, "世…") ||
			!utf8.ValidString(got) {
			t.Errorf("%d characters, documented are at most 300: %q", n, got)
		}
	}
	if n := len(Line(strings.Repeat("a", 1<<20))); n > 300 {
		t.Errorf("%d characters, documented are at most 300", n)
	}
}

func TestRound(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		0: "0s", 1: "0s", 1500: "2µs", 1500 * time.Microsecond: "2ms", 1234 * time.Millisecond: "1.2s",
		75400 * time.Millisecond: "1m15s",
		time.Second:              "1s", time.Minute: "1m0s", 90 * time.Minute: "1h30m0s",
		-time.Second: "-1s",
	} {
		if got := Round(d).String(); got != want {
			t.Errorf("Round(%v) is %s, want %s", d, got, want)
		}
	}
}

// TestQuotedHidesTokens: whoever puts a token in the place of a path or an ID has it quoted.
func TestQuotedHidesTokens(t *testing.T) {
	t.Parallel()
	const jwt = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJodHRwczovL29pZGMifQ.c2lnbmF0dXJl"
	if got := Quoted(jwt); strings.Contains(got, "eyJ") {
		t.Errorf("got %s", got)
	}
}

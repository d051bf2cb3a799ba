package redact

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestLine(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, in, want string }{
		{"plain", "plain text", "plain text"},
		{"empty", "", ""},
		{"around", "  a \n", "a"},
		{"line ends", "a\r\nb\nc\rd", "a b c d"},
		{"other line ends", "a\vb\fc\u0085d\u2028e\u2029f", "a b c d e f"},
		{"runs", "a \t\n  b", "a b"},
		{"NUL and DEL", "a\x00b\x7fc", "a b c"},
		{"terminal escapes", "a\x1b[31mb", "a [31mb"},
		{"8-bit terminal escapes", "a\u009b31mb", "a 31mb"},
		{"not UTF-8", "a\xff\xfeb", "a?b"},
		{"beyond ASCII", "größe – 世界", "größe – 世界"},
		{"at the limit", strings.Repeat("a", 300), strings.Repeat("a", 300)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := Line(tt.in); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
	t.Run("far over the limit", func(t *testing.T) {
		t.Parallel()
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
	})
}

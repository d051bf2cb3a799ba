package redact

import (
	"html"
	"os"
	"strings"
	"testing"
)

// innocent are texts that hold nothing to hide.
func innocent(tb testing.TB) (texts []string) {
	tb.Helper()
	file, err := os.ReadFile("testdata/innocent.txt")
	if err != nil {
		tb.Fatal(err)
	}
	for line := range strings.Lines(string(file)) {
		if !strings.HasPrefix(line, "#") {
			texts = append(texts, strings.ReplaceAll(strings.TrimSuffix(line, "\n"), `\n`, "\n"))
		}
	}
	return texts
}

func TestInnocentTextsStay(t *testing.T) {
	t.Parallel()
	for _, text := range append(innocent(t), "") {
		for _, text := range []string{text, jsonOf(text), html.EscapeString(text)} {
			if got := Text(text, "the-secret-of-a-host"); got != text {
				t.Errorf("%s\nbecomes\n%s", text, got)
			}
		}
	}
}

package main

import (
	"strings"
	"testing"
)

func TestWrap(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("word ", 18) // 90 columns
	for name, tt := range map[string]struct{ in, want string }{
		"short":     {"a line\nanother\n", "a line\nanother\n"},
		"paragraph": {long + "and so on, and on\n", long + "and so on,\nand on\n"},
		"item":      {"- " + long + "and so on\n", "- " + long + "and so\n  on\n"},
		"code":      {long + "x `go test ./...` y\n", long + "x\n`go test ./...` y\n"},
		"link":      {long + "x [two words](a.md) y\n", long + "x\n[two words](a.md) y\n"},
		"table":     {"| " + long + long + "|\n", "| " + long + long + "|\n"},
		"block":     {"```\n" + long + long + "\n```\n", "```\n" + long + long + "\n```\n"},
	} {
		want := strings.ReplaceAll(tt.want, " \n", "\n")
		if name == "table" || name == "block" {
			want = tt.want
		}
		if got := wrap(tt.in); got != want {
			t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
		}
	}
}

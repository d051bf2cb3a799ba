package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestReadmeHasTheFigures: those that the README shows are those of docs/performance.md.
func TestReadmeHasTheFigures(t *testing.T) {
	t.Parallel()
	performance, readme := read(t, "../../docs/performance.md"), read(t, "../../README.md")
	table, err := readmeTable(performance)
	if err != nil {
		t.Fatal(err)
	}
	want, err := between(readme, table)
	if err != nil {
		t.Fatal(err)
	}
	if readme != want {
		t.Errorf("the table in README.md is not made of docs/performance.md, want\n%s", table)
	}
	if rows := strings.Count(table, "\n"); rows < 8 {
		t.Errorf("the table has %d lines, want more", rows)
	}
}

// page is performance.md with nothing but what the README shows, of which the first figure is one
// that no measurement has.
func page(t *testing.T) string {
	t.Helper()
	text := read(t, "../../docs/performance.md")
	was, err := cell(text, "A hit", "one after the other", "azidentity")
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(text, was, "4,711 ns")
}

// TestWritesReadme: the command that writes performance.md brings the README up to date.
func TestWritesReadme(t *testing.T) {
	t.Parallel()
	top := t.TempDir()
	docs, path := filepath.Join(top, "docs"), filepath.Join(top, "README.md")
	if err := os.Mkdir(docs, 0o755); err != nil {
		t.Fatal(err)
	}
	const before, after = "# Name\n\n", "\nThe rest.\n"
	old := before + figuresBegin + "| old |\n" + figuresEnd + after
	if err := os.WriteFile(path, []byte(old), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := write(docs, "# Performance\n", nil); err == nil {
		t.Error("a report without the figures is no error")
	}
	if got := read(t, path); got != old {
		t.Errorf("a report without the figures changed the README: %s", got)
	}
	if err := write(docs, page(t), nil); err != nil {
		t.Fatal(err)
	}
	got := read(t, path)
	if !strings.HasPrefix(got, before+figuresBegin) || !strings.HasSuffix(got, figuresEnd+after) ||
		!strings.Contains(got, "4,711 ns, 9 allocations") || strings.Contains(got, "old") {
		t.Errorf("got\n%s", got)
	}
}

func TestCell(t *testing.T) {
	t.Parallel()
	const text = "# P\n\n## One\n\n| a | b |\n|---|---|\n| x | 1 |\n\nText.\n\n| a | c |\n|---|---|\n" +
		"| x | 2 |\n| y | 3 |\n\n## Two\n\n| a | b |\n|---|---|\n| z | 4 |\n"
	for _, test := range []struct{ name, section, row, column, want string }{
		{"first table", "One", "x", "b", "1"},
		{"second table", "One", "x", "c", "2"},
		{"the last row", "One", "y", "c", "3"},
		{"another section", "Two", "z", "b", "4"},
		{"a row of another section", "One", "z", "b", ""},
		{"a row of another table", "One", "y", "b", ""},
		{"no such column", "Two", "z", "c", ""},
		{"no such section", "Three", "z", "b", ""},
	} {
		got, err := cell(text, test.section, test.row, test.column)
		if got != test.want || (err == nil) != (test.want != "") {
			t.Errorf("%s: got %q, %v, want %q", test.name, got, err, test.want)
		}
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

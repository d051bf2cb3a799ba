package main

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestRedraw: only what is virtual is measured, and nothing else of the page changes.
func TestRedraw(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	page := read(t, "../../docs/performance.md")
	path := filepath.Join(dir, "performance.md")
	if err := os.WriteFile(path, []byte(page), 0o600); err != nil {
		t.Fatal(err)
	}
	perform := func(_ context.Context, m measurement, _ bool, _ func(string)) (result, error) {
		if !m.virtual {
			t.Errorf("%s is measured", m.name)
		}
		return render(m.name, section{title: m.name, text: []string{"New."},
			verdicts: []verdict{{what: "the longest call of that day", got: 2, bound: 1, unit: "ms",
				why: "why"}}}, false), nil
	}
	list := []measurement{{name: "A hit"}, {name: "A day with an outage", virtual: true}}
	if got := run(t.Context(), []string{"-redraw", "-out", dir}, io.Discard, io.Discard, list,
		perform); got != 1 {
		t.Errorf("got exit status %d, want 1 for what is past its bound", got)
	}
	got := read(t, path)
	want, err := splice(page, result{Title: "A day with an outage", Markdown: "New.",
		Verdicts: []ruling{{What: "the longest call of that day", Got: "2 ms", Bound: "1 ms",
			Why: "why"}}})
	if err != nil || got != want {
		t.Errorf("got another page than what splice makes, %v", err)
	}
	for text, n := range map[string]int{
		"\n## A day with an outage\n\nNew.\n\n## An outage that no token outlives\n": 1,
		"| **missed** | the longest call of that day | 2 ms | 1 ms | why |\n":        1,
		"\n## A hit with many tokens\n":                                              1,
	} {
		if strings.Count(got, text) != n {
			t.Errorf("%q is there %d times, want %d", text, strings.Count(got, text), n)
		}
	}
	if read(t, filepath.Join(dir, "hit.svg")) != read(t, "../../docs/hit.svg") {
		t.Error("hit.svg is another than that in docs, of the same figures")
	}
}

func TestSplice(t *testing.T) {
	t.Parallel()
	const page = "# P\n\n## Verdicts\n\n| holds | a | 1 | 2 | why |\n| holds | ab | 1 | 2 | why |\n" +
		"\n## One\n\nOld.\n\n## Two\n\nOld.\n"
	r := result{Title: "Two", Markdown: "New.\n\n",
		Verdicts: []ruling{{What: "a", Got: "3", Bound: "2", Why: "why", Holds: true}}}
	got, err := splice(page, r)
	want := "# P\n\n## Verdicts\n\n| holds | a | 3 | 2 | why |\n| holds | ab | 1 | 2 | why |\n" +
		"\n## One\n\nOld.\n\n## Two\n\nNew.\n"
	if err != nil || got != want {
		t.Errorf("got %v and\n%s\nwant\n%s", err, got, want)
	}
	r.Title = "One"
	if got, err := splice(page, r); err != nil ||
		!strings.HasSuffix(got, "\n## One\n\nNew.\n\n## Two\n\nOld.\n") {
		t.Errorf("got %v and\n%s", err, got)
	}
	r.Title = "Three"
	if got, err := splice(page, r); err == nil {
		t.Errorf("a section that isn't there: got\n%s", got)
	}
}

// TestUnreadablePictureIsNotWritten: it is an error of the command.
func TestUnreadablePictureIsNotWritten(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	bad := sample
	bad.Finding = strings.Repeat("wider than the picture ", 9)
	err := write(dir, "", []result{{Pictures: map[string]string{"bad.svg": bad.SVG()}}})
	if err == nil || !strings.Contains(err.Error(), "leaves the picture") {
		t.Errorf("got error %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "bad.svg")); err == nil {
		t.Error("it was written")
	}
}

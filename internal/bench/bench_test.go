package main

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/keyless-go/identity/internal/bench/draw"
)

// TestMeasurements runs every short measurement once, so that the race detector sees it. Its
// figures are worth nothing here, and no verdict counts.
func TestMeasurements(t *testing.T) {
	keepEnvironment(t)
	before := scale
	t.Cleanup(func() { scale = before })
	scale.short, scale.tokens, scale.calls, scale.every = 5, 500, 20, 20*time.Minute
	scale.peers, scale.ripens = 1, 0 // ours: the others take half a minute, waiting
	scale.exchange = 300 * time.Millisecond
	for _, m := range measurements {
		if m.long || m.name == "storm" { // which TestNodeStorm runs, with fewer processes
			continue
		}
		t.Run(m.name, func(t *testing.T) {
			inTest = t
			r, err := inProcess(t.Context(), m, true, func(line string) { t.Log(line) })
			if err != nil {
				t.Fatal(err)
			}
			if r.Title == "" || r.Markdown == "" || len(r.Verdicts) == 0 {
				t.Errorf("got %+v, want a title, a text and a verdict", r)
			}
		})
	}
}

// keepEnvironment brings back what measurements change, each of which has a process of its own
// otherwise.
func keepEnvironment(t *testing.T) {
	t.Helper()
	for _, name := range append([]string{"SSL_CERT_FILE"}, hostVariables...) {
		t.Setenv(name, os.Getenv(name))
	}
}

// TestRegressionFails makes a hit ten times as slow, and wants the short run to fail for it, and
// only then: what is twice as slow may be a busy machine.
func TestRegressionFails(t *testing.T) {
	keepEnvironment(t)
	for _, test := range []struct {
		name string
		by   float64
		want int
	}{
		{"as it is", 0, 0},
		{"ten times as slow", 9, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			hit := measurement{name: "hit", measure: func(ctx context.Context, short bool,
				say func(string)) (section, error) {
				all, err := singleHits(ctx)
				if err != nil {
					return section{}, err
				}
				// Under the race detector ours is slower than the limit by more than any bound: so the limit,
				// in its place.
				all[slices.IndexFunc(all, named(ours))].run = slowed(all[slices.IndexFunc(all,
					named(theLimit))].run, test.by)
				s, err := compareHits(ctx, all, short, say)
				s.verdicts = s.verdicts[:3] // those beside the limit
				return s, err
			}}
			var out strings.Builder
			if got := run(t.Context(), []string{"-short"}, &out, io.Discard, []measurement{hit},
				inProcess); got != test.want {
				t.Errorf("got exit status %d, want %d:\n%s", got, test.want, out.String())
			}
			if strings.Contains(out.String(), "MISSED") != (test.want == 1) {
				t.Errorf("got the summary:\n%s", out.String())
			}
		})
	}
}

func named(name string) func(contender) bool {
	return func(c contender) bool { return c.name == name }
}

// slowed takes longer by a share of what it took.
func slowed(run func(n int) error, by float64) func(n int) error {
	return func(n int) error {
		began := time.Now()
		err := run(n)
		for until := time.Since(began) +
			time.Duration(float64(time.Since(began))*by); time.Since(began) < until; {
		}
		return err
	}
}

func TestCommandLine(t *testing.T) {
	ran := ""
	list := []measurement{{name: "one"}, {name: "two"}, {name: "three", long: true}}
	perform := func(_ context.Context, m measurement, short bool, _ func(string)) (result, error) {
		ran += m.name + " "
		return render(m.name, section{title: m.name,
				verdicts: []verdict{{what: "what", got: 1, bound: 2, unit: "x", why: "why"}}}, false),
			nil
	}
	for _, test := range []struct {
		name   string
		args   []string
		want   int
		ran    string
		stderr string // a part of it
	}{
		{"short leaves out what is long", []string{"-short"}, 0, "one two ", ""},
		{"chosen", []string{"-only", "two"}, 0, "two ", ""},
		{"unknown name", []string{"-only", "four"}, 2, "", `there is no "four"`},
		{"argument", []string{"x"}, 2, "", `unexpected argument "x"`},
		{"redrawn in short", []string{"-redraw", "-short"}, 2, "", "-redraw goes with no flag but -out"},
		{"unknown flag", []string{"-x"}, 2, "", "flag provided but not defined"},
		{"help", []string{"-h"}, 0, "", "exit status is 1 when"},
	} {
		t.Run(test.name, func(t *testing.T) {
			ran = ""
			var stderr strings.Builder
			got := run(t.Context(), test.args, io.Discard, &stderr, list, perform)
			if got != test.want || ran != test.ran || !strings.Contains(stderr.String(), test.stderr) {
				t.Errorf("got status %d, ran %q, stderr:\n%swant status %d, ran %q, stderr with %q", got, ran,
					stderr.String(), test.want, test.ran, test.stderr)
			}
		})
	}
}

func TestRunWritesReportAndPictures(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "docs")
	m := measurement{name: "one", measure: func(context.Context, bool, func(string)) (section, error) {
		return section{title: "One", pictures: []draw.Picture{sample}}, nil
	}}
	if got := run(t.Context(), []string{"-out", dir}, io.Discard, io.Discard, []measurement{m},
		inProcess); got != 0 {
		t.Fatalf("got exit status %d, want 0", got)
	}
	text, err := os.ReadFile(filepath.Join(dir, "performance.md"))
	if err != nil || !strings.Contains(string(text), "![Two lines.](sample.svg)") {
		t.Errorf("got %q, %v", text, err)
	}
	if svg, err := os.ReadFile(filepath.Join(dir, "sample.svg")); err != nil ||
		!strings.HasPrefix(string(svg), "<svg ") {
		t.Errorf("got %q, %v", svg, err)
	}
}

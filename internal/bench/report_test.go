package main

import (
	"flag"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/keyless-go/identity/internal/bench/draw"
)

var update = flag.Bool("update", false, "write the golden files anew")

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: got\n%s\nwant\n%s\n(go test -run %s -update accepts it)", path, got, want, t.Name())
	}
}

// sample is a picture with nothing special.
var sample = draw.Picture{
	File: "sample.svg", Title: "Cost & <count>", Finding: "They are equal.", Alt: "Two lines.",
	X: "tokens", LogX: true, Panels: []draw.Panel{{Y: "ns", LogY: true, Lines: []draw.Line{
		{Name: "ours", X: []float64{1, 10, 100}, Y: []float64{100, 100, 120}},
		{Name: "theirs", Look: draw.Peer, X: []float64{1, 10, 100}, Y: []float64{900, 1500, 2000}},
	}}},
}

func TestReport(t *testing.T) {
	m := machine{when: time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC), cpu: "A CPU", cores: 2,
		system: "linux/amd64", goes: "go1.26", versions: []string{"example.com/peer v1.2.3"}}
	results := []result{
		render("hit", section{
			title: "A hit", text: []string{"What was measured."},
			tables: []table{{caption: "Per call.", head: []string{"what", "ours"},
				rows: [][]string{{"a | b", "100 ns"}}}},
			pictures: []draw.Picture{sample},
			verdicts: []verdict{{what: "hit", got: 1.1, bound: 1.25, unit: "x", why: "the limit"},
				{what: "allocations", got: 2, bound: 0, why: "none are needed"}},
		}, false),
	}
	golden(t, "report.md", report(results, m, false))
	golden(t, sample.File, results[0].Pictures[sample.File])
	var out strings.Builder
	if missed := summary(&out, results); missed != 1 {
		t.Errorf("got %d missed, want 1:\n%s", missed, out.String())
	}
	out.Reset()
	slower := render("hit",
		section{verdicts: []verdict{{what: "hit", got: 2, bound: 1.25, inShort: 5, unit: "x"}}},
		true)
	if missed := summary(&out, []result{slower}); missed != 0 ||
		out.String() != "slower  hit        hit: 2 ×, bound 1.25 ×; a full run judges it\n" {
		t.Errorf("got %d missed, want none and a word of it:\n%s", missed, out.String())
	}
	if text := report([]result{slower}, m, true); !strings.Contains(text,
		"| past it, which a full run judges | hit | 2 × | 1.25 × |") {
		t.Errorf("got the report of a short run:\n%s", text)
	}
}

func TestVerdict(t *testing.T) {
	for _, test := range []struct {
		got, bound, inShort float64
		full, short         bool
	}{
		// counts
		{1, 1.25, 0, true, true}, {1.25, 1.25, 0, true, true}, {1.26, 1.25, 0, false, false},
		{0, 0, 0, true, true}, {math.NaN(), 1, 0, false, false},
		// times
		{1.25, 1.25, 5, true, true}, {1.26, 1.25, 5, false, true}, {5, 1.25, 5, false, true},
		{5.01, 1.25, 5, false, false}, {math.NaN(), 1, 5, false, false},
	} {
		v := verdict{got: test.got, bound: test.bound, inShort: test.inShort}
		if full, short := v.holds(false), v.holds(true); full != test.full || short != test.short {
			t.Errorf("%v beside %v, in a short run %v: got %v and %v, want %v and %v", test.got,
				test.bound, test.inShort, full, short, test.full, test.short)
		}
	}
}

func TestFigures(t *testing.T) {
	for x, want := range map[float64]string{0: "0", 1: "1", 1.234: "1.23", 12.34: "12.3", 123.4: "123", 1234567: "1,234,567", 12345.6: "12,346", -1234: "-1,234"} {
		if got := figure(x); got != want {
			t.Errorf("figure(%v): got %q, want %q", x, got, want)
		}
	}
	for ns, want := range map[float64]string{100.04: "100 ns", 3600: "3,600 ns", 12_340: "12.3 µs", 98e9: "98 s"} {
		if got := nanoseconds(ns); got != want {
			t.Errorf("nanoseconds(%v): got %q, want %q", ns, got, want)
		}
	}
}

func TestRatios(t *testing.T) {
	turns := turns{"a": {100, 300, 110}, "b": {50, 100, 55}} // the second round was disturbed
	if got := turns.ratio("a", "b"); got != 2 {
		t.Errorf("got %v, want 2", got)
	}
	if got := median([]float64{4, 1, 3, 2}); got != 2.5 {
		t.Errorf("got %v, want 2.5", got)
	}
}

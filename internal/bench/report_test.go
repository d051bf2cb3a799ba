package main

import (
	"encoding/xml"
	"flag"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
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

var sample = chart{
	file: "sample.svg", title: "Cost & <count>", alt: "Two lines.", x: "tokens", y: "ns", logX: true,
	logY: true,
	series: []series{
		{name: "ours", x: []float64{1, 10, 100, 1000, 100000}, y: []float64{100, 100, 100, 105, 120}},
		{name: "theirs", x: []float64{1, 10, 100}, y: []float64{1500, 2000, 0}}, // a log axis has no zero
		{name: "limit", dash: true, x: []float64{1, 100000}, y: []float64{90, 90}},
	},
}

func TestChart(t *testing.T) {
	svg := sample.svg()
	golden(t, "sample.svg", svg)
	for _, forbidden := range []string{"<script", "@import", "NaN", "Inf", "href"} {
		if strings.Contains(svg, forbidden) {
			t.Errorf("contains %q", forbidden)
		}
	}
}

func TestChartsAreXML(t *testing.T) {
	for name, c := range map[string]chart{
		"sample": sample, "empty": {}, "no points": {series: []series{{name: "s"}}},
		"log of nothing": {logX: true, logY: true, series: []series{{x: []float64{0}, y: []float64{-1}}}},
		"not a number":   {series: []series{{x: []float64{1, 2}, y: []float64{math.NaN(), math.Inf(1)}}}},
		"one value":      {series: []series{{x: []float64{5, 5}, y: []float64{7, 7}}}},
	} {
		if err := xml.Unmarshal([]byte(c.svg()), new(struct{})); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestStack: the charts share the axis of x, what is no number is a gap, and the band is behind
// each.
func TestStack(t *testing.T) {
	gap := series{name: "s", x: []float64{0, 10, 20, 30}, y: []float64{1, math.NaN(), 2, 3}}
	svg := stack{
		title: "Two & one", x: "hours", step: 6, band: [2]float64{6, 24}, bandName: "down",
		charts: []chart{{y: "a", series: []series{gap}},
			{y: "b", logY: true, series: []series{{name: "t", x: []float64{5}, y: []float64{100}}}}},
	}.svg()
	if err := xml.Unmarshal([]byte(svg), new(struct{})); err != nil {
		t.Error(err)
	}
	line := regexp.MustCompile(`<path class="line l0" d="(M[^h"]*)"`).FindStringSubmatch(svg)
	if line == nil || strings.Count(line[1], "M") != 2 || strings.Count(line[1], "L") != 1 ||
		strings.Contains(svg, "NaN") {
		t.Errorf("the line is %q, want two pieces of one and two points", line)
	}
	for text, want := range map[string]int{`class="band"`: 2, ">down<": 1, ">12</text>": 1, ">24</text>": 1, ">hours<": 1} {
		if got := strings.Count(svg, text); got != want {
			t.Errorf("%s is there %d times, want %d:\n%s", text, got, want, svg)
		}
	}
}

func TestAxis(t *testing.T) {
	for _, test := range []struct {
		name   string
		log    bool
		values []float64
		want   string // ticks
	}{
		{"hours of a day", false, []float64{0, 24}, "0 3 6 9 12 15 18 21 24"},
		{"from near zero", false, []float64{3, 97}, "0 20 40 60 80 100"},
		{"far from zero", false, []float64{1000, 1100}, "1k 1.02k 1.04k 1.06k 1.08k 1.1k"},
		{"powers of ten", true, []float64{1, 100_000}, "1 10 100 1k 10k 100k"},
		{"many powers", true, []float64{1e-6, 1e6}, "1e-06 0.0001 0.01 1 100 10k 1M"},
		{"within one power", true, []float64{20, 30}, "10 100"},
	} {
		t.Run(test.name, func(t *testing.T) {
			x := newAxis(test.log, test.values, 0, 100)
			var got []string
			for _, v := range x.ticks() {
				got = append(got, tickLabel(v))
			}
			if strings.Join(got, " ") != test.want {
				t.Errorf("got ticks %v, want %s", got, test.want)
			}
			if x.at(x.from) != 0 || math.Abs(x.at(x.to)-100) > 1e-9 {
				t.Errorf("the ends are at %v and %v, want 0 and 100", x.at(x.from), x.at(x.to))
			}
		})
	}
}

func TestReport(t *testing.T) {
	m := machine{when: time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC), cpu: "A CPU", cores: 2,
		system: "linux/amd64", goes: "go1.26", versions: []string{"example.com/peer v1.2.3"}}
	results := []result{
		render("hit", section{
			title: "A hit", text: []string{"What was measured."},
			tables: []table{{caption: "Per call.", head: []string{"what", "ours"},
				rows: [][]string{{"a | b", "100 ns"}}}},
			charts: []chart{sample},
			verdicts: []verdict{{what: "hit", got: 1.1, bound: 1.25, unit: "x", why: "the limit"},
				{what: "allocations", got: 2, bound: 0, why: "none are needed"}},
		}, false),
	}
	golden(t, "report.md", report(results, m, false))
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

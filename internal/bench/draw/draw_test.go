package draw

import (
	"encoding/xml"
	"flag"
	"math"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden file anew")

// sample has one of everything.
func sample() Picture {
	xs := []float64{0, 6, 12, 18, 24}
	return Picture{
		File: "sample.svg", Title: "Ours & <theirs>", Finding: "Ours is quicker.", Alt: "Two panels.",
		X: "hours", StepX: 6, Bands: []Band{{6, 18, "down"}}, Moments: []Moment{{12, "due"}},
		Panels: []Panel{
			{Title: "One", Y: "seconds", Lines: []Line{
				{Name: "ours", X: xs, Y: []float64{1, math.NaN(), 1, 1, 2}},
				{Name: "slow", Look: Slow, X: xs[1:3], Y: []float64{9, 8}},
				{Name: "failed:\ntwo", Look: Failure, X: xs[3:], Y: []float64{9, 9}},
			}},
			{Title: "Two", Y: "bytes", LogY: true, Lowest: "none", Direct: true, Lines: []Line{
				{Name: "ours", X: xs, Y: []float64{1, 10, 100, 1000, 1000}},
				{Name: "peer", Look: Peer, X: xs, Y: []float64{1, 10, 100, 1000, 1000}},
				{Name: "second", Look: Second, X: xs, Y: []float64{1, 10, 100, 1000, 1001}},
				{Name: "third", Look: Third, X: xs, Y: []float64{1, 10, 100, 1000, 999}},
				{Name: "limit", Look: Limit, X: xs, Y: []float64{1, 1, 1, 1, 1}},
			}},
		},
	}
}

func TestSVG(t *testing.T) {
	t.Parallel()
	got := sample().SVG()
	const path = "testdata/sample.svg"
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
		t.Errorf("the picture has changed; look at it in a browser, then go test -update:\n%s", got)
	}
	if err := Check(got); err != nil {
		t.Error(err)
	}
	for _, forbidden := range []string{"<script", "@import", "NaN", "Inf", "href", "url("} {
		if strings.Contains(got, forbidden) {
			t.Errorf("contains %q", forbidden)
		}
	}
}

func TestIsXML(t *testing.T) {
	t.Parallel()
	one := func(p Panel) Picture { return Picture{Panels: []Panel{p}} }
	for name, p := range map[string]Picture{
		"empty":     {},
		"no lines":  one(Panel{}),
		"no points": one(Panel{Lines: []Line{{Name: "s"}}}),
		"no end": one(Panel{Direct: true,
			Lines: []Line{{X: []float64{1}, Y: []float64{math.NaN()}}}}),
		"log of nothing": one(Panel{LogY: true, Lines: []Line{{X: []float64{0}, Y: []float64{-1}}}}),
		"not a number":   one(Panel{Lines: []Line{{X: []float64{1, 2}, Y: []float64{math.NaN(), 1}}}}),
		"one value":      one(Panel{Lines: []Line{{X: []float64{5, 5}, Y: []float64{7, 7}}}}),
	} {
		svg := p.SVG()
		if err := xml.Unmarshal([]byte(svg), new(struct{})); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if strings.Contains(svg, "NaN") {
			t.Errorf("%s: what is no number is written", name)
		}
	}
}

// TestDirectNames: names of lines that end at one place stand apart, in the order of the ends.
func TestDirectNames(t *testing.T) {
	t.Parallel()
	s, err := parse(sample().SVG())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	last := 0.0
	for _, text := range s.texts {
		if text.box.left > plotRight && text.box.top > last {
			got, last = append(got, text.text), text.box.bottom
		}
	}
	if names := strings.Join(got, " "); names != "ours slow failed: two second ours peer third limit" {
		t.Errorf("got names from above: %s", names)
	}
}

func TestAxis(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		log    bool
		values []float64
		step   float64
		want   string // ticks
	}{
		{"hours of a day", false, []float64{0, 24}, 0, "0 3 6 9 12 15 18 21 24"},
		{"every six", false, []float64{0, 23}, 6, "0 6 12 18 24"},
		{"from near zero", false, []float64{3, 97}, 0, "0 20 40 60 80 100"},
		{"far from zero", false, []float64{1000, 1100}, 0, "1k 1.02k 1.04k 1.06k 1.08k 1.1k"},
		{"powers of ten", true, []float64{1, 100_000}, 0, "1 10 100 1k 10k 100k"},
		{"many powers", true, []float64{1e-6, 1e6}, 0, "1e-06 0.0001 0.01 1 100 10k 1M"},
		{"within one power", true, []float64{20, 30}, 0, "10 100"},
	} {
		t.Run(test.name, func(t *testing.T) {
			x := newAxis(test.log, test.values, 0, 100, test.step)
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

package main

import (
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/keyless-go/identity/internal/bench/draw"
)

// fixedPictures are the pictures of docs, of data that never changes.
func fixedPictures() []draw.Picture {
	quick := day{calls: make([]instant, 1440)}
	slow := day{calls: make([]instant, 1440)}
	for i := range slow.calls {
		at := time.Duration(i) * time.Minute
		quick.calls[i] = instant{at: at}
		slow.calls[i] = instant{at: at, took: 100 * time.Second, failed: i > 1200 && i < 1300}
	}
	bins := make([]bin, outageWatched/outageBin)
	for i := range bins {
		bins[i] = bin{left: time.Hour, renewalIn: 12*time.Hour - time.Duration(i)*outageBin,
			requests: int64(i), tokens: 1, slowest: time.Second, first: outageTo + 2*time.Second}
	}
	many := stormOutcome{n: 1000, failed: 500}
	for i := range 500 {
		many.tokens = append(many.tokens, time.Duration(i)*time.Second)
	}
	renewals := make([]int32, int(fleetTime.Seconds()))
	renewals[1000] = 1_000_000
	pictures := outageSection(bins).pictures
	var points []hitPoint
	for held := 1.0; held <= 100_000; held *= 10 {
		points = append(points, hitPoint{held, map[string]float64{ours: 100, theLimit: 100,
			awsCache: 100, msal: 1000 * held, azIdentity: 1000 * held}})
	}
	return append(pictures,
		dayPicture(dayHosts[0].name, map[string]day{ours: quick, azIdentity: slow}),
		hitPicture(points),
		stormPicture([]playedStorm{{50, many, many}, {200, many, many}, {1000, many, many}}),
		fleetPicture([]fleetCourse{{name: "identity: half of the life ± 10 %", renewals: renewals,
			scale: 100, mean: 23.1}, {name: "half of the life, no jitter", renewals: renewals,
			scale: 100, mean: 23.1}}),
	)
}

// TestPictures: each can be read, whatever was measured.
func TestPictures(t *testing.T) {
	t.Parallel()
	for _, p := range fixedPictures() {
		if err := draw.Check(p.SVG()); err != nil {
			t.Errorf("%s: %v", p.File, err)
		}
	}
}

// TestDrawnPictures: those in docs can be read, and each is one that is drawn here.
func TestDrawnPictures(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../docs/*.svg")
	if err != nil {
		t.Fatal(err)
	}
	drawn := map[string]bool{}
	for _, p := range fixedPictures() {
		drawn[p.File] = true
	}
	if len(files) != len(drawn) {
		t.Errorf("docs has %d pictures, want %d", len(files), len(drawn))
	}
	for _, file := range files {
		if !drawn[filepath.Base(file)] {
			t.Errorf("%s is drawn by nothing", file)
		}
		if err := draw.Check(read(t, file)); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}

// TestHitPictureIsOfTheTable: docs/hit.svg shows the figures of docs/performance.md.
func TestHitPictureIsOfTheTable(t *testing.T) {
	t.Parallel()
	page := read(t, "../../docs/performance.md")
	points, err := hitPointsOf(page)
	if err != nil {
		t.Fatal(err)
	}
	if read(t, "../../docs/hit.svg") != hitPicture(points).SVG() {
		t.Error("docs/hit.svg shows other figures than docs/performance.md: go run . -redraw")
	}
	if _, err := hitPointsOf(strings.ReplaceAll(page, " ns |", " hours |")); err == nil {
		t.Error("figures without a unit of time are no error")
	}
	if _, err := hitPointsOf("## A hit with many tokens\n"); err == nil {
		t.Error("a page without the figures is no error")
	}
}

func TestParseNanoseconds(t *testing.T) {
	t.Parallel()
	for _, want := range []float64{0, 99.9, 120, 9_999, 59_200, 893_000, 25_300_000, 98e9} {
		got, err := parseNanoseconds(nanoseconds(want))
		if err != nil || math.Abs(got-want) > want/100 {
			t.Errorf("%s: got %v, %v, want %v", nanoseconds(want), got, err, want)
		}
	}
	for _, text := range []string{"", "12", "x ns", "1 hour"} {
		if got, err := parseNanoseconds(text); err == nil {
			t.Errorf("%q: got %v, want an error", text, got)
		}
	}
}

// TestDayCounts: a call is slow or failed, and never both.
func TestDayCounts(t *testing.T) {
	t.Parallel()
	d := day{calls: []instant{{took: time.Second}, {took: time.Second + 1}, {took: time.Hour,
		failed: true}, {failed: true}}}
	want := dayCount{calls: 4, failed: 2, slow: 1, longest: time.Hour}
	if got := d.count(); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	p := dayPicture("a VM", map[string]day{ours: {calls: []instant{{}}}, azIdentity: d})
	var shown []string
	for _, l := range p.Panels[1].Lines {
		shown = append(shown, fmt.Sprint(l.Look, len(l.X)))
	}
	// the line has a gap for each of the others
	if got := strings.Join(shown, ", "); got != fmt.Sprintf("%d 4, %d 1, %d 2", draw.Peer, draw.Slow,
		draw.Failure) {
		t.Errorf("got looks and points %s", got)
	}
}

package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/keyless-go/identity/internal/bench/draw"
)

// hitLines are whose hits the picture shows.
var hitLines = []string{theLimit, awsCache, ours, msal, azIdentity}

// awsColumn heads AWS's figures, in the table that the picture is of.
const awsColumn = awsCache + ", one cache per scope in a map"

// hitPoint is what a hit costs with a number of tokens held, by library.
type hitPoint struct {
	held float64
	ns   map[string]float64
}

// hitPicture shows what a hit costs as the number of tokens grows.
func hitPicture(points []hitPoint) draw.Picture {
	looks := map[string]draw.Look{ours: draw.Ours, theLimit: draw.Limit, awsCache: draw.Second,
		msal: draw.Third, azIdentity: draw.Peer}
	first, last := points[0], points[len(points)-1]
	cost := func(name string) string { return nanoseconds(last.ns[name]) }
	p := draw.Picture{
		File:  "hit.svg",
		Title: "A cached token: what a call costs, by the number of tokens held",
		Finding: fmt.Sprintf("With %s tokens identity takes %s; azidentity takes %s, because MSAL "+
			"searches its whole cache.", figure(last.held), cost(ours), cost(azIdentity)),
		Alt: fmt.Sprintf("With %s tokens held a hit of this library costs %s, with one %s; of "+
			"azidentity %s and %s.", figure(last.held), cost(ours), nanoseconds(first.ns[ours]),
			cost(azIdentity), nanoseconds(first.ns[azIdentity])),
		X: "tokens held", LogX: true,
	}
	panel := draw.Panel{Y: "nanoseconds a call", LogY: true, Height: 300, Direct: true,
		Reach: []float64{10}}
	for _, name := range hitLines {
		l := draw.Line{Name: name + ", " + cost(name), Look: looks[name]}
		if name == theLimit {
			l.Name = "least possible, " + cost(name)
		}
		for _, point := range points {
			l.X, l.Y = append(l.X, point.held), append(l.Y, point.ns[name])
		}
		panel.Lines = append(panel.Lines, l)
	}
	p.Panels = []draw.Panel{panel}
	return p
}

// hitPointsOf reads them in performance.md, which has them rounded as the picture shows them.
func hitPointsOf(performance string) ([]hitPoint, error) {
	const section = "A hit with many tokens"
	var points []hitPoint
	for held := 1.0; held <= 1e6; held *= 10 {
		p := hitPoint{held: held, ns: map[string]float64{}}
		for _, name := range hitLines {
			column := name
			switch name {
			case theLimit:
				column = "the limit"
			case awsCache:
				column = awsColumn
			}
			text, err := cell(performance, section, figure(held), column)
			if err != nil {
				break // fewer were measured
			}
			if p.ns[name], err = parseNanoseconds(text); err != nil {
				return nil, err
			}
		}
		if len(p.ns) == len(hitLines) {
			points = append(points, p)
		}
	}
	if len(points) < 2 {
		return nil, fmt.Errorf("performance.md, section %q: %d rows, want two at least", section,
			len(points))
	}
	return points, nil
}

// parseNanoseconds reads what nanoseconds wrote.
func parseNanoseconds(text string) (float64, error) {
	number, unit, _ := strings.Cut(text, " ")
	v, err := strconv.ParseFloat(strings.ReplaceAll(number, ",", ""), 64)
	size, known := map[string]float64{"ns": 1, "µs": 1e3, "ms": 1e6, "s": 1e9}[unit]
	if err != nil || !known {
		return 0, fmt.Errorf("%q is no time", text)
	}
	return v * size, nil
}

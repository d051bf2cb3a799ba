package main

import (
	"fmt"
	"math"
	"time"

	"github.com/keyless-go/identity/internal/bench/draw"
)

// fleetCourse is the four days of a fleet that renews by one rule.
type fleetCourse struct {
	name     string
	look     draw.Look
	renewals []int32 // of each second, of the hosts that were played
	scale    float64 // hosts that each of them stands for
	mean     float64 // renewals a second in the long run
}

// fleetPicture has a panel for each course, on the same scale.
func fleetPicture(courses []fleetCourse) draw.Picture {
	p := draw.Picture{
		File:  "fleet.svg",
		Title: "A million hosts that started in one minute: their renewals at the token service",
		X:     "hours since the start", StepX: 12,
		Bands: []draw.Band{{From: inWave[0].Hours(), To: inWave[1].Hours(), Name: "service is out"}},
		Alt: "Renewals a second over four days, in two panels. Without jitter a peak every twelve " +
			"hours; with this library's jitter waves that flatten out. Right after the outage, which " +
			"is shaded, there is a peak in both.",
	}
	var peaks []string
	top := 0.0
	for _, c := range courses {
		top = max(top, busiest(c.renewals, 0, fleetTime, time.Minute)*c.scale)
	}
	for _, c := range courses {
		later := busiest(c.renewals, 2*24*time.Hour, fleetTime, time.Minute) * c.scale
		peaks = append(peaks, grouped(int(math.Round(later))))
		p.Panels = append(p.Panels, draw.Panel{
			Title: fmt.Sprintf("%s: up to %s a second on days 3 and 4", c.name, peaks[len(peaks)-1]),
			Y:     "renewals a second", LogY: true, Reach: []float64{top}, Height: 150, Lowest: "≤ 0.1",
			Lines: []draw.Line{overTime("busiest minute\nof each ten", c),
				{Name: fmt.Sprintf("mean: %.0f a second", c.mean), Look: draw.Limit,
					X: []float64{0, fleetTime.Hours()}, Y: []float64{c.mean, c.mean}}},
		})
	}
	if len(peaks) == 2 {
		p.Finding = fmt.Sprintf("Without jitter the start comes back every 12 hours, %s a second; with "+
			"this library's it becomes a wave of %s.", peaks[0], peaks[1])
	}
	return p
}

// overTime is a line of the picture: the busiest minute of each ten. A logarithmic axis has no
// zero.
func overTime(name string, c fleetCourse) draw.Line {
	const step = 10 * time.Minute
	line := draw.Line{Name: name, Look: c.look}
	for from := time.Duration(0); from < fleetTime; from += step {
		line.X = append(line.X, (from + step/2).Hours())
		line.Y = append(line.Y, max(busiest(c.renewals, from, from+step, time.Minute)*c.scale, 0.1))
	}
	return line
}

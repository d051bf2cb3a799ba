package main

import (
	"fmt"
	"strings"
)

const (
	stackedHeight = 120 // of a plot
	stackedGap    = 34
)

// svg draws the stack.
func (s stack) svg() string {
	var xs []float64
	for _, c := range s.charts {
		for _, line := range c.series {
			xs = append(xs, line.x...)
		}
	}
	x := newAxis(false, xs, plotLeft, plotRight)
	x.step = s.step
	bottom := plotTop + len(s.charts)*(stackedHeight+stackedGap) - stackedGap
	var b strings.Builder
	openSVG(&b, bottom+60, s.title, s.alt)
	for i, c := range s.charts {
		top := plotTop + i*(stackedHeight+stackedGap)
		var ys []float64
		for _, line := range c.series {
			ys = append(ys, line.y...)
		}
		y := newAxis(c.logY, ys, float64(top+stackedHeight), float64(top))
		if s.band[0] < s.band[1] {
			fmt.Fprintf(&b, "<rect class=\"band\" x=\"%.1f\" y=\"%d\" width=\"%.1f\" height=\"%d\"/>\n",
				x.at(s.band[0]), top, x.at(s.band[1])-x.at(s.band[0]), stackedHeight)
			if i == 0 {
				label(&b, x.at(s.band[1])-8, float64(top)+16, "soft", `text-anchor="end"`, s.bandName)
			}
		}
		c.plot(&b, x, y, top, top+stackedHeight)
		for k, line := range c.series {
			drawSeries(&b, k, line, x, y, top)
		}
	}
	for _, v := range x.ticks() {
		label(&b, x.at(v), float64(bottom)+18, "soft", `text-anchor="middle"`, tickLabel(v))
	}
	label(&b, (plotLeft+plotRight)/2, float64(bottom)+42, "ink", `text-anchor="middle"`, s.x)
	b.WriteString("</svg>\n")
	return b.String()
}

package main

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// The pictures are plain SVG: no script, no font to load, and a background of their own, so that
// they can be read in light and in dark mode wherever they are shown.

const (
	chartWidth, chartHeight = 760, 420
	plotLeft, plotRight     = 78, 540 // the legend stands to the right
	plotTop, plotBottom     = 44, 360
)

// style: the colours are Okabe and Ito's, which the colour-blind can tell apart, a shade lighter in
// dark mode.
const style = `
	.back { fill: #ffffff } .ink { fill: #24292f } .soft { fill: #57606a } .grid { stroke: #d0d7de; stroke-width: 1 } .axis { stroke: #57606a; stroke-width: 1 }
	.band { fill: #d55e00; fill-opacity: 0.09 }
	.line { fill: none; stroke-width: 2.25; stroke-linejoin: round; stroke-linecap: round } .dash { stroke-dasharray: 7 5 }
	.l0 { stroke: #0072b2 } .l1 { stroke: #d55e00 } .l2 { stroke: #009e73 } .l3 { stroke: #b0408a } .l4 { stroke: #8a6d00 } .l5 { stroke: #3f6fb5 } .l6 { stroke: #57606a }
	.p0 { fill: #0072b2 } .p1 { fill: #d55e00 } .p2 { fill: #009e73 } .p3 { fill: #b0408a } .p4 { fill: #8a6d00 } .p5 { fill: #3f6fb5 } .p6 { fill: #57606a }
	@media (prefers-color-scheme: dark) {
	.back { fill: #0d1117 } .ink { fill: #e6edf3 } .soft { fill: #9da7b3 } .grid { stroke: #30363d } .axis { stroke: #9da7b3 }
	.l0 { stroke: #56b4e9 } .l1 { stroke: #ff9046 } .l2 { stroke: #3fd3a4 } .l3 { stroke: #e58ec5 } .l4 { stroke: #e6c229 } .l5 { stroke: #9fc0f0 } .l6 { stroke: #9da7b3 }
	.p0 { fill: #56b4e9 } .p1 { fill: #ff9046 } .p2 { fill: #3fd3a4 } .p3 { fill: #e58ec5 } .p4 { fill: #e6c229 } .p5 { fill: #9fc0f0 } .p6 { fill: #9da7b3 } }
`

const colours = 7

// svg draws the chart.
func (c chart) svg() string {
	var xs, ys []float64
	for _, s := range c.series {
		xs, ys = append(xs, s.x...), append(ys, s.y...)
	}
	x := newAxis(c.logX, xs, plotLeft, plotRight)
	y := newAxis(c.logY, ys, plotBottom, plotTop)

	var b strings.Builder
	openSVG(&b, chartHeight, c.title, c.alt)
	c.plot(&b, x, y, plotTop, plotBottom)
	for _, v := range x.ticks() {
		label(&b, x.at(v), plotBottom+18, "soft", `text-anchor="middle"`, tickLabel(v))
	}
	label(&b, (plotLeft+plotRight)/2, plotBottom+42, "ink", `text-anchor="middle"`, c.x)
	for i, s := range c.series {
		drawSeries(&b, i, s, x, y, plotTop)
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// openSVG begins a picture.
func openSVG(b *strings.Builder, height int, title, alt string) {
	fmt.Fprintf(b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-labelledby="title desc" font-family="system-ui, -apple-system, 'Segoe UI', sans-serif" font-size="12">`+"\n", chartWidth, height, chartWidth, height)
	fmt.Fprintf(b, "<title id=\"title\">%s</title>\n<desc id=\"desc\">%s</desc>\n",
		html.EscapeString(title), html.EscapeString(alt))
	fmt.Fprintf(b, "<style>%s</style>\n<rect class=\"back\" width=\"100%%\" height=\"100%%\"/>\n",
		style)
	label(b, plotLeft, 24, "ink", `font-size="15" font-weight="600"`, title)
}

// plot draws what lies behind the lines, between two heights.
func (c chart) plot(b *strings.Builder, x, y axis, top, bottom int) {
	for _, v := range y.ticks() {
		fmt.Fprintf(b, "<path class=\"grid\" d=\"M%d %.1fH%d\"/>\n", plotLeft, y.at(v), plotRight)
		label(b, plotLeft-8, y.at(v)+4, "soft", `text-anchor="end"`, tickLabel(v))
	}
	for _, v := range x.ticks() {
		fmt.Fprintf(b, "<path class=\"grid\" d=\"M%.1f %dV%d\"/>\n", x.at(v), top, bottom)
	}
	fmt.Fprintf(b, "<path class=\"axis\" fill=\"none\" d=\"M%d %dV%dH%d\"/>\n", plotLeft, top, bottom,
		plotRight)
	label(b, 0, 0, "ink", fmt.Sprintf(`text-anchor="middle" transform="translate(18 %d) rotate(-90)"`,
		(top+bottom)/2), c.y)
}

func label(b *strings.Builder, x, y float64, class, attributes, text string) {
	fmt.Fprintf(b, "<text class=\"%s\" x=\"%.1f\" y=\"%.1f\" %s>%s</text>\n", class, x, y, attributes,
		html.EscapeString(text))
}

// fewPoints is up to how many a series has its points marked.
const fewPoints = 24

// drawSeries draws a line and its place in the legend, which begins at a height.
func drawSeries(b *strings.Builder, i int, s series, x, y axis, top int) {
	class := fmt.Sprintf("line l%d", i%colours)
	if s.dash {
		class += " dash"
	}
	var path strings.Builder
	n := min(len(s.x), len(s.y))
	command := "M"
	for k := range n {
		switch {
		case math.IsNaN(s.y[k]): // a gap
			command = "M"
			continue
		case k > 0 && k < n-1 && s.y[k-1] == s.y[k] && s.y[k] == s.y[k+1]:
			continue // within a level stretch
		}
		fmt.Fprintf(&path, "%s%.1f %.1f", command, x.at(s.x[k]), y.at(s.y[k]))
		command = "L"
	}
	if path.Len() > 0 {
		fmt.Fprintf(b, "<path class=\"%s\" d=\"%s\"/>\n", class, path.String())
	}
	if n <= fewPoints && !s.dash {
		for k := range n {
			if math.IsNaN(s.y[k]) {
				continue
			}
			mark(b, i, x.at(s.x[k]), y.at(s.y[k]))
		}
	}
	const left = plotRight + 18
	height := float64(top + 10 + 24*i)
	fmt.Fprintf(b, "<path class=\"%s\" d=\"M%d %.1fh26\"/>\n", class, left, height)
	if n <= fewPoints && !s.dash {
		mark(b, i, left+13, height)
	}
	label(b, left+34, height+4, "ink", "", s.name)
}

// mark draws a point, in a shape that is the series' own: colour alone tells too few apart.
func mark(b *strings.Builder, i int, x, y float64) {
	class := fmt.Sprintf("p%d", i%colours)
	switch i % 3 {
	case 0:
		fmt.Fprintf(b, "<circle class=\"%s\" cx=\"%.1f\" cy=\"%.1f\" r=\"4\"/>\n", class, x, y)
	case 1:
		fmt.Fprintf(b, "<rect class=\"%s\" x=\"%.1f\" y=\"%.1f\" width=\"7\" height=\"7\"/>\n", class,
			x-3.5, y-3.5)
	default:
		fmt.Fprintf(b, "<path class=\"%s\" d=\"M%.1f %.1fl4.5 8h-9z\"/>\n", class, x, y-5)
	}
}

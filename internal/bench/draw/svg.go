package draw

import (
	"cmp"
	"fmt"
	"html"
	"math"
	"slices"
	"strings"
)

// The places of a picture, in pixels.
const (
	pictureWidth        = 840
	plotLeft, plotRight = 78, 590 // names stand to the right
	namesLeft           = plotRight + 18
	headHeight          = 62  // the title and the finding
	rowHeight           = 18  // of the names above the panels
	panelTitle          = 22  // above a panel
	panelGap            = 16  // below a panel
	footHeight          = 52  // the axis of x
	usualPanel          = 120 // the height of a panel
	fontSize            = 12
)

// SVG draws the picture.
func (p Picture) SVG() string {
	var xs []float64
	for _, panel := range p.Panels {
		for _, line := range panel.Lines {
			xs = append(xs, line.X...)
		}
	}
	c := canvas{x: newAxis(p.LogX, xs, plotLeft, plotRight, p.StepX), top: headHeight}
	height := headHeight + p.nameRows()*rowHeight + footHeight
	for i, panel := range p.Panels {
		height += panel.height()
		if panel.Title != "" {
			height += panelTitle
		}
		if i > 0 {
			height += panelGap
		}
	}
	c.head(p, height)
	for i, panel := range p.Panels {
		if i > 0 {
			c.top += panelGap
		}
		c.panel(p, panel, i == 0)
	}
	for _, v := range c.x.ticks() {
		c.text(c.x.at(v), float64(c.top+18), "soft", "middle", tickLabel(v))
	}
	c.text((plotLeft+plotRight)/2, float64(c.top+40), "ink axis-name", "middle", p.X)
	c.WriteString("</svg>\n")
	return c.String()
}

// nameRows is how many rows the names of bands and moments take, above the first panel.
func (p Picture) nameRows() int {
	rows := 0
	if len(p.Bands) > 0 {
		rows++
	}
	if len(p.Moments) > 0 {
		rows++
	}
	return rows
}

func (p Panel) height() int { return cmp.Or(p.Height, usualPanel) }

// canvas is a picture that is being drawn.
type canvas struct {
	strings.Builder
	x   axis
	top int // where the next panel begins
}

func (c *canvas) add(format string, values ...any) { fmt.Fprintf(c, format+"\n", values...) }

// text is written with its baseline at y.
func (c *canvas) text(x, y float64, class, anchor, text string) {
	c.add(`<text class="%s" x="%.1f" y="%.1f" text-anchor="%s">%s</text>`, class, x, y, anchor,
		html.EscapeString(text))
}

// head begins the picture.
func (c *canvas) head(p Picture, height int) {
	c.add(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" `+
		`role="img" aria-labelledby="title desc" font-family="system-ui, -apple-system, 'Segoe UI', `+
		`sans-serif" font-size="%d">`, pictureWidth, height, pictureWidth, height, fontSize)
	c.add("<title id=\"title\">%s</title>\n<desc id=\"desc\">%s</desc>", html.EscapeString(p.Title),
		html.EscapeString(p.Alt))
	c.add("<style>\n%s</style>\n<rect class=\"back\" width=\"%d\" height=\"%d\"/>", style(),
		pictureWidth, height)
	c.add(`<text class="ink" x="16" y="26" font-size="16" font-weight="600">%s</text>`,
		html.EscapeString(p.Title))
	c.add(`<text class="soft" x="16" y="47" font-size="13">%s</text>`, html.EscapeString(p.Finding))
}

// names are those of bands and moments, in rows above the first panel.
func (c *canvas) names(p Picture) {
	row := float64(c.top + 13)
	for _, b := range p.Bands {
		c.text((c.x.at(b.From)+c.x.at(b.To))/2, row, "ink", "middle", b.Name)
	}
	if len(p.Bands) > 0 {
		row += rowHeight
	}
	for _, m := range p.Moments {
		c.text(c.x.at(m.At), row, "ink", "middle", m.Name)
	}
}

// panel draws one, and moves on by its height.
func (c *canvas) panel(p Picture, panel Panel, first bool) {
	if panel.Title != "" {
		c.add(`<text class="ink" x="%d" y="%d" font-size="13" font-weight="600">%s</text>`, plotLeft,
			c.top+15, html.EscapeString(panel.Title))
		c.top += panelTitle
	}
	shaded := c.top
	if first {
		c.top += p.nameRows() * rowHeight
	}
	top, bottom := c.top, c.top+panel.height()
	var ys []float64
	for _, line := range panel.Lines {
		ys = append(ys, line.Y...)
	}
	y := newAxis(panel.LogY, append(ys, panel.Reach...), float64(bottom), float64(top), 0)
	for _, b := range p.Bands {
		from := c.x.at(b.From)
		c.add(`<rect class="band" x="%.1f" y="%d" width="%.1f" height="%d"/>`, from, shaded,
			c.x.at(b.To)-from, bottom-shaded)
	}
	if first {
		c.top = shaded
		c.names(p)
	}
	for _, v := range c.x.ticks() {
		c.add(`<path class="grid" d="M%.1f %dV%d"/>`, c.x.at(v), top, bottom)
	}
	for i, v := range y.ticks() {
		c.add(`<path class="grid" d="M%d %.1fH%d"/>`, plotLeft, y.at(v), plotRight)
		label := tickLabel(v)
		if i == 0 && panel.Lowest != "" {
			label = panel.Lowest
		}
		c.text(plotLeft-8, y.at(v)+4, "soft", "end", label)
	}
	c.add(`<path class="axis stroke soft" d="M%d %dV%dH%d"/>`, plotLeft, top, bottom, plotRight)
	c.add(`<text class="ink axis-name" text-anchor="middle" transform="translate(17 %d) `+
		`rotate(-90)">%s</text>`, (top+bottom)/2, html.EscapeString(panel.Y))
	for _, m := range p.Moments {
		c.add(`<path class="stroke dash soft" d="M%.1f %dV%d"/>`, c.x.at(m.At), top, bottom)
	}
	for _, line := range panel.Lines {
		c.line(line, y)
	}
	if panel.Direct {
		c.ends(panel, y, top, bottom)
	} else {
		c.legend(panel, top)
	}
	c.top = bottom
}

// fewPoints is up to how many points of a line are marked.
const fewPoints = 24

// line draws a line, or its marks.
func (c *canvas) line(l Line, y axis) {
	n, look := min(len(l.X), len(l.Y)), looks[l.Look]
	if look.marks {
		const apart = 7.0 // marks nearer than this would hide each other
		last := math.Inf(-1)
		for k := range n {
			if at := c.x.at(l.X[k]); !math.IsNaN(l.Y[k]) && at >= last+apart {
				c.mark(l.Look, at, y.at(l.Y[k]))
				last = at
			}
		}
		return
	}
	var path strings.Builder
	command := "M"
	for k := range n {
		switch {
		case math.IsNaN(l.Y[k]):
			command = "M"
			continue
		case k > 0 && k < n-1 && l.Y[k-1] == l.Y[k] && l.Y[k] == l.Y[k+1]:
			continue // within a level stretch
		}
		fmt.Fprintf(&path, "%s%.1f %.1f", command, c.x.at(l.X[k]), y.at(l.Y[k]))
		command = "L"
	}
	if path.Len() > 0 {
		c.add(`<path class="%s" d="%s"/>`, lineClass(l.Look), path.String())
	}
	if n <= fewPoints && !look.dash {
		for k := range n {
			if !math.IsNaN(l.Y[k]) {
				c.mark(l.Look, c.x.at(l.X[k]), y.at(l.Y[k]))
			}
		}
	}
}

func lineClass(l Look) string {
	class := "stroke line " + looks[l].class
	if looks[l].dash {
		class += " dash"
	}
	return class
}

// mark draws a point, in a shape that is the look's own: colour alone tells too few apart.
func (c *canvas) mark(l Look, x, y float64) {
	class := looks[l].class
	shape := func(format string, values ...any) {
		c.add(`<path class="`+class+`" d="`+format+`"/>`, values...)
	}
	switch l {
	case Ours:
		c.add(`<circle class="%s" cx="%.1f" cy="%.1f" r="4"/>`, class, x, y)
	case Peer:
		shape("M%.1f %.1fH%.1fV%.1fH%.1fZ", x-3.5, y-3.5, x+3.5, y+3.5, x-3.5)
	case Second:
		shape("M%.1f %.1fL%.1f %.1fL%.1f %.1fZ", x, y-5, x+4.5, y+3.5, x-4.5, y+3.5)
	case Third:
		shape("M%.1f %.1fL%.1f %.1fL%.1f %.1fL%.1f %.1fZ", x, y-5, x+5, y, x, y+5, x-5, y)
	case Slow:
		class = "stroke mark " + class
		shape("M%.1f %.1fL%.1f %.1fL%.1f %.1fZ", x, y-5, x+5, y+4, x-5, y+4)
	case Failure:
		class = "stroke mark " + class
		shape("M%.1f %.1fL%.1f %.1fM%.1f %.1fL%.1f %.1f", x-3.5, y-3.5, x+3.5, y+3.5, x-3.5, y+3.5,
			x+3.5, y-3.5)
	}
}

// sample draws how a line looks, 26 pixels wide.
func (c *canvas) sample(l Line, y float64) {
	if !looks[l.Look].marks {
		c.add(`<path class="%s" d="M%d %.1fH%d"/>`, lineClass(l.Look), namesLeft, y, namesLeft+26)
	}
	if looks[l.Look].marks || len(l.X) <= fewPoints && !looks[l.Look].dash {
		c.mark(l.Look, namesLeft+13, y)
	}
}

const lineHeight = 16

// legend is to the right of the panel.
func (c *canvas) legend(panel Panel, top int) {
	at := float64(top + 8)
	for _, l := range panel.Lines {
		c.sample(l, at)
		for row := range strings.SplitSeq(l.Name, "\n") {
			c.text(namesLeft+34, at+4, "ink", "start", row)
			at += lineHeight
		}
		at += 6
	}
}

// ends are names beside the right ends of lines, moved apart where the ends are close, each with a
// thin line to its end.
func (c *canvas) ends(panel Panel, y axis, top, bottom int) {
	type end struct {
		line     Line
		at, want float64
	}
	var all []end
	for _, l := range panel.Lines {
		for k := min(len(l.X), len(l.Y)) - 1; k >= 0; k-- {
			if !math.IsNaN(l.Y[k]) {
				all = append(all, end{l, y.at(l.Y[k]), y.at(l.Y[k])})
				break
			}
		}
	}
	slices.SortStableFunc(all, func(a, b end) int { return cmp.Compare(a.want, b.want) })
	low := float64(bottom - 4)
	for i := len(all) - 1; i >= 0; i-- { // up from the bottom
		all[i].at = min(all[i].at, low)
		low = all[i].at - lineHeight - 4
	}
	high := float64(top + 4)
	for i := range all { // and down again from the top
		all[i].at = max(all[i].at, high)
		high = all[i].at + lineHeight + 4
	}
	for _, e := range all {
		c.add(`<path class="stroke soft" d="M%d %.1fL%d %.1f"/>`, plotRight+5, e.want, namesLeft-2, e.at)
		c.sample(e.line, e.at)
		c.text(namesLeft+34, e.at+4, "ink", "start", e.line.Name)
	}
}

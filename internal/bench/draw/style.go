package draw

import (
	"fmt"
	"strings"
)

// colour is what a class is painted with in light and in dark mode. Each has a contrast of at least
// 4.5 to the background, shaded or not, which Check keeps.
type colour struct{ class, light, dark string }

// The colours are near Okabe and Ito's, which the colour-blind can tell apart, darker in light mode
// and lighter in dark mode.
var colours = []colour{
	{"ink", "#24292f", "#e6edf3"}, {"soft", "#57606a", "#9da7b3"},
	{"ours", "#0068a3", "#56b4e9"}, {"peer", "#ad4a00", "#ff9046"},
	{"second", "#00734f", "#3fd3a4"}, {"third", "#9c3579", "#e58ec5"},
	{"limit", "#57606a", "#9da7b3"}, {"slow", "#7a5b00", "#e6c229"},
	{"failure", "#b3261e", "#ff8a80"},
}

// What lies behind: it is there to be seen, and not to be read.
const (
	lightBack, darkBack = "#ffffff", "#0d1117"
	lightGrid, darkGrid = "#d8dee4", "#262c34"
	lightBand, darkBand = "#fbe8d8", "#38261a"
)

var looks = [...]struct {
	class string
	dash  bool
	marks bool // no line
}{
	Ours: {class: "ours"}, Peer: {class: "peer"}, Second: {class: "second"}, Third: {class: "third"},
	Limit: {class: "limit", dash: true}, Slow: {class: "slow", marks: true},
	Failure: {class: "failure", marks: true},
}

// style is the picture's style sheet. A class paints text as it is, lines with "stroke".
func style() string {
	rules := func(back, grid, band string, paint func(colour) string) string {
		var b strings.Builder
		fmt.Fprintf(&b, ".back{fill:%s}.grid{stroke:%s}.band{fill:%s}", back, grid, band)
		for _, c := range colours {
			fmt.Fprintf(&b, ".%[1]s{fill:%[2]s}.stroke.%[1]s{fill:none;stroke:%[2]s}", c.class, paint(c))
		}
		return b.String()
	}
	return rules(lightBack, lightGrid, lightBand, func(c colour) string { return c.light }) +
		"\n.grid,.axis,.stroke{fill:none}.line{stroke-width:2.25;stroke-linejoin:round;" +
		"stroke-linecap:round}.mark{stroke-width:1.75}.dash{stroke-dasharray:7 5}\n" +
		"@media (prefers-color-scheme:dark){" +
		rules(darkBack, darkGrid, darkBand, func(c colour) string { return c.dark }) + "}\n"
}

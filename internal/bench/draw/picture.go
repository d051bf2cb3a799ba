// Package draw makes the pictures of docs: charts as plain SVG. They have no script and no font to
// load, and a background of their own, so that they can be read in light and in dark mode wherever
// they are shown. Check finds what can't be read.
package draw

// Picture is one or more panels, one below the other, which share the axis of x.
type Picture struct {
	File    string // such as storm.svg
	Title   string // what is compared
	Finding string // what came out, in one line
	Alt     string // for those who can't see it

	X     string  // what the axis of x shows, with its unit
	LogX  bool    // its ends are powers of ten
	StepX float64 // between its ticks; 0 is as it fits

	Panels  []Panel
	Bands   []Band   // shaded in all panels
	Moments []Moment // a vertical line through all panels
}

// Band is a stretch of x, such as an outage. Its name stands above it.
type Band struct {
	From, To float64
	Name     string
}

// Moment is a value of x that matters. Its name stands above it.
type Moment struct {
	At   float64
	Name string
}

// Panel is one chart.
type Panel struct {
	Title  string // what this panel is about, and what it shows; "" for a picture's only one
	Y      string // what the axis of y shows, with its unit
	LogY   bool
	Reach  []float64 // what the axis of y reaches to at least
	Lowest string    // in place of the number at the lowest tick, such as "at once"
	Height int       // in pixels; 0 is 120
	// Direct has the names at the right ends of the lines, in place of a legend: lines that coincide
	// are told apart so.
	Direct bool
	Lines  []Line
}

// Line is a line of a panel, or a cloud of marks.
type Line struct {
	Name string // a line break in it is one in the legend
	Look Look
	X, Y []float64 // NaN is a gap
}

// Look is how a line looks, which is the same for one subject in all pictures.
type Look int

// The looks. Each differs from the others by its colour and by its marks or dashes.
const (
	Ours    Look = iota // blue, circles
	Peer                // orange, squares
	Second              // green, triangles
	Third               // purple, diamonds
	Limit               // grey, dashed: what is possible, or a mean
	Slow                // hollow triangles without a line
	Failure             // crosses without a line
)

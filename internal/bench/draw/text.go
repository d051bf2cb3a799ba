package draw

import "strings"

// box is where something is, in pixels.
type box struct{ left, top, right, bottom float64 }

func (b box) overlaps(c box) bool {
	return b.left < c.right && c.left < b.right && b.top < c.bottom && c.top < b.bottom
}

// within reports whether all of b is in c.
func (b box) within(c box) bool {
	return b.left >= c.left && b.right <= c.right && b.top >= c.top && b.bottom <= c.bottom
}

// meets reports whether a straight line passes through the box: what of the line is left once it
// has been cut at each side in turn.
func (b box) meets(x1, y1, x2, y2 float64) bool {
	from, to := 0.0, 1.0
	for _, side := range [][2]float64{ // the distance within the side at the start, and what is lost
		{x1 - b.left, x1 - x2}, {b.right - x1, x2 - x1}, {y1 - b.top, y1 - y2}, {b.bottom - y1, y2 - y1},
	} {
		inside, lost := side[0], side[1]
		switch {
		case lost == 0 && inside < 0:
			return false
		case lost > 0:
			to = min(to, inside/lost)
		case lost < 0:
			from = max(from, inside/lost)
		}
	}
	return from <= to
}

// widths of characters, in sizes of the font, are those of DejaVu Sans: the widest of the fonts
// that browsers take for system-ui, so that no text is wider elsewhere.
var widths = func() map[rune]float64 {
	w := map[rune]float64{}
	for width, chars := range map[float64]string{
		0.28: "ijl'", 0.32: " .,:;|", 0.40: "frtI()[]-!/", 0.53: "csxzJ?", 0.60: "avykL×÷",
		0.98: "mW—%", 0.87: "MOQ@", 0.82: "w±+=",
	} {
		for _, c := range chars {
			w[c] = width
		}
	}
	return w
}()

// width is how wide a text is at most. Bold letters are an eighth wider.
func width(text string, size float64, bold bool) float64 {
	sum := 0.0
	for _, c := range text {
		w, known := widths[c]
		switch {
		case known:
		case strings.ContainsRune("ABCDEFGHKNPRSTUVXYZ", c):
			w = 0.72
		default:
			w = 0.64
		}
		sum += w
	}
	if bold {
		sum *= 1.125
	}
	return sum * size
}

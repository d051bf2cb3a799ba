package draw

import (
	"cmp"
	"math"
	"strconv"
)

// axis maps values to pixels.
type axis struct {
	log      bool
	from, to float64 // values at the ends
	a, b     float64 // pixels at the ends
	step     float64 // between the ticks of a linear one, 0 for as it fits
}

// newAxis spans the values. A log axis ends at powers of ten, a linear one at ticks, and begins at
// 0 where that is near. step is between the ticks of a linear one, 0 for as it fits.
func newAxis(log bool, values []float64, a, b, step float64) axis {
	x := axis{log: log, a: a, b: b, step: step}
	low, high := math.Inf(1), math.Inf(-1)
	for _, v := range values {
		if math.IsNaN(v) || math.IsInf(v, 0) || log && v <= 0 {
			continue // has no place on it
		}
		low, high = min(low, v), max(high, v)
	}
	if low > high {
		low, high = 1, 10
	}
	if log {
		x.from, x.to = math.Pow(10, math.Floor(math.Log10(low)+1e-9)),
			math.Pow(10, math.Ceil(math.Log10(high)-1e-9))
		if x.from == x.to {
			x.to *= 10
		}
		return x
	}
	if low > 0 && low < high/2 {
		low = 0
	}
	if low == high {
		high = low + 1
	}
	step = cmp.Or(step, linearStep(high-low))
	x.from, x.to = math.Floor(low/step+1e-9)*step, math.Ceil(high/step-1e-9)*step
	return x
}

// linearStep is 1, 2, 3 or 5 times a power of ten (3 for the hours of a day), such that there are
// at most nine ticks.
func linearStep(span float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(span/8)))
	for _, m := range []float64{1, 2, 3, 5} {
		if span/(m*power) <= 8+1e-9 {
			return m * power
		}
	}
	return 10 * power
}

// at is a value's pixel. What a log axis can't show is at its low end.
func (x axis) at(v float64) float64 {
	if x.log {
		v = max(v, x.from)
		return x.a + (math.Log10(v)-math.Log10(x.from))/(math.Log10(x.to)-math.Log10(x.from))*(x.b-x.a)
	}
	return x.a + (v-x.from)/(x.to-x.from)*(x.b-x.a)
}

// ticks are the values that are labelled.
func (x axis) ticks() []float64 {
	var all []float64
	if x.log {
		decades := math.Round(math.Log10(x.to / x.from))
		every := math.Pow(10, math.Ceil(decades/9))
		for v := x.from; v <= x.to*1.001; v *= every {
			all = append(all, v)
		}
		return all
	}
	step := cmp.Or(x.step, linearStep(x.to-x.from))
	for i := 0; x.from+float64(i)*step <= x.to+step/1e6; i++ {
		all = append(all, x.from+float64(i)*step)
	}
	return all
}

// tickLabel is short: 10,000 is 10k.
func tickLabel(v float64) string {
	for _, s := range []struct {
		size   float64
		suffix string
	}{{1e9, "G"}, {1e6, "M"}, {1e3, "k"}} {
		if math.Abs(v) >= s.size*(1-1e-9) {
			return strconv.FormatFloat(v/s.size, 'g', 4, 64) + s.suffix
		}
	}
	return strconv.FormatFloat(v, 'g', 4, 64)
}

package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// figure is a number with as many digits as it deserves: three, and commas between thousands.
func figure(x float64) string {
	switch a := math.Abs(x); {
	case x == math.Trunc(x) && a < 1e15:
		return thousands(int64(x))
	case a >= 100:
		return thousands(int64(math.Round(x)))
	case a >= 10:
		return strconv.FormatFloat(x, 'f', 1, 64)
	}
	return strconv.FormatFloat(x, 'f', 2, 64)
}

func thousands(n int64) string {
	s := strconv.FormatInt(n, 10)
	sign := ""
	if strings.HasPrefix(s, "-") {
		sign, s = "-", s[1:]
	}
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return sign + s
}

// nanoseconds is a time per call, in the unit that reads best.
func nanoseconds(ns float64) string {
	switch {
	case ns < 10_000:
		return figure(math.Round(ns*10)/10) + " ns"
	case ns < 10_000_000:
		return figure(ns/1e3) + " µs"
	case ns < 10_000_000_000:
		return figure(ns/1e6) + " ms"
	}
	return figure(ns/1e9) + " s"
}

func duration(d time.Duration) string { return nanoseconds(float64(d)) }

func ratio(x float64) string { return fmt.Sprintf("%s ×", figure(x)) }

func size(n float64) string {
	switch {
	case math.Abs(n) < 10_000:
		return figure(math.Round(n)) + " B"
	case math.Abs(n) < 10_000_000:
		return figure(n/1e3) + " kB"
	}
	return figure(n/1e6) + " MB"
}

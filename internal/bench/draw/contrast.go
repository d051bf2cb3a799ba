package draw

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
)

// leastContrast is what WCAG 2 wants of text: https://www.w3.org/TR/WCAG22/#contrast-minimum.
const leastContrast = 4.5

var painted = regexp.MustCompile(`(?:^|})\.([a-z]+){(?:fill|stroke):(#[0-9a-f]{6})}`)

// contrasts finds the classes that are too near to what is behind them, in light or in dark mode.
func (s *scene) contrasts() []error {
	light, dark, both := strings.Cut(s.style, "@media (prefers-color-scheme:dark){")
	if !both {
		return []error{fmt.Errorf("there is no dark mode")}
	}
	var problems []error
	all := paints(s.style)
	for mode, sheet := range map[string]string{"light": light, "dark": dark} {
		paint := paints(sheet)
		behind := []string{"back"}
		if s.shaded {
			behind = append(behind, "band")
		}
		for class := range s.classes {
			if all[class] == "" {
				continue // it has no colour, such as dash
			}
			front := paint[class]
			for _, back := range behind {
				if got := contrast(front, paint[back]); !(got >= leastContrast) {
					problems = append(problems, fmt.Errorf("%s on %s has a contrast of %.1f in %s mode, want %.1f",
						class, back, got, mode, leastContrast))
				}
			}
		}
	}
	return problems
}

// paints are the classes' colours in a style sheet.
func paints(sheet string) map[string]string {
	all := map[string]string{}
	for rest := strings.TrimSpace(sheet); ; {
		at := painted.FindStringSubmatchIndex(rest)
		if at == nil {
			return all
		}
		all[rest[at[2]:at[3]]] = rest[at[4]:at[5]]
		rest = rest[at[1]-1:] // the bracket that ends a rule is before the next
	}
}

// contrast is WCAG's, from 1 to 21.
func contrast(a, b string) float64 {
	high, low := luminance(a), luminance(b)
	if high < low {
		high, low = low, high
	}
	return (high + 0.05) / (low + 0.05)
}

// luminance of a colour such as #0d1117. What is no colour has none, not even black's.
func luminance(colour string) float64 {
	if len(colour) != 7 {
		return math.NaN()
	}
	sum := 0.0
	for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
		n, err := strconv.ParseUint(colour[1+2*i:3+2*i], 16, 8)
		if err != nil {
			return math.NaN()
		}
		v := float64(n) / 255
		if v <= 0.04045 {
			v /= 12.92
		} else {
			v = math.Pow((v+0.055)/1.055, 2.4)
		}
		sum += weight * v
	}
	return sum
}

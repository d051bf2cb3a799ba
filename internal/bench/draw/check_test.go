package draw

import (
	"math"
	"strings"
	"testing"
)

// TestCheckFinds: what a reader would stumble over is found, one at a time.
func TestCheckFinds(t *testing.T) {
	t.Parallel()
	svg := sample().SVG()
	if err := Check(svg); err != nil {
		t.Fatal(err)
	}
	replaced := func(old, new string) string {
		if !strings.Contains(svg, old) {
			t.Fatalf("the sample has no %q", old)
		}
		return strings.ReplaceAll(svg, old, new)
	}
	added := func(element string) string { return replaced("</svg>", element+"</svg>") }
	for _, test := range []struct{ name, svg, want string }{
		{"wide text", replaced(">failed:<", ">"+strings.Repeat("failed ", 9)+"<"), "leaves the picture"},
		{"text over text", added(`<text class="ink" x="90" y="47">over</text>`), `"over" is over`},
		{"line through text", added(`<path class="stroke ours" d="M20 20L60 60"/>`),
			`"stroke ours" passes through "Ours & <theirs>"`},
		{"grid through text", added(`<path class="grid" d="M0 42H400"/>`), "passes through"},
		{"circle on text", added(`<circle class="ours" cx="30" cy="42" r="4"/>`), "passes through"},
		{"line through turned text", added(`<path class="grid" d="M8 200V201H30"/>`),
			`passes through "seconds"`},
		{"pale in light mode", replaced("#0068a3", "#8fc5e8"),
			"ours on back has a contrast of 1.9 in light"},
		{"dark in dark mode", replaced("#56b4e9", "#0068a3"),
			"ours on band has a contrast of 2.4 in dark"},
		{"pale band", replaced(".band{fill:#fbe8d8}", ".band{fill:#c07040}"), "on band has a contrast"},
		{"one mode", replaced("@media (prefers-color-scheme:dark){", ""), "no dark mode"},
		{"a colour in one mode only", replaced(".ours{fill:#56b4e9}", ""),
			"ours on back has a contrast of NaN"},
		{"no finding", replaced(`class="soft" x="16"`, `class="soft" x="900"`), "leaves the picture"},
		{"no description", replaced("Two panels.", ""), "description"},
		{"no axis names", replaced("axis-name", ""), "0 axes have a name"},
		{"empty text", replaced(">hours<", "><"), "a text is empty"},
		{"not XML", svg[:len(svg)-9], "XML"},
		{"unknown element", added("<ellipse/>"), "<ellipse>: not known here"},
		{"unknown path", added(`<path d="M1 2L3"/>`), "not known here"},
	} {
		if err := Check(test.svg); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q in it", test.name, err, test.want)
		}
	}
}

func TestMeets(t *testing.T) {
	t.Parallel()
	b := box{10, 10, 20, 20}
	for _, test := range []struct {
		x1, y1, x2, y2 float64
		want           bool
	}{
		{0, 15, 30, 15, true}, {15, 0, 15, 30, true}, {0, 0, 30, 30, true}, {12, 12, 13, 13, true},
		{30, 0, 0, 30, true}, {0, 15, 9, 15, false}, {0, 25, 30, 25, false}, {0, 15, 15, 0, false},
		{0, 12, 12, 0, false}, {21, 0, 21, 30, false}, {15, 15, 15, 15, true}, {5, 5, 5, 5, false},
	} {
		if got := b.meets(test.x1, test.y1, test.x2, test.y2); got != test.want {
			t.Errorf("%+v: got %t", test, got)
		}
	}
}

func TestContrast(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		a, b string
		want float64
	}{
		{"#000000", "#ffffff", 21}, {"#ffffff", "#000000", 21}, {"#777777", "#ffffff", 4.48},
		{"#777777", "#777777", 1}, {"#ff0000", "#ffffff", 4.0},
	} {
		if got := contrast(test.a, test.b); math.Abs(got-test.want) > 0.01 {
			t.Errorf("%s on %s: got %.3f, want %.2f", test.a, test.b, got, test.want)
		}
	}
	for _, bad := range []string{"", "#12345", "#gggggg"} {
		if got := contrast(bad, "#ffffff"); !math.IsNaN(got) {
			t.Errorf("%q: got %v", bad, got)
		}
	}
}

package draw

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Check returns what can't be read in a picture that this package drew: a text that leaves the
// picture, texts one over the other, a line through a text, a colour too near to the background's,
// and what is needed to understand the picture alone and isn't there.
func Check(svg string) error {
	s, err := parse(svg)
	if err != nil {
		return err
	}
	var problems []error
	found := func(format string, values ...any) {
		problems = append(problems, fmt.Errorf(format, values...))
	}
	for i, t := range s.texts {
		if strings.TrimSpace(t.text) == "" {
			found("a text is empty")
		}
		if !t.box.within(s.view) {
			found("%q leaves the picture: %.0f of %.0f", t.text, t.box, s.view)
		}
		for _, other := range s.texts[:i] {
			if t.box.overlaps(other.box) {
				found("%q is over %q", t.text, other.text)
			}
		}
		for _, l := range s.lines {
			if t.box.meets(l.x1, l.y1, l.x2, l.y2) {
				found("a line of class %q passes through %q", l.class, t.text)
				break
			}
		}
	}
	if s.title == "" || s.desc == "" || len(s.texts) < 2 || s.texts[0].text != s.title {
		found("title, description or finding are missing")
	}
	if s.axisNames < 2 {
		found("%d axes have a name, want two at least", s.axisNames)
	}
	problems = append(problems, s.contrasts()...)
	return errors.Join(problems...)
}

// written is a text and its place.
type written struct {
	text string
	box  box
}

// stroke is a straight piece of a line.
type stroke struct {
	class          string
	x1, y1, x2, y2 float64
}

// scene is what is to be seen in a picture.
type scene struct {
	view        box
	title, desc string
	style       string
	texts       []written
	lines       []stroke
	classes     map[string]bool // of what is to be read
	shaded      bool
	axisNames   int
}

// parse reads a picture. It knows what this package writes, and no more of SVG.
func parse(svg string) (*scene, error) {
	s := &scene{classes: map[string]bool{}}
	d := xml.NewDecoder(strings.NewReader(svg))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return s, nil
		}
		if err != nil {
			return nil, err
		}
		if begun, ok := token.(xml.StartElement); ok {
			if err := s.element(d, begun); err != nil {
				return nil, fmt.Errorf("<%s>: %w", begun.Name.Local, err)
			}
		}
	}
}

// attributes are those of an element.
type attributes map[string]string

func (a attributes) number(name string) float64 {
	v, _ := strconv.ParseFloat(a[name], 64)
	return v
}

func (s *scene) element(d *xml.Decoder, e xml.StartElement) error {
	a := attributes{}
	for _, attribute := range e.Attr {
		a[attribute.Name.Local] = attribute.Value
	}
	content := func() (text string, err error) {
		err = d.DecodeElement(&text, &e)
		return text, err
	}
	var err error
	switch e.Name.Local {
	case "svg":
		s.view = box{0, 0, a.number("width"), a.number("height")}
	case "title":
		s.title, err = content()
	case "desc":
		s.desc, err = content()
	case "style":
		s.style, err = content()
	case "text":
		var text string
		if text, err = content(); err == nil {
			err = s.text(a, text)
		}
	case "path":
		if a["class"] != "grid" { // which is behind, and as faint as the background
			s.see(a)
		}
		err = s.path(a)
	case "circle":
		x, y, r := a.number("cx"), a.number("cy"), a.number("r")
		s.see(a)
		s.lines = append(s.lines, stroke{a["class"], x - r, y, x + r, y},
			stroke{a["class"], x, y - r, x, y + r})
	case "rect":
		s.shaded = s.shaded || a["class"] == "band"
	default:
		err = errors.New("not known here")
	}
	return err
}

func (s *scene) see(a attributes) {
	for class := range strings.FieldsSeq(a["class"]) {
		s.classes[class] = true
	}
}

// text finds the box of a text: from its capitals' height to what hangs below the baseline.
func (s *scene) text(a attributes, text string) error {
	s.see(a)
	if strings.Contains(a["class"], "axis-name") {
		s.axisNames++
	}
	size := fontSize * 1.0
	if a["font-size"] != "" {
		size = a.number("font-size")
	}
	wide := width(text, size, a["font-weight"] != "")
	left := map[string]float64{"": 0, "start": 0, "middle": -wide / 2, "end": -wide}[a["text-anchor"]]
	b := box{left, -0.78 * size, left + wide, 0.24 * size}
	x, y := a.number("x"), a.number("y")
	if a["transform"] != "" {
		if _, err := fmt.Sscanf(a["transform"], "translate(%g %g) rotate(-90)", &x, &y); err != nil {
			return err
		}
		b = box{b.top, -b.right, b.bottom, -b.left}
	}
	s.texts = append(s.texts, written{text, box{x + b.left, y + b.top, x + b.right, y + b.bottom}})
	return nil
}

// path splits a path into straight pieces.
func (s *scene) path(a attributes) error {
	var x, y, beginX, beginY float64
	rest := a["d"]
	for rest != "" {
		command := rest[0]
		end := strings.IndexAny(rest[1:], "MLHVZ") + 1
		if end == 0 {
			end = len(rest)
		}
		var values []float64
		for field := range strings.FieldsSeq(rest[1:end]) {
			v, err := strconv.ParseFloat(field, 64)
			if err != nil {
				return err
			}
			values = append(values, v)
		}
		want, known := map[byte]int{'M': 2, 'L': 2, 'H': 1, 'V': 1, 'Z': 0}[command]
		if !known || len(values) != want {
			return fmt.Errorf("path %.20q: not known here", rest)
		}
		toX, toY := x, y
		switch command {
		case 'M', 'L':
			toX, toY = values[0], values[1]
		case 'H':
			toX = values[0]
		case 'V':
			toY = values[0]
		case 'Z':
			toX, toY = beginX, beginY
		}
		if command == 'M' {
			beginX, beginY = toX, toY
		} else {
			s.lines = append(s.lines, stroke{a["class"], x, y, toX, toY})
		}
		x, y, rest = toX, toY, rest[end:]
	}
	return nil
}

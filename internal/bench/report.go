package main

import (
	"fmt"
	"strings"
)

// render turns a section into what is written. A short run judges times by wider bounds.
func render(name string, s section, short bool) result {
	r := result{Name: name, Title: s.title, Pictures: map[string]string{}}
	var b strings.Builder
	for _, paragraph := range s.text {
		b.WriteString(paragraph + "\n\n")
	}
	for _, t := range s.tables {
		b.WriteString(t.markdown() + "\n")
	}
	for _, p := range s.pictures {
		r.Pictures[p.File] = p.SVG()
		b.WriteString("![" + p.Alt + "](" + p.File + ")\n\n")
	}
	r.Markdown = b.String()
	for _, v := range s.verdicts {
		r.Verdicts = append(r.Verdicts, ruling{What: v.what, Got: figure(v.got) + unit(v.unit),
			Bound: figure(v.bound) + unit(v.unit), Why: v.why, Holds: v.holds(short),
			Past: !v.holds(false)})
	}
	return r
}

func unit(u string) string {
	switch u {
	case "":
		return ""
	case "x":
		return " ×"
	}
	return " " + u
}

func (t table) markdown() string {
	var b strings.Builder
	if t.caption != "" {
		b.WriteString(t.caption + "\n\n")
	}
	b.WriteString(tableLine(t.head) + strings.Repeat("|---", len(t.head)) + "|\n")
	for _, row := range t.rows {
		b.WriteString(tableLine(row))
	}
	return b.String()
}

func tableLine(cells []string) string {
	line := "|"
	for _, c := range cells {
		line += " " + strings.ReplaceAll(c, "|", `\|`) + " |"
	}
	return line + "\n"
}

// report is docs/performance.md.
func report(results []result, m machine, short bool) string {
	var b strings.Builder
	b.WriteString("# Performance\n\n")
	b.WriteString("What this library costs beside its peers, and beside what is physically " +
		"possible. `go -C internal/bench run .` measures all of it anew " +
		"and writes this file, its pictures and the README's table; the command fails when a figure is " +
		"past its bound. `-short` takes less than a minute.\n\n")
	fmt.Fprintf(&b, "Measured on %s: %s. %s.\n", m.when.Format("2006-01-02"), m,
		strings.Join(m.versions, ", "))
	b.WriteString("Ratios are medians of ratios between neighbours: what is compared takes turns, a " +
		"millisecond or two each, hundreds of times, the first " +
		"turns discarded. So they hold on a busy machine too, where nanoseconds don't.\n\n")
	if short {
		b.WriteString("This was a short run: fewer turns, fewer tokens.\n\n")
	}
	b.WriteString("## Verdicts\n\n")
	verdicts := table{head: []string{"", "what", "measured", "bound", "why that bound"}}
	for _, r := range results {
		for _, v := range r.Verdicts {
			verdicts.rows = append(verdicts.rows, v.row())
		}
	}
	b.WriteString(verdicts.markdown())
	for _, r := range results {
		b.WriteString("\n" + r.text())
	}
	return wrap(b.String())
}

// row is a verdict's in the table of all.
func (v ruling) row() []string {
	mark := "holds"
	switch {
	case !v.Holds:
		mark = "**missed**"
	case v.Past:
		mark = "past it, which a full run judges"
	}
	return []string{mark, v.What, v.Got, v.Bound, v.Why}
}

// text is a section of the report.
func (r result) text() string { return "## " + r.Title + "\n\n" + strings.TrimSpace(r.Markdown) + "\n" }

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// redrawn replaces in performance.md what no clock of a machine is in: the sections of the results,
// which are played in virtual time, and their verdicts. It adds the picture of hits, drawn of the
// figures that the page has.
func redrawn(dir string, results []result) (page string, all []result, err error) {
	text, err := os.ReadFile(filepath.Join(dir, "performance.md"))
	if err != nil {
		return "", nil, err
	}
	page = string(text)
	points, err := hitPointsOf(page)
	if err != nil {
		return "", nil, err
	}
	for _, r := range results {
		if page, err = splice(page, r); err != nil {
			return "", nil, err
		}
	}
	hit := hitPicture(points)
	return page, append(results, result{Pictures: map[string]string{hit.File: hit.SVG()}}), nil
}

// splice replaces a section of performance.md, and its rows in the table of verdicts.
func splice(page string, r result) (string, error) {
	before, rest, found := strings.Cut(page, "\n## "+r.Title+"\n")
	if !found {
		return "", fmt.Errorf("performance.md has no section %q: a run of all writes it", r.Title)
	}
	_, after, more := strings.Cut(rest, "\n## ")
	page = before + "\n" + wrap(r.text())
	page = strings.TrimRight(page, "\n") + "\n"
	if more {
		page += "\n## " + after
	}
	var lines []string
	for line := range strings.Lines(page) {
		for _, v := range r.Verdicts {
			cells := strings.Split(line, " | ")
			if strings.HasPrefix(line, "| ") && len(cells) == len(v.row()) && cells[1] == v.What {
				line = tableLine(v.row())
			}
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, ""), nil
}

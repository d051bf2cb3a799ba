package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// excerpt is a row of the README's table. Its cells are those of rows of performance.md.
type excerpt struct {
	what    string
	section string   // of performance.md, by its heading
	rows    []string // each a row's first cell; the cells of several are joined by a comma
	units   []string // what stands behind each row's cell; nil for nothing
}

// excerpts are what the README shows beside azidentity.
var excerpts = []excerpt{
	{"cached `GetToken`", "A hit", []string{"one after the other", "allocations"},
		[]string{"", " allocations"}},
	{"the same with 10,000 tokens held", "A hit with many tokens", []string{"10,000"}, nil},
	{"a new credential and a hit, on App Service", "Construction", []string{"App Service"}, nil},
	{"1,000 goroutines ask for a new token", "Behaviour",
		[]string{"1,000 goroutines ask for a new token, the host takes 200 ms"}, nil},
	{"4 minutes left, the host answers 503", "Behaviour",
		[]string{"a token with 4 minutes left, the host answers 503"}, nil},
}

// The README's table stands between these lines.
const (
	figuresBegin = "<!-- figures of docs/performance.md, by go -C internal/bench run . -->\n"
	figuresEnd   = "<!-- end of figures -->\n"
)

// readmeTable is the README's table, made of the text of performance.md.
func readmeTable(performance string) (string, error) {
	out := table{head: []string{"", "azidentity", "identity"}}
	for _, e := range excerpts {
		cells := []string{e.what}
		for _, column := range []string{"azidentity", "identity"} {
			var parts []string
			for i, row := range e.rows {
				got, err := cell(performance, e.section, row, column)
				if err != nil {
					return "", err
				}
				if e.units != nil {
					got += e.units[i]
				}
				parts = append(parts, got)
			}
			cells = append(cells, strings.Join(parts, ", "))
		}
		out.rows = append(out.rows, cells)
	}
	outages := []string{"a day with two outages of 4 hours: errors"}
	for _, library := range []string{"azidentity", "identity"} {
		got, err := cell(performance, "A day with an outage", library, "errors")
		if err != nil {
			return "", err
		}
		outages = append(outages, got)
	}
	out.rows = append(out.rows, outages)
	return out.markdown(), nil
}

// cell is one of a table in a section of performance.md: by its row's first cell, and its column's
// heading. The first table that has both is meant.
func cell(page, section, row, column string) (string, error) {
	_, text, found := strings.Cut(page, "\n## "+section+"\n")
	if !found {
		return "", fmt.Errorf("performance.md has no section %q", section)
	}
	text, _, _ = strings.Cut(text, "\n## ")
	at := -1 // the column's place in the table that the line is in
	var head []string
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "|") {
			head = nil
			continue
		}
		cells := strings.Split(strings.Trim(line, "|\n"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		if head == nil {
			head = cells
			at = slices.Index(head, column)
			continue
		}
		if at >= 0 && at < len(cells) && cells[0] == row {
			return cells[at], nil
		}
	}
	return "", fmt.Errorf("performance.md, section %q: no row %q with a column %q", section, row,
		column)
}

// between replaces what stands between the README's two lines.
func between(readme, table string) (string, error) {
	before, rest, begins := strings.Cut(readme, figuresBegin)
	_, after, ends := strings.Cut(rest, figuresEnd)
	if !begins || !ends {
		return "", fmt.Errorf("README.md has no lines\n%s%s", figuresBegin, figuresEnd)
	}
	return before + figuresBegin + "\n" + table + "\n" + figuresEnd + after, nil
}

// writeReadme puts the figures of performance.md into the README beside its directory, if one is
// there.
func writeReadme(dir, performance string) error {
	path := filepath.Join(dir, "..", "README.md")
	readme, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return nil // -out is somewhere else
	}
	if err != nil {
		return err
	}
	table, err := readmeTable(performance)
	if err != nil {
		return fmt.Errorf("README.md stays as it is: %w", err)
	}
	text, err := between(string(readme), table)
	if err != nil {
		return err
	}
	return os.WriteFile(path, []byte(text), 0o644)
}

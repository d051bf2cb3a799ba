package main

import (
	"context"

	"github.com/keyless-go/identity/internal/bench/draw"
)

// measurement is one section of docs/performance.md: it measures, and judges what it measured.
type measurement struct {
	// for progress and for choosing it by flag
	name string
	// say tells of progress
	measure func(ctx context.Context, short bool, say func(string)) (section, error)
	// it waits most of the time, and so runs beside the others
	aside bool
	// no clock of the machine is in its figures, so that -redraw has them at any time
	virtual bool
	// it can't be had in a short run
	long bool
}

// section is what a measurement brought.
type section struct {
	title    string
	text     []string // paragraphs: what was measured and how
	tables   []table
	pictures []draw.Picture
	verdicts []verdict
}

// table is one of Markdown's.
type table struct {
	caption string
	head    []string
	rows    [][]string
}

// verdict is a figure beside its bound.
//
// A short run gates changes, on machines that may be busy. There a figure fails only if no load
// explains it: a count (allocations, requests, errors, all that happens in virtual time), or a time
// past a much wider bound, which a lock on the way, a search or a wait for the host is still past.
// What is past its own bound alone is reported, and judged by a full run.
type verdict struct {
	what  string
	got   float64
	bound float64 // got must not be above it
	// in place of bound in a short run, for what the machine's clock measures; 0 is bound
	inShort float64
	unit    string // "x" for a ratio
	why     string // why that bound, or why that is the floor
}

// ratioInShort is how many times its bound a ratio of times may be in a short run. With other load
// on all cores, the worst ratio seen was half as much again as on a quiet machine.
const ratioInShort = 4

// millisInShort is the bound in a short run of calls that must not wait: half of the 2 s that the
// host takes meanwhile, or a goroutine that wasn't scheduled for a second.
const millisInShort = 1000

func (v verdict) holds(short bool) bool {
	if short && v.inShort > v.bound {
		return v.got <= v.inShort
	}
	return v.got <= v.bound
}

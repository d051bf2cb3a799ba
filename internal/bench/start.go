package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// initialised is what a program does before its main: by group of packages.
type initialised map[string]struct{ micros, allocs float64 }

// startGroups are told apart by the beginning of a package's path; the first that fits.
var startGroups = []struct{ name, prefix string }{
	{ours, "github.com/keyless-go/identity"},
	{"azidentity and MSAL", "github.com/Azure/azure-sdk-for-go/sdk/azidentity"},
	{"azidentity and MSAL", "github.com/AzureAD"},
	{"azcore", "github.com/Azure"},
	{"encoding/gob", "encoding/gob"},
}

const otherPackages = "all other packages"

// initLine is one of GODEBUG=inittrace=1: https://pkg.go.dev/runtime#hdr-Environment_Variables.
var initLine = regexp.MustCompile(`(?m)^init (\S+) @\S+ ms, (\S+) ms clock, \d+ bytes, (\d+) allocs$`)

// parseStart reads a trace.
func parseStart(trace string) initialised {
	found := initialised{}
	for _, m := range initLine.FindAllStringSubmatch(trace, -1) {
		name := otherPackages
		for _, g := range startGroups {
			if m[1] == g.prefix || strings.HasPrefix(m[1], g.prefix+"/") {
				name = g.name
				break
			}
		}
		millis, _ := strconv.ParseFloat(m[2], 64)
		allocs, _ := strconv.ParseFloat(m[3], 64)
		sum := found[name]
		sum.micros += millis * 1000
		sum.allocs += allocs
		found[name] = sum
	}
	return found
}

// startRuns is how often each program is started.
const startRuns = 15

// startLimit is for how long one may run: its start is over long before, and azcore's program tries
// again for some seconds.
const startLimit = 250 * time.Millisecond

// starts begins a program some times. It is to ask the App Service of the environment, so that no
// request leaves the machine.
func starts(ctx context.Context, binary string) ([]initialised, error) {
	var all []initialised
	for range startRuns {
		within, cancel := context.WithTimeout(ctx, startLimit)
		cmd := exec.CommandContext(within, binary)
		cmd.Env = append(os.Environ(), "GODEBUG=inittrace=1")
		var trace bytes.Buffer
		cmd.Stderr = &trace
		err := cmd.Run()
		cancel()
		found := parseStart(trace.String())
		if len(found) == 0 {
			return nil, fmt.Errorf("%s: no trace of its start, %w: %.200s", binary,
				errors.Join(err, ctx.Err()), trace.String())
		}
		all = append(all, found)
	}
	return all, nil
}

// of is the median of what a group takes, and its allocations.
func of(all []initialised, group string) (micros, allocs float64) {
	var times, counts []float64
	for _, one := range all {
		times, counts = append(times, one[group].micros), append(counts, one[group].allocs)
	}
	return median(times), median(counts)
}

// startTable is what the programs do before their main.
func startTable(names []string, byProgram map[string][]initialised) table {
	t := table{caption: "Before main: microseconds and allocations of packages' variables and init " +
		"functions (GODEBUG=inittrace=1), the median of 15 starts",
		head: append([]string{"packages"}, names...)}
	for _, group := range []string{ours, "azidentity and MSAL", "azcore", "encoding/gob",
		otherPackages} {
		row := []string{group}
		for _, name := range names {
			micros, allocs := of(byProgram[name], group)
			row = append(row, fmt.Sprintf("%s µs, %s", figure(micros), figure(allocs)))
		}
		t.rows = append(t.rows, row)
	}
	return t
}

// startVerdicts judge what every program pays that imports this library.
func startVerdicts(all []initialised) []verdict {
	micros, allocs := of(all, ours)
	return []verdict{
		{what: "this library's packages before main: microseconds", got: micros, bound: 20,
			inShort: 20 * ratioInShort, unit: "µs", why: "no expression, table or closure is made there"},
		{what: "their allocations before main", got: allocs, bound: 10,
			why: "what is made now and then is made when it is used"},
	}
}

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

func main() {
	if len(os.Args) > 2 && os.Args[1] == inside {
		err := enter(os.Args[2:])
		_, _ = fmt.Fprintln(os.Stderr, "mutation: in the network namespace:", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// choice is what the command line says.
type choice struct {
	only        *regexp.Regexp
	list        bool
	write       bool
	withNetwork bool
}

func parse(args []string, stderr io.Writer) (choice, error) {
	c := choice{only: regexp.MustCompile("")}
	flags := flag.NewFlagSet("mutation", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Func("only", "a regular `expression`: only mutations whose name or file it finds",
		func(s string) (err error) {
			c.only, err = regexp.Compile(s)
			return err
		})
	flags.BoolVar(&c.list, "list", false, "lists the mutations and runs nothing")
	flags.BoolVar(&c.write, "write", false,
		"writes the outcome into docs/mutation.md, if all of them are caught")
	flags.BoolVar(&c.withNetwork, "network", false,
		"tests with this machine's network: not on an Azure VM, whose IMDS a mutant might ask")
	flags.Usage = func() {
		_, _ = fmt.Fprintln(stderr,
			"Breaks the library on purpose, one place at a time, and finds out whether a test "+
				"notices.\nThe exit status is 1 when one doesn't.")
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return c, err
	}
	if flags.NArg() > 0 {
		return c, fmt.Errorf("unexpected argument %q: see -h", flags.Arg(0))
	}
	return c, nil
}

// run is the command; what it returns is the exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	fail := func(err error) int {
		_, _ = fmt.Fprintln(stderr, "mutation:", err)
		return 2
	}
	c, err := parse(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return fail(err)
	}
	mutations := choose(c.only)
	if len(mutations) == 0 {
		return fail(errors.New("-only: no mutation has that in its name or its file: see -list"))
	}
	if c.list {
		for _, m := range mutations {
			_, _ = fmt.Fprintf(stdout, "%s: %s\n\t%s\n", m.file, m.name, m.harm)
		}
		return 0
	}
	root, err := rootDir()
	if err != nil {
		return fail(err)
	}
	for _, m := range mutations { // before any of them takes its time
		if _, err := m.apply(root); err != nil {
			return fail(err)
		}
	}
	results, err := examineAll(ctx, root, !c.withNetwork, mutations, stdout)
	if err != nil {
		return fail(err)
	}
	missed := 0
	for _, r := range results {
		if r.verdict != caught {
			missed++
		}
	}
	_, _ = fmt.Fprintf(stdout, "%d of %d caught\n", len(mutations)-missed, len(mutations))
	if missed > 0 {
		return 1
	}
	if c.write {
		if err := writeReport(root, results); err != nil {
			return fail(err)
		}
	}
	return 0
}

// choose returns the mutations that an expression finds.
func choose(only *regexp.Regexp) []mutation {
	var found []mutation
	for _, a := range areas {
		for _, m := range a.mutations {
			if only.MatchString(m.name) || only.MatchString(m.file) {
				found = append(found, m)
			}
		}
	}
	return found
}

// examineAll returns the results by the mutations' names.
func examineAll(
	ctx context.Context, root string, isolate bool, mutations []mutation, stdout io.Writer,
) (map[string]result, error) {
	scratch, err := os.MkdirTemp("", "identity-mutation-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(scratch) }()
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	l := &laboratory{root: root, scratch: scratch, isolate: isolate, self: self}
	byDir := map[string][]mutation{}
	for _, m := range mutations {
		byDir[m.dir()] = append(byDir[m.dir()], m)
	}
	results := map[string]result{}
	for _, dir := range slices.Sorted(maps.Keys(byDir)) {
		start := time.Now()
		c, err := l.culture(ctx, dir, byDir[dir])
		if err != nil {
			return nil, err
		}
		_, _ = fmt.Fprintf(stdout, "%s: without mutations the tests pass, %v\n", dir,
			time.Since(start).Round(time.Second))
		for _, m := range byDir[dir] {
			start := time.Now()
			r, err := c.examine(ctx, m)
			if err == nil {
				err = ctx.Err()
			}
			if err != nil {
				return nil, err
			}
			results[m.name] = r
			_, _ = fmt.Fprintf(stdout, "%s: %s: %v, %v\n", m.file, m.name, r,
				time.Since(start).Round(time.Second/10))
			if r.verdict != caught {
				_, _ = fmt.Fprintf(stdout, "\t%s\n",
					strings.ReplaceAll(strings.TrimSpace(r.output), "\n", "\n\t"))
			}
		}
	}
	return results, nil
}

// rootDir finds the repository from the current directory, which "go run" and "go -C" leave as it
// is.
func rootDir() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		text, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && strings.HasPrefix(string(text), "module github.com/keyless-go/identity\n") {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("run it within the repository")
		}
		dir = parent
	}
}

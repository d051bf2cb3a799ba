package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/keyless-go/identity/internal/bench/draw"
)

// limitOfRun is for how long a full run may take, on two cores.
const limitOfRun = 10 * time.Minute

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr, measurements, inChild))
}

// choice is what the command line says.
type choice struct {
	short bool
	out   string // the directory to write to, "" for none
	only  []string
	sweep bool // the back-off's, and nothing else
	// only what is virtual, in place of what performance.md has of it
	redraw bool
	child  string // the one measurement that this process is for, in a parent's name
}

var errUsage = errors.New("see -h")

func parse(args []string, list []measurement, stderr io.Writer) (choice, error) {
	var c choice
	var only string
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.BoolVar(&c.short, "short", false,
		"less of everything, in under a minute, and times judged by bounds that a busy machine keeps; "+
			"writes nothing without -out")
	flags.StringVar(&c.out, "out", "",
		"the `directory` that performance.md and its pictures are written to, and a table of its "+
			"figures into the README.md above it, if there is one (default: docs of the repository)")
	flags.StringVar(&only, "only", "", "the `names` of what to measure, separated by commas: "+
		strings.Join(names(list), ", "))
	flags.BoolVar(&c.sweep, "sweep", false,
		"only compares policies of waiting between tries, and writes the table of backoff.md")
	flags.BoolVar(&c.redraw, "redraw", false,
		"only writes the pictures anew, and the sections of performance.md that are played in virtual "+
			"time; the picture of hits is of the figures that are there. Needs no quiet machine")
	flags.StringVar(&c.child, "child", "", "used by this command itself, for a process of its own")
	flags.Usage = func() {
		_, _ = fmt.Fprintln(stderr,
			"Measures this library beside its peers and beside what is physically possible.\nThe exit "+
				"status is 1 when a figure is past its bound.")
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return c, err
	}
	if flags.NArg() > 0 {
		return c, fmt.Errorf("unexpected argument %q: %w", flags.Arg(0), errUsage)
	}
	if only != "" {
		c.only = strings.Split(only, ",")
	}
	if c.redraw {
		if c.short || c.sweep || c.only != nil {
			return c, fmt.Errorf("-redraw goes with no flag but -out: %w", errUsage)
		}
		for _, m := range list {
			if m.virtual {
				c.only = append(c.only, m.name)
			}
		}
	}
	for _, name := range c.only {
		if !slices.Contains(names(list), name) {
			return c, fmt.Errorf("-only: there is no %q: want some of %s", name,
				strings.Join(names(list), ", "))
		}
	}
	if c.out == "" && c.child == "" && (c.sweep || c.redraw || !c.short && c.only == nil) {
		dir, err := moduleDir()
		if err != nil {
			return c, fmt.Errorf("-out: %w", err)
		}
		c.out = filepath.Join(dir, "..", "..", "docs")
	}
	return c, nil
}

func names(list []measurement) []string {
	var all []string
	for _, m := range list {
		all = append(all, m.name)
	}
	return all
}

// run is the command; what it returns is the exit status.
func run(
	ctx context.Context, args []string, stdout, stderr io.Writer, list []measurement,
	perform performer,
) int {
	fail := func(err error) int {
		_, _ = fmt.Fprintln(stderr, "bench:", err)
		return 2
	}
	c, err := parse(args, list, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return fail(err)
	case c.child != "":
		beChild(ctx, c, list, stdout, stderr)
	}
	ctx, cancel := context.WithTimeout(ctx, limitOfRun)
	defer cancel()
	if c.sweep {
		said := newProgress(stderr)
		if err := writeBackOff(ctx, filepath.Join(c.out, "backoff.md"), c.short, func(line string) {
			said.say("sweep", line)
		}); err != nil {
			return fail(err)
		}
		return 0
	}
	results, err := performAll(ctx, c, list, perform, newProgress(stderr))
	if err != nil {
		return fail(err)
	}
	missed := summary(stdout, results)
	if c.out != "" {
		page := ""
		if c.redraw {
			page, results, err = redrawn(c.out, results)
		} else {
			page = report(results, thisMachine(), c.short)
		}
		if err == nil {
			err = write(c.out, page, results)
		}
		if err != nil {
			return fail(err)
		}
	}
	if missed > 0 {
		return 1
	}
	return 0
}

// summary prints the verdicts, and returns how many don't hold.
func summary(w io.Writer, results []result) (missed int) {
	for _, r := range results {
		for _, v := range r.Verdicts {
			word, note := "holds ", ""
			switch {
			case !v.Holds:
				word = "MISSED"
				missed++
			case v.Past:
				word, note = "slower", "; a full run judges it"
			}
			_, _ = fmt.Fprintf(w, "%s  %-10s %s: %s, bound %s%s\n", word, r.Name, v.What, v.Got,
				v.Bound, note)
		}
	}
	return missed
}

// write replaces the report and its pictures, and the report's figures in the README.
func write(dir, text string, results []result) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, r := range results {
		for name, svg := range r.Pictures {
			if err := draw.Check(svg); err != nil {
				return fmt.Errorf("%s can't be read: %w", name, err)
			}
			if err := os.WriteFile(filepath.Join(dir, name), []byte(svg), 0o644); err != nil {
				return err
			}
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "performance.md"), []byte(text), 0o644); err != nil {
		return err
	}
	return writeReadme(dir, text)
}

// moduleDir finds this module's directory from the current one, which "go run" and "go -C" leave as
// it is.
func moduleDir() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		for _, candidate := range []string{dir, filepath.Join(dir, "internal", "bench")} {
			text, err := os.ReadFile(filepath.Join(candidate, "go.mod"))
			if err == nil && strings.HasPrefix(string(text),
				"module github.com/keyless-go/identity/internal/bench\n") {
				return candidate, nil
			}
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("run it within the repository, or name a directory")
		}
		dir = parent
	}
}

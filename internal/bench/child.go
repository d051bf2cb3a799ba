package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// A measurement runs in a process of its own: MSAL and azidentity keep one cache for the process
// and search all of it for each hit, so that what one measurement leaves behind would be in the
// next one's figures.

// result is a rendered section, as a child hands it to its parent.
type result struct {
	Name     string
	Title    string
	Markdown string
	Pictures map[string]string // file name -> SVG
	Verdicts []ruling
}

// ruling is a verdict in words.
type ruling struct {
	What, Got, Bound, Why string
	Holds                 bool // or the run fails
	Past                  bool // it is past its bound: with Holds, only a full run judges that
}

// performer runs one measurement to its result.
type performer func(ctx context.Context, m measurement, short bool, say func(string)) (result,
	error)

// inProcess is the performer of a child, and of tests.
func inProcess(ctx context.Context, m measurement, short bool, say func(string)) (result, error) {
	s, err := m.measure(ctx, short, say)
	if err != nil {
		return result{}, fmt.Errorf("%s: %w", m.name, err)
	}
	return render(m.name, s, short), nil
}

// inChild starts this program once more, for one measurement.
func inChild(ctx context.Context, m measurement, short bool, say func(string)) (result, error) {
	program, err := os.Executable()
	if err != nil {
		return result{}, err
	}
	args := []string{"-child", m.name}
	if short {
		args = append(args, "-short")
	}
	cmd := exec.CommandContext(ctx, program, args...)
	var out bytes.Buffer
	cmd.Stdout = &out
	said, err := cmd.StderrPipe()
	if err != nil {
		return result{}, err
	}
	if err := cmd.Start(); err != nil {
		return result{}, err
	}
	last := ""
	for lines := bufio.NewScanner(said); lines.Scan(); {
		last = lines.Text()
		say(last)
	}
	if err := cmd.Wait(); err != nil {
		return result{}, fmt.Errorf("%s: %w: %s", m.name, err, last)
	}
	var r result
	// what package testing says comes after it
	if err := json.NewDecoder(&out).Decode(&r); err != nil {
		return result{}, fmt.Errorf("%s: the child's answer: %w", m.name, err)
	}
	return r, nil
}

// inTest is the test that this process is in, for the bubbles of testing/synctest.
var inTest *testing.T

// beChild performs one measurement as if it were a test, because some need virtual time, and ends
// the process.
func beChild(ctx context.Context, c choice, list []measurement, stdout, stderr io.Writer) {
	i := slices.IndexFunc(list, func(m measurement) bool { return m.name == c.child })
	if i < 0 {
		_, _ = fmt.Fprintf(stderr, "there is no %q\n", c.child)
		os.Exit(2)
	}
	testing.Init()
	_ = flag.CommandLine.Parse(nil) // the arguments are ours, not package testing's
	testing.Main(func(string, string) (bool, error) { return true, nil }, []testing.InternalTest{{
		Name: c.child,
		F: func(t *testing.T) {
			inTest = t
			r, err := inProcess(ctx, list[i], c.short, func(line string) {
				_, _ = fmt.Fprintln(stderr, line)
			})
			if err == nil {
				err = json.NewEncoder(stdout).Encode(r)
			}
			if err != nil {
				_, _ = fmt.Fprintln(stderr, err)
				t.FailNow()
			}
		},
	}}, nil, nil)
}

// performAll runs what was chosen, in the list's order; what is aside waits most of the time, and
// so runs beside the rest.
func performAll(
	ctx context.Context, c choice, list []measurement, perform performer, p *progress,
) ([]result, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var chosen []measurement
	for _, m := range list {
		if (c.only == nil || slices.Contains(c.only, m.name)) && (!c.short || !m.long) {
			chosen = append(chosen, m)
		}
	}
	results, errs := make([]result, len(chosen)), make([]error, len(chosen))
	one := func(i int) {
		m := chosen[i]
		results[i], errs[i] = perform(ctx, m, c.short, func(line string) { p.say(m.name, line) })
		if errs[i] != nil {
			cancel()
		}
	}
	var aside sync.WaitGroup
	for i, m := range chosen {
		if m.aside {
			aside.Go(func() { one(i) })
		}
	}
	for i, m := range chosen {
		if !m.aside && ctx.Err() == nil {
			p.say(m.name, "begins")
			one(i)
		}
	}
	aside.Wait()
	for _, err := range errs { // the first that isn't a consequence of another
		if err != nil && !strings.Contains(err.Error(), "killed") {
			return nil, err
		}
	}
	return results, ctx.Err()
}

// progress is what a waiting human reads.
type progress struct {
	mu    sync.Mutex
	w     io.Writer
	began time.Time
}

func newProgress(w io.Writer) *progress { return &progress{w: w, began: time.Now()} }

func (p *progress) say(name, line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, _ = fmt.Fprintf(p.w, "%5.1f s  %-10s %s\n", time.Since(p.began).Seconds(), name, line)
}

// Command tool stands in for a developer's tool in the tests of the processes. It does what the file beside its own name says,
// and notes in another one how it was run.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"time"
)

// script is NAME.json.
type script struct {
	Stdout, Stderr string
	Repeat         int // Stdout so often, 0 for once
	Exit           int
	Slow           string // takes so long
	Gate           string // the address of a test's listener: the tool says who it is there, and ends when that hangs up
	Child          string // the same for a child of its own, which has the tool's standard output
}

// run is a line of NAME.runs.
type run struct {
	Arguments   []string
	Directory   string
	Environment map[string]string
	Stdin       int  // bytes that were to be read
	Overlap     bool // another run was under way
}

func main() {
	if len(os.Args) == 3 && os.Args[1] == "child" {
		wait(os.Args[2], "child")
		return
	}
	name := os.Args[0] // as it was called, and not what a link leads to
	var s script
	check(json.Unmarshal(must(os.ReadFile(name+".json")), &s))
	r := run{Arguments: os.Args[1:], Environment: map[string]string{}}
	r.Directory, _ = os.Getwd()
	for _, line := range os.Environ() {
		if key, value, _ := strings.Cut(line, "="); strings.HasPrefix(key, "AZ") || key == "NO_COLOR" {
			r.Environment[key] = value
		}
	}
	stdin, _ := io.ReadAll(os.Stdin)
	r.Stdin = len(stdin)
	lock, err := os.OpenFile(name+".lock", os.O_CREATE|os.O_EXCL, 0o600)
	r.Overlap = err != nil
	if s.Slow != "" {
		<-time.After(must(time.ParseDuration(s.Slow)))
	}
	if lock != nil {
		_ = lock.Close()
		check(os.Remove(name + ".lock"))
	}
	runs := must(os.OpenFile(name+".runs", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600))
	must(runs.Write(append(must(json.Marshal(r)), '\n')))
	if s.Child != "" {
		child := exec.Command(name, "child", s.Child)
		child.Stdout = os.Stdout
		check(child.Start())
	}
	for range max(s.Repeat, 1) {
		fmt.Print(s.Stdout)
	}
	fmt.Fprint(os.Stderr, s.Stderr)
	if s.Gate != "" {
		wait(s.Gate, "tool")
	}
	os.Exit(s.Exit)
}

// wait ends when the test hangs up, so that nothing outlives it.
func wait(address, who string) {
	gate := must(net.Dial("tcp", address))
	must(fmt.Fprintln(gate, who))
	_, _ = io.Copy(io.Discard, gate)
}

func must[T any](v T, err error) T {
	check(err)
	return v
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "testdata/tool:", err)
		os.Exit(99)
	}
}

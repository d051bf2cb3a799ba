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
	"os/signal"
	"strings"
	"syscall"
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
	Term           string // when it is asked to end it ignores that ("ignore"), or first writes NAME.cache ("finish") and prints
	Stop           bool   // it stops itself before that
}

// run is a line of NAME.runs.
type run struct {
	Arguments   []string
	Directory   string
	Environment map[string]string
	Stdin       int  // bytes that were to be read
	Overlap     bool // another run was under way
	Terminal    bool // it is in a session that somebody else began, and that may have a terminal
}

func main() {
	if len(os.Args) == 4 && os.Args[1] == "child" {
		if os.Args[3] == "ignore" {
			signal.Ignore(syscall.SIGTERM)
		}
		wait(os.Args[2], "child")
		return
	}
	name := os.Args[0] // as it was called, and not what a link leads to
	var s script
	check(json.Unmarshal(must(os.ReadFile(name+".json")), &s))
	r := run{Arguments: os.Args[1:], Environment: map[string]string{}}
	r.Directory, _ = os.Getwd()
	for _, line := range os.Environ() {
		if key, value, _ := strings.Cut(line, "="); strings.HasPrefix(key, "AZ") || key == "NO_COLOR" || key == "HOME" {
			r.Environment[key] = value
		}
	}
	if stat, err := os.ReadFile("/proc/self/stat"); err == nil { // pid (name) state parent group session …
		fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
		r.Terminal = fields[3] != fmt.Sprint(os.Getpid())
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
		child := exec.Command(name, "child", s.Child, s.Term)
		child.Stdout = os.Stdout
		check(child.Start())
	}
	asked := make(chan os.Signal, 1)
	switch s.Term {
	case "ignore":
		signal.Ignore(syscall.SIGTERM)
	case "finish":
		check(os.WriteFile(name+".cache", nil, 0o600)) // as az begins it
		signal.Notify(asked, syscall.SIGTERM)
	}
	if s.Gate != "" && s.Term == "finish" {
		announce(s.Gate, fmt.Sprint(os.Getpid()))
		if s.Stop {
			check(syscall.Kill(os.Getpid(), syscall.SIGSTOP))
		}
		<-asked
		<-time.After(100 * time.Millisecond)
		check(os.WriteFile(name+".cache", []byte("whole"), 0o600))
		s.Gate = ""
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
func wait(address, who string) { _, _ = io.Copy(io.Discard, announce(address, who)) }

// announce tells the test that the tool is there. The connection ends with the tool.
func announce(address, who string) net.Conn {
	gate := must(net.Dial("tcp", address))
	must(fmt.Fprintln(gate, who))
	return gate
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

//go:build unix

package command

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestRun(t *testing.T) {
	t.Setenv("IDENTITY_TEST_GONE", "1")
	t.Setenv("IDENTITY_TEST_SET", "to something else")
	t.Setenv("IDENTITY_TEST_OTHER", "kept")
	path := standIn(t, script{Stdout: "out", Stderr: "err"})
	out, err := Run(t.Context(), Command{Path: path, Arguments: []string{"account", "a b", ""},
		Variables: []string{"IDENTITY_TEST_GONE", "IDENTITY_TEST_SET=a=b", "IDENTITY_TEST_NEW="}})
	if string(out) != "out" || err != nil {
		t.Fatalf("got %q, error %v, want out", out, err)
	}
	run := runOf(t, path)
	if want := []string{"account", "a b", ""}; !slices.Equal(run.Arguments, want) {
		t.Errorf("arguments are %q, want %q", run.Arguments, want)
	}
	bin, _ := filepath.EvalSymlinks("/bin")
	if got, _ := filepath.EvalSymlinks(run.Directory); got != bin {
		t.Errorf("it ran in %s, want /bin, where nobody else puts a file", run.Directory)
	}
	if run.Terminal || run.Stdin != 0 {
		t.Errorf("it has a terminal: %v, and %d bytes of input, want neither", run.Terminal, run.Stdin)
	}
	var got []string
	for _, line := range run.Environment {
		if strings.HasPrefix(line, "IDENTITY_TEST_") {
			got = append(got, line)
		}
	}
	slices.Sort(got)
	want := []string{"IDENTITY_TEST_NEW=", "IDENTITY_TEST_OTHER=kept", "IDENTITY_TEST_SET=a=b"}
	if !slices.Equal(got, want) {
		t.Errorf("its variables are %q, want %q", got, want)
	}
}

// TestOutputs: of whatever a program prints, some is kept, and all is taken.
func TestOutputs(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		script              script
		stdout, stderr, end string // stderr is how it begins
	}{
		"nothing": {},
		"both":    {script: script{Stdout: "\x00\n", Stderr: "warning"}, stdout: "\x00\n"},
		"a flood": {script: script{Stdout: strings.Repeat("x", 1<<16), Repeat: 64},
			stdout: strings.Repeat("x", MaxStdout)},
		"fails":            {script: script{Stdout: "secret", Stderr: "boom", Exit: 1}, stderr: "boom"},
		"fails in silence": {script: script{Exit: 3}},
		"fails with a flood": {stderr: "beginy", end: "y\n…\nend",
			script: script{Stderr: "begin" + strings.Repeat("y", 1<<20) + "\nend", Exit: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, err := Run(t.Context(), Command{Path: standIn(t, tt.script)})
			if string(out) != tt.stdout {
				t.Errorf("got %d bytes, %.20q, want %d, %.20q", len(out), out, len(tt.stdout), tt.stdout)
			}
			exit, exited := errors.AsType[*ExitError](err)
			if exited != (tt.script.Exit != 0) || !exited && err != nil {
				t.Fatalf("error %v, want exit status %d", err, tt.script.Exit)
			}
			if exited && (exit.Code != tt.script.Exit || !strings.HasPrefix(exit.Stderr, tt.stderr) ||
				!strings.HasSuffix(exit.Stderr, tt.end) || len(exit.Stderr) > MaxStderr) {
				t.Errorf("got exit status %d and %d bytes, %.20q", exit.Code, len(exit.Stderr), exit.Stderr)
			}
		})
	}
}

// TestOutputLeftOpen: the tool has ended, and a child of its own, such as an updater, goes on.
func TestOutputLeftOpen(t *testing.T) {
	t.Parallel()
	for _, code := range []int{0, 1} {
		gate := newGate(t)
		path := standIn(t, script{Stdout: "out", Stderr: "err", Exit: code, Child: gate.address()})
		out, err := Run(t.Context(), Command{Path: path})
		exit, exited := errors.AsType[*ExitError](err)
		if code == 0 && (string(out) != "out" || err != nil) ||
			code == 1 && (!exited || exit.Stderr != "err" || out != nil) {
			t.Errorf("exit status %d: got %q, error %v", code, out, err)
		}
		who, conn := gate.arrive(t)
		_ = conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		if _, err := conn.Read(make([]byte, 1)); who != "child" || !os.IsTimeout(err) {
			t.Errorf("exit status %d: the %s was ended with the tool: %v", code, who, err)
		}
	}
}

// TestContextsEnd ends a program with all that it has started, as az's script starts Python.
func TestContextsEnd(t *testing.T) {
	t.Parallel()
	for name, term := range map[string]string{
		"asked": "", "killed, since they ignore that": ignore,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			gate := newGate(t)
			path := standIn(t, script{Stdout: "out", Gate: gate.address(), Child: gate.address(),
				Term: term})
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			done := make(chan error, 1)
			go func() {
				out, err := Run(ctx, Command{Path: path})
				if len(out) > 0 {
					t.Errorf("a program that was ended has an output: %s", out)
				}
				done <- err
			}()
			arrived := map[string]net.Conn{}
			for range 2 {
				who, conn := gate.arrive(t)
				arrived[who] = conn
			}
			cancel() // when both are there
			for _, who := range []string{"tool", "child"} {
				if arrived[who] == nil {
					t.Fatalf("%v came, want the tool and its child", arrived)
				}
				wantEnd(t, who, arrived[who])
			}
			if err := <-done; err != context.Canceled {
				t.Errorf("got %v, want context.Canceled", err)
			}
		})
	}
}

// TestDeadline: the context's own end is the error, so that the caller can tell it from others.
func TestDeadline(t *testing.T) {
	t.Parallel()
	path := standIn(t, script{Gate: newGate(t).address()})
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	start := time.Now()
	if _, err := Run(ctx, Command{Path: path}); err != context.DeadlineExceeded {
		t.Errorf("got %v, want context.DeadlineExceeded", err)
	}
	if took := time.Since(start); took > patience {
		t.Errorf("took %v", took)
	}
}

// TestProgramsAreAskedToEnd, and have the time to write their cache, also where they have been
// stopped. What they print after that counts if they end well.
func TestProgramsAreAskedToEnd(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		script script
		behind bool // a script of the shell, which dies of the signal at once
		want   string
		err    error
	}{
		"ends well":       {script: script{Stdout: "whole"}, want: "whole"},
		"ends badly":      {script: script{Stdout: "secret", Exit: 1}, err: context.Canceled},
		"stopped":         {script: script{Stdout: "whole", Stop: true}, want: "whole"},
		"behind a script": {behind: true, err: context.Canceled},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			gate := newGate(t)
			tt.script.Gate, tt.script.Term = gate.address(), finish
			tool := standIn(t, tt.script)
			path := tool
			if tt.behind {
				path = executable(t, "#!/bin/sh\n'"+tool+"' >'"+tool+".out' 2>&1\nexit 0\n")
			}
			ctx, cancel := context.WithCancel(t.Context())
			go func() {
				defer cancel()
				pid, _ := gate.arrive(t)
				if tt.script.Stop {
					wantStop(t, pid)
				}
			}()
			out, err := Run(ctx, Command{Path: path})
			if string(out) != tt.want || err != tt.err {
				t.Errorf("got %q, error %v, want %q, %v", out, err, tt.want, tt.err)
			}
			if cache, err := os.ReadFile(tool + ".cache"); string(cache) != "whole" {
				t.Errorf("its cache has %q, error %v, want it whole", cache, err)
			}
		})
	}
}

// wantStop waits until a process has stopped.
func wantStop(t *testing.T, pid string) {
	for began := time.Now(); time.Since(began) < patience; <-time.After(time.Millisecond) {
		stat, err := os.ReadFile("/proc/" + pid + "/stat") // pid (name) state …
		if err != nil {
			t.Log("whether it has stopped can't be seen here: ", err)
			return
		}
		if strings.Contains(string(stat), ") T ") {
			return
		}
	}
	t.Error("it doesn't stop")
}

func executable(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "az")
	// A child that is forked meanwhile would have the file open, and nobody could run it.
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestPATH is not parallel, because PATH and the working directory are the process's.
func TestPATH(t *testing.T) {
	unreadable := t.TempDir()
	if err := os.WriteFile(filepath.Join(unreadable, "az"), []byte("not executable"),
		0o600); err != nil {
		t.Fatal(err)
	}
	// DIR is the program's directory, in which it is called, and BASE that one's name. Only a path
	// that is absolute finds it.
	for _, path := range []string{
		unreadable + ":/nonexistent:DIR", "/nonexistent", "", unreadable, ".", ":/nonexistent",
		"./BASE", "../BASE",
	} {
		t.Run(path, func(t *testing.T) {
			tool := standIn(t, script{})
			dir, want, wantErr := filepath.Dir(tool), "", ErrNotOnPath
			if strings.Contains(path, "DIR") {
				want, wantErr = tool, nil
			}
			t.Chdir(dir)
			if path == "./BASE" {
				t.Chdir(filepath.Dir(dir))
			}
			t.Setenv("PATH", strings.NewReplacer("DIR", dir, "BASE", filepath.Base(dir)).Replace(path))
			if got := Find("az"); got != want {
				t.Errorf("Find: got %q, want %q", got, want)
			}
			_, err := Run(t.Context(), Command{Program: "az"})
			if ran := runOf(t, tool) != nil; ran != (want != "") || err != wantErr {
				t.Errorf("it ran: %v, error %v, want %q", ran, err, want)
			}
		})
	}
}

// TestCannotStart: neither a script without its interpreter nor a program that is gone since it was
// found is one that isn't installed.
func TestCannotStart(t *testing.T) {
	t.Parallel()
	for name, path := range map[string]string{
		"no interpreter": executable(t, "#!/nonexistent/python\n"),
		"gone":           filepath.Join(t.TempDir(), "az"),
	} {
		_, err := Run(t.Context(), Command{Program: "az", Path: path})
		if !errors.Is(err, syscall.ENOENT) || errors.Is(err, ErrNotOnPath) {
			t.Errorf("%s: got %v, want ENOENT", name, err)
		}
	}
}

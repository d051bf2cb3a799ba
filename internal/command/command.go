// Package command runs a program to its end, as a credential runs az: without a shell where the
// system can do without, with no input and no terminal, and never out of the current directory.
//
// [Run] finds the program, starts it in a process group of its own, and keeps what it prints, up to
// a limit. When the context ends first, Run asks the group to end, and kills what is left of it
// after three seconds.
//
// The package doesn't know what a token is, nor which tools there are. What a program prints comes
// back as it is, and may hold secrets: the caller conceals them before it shows any of that.
package command

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// Command is one run of a program.
type Command struct {
	Program   string   // its name on PATH
	Path      string   // where [Find] found it before, "" if it didn't
	Arguments []string // each is one word, or has blanks

	// Variables are "NAME=value" for a variable that the run has, and "NAME" for one that it hasn't.
	// All others are this process's, as they are when the run begins.
	Variables []string
}

// Runner is what [Run] is. Tests put a function of their own in its place.
type Runner func(ctx context.Context, c Command) (stdout []byte, err error)

// ErrNotOnPath is the error of a program that isn't on PATH, or that PATH has in the current
// directory only.
var ErrNotOnPath = errors.New("not on PATH")

// ExitError is the end of a program that failed.
type ExitError struct {
	Code   int    // its exit status, -1 if a signal ended it
	Stderr string // of its standard error both ends, up to MaxStderr bytes
}

func (e *ExitError) Error() string { return fmt.Sprintf("exit status %d", e.Code) }

const (
	// pipesWait is how long a program's own children may hold its output open after it has ended.
	// az is a script that starts Python. On a machine that is busy with ten times what it can do, a
	// tenth of a second was too short to read what lay in the pipe.
	pipesWait = time.Second
	// endWait is how long a program may take to end when it is asked to. What it may have in hand
	// is the developer's token cache, some kilobytes that take milliseconds to write; the rest is
	// for a slow disk. An az that was killed at it has left the file empty, and everybody logged
	// out (Azure/azure-cli#29329).
	endWait = 3 * time.Second
	// endPoll is how often Run looks whether what a program has left behind has ended, too.
	endPoll = 20 * time.Millisecond

	// LongestEnd is how much longer than its context lasts a run takes at the most.
	LongestEnd = endWait + pipesWait
)

// Find returns where a program is on PATH, and "" if it isn't there. A run with that path is of the
// same program, whatever PATH has become.
func Find(program string) string {
	path, err := exec.LookPath(program)
	if err != nil {
		return ""
	}
	return path
}

// Run runs a program to its end, or ends it when ctx does, and returns the first MaxStdout bytes of
// its standard output. Its errors are [ErrNotOnPath], an [*ExitError], the context's, and the
// system's. It is safe for concurrent use.
//
// The working directory is one in which nobody else could have put a program or a library.
func Run(ctx context.Context, c Command) ([]byte, error) {
	// LookPath returns an error with a program in the current directory. A program that was found
	// before and is gone isn't reported as absent: it may be back in a moment, when its update has
	// ended.
	path, err := exec.LookPath(cmp.Or(c.Path, c.Program))
	switch {
	case errors.Is(err, exec.ErrNotFound), errors.Is(err, exec.ErrDot):
		return nil, ErrNotOnPath
	case err != nil:
		return nil, err
	}
	cmd, err := processCommand(path, c)
	if err != nil {
		return nil, err
	}
	stdout, stderr := &capped{limit: MaxStdout}, &bothCapped{limit: MaxStderr/2 - len(gapLine)}
	cmd.Stdout, cmd.Stderr = stdout, stderr
	cmd.WaitDelay = pipesWait
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	ended, left := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(left)
		select {
		case <-ended:
		case <-ctx.Done():
			select {
			case <-ended: // it was faster
			default:
				end(cmd, ended)
			}
		}
	}()
	err = cmd.Wait()
	close(ended)
	<-left
	exit, exited := errors.AsType[*exec.ExitError](err)
	switch {
	// It has ended well, also where a child of its own goes on.
	case err == nil, errors.Is(err, exec.ErrWaitDelay):
		return stdout.kept, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case exited:
		return nil, &ExitError{exit.ExitCode(), stderr.String()}
	}
	return nil, err
}

// end asks a process and its group to end and, if they don't within endWait, ends them. A script
// such as az's, which the signal ends at once, is no longer there to wait for its Python.
func end(cmd *exec.Cmd, ended <-chan struct{}) {
	askToEnd(cmd)
	patience := time.NewTimer(endWait)
	defer patience.Stop()
	var look <-chan time.Time
	for ended != nil || groupLives(cmd) {
		if ended == nil {
			look = time.After(endPoll)
		}
		select {
		case <-ended:
			ended = nil
		case <-look:
		case <-patience.C:
			kill(cmd)
			return
		}
	}
}

// environment is this process's, with the variables of c instead of what those are by now.
func (c Command) environment() []string {
	own := map[string]bool{}
	var set []string
	for _, variable := range c.Variables {
		name, _, isSet := strings.Cut(variable, "=")
		if own[name] = true; isSet {
			set = append(set, variable)
		}
	}
	others := slices.DeleteFunc(os.Environ(), func(line string) bool {
		name, _, _ := strings.Cut(line, "=")
		return own[name]
	})
	return append(others, set...)
}

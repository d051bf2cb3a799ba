package identity

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

// runner runs a program that is found on PATH to its end, or kills it when ctx ends, and returns what it wrote to its standard
// output. Its errors are errNotOnPath, an *exitError, the context's, and others, of the system.
type runner func(ctx context.Context, program string, arguments []string) (stdout []byte, err error)

var errNotOnPath = errors.New("not on PATH")

// exitError is the end of a program that failed.
type exitError struct {
	code   int // -1 if a signal ended it
	stderr string
}

func (e *exitError) Error() string { return fmt.Sprintf("exit status %d", e.code) }

// noSuchProgram reports whether a script ended because there is no program of a name in it, as the shells of Unix say it, and
// that of Windows, which may forget its number when the script goes on.
func (e *exitError) noSuchProgram() bool {
	return e.code == 127 || e.code == 9009 || strings.Contains(e.stderr, "' is not recognized")
}

const (
	// maxOutput of a program is kept, and maxComplaint of its standard error; the rest is read and thrown away.
	maxOutput    = maxBody
	maxComplaint = maxRedacted
	// pipesWait is how long a program's own children may hold its output open after it has ended. az is a script that
	// starts Python. On a machine that is busy with ten times what it can do, a tenth of a second was too short to read
	// what lay in the pipe.
	pipesWait = time.Second
)

// runProcess is the runner of real programs. It uses no shell where the system can do without, and no working directory in
// which somebody else could have put a program or a library.
func runProcess(ctx context.Context, program string, arguments []string) ([]byte, error) {
	path, err := exec.LookPath(program) // which never returns one in the current directory without an error
	switch {
	case errors.Is(err, exec.ErrNotFound), errors.Is(err, exec.ErrDot):
		return nil, errNotOnPath
	case err != nil:
		return nil, err
	}
	cmd, err := processCommand(ctx, path, program, arguments)
	if err != nil {
		return nil, err
	}
	stdout, stderr := &capped{limit: maxOutput}, &capped{limit: maxComplaint}
	cmd.Stdout, cmd.Stderr = stdout, stderr
	cmd.Env = append(os.Environ(), "AZURE_CORE_NO_COLOR=true", "NO_COLOR=1")
	cmd.WaitDelay = pipesWait
	err = cmd.Run()
	exit, exited := errors.AsType[*exec.ExitError](err)
	switch {
	case err == nil, errors.Is(err, exec.ErrWaitDelay) && ctx.Err() == nil: // it has ended well, a child of its own goes on
		return stdout.Bytes(), nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case exited:
		return nil, &exitError{exit.ExitCode(), stderr.String()}
	}
	return nil, err
}

// capped is a buffer that keeps the first bytes and takes all.
type capped struct {
	bytes.Buffer
	limit int
}

func (b *capped) Write(p []byte) (int, error) {
	b.Buffer.Write(p[:min(len(p), max(b.limit-b.Len(), 0))])
	return len(p), nil
}

// windowsCommandLine is the command line by which Windows' shell runs a program: az is a script of the shell's there. With /s
// the shell takes off the outer quotes and nothing else, with /d it runs nothing before. Whatever the shell would read more
// into is refused, in the program's name, too.
//
// https://learn.microsoft.com/windows-server/administration/windows-commands/cmd
func windowsCommandLine(program string, arguments []string) (string, error) {
	var b strings.Builder
	b.WriteString(`cmd.exe /d /s /c "`)
	for i, word := range append([]string{program}, arguments...) {
		if word == "" || strings.ContainsFunc(word, func(r rune) bool { return !isWord(r) && r != ' ' }) {
			return "", errors.New("an argument that Windows' shell would read more into")
		}
		if i > 0 {
			b.WriteByte(' ')
		}
		if strings.Contains(word, " ") {
			word = `"` + word + `"`
		}
		b.WriteString(word)
	}
	b.WriteByte('"')
	return b.String(), nil
}

// isWord are the characters that mean only themselves to the shells of all systems. The base64 of claims has +, / and =.
func isWord(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._:/-+=", r)
}

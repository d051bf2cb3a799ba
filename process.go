package identity

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"time"
)

// command is a run of a program.
type command struct {
	program   string   // on PATH
	path      string   // where it was found before, "" if it was not
	arguments []string // each is one word, or has blanks
	variables []string // NAME=value: those of deciding that are set
}

// runner runs a program to its end, or ends it when ctx ends, and returns what it wrote to its
// standard output. Its errors are errNotOnPath, an *exitError, the context's, and others, of the
// system.
type runner func(ctx context.Context, c command) (stdout []byte, err error)

// deciding are the variables that decide whose login a tool uses, and of which tenant and cloud its
// tokens are.
var deciding = []string{"HOME", "USERPROFILE", "AZURE_CONFIG_DIR", "AZURE_CLOUD_NAME",
	"AZD_CONFIG_DIR", "AZD_AUTH_ENDPOINT", "AZURE_SUBSCRIPTION_ID"}

// loginVariables are those that are set.
func loginVariables(env environment) (set []string) {
	for _, name := range deciding {
		if value := env.getenv(name); value != "" {
			set = append(set, name+"="+value)
		}
	}
	return set
}

// environment is this process's, with the variables of c instead of what those are by now.
func (c command) environment() []string {
	return slices.Concat(slices.DeleteFunc(os.Environ(), func(line string) bool {
		name, _, _ := strings.Cut(line, "=")
		return slices.Contains(deciding, name)
	}), c.variables, []string{"AZURE_CORE_NO_COLOR=true", "NO_COLOR=1"})
}

var errNotOnPath = errors.New("not on PATH")

// exitError is the end of a program that failed.
type exitError struct {
	code   int // -1 if a signal ended it
	stderr string
}

func (e *exitError) Error() string { return fmt.Sprintf("exit status %d", e.code) }

// unknownToShell is all that a run of Windows' shell says that found no program of a name.
var unknownToShell = regexp.MustCompile(`^(?:\s*'[^\r\n]*' is not recognized as an internal or external command,\s*operable program or batch file\.\s*)+$`)

// noSuchProgram reports whether a script ended because there is no program of a name in it, as the
// shells of Unix say it, and that of Windows, which may forget its number when the script goes on.
// A program that is there and lacks a library ends with the shells' number, too (glibc's
// words, and musl's). One that says something of its own is there: what the shell didn't find was a
// program that it wanted, such as wmic, which Windows has no more.
func (e *exitError) noSuchProgram() bool {
	switch e.code {
	case 127:
		return !containsAny(e.stderr, "error while loading shared libraries",
			"Error loading shared library", "Error relocating ")
	case 9009:
		return true
	}
	return unknownToShell.MatchString(e.stderr)
}

const (
	// maxOutput of a program is kept, and maxComplaint of its standard error; the rest is read and thrown away.
	maxOutput    = maxBody
	maxComplaint = maxRedacted
	// pipesWait is how long a program's own children may hold its output open after it has ended. az is a script that
	// starts Python. On a machine that is busy with ten times what it can do, a tenth of a second was too short to read
	// what lay in the pipe.
	pipesWait = time.Second
	// endWait is how long a program may take to end when it is asked to. What it may have in hand
	// is the developer's token cache, some kilobytes that take milliseconds to write; the rest is
	// for a slow disk. An az that was killed at it has left the file empty, and everybody logged
	// out (Azure/azure-cli#29329).
	endWait = 3 * time.Second
	// endPoll is how often it is looked whether what it has left behind has ended, too.
	endPoll = 20 * time.Millisecond
	// longestEnd is how much longer than its time a run takes at the most.
	longestEnd = endWait + pipesWait
)

// runProcess is the runner of real programs. It uses no shell where the system can do without, no
// working directory in which somebody else could have put a program or a library, no input, and no
// terminal.
func runProcess(ctx context.Context, c command) ([]byte, error) {
	// LookPath returns an error with a program in the current directory. A program that was found
	// before and is gone isn't reported as absent: it may be back in a moment, when its update has
	// ended.
	path, err := exec.LookPath(cmp.Or(c.path, c.program))
	switch {
	case errors.Is(err, exec.ErrNotFound), errors.Is(err, exec.ErrDot):
		return nil, errNotOnPath
	case err != nil:
		return nil, err
	}
	cmd, err := processCommand(path, c)
	if err != nil {
		return nil, err
	}
	stdout, stderr := &capped{limit: maxOutput}, &bothCapped{limit: maxComplaint/2 - len(gapLine)}
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
	// it has ended well, also where a child of its own goes on
	case err == nil, errors.Is(err, exec.ErrWaitDelay):
		return stdout.kept, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case exited:
		return nil, &exitError{exit.ExitCode(), stderr.String()}
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

// capped is a buffer that keeps the first bytes and takes all. It embeds none: io.Copy would go
// past Write by the ReadFrom of a bytes.Buffer, and keep all.
type capped struct {
	kept  []byte
	limit int
}

func (b *capped) Write(p []byte) (int, error) {
	b.kept = append(b.kept, p[:min(len(p), b.limit-len(b.kept))]...)
	return len(p), nil
}

// bothCapped is a buffer that keeps the first bytes and the last, and takes all: a traceback has
// its reason at the end.
type bothCapped struct {
	first, last []byte
	limit       int // of each
	cut         bool
}

func (b *bothCapped) Write(p []byte) (int, error) {
	n := len(p)
	fits := min(n, b.limit-len(b.first))
	b.first, p = append(b.first, p[:fits]...), p[fits:]
	b.last = append(b.last, p[max(len(p)-2*b.limit, 0):]...)
	b.cut = b.cut || len(p) > 2*b.limit
	// seldom, so that many short writes take no more time than a long one
	if len(b.last) > 2*b.limit {
		b.last, b.cut = append(b.last[:0], b.last[len(b.last)-b.limit:]...), true
	}
	return n, nil
}

// gapLine stands for what was thrown away.
const gapLine = "\n…\n"

// String is what was kept. Behind a gap it goes on with a whole line: half of one may be half of a
// secret, without what tells that it is one.
func (b *bothCapped) String() string {
	last := b.last[max(len(b.last)-b.limit, 0):]
	if !b.cut && len(last) == len(b.last) {
		return string(b.first) + string(last)
	}
	_, lines, _ := strings.Cut(string(last), "\n")
	return string(b.first) + gapLine + lines
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

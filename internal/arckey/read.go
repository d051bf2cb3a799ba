// Package arckey reads the keys by which Azure Arc's agent knows that a process may have a token.
//
// The agent's challenge names a file ([Realm]). The file has to be one of the agent's own
// ([Directory]), because whoever answers in the agent's place must not choose what this process
// reads and sends. [Read] checks that, and reads the key. A key is used once, and never kept.
//
// The package sends nothing, and knows neither tokens nor retries. Errors say what to do, and
// repeat neither a key nor a path of the other side's. All functions may be called by several
// goroutines at once.
package arckey

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unicode"

	"github.com/keyless-go/identity/internal/failure"
	"github.com/keyless-go/identity/internal/redact"
)

// Read returns the key in the file that a challenge names, which has to be in the agent's
// directory. An error that another challenge may mend is one of [failure.AtNextTry].
func Read(path, directory, goos string) (string, error) {
	if goos == "windows" {
		if err := checkDirectory(directory); err != nil {
			return "", err
		}
	}
	if err := checkPath(path, directory, goos); err != nil {
		return "", err
	}
	return read(path, goos)
}

// maxKey is the size beyond which no peer reads, either.
const maxKey = 4096

// read reads a key, whose path has been checked. It is used once, never kept.
func read(path, goos string) (string, error) {
	fail := func(why string) error {
		return errors.New("Azure Arc's key " + redact.Line(filepath.Base(path)) + " " + why)
	}
	before, err := os.Lstat(path)
	if err != nil {
		return "", readError(err, goos)
	}
	// a symbolic link could lead anywhere, and reading a pipe could take for ever
	if !before.Mode().IsRegular() {
		return "", fail("is not a regular file, and was not read")
	}
	f, err := os.Open(path)
	if err != nil {
		return "", readError(err, goos)
	}
	defer f.Close()
	after, err := f.Stat()
	if err != nil {
		return "", readError(err, goos)
	}
	if !os.SameFile(before, after) {
		return "", failure.AtNextTry(fail("was replaced while it was opened"))
	}
	key, err := io.ReadAll(io.LimitReader(f, maxKey+1))
	switch {
	case err != nil:
		return "", readError(err, goos)
	case len(key) == 0:
		return "", failure.AtNextTry(fail("is empty"))
	case len(key) > maxKey:
		return "", fail(fmt.Sprintf("is larger than %d bytes", maxKey))
	case strings.ContainsFunc(string(key), unicode.IsControl):
		return "", fail("contains a control character, and can't be sent in a header")
	}
	return string(key), nil
}

// readError says who may read a key.
//
// https://learn.microsoft.com/azure/azure-arc/servers/managed-identity-authentication#prerequisites
func readError(err error, goos string) error {
	var path *fs.PathError
	if !errors.As(err, &path) {
		return err
	}
	text := "can't read Azure Arc's key " + redact.Line(path.Path) + ": " + path.Err.Error()
	switch {
	case errors.Is(err, fs.ErrPermission) && goos == "windows":
		return errors.New(text +
			": add the account that this process runs as to the local group \"Hybrid agent extension applications\", or run it as an administrator")
	case errors.Is(err, fs.ErrPermission):
		return errors.New(text +
			": add the user that this process runs as to the group himds (sudo usermod -aG himds USER), and start it anew")
	case errors.Is(err, fs.ErrNotExist):
		directory := filepath.Dir(path.Path)
		if _, err := os.Stat(directory); errors.Is(err, fs.ErrNotExist) {
			return errors.New(text + ": there is no directory " + redact.Line(directory) +
				": if this is a container, mount the machine's there")
		}
		// keys are short-lived: another challenge brings another
		return failure.AtNextTry(errors.New(text))
	}
	return errors.New(text)
}

package arckey

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unicode"

	"github.com/keyless-go/identity/internal/check"
)

// Directory is the agent's directory of keys on a system, which others can't write to. Errors are
// complete, and name the variable.
func Directory(goos string, getenv func(string) string) (string, error) {
	switch goos {
	case "linux":
		return "/var/opt/azcmagent/tokens", nil
	case "windows":
		root := getenv("ProgramData")
		if root == "" {
			return "", errors.New("ProgramData: is empty, and Azure Arc's keys are below it")
		}
		if err := check.Path("ProgramData", root); err != nil {
			return "", err
		}
		return strings.TrimRight(root, `\/`) + `\AzureConnectedMachineAgent\Tokens`, nil
	}
	return "", errors.New("Azure Arc's agent runs on Linux and Windows, not on " + goos)
}

// checkDirectory refuses a directory that leads elsewhere. On Windows, where there is no agent, any
// user can make one of its name below ProgramData, let it be a junction to another's files, and
// answer in the agent's place.
func checkDirectory(directory string) error {
	for _, d := range []string{directory, filepath.Dir(directory)} {
		if info, err := os.Lstat(d); err == nil && info.Mode().Type() != fs.ModeDir {
			return errors.New("the challenge was not answered: " + d +
				" is a link or no directory, which Azure Arc's agent does not make: who did?")
		}
	}
	return nil
}

// checkPath lets pass what can only be a key file of the agent's: whoever answers in its place must
// not choose what this process reads and sends. The path itself is not repeated: it is the other
// side's text.
func checkPath(path, directory, goos string) error {
	const refused = "the challenge names a file that is no key of Azure Arc's agent, which was not read: "
	separators, want := "/", directory
	same := func(a, b string) bool { return a == b }
	if goos == "windows" {
		separators, same = `\/`, func(a, b string) bool { return asciiLower(a) == asciiLower(b) }
		path, want = strings.ReplaceAll(path, "/", `\`), strings.ReplaceAll(directory, "/", `\`)
	}
	at := strings.LastIndexAny(path, separators)
	name := path[at+1:]
	switch {
	case strings.ContainsFunc(path, unicode.IsControl):
		return errors.New(refused + "its path contains a control character")
	case at < 0 || !same(path[:at], want):
		return errors.New(refused + "it is not in " + directory)
	case len(name) <= len(".key") || !strings.HasSuffix(name, ".key"):
		return errors.New(refused + "its name does not end in .key")
	// a colon names a stream within another file
	case goos == "windows" && strings.ContainsAny(name, `:*?"<>|`):
		return errors.New(refused + "its name is no file name")
	}
	return nil
}

// asciiLower folds no letters that a file system may tell apart.
func asciiLower(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}

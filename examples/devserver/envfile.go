package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// envMark begins the file of -env, by which a later run knows it for its own. Docker skips such
// lines.
const envMark = "# Written by devserver, and removed when it ends.\n"

// writeEnv writes the variables to a file that only this user can read. It replaces one that an
// earlier run left behind, and no other: projects have files of this kind that somebody wrote by
// hand.
func writeEnv(file string, lines []string) error {
	old, err := os.ReadFile(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	case !bytes.HasPrefix(old, []byte(envMark)):
		return fmt.Errorf("%s is there already, and not devserver's: name a file of its own", file)
	}
	written, err := os.CreateTemp(filepath.Dir(file), ".devserver-*") // with mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(written.Name()) }() // which is not there any more if all went well
	_, err = written.WriteString(envText(lines))
	if err := errors.Join(err, written.Close()); err != nil {
		return err
	}
	return os.Rename(written.Name(), file)
}

// removeEnv removes what writeEnv wrote, and nothing that has taken its place since, such as
// another run's.
func removeEnv(file string, lines []string) {
	if now, err := os.ReadFile(file); err == nil && string(now) == envText(lines) {
		_ = os.Remove(file)
	}
}

func envText(lines []string) string { return envMark + strings.Join(lines, "\n") + "\n" }

package smallfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, content string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("full", "12345")
	write("large", "123456")
	for name, want := range map[string]string{
		"full": "", "large": "is larger than 5 bytes", ".": "is not a file", "none": "no such file",
	} {
		content, err := Read(filepath.Join(dir, name), 5)
		switch {
		case want == "" && (err != nil || string(content) != "12345"):
			t.Errorf("%s: got %q, %v", name, content, err)
		case want != "" && (err == nil || content != nil || strings.Contains(err.Error(), dir)):
			t.Errorf("%s: got %q, %v, want an error without the path", name, content, err)
		case want != "" && name != "none" && err.Error() != want:
			t.Errorf("%s: got %v, want %s", name, err, want)
		case name == "none" && !errors.Is(err, fs.ErrNotExist):
			t.Errorf("%s: got %v", name, err)
		}
	}
	if !IsTemporary(bare(&os.PathError{Op: "open", Path: dir, Err: syscall.EMFILE})) ||
		IsTemporary(fs.ErrNotExist) || IsTemporary(nil) {
		t.Error("what is temporary is what the system calls so")
	}
}

package arckey

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/keyless-go/identity/internal/failure"
)

func keyFile(tb testing.TB, content string) string {
	tb.Helper()
	file := filepath.Join(tb.TempDir(), "x.key")
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		tb.Fatal(err)
	}
	return file
}

func TestRead(t *testing.T) {
	t.Parallel()
	const size = 4096 // by hand: what the peers read
	for _, tt := range []struct{ name, content, wantError string }{
		{"a key", "a6d5+/==", ""},
		{"one byte", "k", ""},
		{"a blank within", "user pa55word", ""},
		{"blanks around stay", "  pa55word  ", ""},
		{"a blank", " ", ""},
		{"quotes and backslashes", `"pa\55"word'`, ""},
		{"not ASCII", "schlüssel", ""},
		{"not UTF-8", "a\xff\xfeb", ""},
		{"a byte order mark stays", "\ufeffpa55word", ""},
		{"the largest", strings.Repeat("k", size), ""},

		{"empty", "", "is empty"},
		{"one byte too large", strings.Repeat("k", size+1), "larger than 4096 bytes"},
		{"far too large", strings.Repeat("pa55word", 1<<17), "larger than 4096 bytes"},
		{"line feed at the end", "pa55word\n", "control character"},
		{"Windows' line end", "pa55word\r\n", "control character"},
		{"a header behind it", "pa55word\r\nX-Evil: 1", "control character"},
		{"line feed alone", "\n", "control character"},
		{"NUL", "pa55\x00word", "control character"},
		{"tab", "pa55\tword", "control character"},
		{"DEL", "pa55\x7fword", "control character"},
		{"a control character of Unicode", "pa55\u0085word", "control character"},
		{"UTF-16", "\xff\xfep\x00a\x00", "control character"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			file := keyFile(t, tt.content)
			got, err := read(file, "linux")
			if tt.wantError == "" {
				if err != nil || got != tt.content {
					t.Errorf("got %q, %v, want the content %q unchanged", got, err, tt.content)
				}
				return
			}
			wantWordsIn(t, err, "Azure Arc's key x.key", tt.wantError)
			if got != "" || err != nil && strings.Contains(err.Error(), "pa55") {
				t.Errorf("got %q, %v: nothing of the content may be seen", got, err)
			}
			if _, again := errors.AsType[*failure.Passing](err); again != (tt.content == "") {
				t.Errorf("worth another challenge: %v, want %v only for an empty file, which is being written",
					again, tt.content == "")
			}
		})
	}
}

func TestReadReadsRegularFilesOnly(t *testing.T) {
	t.Parallel()
	link := func(target func(dir string) string) func(t *testing.T, dir, file string) {
		return func(t *testing.T, dir, file string) {
			if err := os.Symlink(target(dir), file); err != nil {
				t.Skip(err) // Windows wants a privilege for it
			}
		}
	}
	outside := keyFile(t, "pa55word")
	for _, tt := range []struct {
		name string
		make func(t *testing.T, dir, file string)
	}{
		{"directory", func(t *testing.T, _, file string) {
			if err := os.Mkdir(file, 0o700); err != nil {
				t.Fatal(err)
			}
		}},
		{"link out of the directory", link(func(string) string { return outside })},
		{"link to another key within it", link(func(dir string) string {
			return filepath.Join(dir, "good.key")
		})},
		{"relative link within it", link(func(string) string { return "good.key" })},
		{"link to itself", link(func(string) string { return "x.key" })},
		{"link to a directory", link(func(dir string) string { return dir })},
		{"link to nothing", link(func(dir string) string { return filepath.Join(dir, "nothing") })},
		{"link to an endless device", link(func(string) string { return "/dev/zero" })},
		{"named pipe", func(t *testing.T, _, file string) {
			if out, err := exec.Command("mkfifo", file).CombinedOutput(); err != nil {
				t.Skipf("mkfifo: %v %s", err, out) // Windows has none
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "good.key"), []byte("pa55word"), 0o600); err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(dir, "x.key")
			tt.make(t, dir, file)
			type result struct {
				key string
				err error
			}
			done := make(chan result, 1)
			go func() {
				key, err := read(file, "linux")
				done <- result{key, err}
			}()
			select {
			case r := <-done:
				wantWordsIn(t, r.err, "x.key", "not a regular file", "was not read")
				if r.key != "" {
					t.Errorf("got the key %q", r.key)
				}
				if _, again := errors.AsType[*failure.Passing](r.err); again {
					t.Error("it would be tried again")
				}
			case <-time.After(30 * time.Second): // however busy the machine
				t.Fatal("reading hangs") // and its goroutine stays, with the descriptor
			}
		})
	}
}

// TestReadWhileItIsReplaced: between the look at the file and its opening it may have become a
// link. The moment is short, so that it takes many swaps to meet it: without the check this fails
// in nearly every run.
func TestReadWhileItIsReplaced(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	outside, good := keyFile(t, "pa55word"), keyFile(t, "good")
	file, next := filepath.Join(dir, "x.key"), filepath.Join(dir, "next")
	swap := func() error {
		return errors.Join(os.Symlink(outside, next), os.Rename(next, file), os.Link(good, next),
			os.Rename(next, file))
	}
	if err := swap(); err != nil {
		t.Skip(err) // Windows wants a privilege for symbolic links
	}
	done := make(chan error, 1)
	go func() {
		for range 1000 {
			if err := swap(); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	seen := map[string]int{}
	for {
		key, err := read(file, "linux")
		if err != nil {
			key = "error"
		}
		seen[key]++
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
			if seen["pa55word"] > 0 || len(seen) > 2 {
				t.Errorf("read %v, want the key or an error, and never what the link leads to", seen)
			}
			if seen["good"] == 0 {
				t.Errorf("read %v: the key was never there, so that this test saw nothing", seen)
			}
			return
		default:
		}
	}
}

func TestReadThatIsMissing(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "x.key")
	_, err := read(file, "linux")
	wantWordsIn(t, err, "can't read Azure Arc's key "+file)
	if _, again := errors.AsType[*failure.Passing](err); !again {
		t.Errorf("%v: another challenge brings another file", err)
	}
}

// TestReadError: what to do about a key that may not be read, on both systems whichever this is.
func TestReadError(t *testing.T) {
	t.Parallel()
	const (
		group  = "group himds (sudo usermod -aG himds USER)"
		winACL = `local group "Hybrid agent extension applications"`
	)
	for _, tt := range []struct {
		name, goos   string
		err          error
		want         []string
		wantNot      string
		worthAnother bool
	}{
		{"permission on Linux", "linux", &fs.PathError{Op: "open", Path: "/k.key", Err: fs.ErrPermission},
			[]string{"can't read Azure Arc's key /k.key: permission denied", group, "anew"}, winACL, false},
		{"EACCES on Linux", "linux", &fs.PathError{Op: "open", Path: "/k.key", Err: syscall.EACCES},
			[]string{"/k.key", group}, winACL, false},
		{"EPERM on Linux", "linux", &fs.PathError{Op: "open", Path: "/k.key", Err: syscall.EPERM},
			[]string{"/k.key", group}, winACL, false},
		{"permission on Windows", "windows",
			&fs.PathError{Op: "CreateFile", Path: `C:\k.key`,
				Err: fs.ErrPermission}, []string{`can't read Azure Arc's key C:\k.key: permission denied`, winACL, "administrator"}, "himds", false},
		{"wrapped", "linux", fmt.Errorf("wrapped: %w",
			&fs.PathError{Op: "lstat", Path: "/k.key",
				Err: fs.ErrPermission}), []string{"/k.key", group}, winACL, false},
		{"missing", "linux", &fs.PathError{Op: "open", Path: "/k.key", Err: fs.ErrNotExist},
			[]string{"can't read Azure Arc's key /k.key: file does not exist"}, "group", true},
		{"missing on Windows", "windows", &fs.PathError{Op: "open", Path: `C:\k.key`,
			Err: fs.ErrNotExist}, []string{`C:\k.key`}, "group", true},
		{"a broken disk", "linux", &fs.PathError{Op: "read", Path: "/k.key", Err: syscall.EIO},
			[]string{"/k.key", "input/output error"}, "group", false},
		{"no path", "linux", io.ErrUnexpectedEOF, []string{"unexpected EOF"}, "group", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if runtime.GOOS == "windows" && tt.name == "a broken disk" {
				t.Skip("Windows has other words for it")
			}
			got := readError(tt.err, tt.goos)
			wantWordsIn(t, got, tt.want...)
			if strings.Contains(got.Error(), tt.wantNot) {
				t.Errorf("got %v, want nothing of %q", got, tt.wantNot)
			}
			if _, again := errors.AsType[*failure.Passing](got); again != tt.worthAnother {
				t.Errorf("worth another challenge: %v, want %v", again, tt.worthAnother)
			}
		})
	}
}

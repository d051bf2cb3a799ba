package arckey

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
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

// isWorthAnother reports whether another challenge is worth it after an error.
func isWorthAnother(err error) bool {
	_, again := errors.AsType[*failure.Passing](err)
	return again
}

func TestRead(t *testing.T) {
	t.Parallel()
	const size = 4096 // by hand: what the peers read
	for _, content := range []string{
		"a6d5+/==", "k", "user pa55word", "  pa55word  ", " ", `"pa\55"word'`, "schlüssel", "a\xff\xfeb",
		"\ufeffpa55word", strings.Repeat("k", size),
	} {
		if got, err := read(keyFile(t, content), "linux"); err != nil || got != content {
			t.Errorf("got %q, %v, want the content %q unchanged", got, err, content)
		}
	}
	for wantError, contents := range map[string][]string{
		"is empty":               {""}, // it is being written: another challenge is worth it
		"larger than 4096 bytes": {strings.Repeat("k", size+1), strings.Repeat("pa55word", 1<<17)},
		"control character": {
			"pa55word\n", "pa55word\r\n", "pa55word\r\nX-Evil: 1", "\n", "pa55\x00word", "pa55\tword",
			"pa55\x7fword", "pa55\u0085word", "\xff\xfep\x00a\x00",
		},
	} {
		for _, content := range contents {
			got, err := read(keyFile(t, content), "linux")
			wantWordsIn(t, err, "Azure Arc's key x.key", wantError)
			if got != "" || err == nil || strings.Contains(err.Error(), "pa55") ||
				isWorthAnother(err) != (content == "") {
				t.Errorf("%.40q: got %q, %v: nothing of the content may be seen", content, got, err)
			}
		}
	}
}

func TestReadReadsRegularFilesOnly(t *testing.T) {
	t.Parallel()
	outside := keyFile(t, "pa55word")
	link := func(target string) func(string) error { // relative to the file's directory
		return func(file string) error { return os.Symlink(target, file) }
	}
	for name, create := range map[string]func(file string) error{
		"directory": func(file string) error { return os.Mkdir(file, 0o700) },
		"named pipe": func(file string) error {
			return exec.Command("mkfifo", file).Run()
		},
		"link out of the directory": link(outside),
		"relative link within it":   link("good.key"),
		"link to itself":            link("x.key"),
		"link to a directory":       link("."),
		"link to nothing":           link("nothing"),
		"link to an endless device": link("/dev/zero"),
		"link to another key beside": func(file string) error {
			return os.Symlink(filepath.Join(filepath.Dir(file), "good.key"), file)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Dir(keyFile(t, "pa55word"))
			file := filepath.Join(dir, "x.key")
			if err := os.Rename(file, filepath.Join(dir, "good.key")); err != nil {
				t.Fatal(err)
			}
			if err := create(file); err != nil {
				t.Skip(err) // Windows has no pipes of that kind, and wants a privilege for links
			}
			done := make(chan struct{})
			go func() {
				defer close(done)
				key, err := read(file, "linux")
				wantWordsIn(t, err, "x.key", "not a regular file", "was not read")
				if key != "" || isWorthAnother(err) {
					t.Errorf("got the key %q, or it would be tried again: %v", key, err)
				}
			}()
			select {
			case <-done:
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
	if !isWorthAnother(err) {
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
	at := func(path string, err error) error { return &fs.PathError{Op: "x", Path: path, Err: err} }
	for _, tt := range []struct {
		goos         string
		err          error
		want         []string
		not          string
		worthAnother bool
	}{
		{goos: "linux", err: at("/k.key", fs.ErrPermission), not: winACL,
			want: []string{"can't read Azure Arc's key /k.key: permission denied", group, "anew"}},
		{goos: "linux", err: at("/k.key", syscall.EACCES), want: []string{"/k.key", group}, not: winACL},
		{goos: "linux", err: at("/k.key", syscall.EPERM), want: []string{"/k.key", group}, not: winACL},
		{goos: "linux", err: fmt.Errorf("wrapped: %w", at("/k.key", fs.ErrPermission)), not: winACL,
			want: []string{"/k.key", group}},
		{goos: "windows", err: at(`C:\k.key`, fs.ErrPermission), not: "himds", want: []string{
			`can't read Azure Arc's key C:\k.key: permission denied`, winACL, "administrator"}},
		{goos: "linux", err: at("/k.key", fs.ErrNotExist), not: "group", worthAnother: true,
			want: []string{"can't read Azure Arc's key /k.key: file does not exist"}},
		{goos: "windows", err: at(`C:\k.key`, fs.ErrNotExist), want: []string{`C:\k.key`},
			not: "group", worthAnother: true},
		{goos: "linux", err: at("/k.key", errors.New("input/output error")), not: "group",
			want: []string{"/k.key", "input/output error"}},
		{goos: "linux", err: io.ErrUnexpectedEOF, want: []string{"unexpected EOF"}, not: "group"},
	} {
		got := readError(tt.err, tt.goos)
		wantWordsIn(t, got, tt.want...)
		if strings.Contains(got.Error(), tt.not) || isWorthAnother(got) != tt.worthAnother {
			t.Errorf("%v on %s: got %v, want nothing of %q, and another challenge: %v", tt.err,
				tt.goos, got, tt.not, tt.worthAnother)
		}
	}
}

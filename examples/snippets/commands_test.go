package snippets

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
)

// root is the repository's, seen from here.
const root = "../.."

var command = regexp.MustCompile("go -C examples run \\./([a-z]+)([^`\n#]*)")

// TestCommands: the flags of each command line in a page are those of the program, also where the
// line needs Azure. It is run with -h behind the flags, which is answered once they are understood,
// and before anything is done.
func TestCommands(t *testing.T) {
	t.Parallel()
	lines := map[string]map[string]bool{} // by program
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (entry.Name() == ".git" || entry.Name() == "node_modules"):
			return filepath.SkipDir
		case filepath.Ext(name) != ".md":
			return nil
		}
		text, err := os.ReadFile(name)
		for _, m := range command.FindAllStringSubmatch(string(text), -1) {
			if lines[m[1]] == nil {
				lines[m[1]] = map[string]bool{}
			}
			args, _, _ := strings.Cut(m[2], "&&")
			lines[m[1]][strings.TrimSpace(args)] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(lines) < 5 {
		t.Errorf("found the programs %v, there are more", lines)
	}
	dir := t.TempDir()
	for program, all := range lines {
		t.Run(program, func(t *testing.T) {
			t.Parallel()
			binary := filepath.Join(dir, program)
			if runtime.GOOS == "windows" {
				binary += ".exe"
			}
			build := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "../"+program)
			if out, err := build.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			for args := range all {
				words := append(strings.Fields(strings.ReplaceAll(args, `"`, "")), "-h")
				out, err := exec.CommandContext(t.Context(), binary, words...).CombinedOutput()
				if err != nil {
					t.Errorf("%s %s: %v\n%s", program, args, err, out)
				}
			}
		})
	}
}

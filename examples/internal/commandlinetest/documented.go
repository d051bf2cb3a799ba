package commandlinetest

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// RunDocumented runs each command line of the documents that begins with
// go -C examples run ./PROGRAM, and needs nothing of the reader's: no word in capitals, such as
// NAME. alone are words of which at least one must be in the line; none is every line. A line with
// fails in it has to end with the status 1, any other one with 0. Of the lines that aren't run the
// flags are checked: -h behind them is answered once they are understood, before anything is done.
func RunDocumented(t *testing.T, program string, run Run, fails string, alone ...string) {
	t.Helper()
	lines := documented(t, program)
	ran := 0
	for _, line := range lines {
		args := strings.Fields(line)
		if placeholder.MatchString(line) || len(alone) > 0 && !hasOne(args, alone) {
			Execute(t.Context(), t, run, 0, append(args, "-h")...)
			continue
		}
		ran++
		t.Run(strings.Join(append([]string{program}, args...), " "), func(t *testing.T) {
			for i, arg := range args {
				if arg == "-host" || arg == "-fake" {
					SkipWithout(t, args[i+1])
				}
			}
			want := 0
			if fails != "" && slices.Contains(args, fails) {
				want = 1
			}
			Execute(t.Context(), t, run, want, args...)
		})
	}
	if ran < 2 {
		t.Errorf("the documents have %d lines of %s that can be run, of %d: there are more", ran,
			program, len(lines))
	}
}

var placeholder = regexp.MustCompile(`\b[A-Z]{2,}\b|…`)

func hasOne(args, of []string) bool {
	return slices.ContainsFunc(args, func(arg string) bool { return slices.Contains(of, arg) })
}

// documented are the arguments in such lines, each once.
func documented(t *testing.T, program string) (lines []string) {
	t.Helper()
	command := regexp.MustCompile(`(?m)\bgo -C examples run \./` + program + `\b([^#\n` + "`" + `]*)`)
	seen := map[string]bool{}
	// a command's tests run in its own directory, two below the top
	for _, pattern := range []string{"../README.md", "../../*.md", "../../docs/*.md"} {
		names, err := filepath.Glob(pattern)
		if err != nil || len(names) == 0 {
			t.Fatalf("%s: no such file, %v", pattern, err)
		}
		for _, name := range names {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range command.FindAllSubmatch(text, -1) {
				if line := strings.TrimSpace(string(m[1])); !seen[line] {
					seen[line] = true
					lines = append(lines, line)
				}
			}
		}
	}
	return lines
}

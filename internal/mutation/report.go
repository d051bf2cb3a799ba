package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

const reportHead = `# Mutations

What the tests are worth: in %d places the code was broken on purpose, and each time a test failed.
Written by ` + "`go -C internal/mutation run . -write`" + `, see its ` + "`-h`" + ` for a part; the list is in
` + "`internal/mutation`" + `. Whoever adds a rule that matters adds the mutation that forgets it. The test
that is named is the one that ought to notice. Others may, too: they are not run once it has.

`

// writeReport replaces docs/mutation.md. What wasn't run keeps its row's last result.
func writeReport(root string, results map[string]result) error {
	name := filepath.Join(root, "docs", "mutation.md")
	before, err := os.ReadFile(name)
	if err != nil && !os.IsNotExist(err) {
		return err
	}
	by := resultsIn(string(before))
	for mutation, r := range results {
		by[mutation] = r.by()
	}
	text, err := report(by)
	if err != nil {
		return err
	}
	return os.WriteFile(name, []byte(text), 0o644)
}

// report is docs/mutation.md, of the tests that caught each mutation.
func report(by map[string]string) (string, error) {
	var b strings.Builder
	fmt.Fprintf(&b, reportHead, len(choose(regexp.MustCompile(""))))
	for _, a := range areas {
		fmt.Fprintf(&b, "## %s\n\n| what was broken | where | what users would suffer | what caught it "+
			"|\n|---|---|---|---|\n", a.title)
		for _, m := range a.mutations {
			if by[m.name] == "" {
				return "", fmt.Errorf("%q has not been run: run it, with -write", m.name)
			}
			fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", m.name, m.file, m.harm, by[m.name])
		}
		b.WriteString("\n")
	}
	return strings.TrimSuffix(b.String(), "\n"), nil
}

// resultsIn reads what caught each mutation from a report.
func resultsIn(text string) map[string]string {
	by := map[string]string{}
	for line := range strings.Lines(text) {
		if cells := strings.Split(strings.TrimSpace(line), " | "); len(cells) == 4 {
			by[strings.TrimPrefix(cells[0], "| ")] = strings.TrimSuffix(cells[3], " |")
		}
	}
	return by
}

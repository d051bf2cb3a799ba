package identity_test

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestDocsAdopting: each line that docs/adopting.md gives to projects is one that is compiled.
func TestDocsAdopting(t *testing.T) {
	t.Parallel()
	const page, source = "docs/adopting.md", "examples/recipes/adopting/adopting.go"
	squash := func(s string) string { return strings.Join(strings.Fields(s), "") }
	compiled := squash(readFile(t, source))
	rows := 0
	for number, line := range strings.Split(readFile(t, page), "\n") {
		cells := strings.Split(line, "|")
		if !strings.HasPrefix(line, "|") || len(cells) != 6 || strings.HasPrefix(line, "|---") {
			continue
		}
		quotes := regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cells[3], -1)
		if rows++; rows > 1 && len(quotes) == 0 {
			t.Errorf("%s:%d has no line of this library's", page, number+1)
		}
		for _, quote := range quotes {
			if !strings.Contains(compiled, squash(quote[1])) {
				t.Errorf("%s:%d: %s doesn't have\n%s", page, number+1, source, quote[1])
			}
		}
	}
	if rows < 14 {
		t.Errorf("found %d rows in %s, there are more", rows, page)
	}
}

// TestDocsRecipes: each recipe is in the table, and its scope is the one that the page names.
func TestDocsRecipes(t *testing.T) {
	t.Parallel()
	const page = "docs/recipes.md"
	text := readFile(t, page)
	scope := regexp.MustCompile(`"((?:https://|[0-9a-f]{8}-)[^"\s]*/\.default)"`)
	recipes, err := filepath.Glob("examples/recipes/*/*.go")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, name := range recipes {
		if strings.HasSuffix(name, "_test.go") || strings.Contains(name, "/adopting/") {
			continue
		}
		found++
		if !strings.Contains(text, "(../"+name+")") {
			t.Errorf("%s doesn't link to %s", page, name)
		}
		for _, m := range scope.FindAllStringSubmatch(readFile(t, name), -1) {
			if !strings.Contains(text, "`"+m[1]+"`") {
				t.Errorf("%s doesn't have the scope of %s: %s", page, name, m[1])
			}
		}
	}
	if found < 6 {
		t.Errorf("found %d recipes, there are more", found)
	}
}

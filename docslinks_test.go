package identity_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// TestDocsLinks: what a page links to in the repository is there, and so is the heading that a link
// names. A link may go on in the next line.
func TestDocsLinks(t *testing.T) {
	t.Parallel()
	pages := map[string]string{}
	walk(t, ".", func(name string) {
		if filepath.Ext(name) == ".md" {
			pages[name] = readFile(t, name)
		}
	}, isForeign)
	found, anchors := 0, 0
	for name, text := range pages {
		for _, l := range linksOf(text) {
			found++
			target := name
			if l.path != "" {
				target = filepath.Join(filepath.Dir(name), l.path)
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s:%d links to %s, which isn't there", name, l.line, l.path)
				continue
			}
			if l.anchor == "" {
				continue
			}
			anchors++
			if !slices.Contains(anchorsOf(pages[target]), l.anchor) {
				t.Errorf("%s:%d links to #%s, which is no heading of %s", name, l.line, l.anchor, target)
			}
		}
	}
	if found < 100 || anchors < 20 {
		t.Errorf("found %d links, %d of them to a heading: there are more", found, anchors)
	}
}

// link is one to a file of the repository, or within its page.
type link struct {
	line         int
	path, anchor string
}

var links = regexp.MustCompile(`\]\(([^()#:\s]*)(?:#([^()\s]*))?\)`)

// linksOf are a page's links, code aside.
func linksOf(page string) []link {
	var all []link
	page = withoutCode(page)
	for _, at := range links.FindAllStringSubmatchIndex(page, -1) {
		l := link{line: strings.Count(page[:at[0]], "\n") + 1, path: page[at[2]:at[3]]}
		if at[4] >= 0 {
			l.anchor = page[at[4]:at[5]]
		}
		all = append(all, l)
	}
	return all
}

// withoutCode is a page with its blocks of code left empty.
func withoutCode(page string) string {
	lines, fenced := strings.Split(page, "\n"), false
	for i, line := range lines {
		fence := strings.HasPrefix(strings.TrimSpace(line), "```")
		if fence {
			fenced = !fenced
		}
		if fenced || fence {
			lines[i] = ""
		}
	}
	return strings.Join(lines, "\n")
}

// anchorsOf are the names by which GitHub has a page's headings: lower case, blanks as hyphens,
// letters, digits, hyphens and underscores kept, and a number behind a name that was there before.
func anchorsOf(page string) []string {
	var all []string
	seen := map[string]int{}
	for line := range strings.Lines(withoutCode(page)) {
		text := strings.TrimLeft(line, "#")
		if text == line || !strings.HasPrefix(text, " ") {
			continue
		}
		name := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
				return unicode.ToLower(r)
			}
			return -1
		}, strings.TrimSpace(text))
		if n := seen[name]; n > 0 {
			all = append(all, fmt.Sprintf("%s-%d", name, n))
		} else {
			all = append(all, name)
		}
		seen[name]++
	}
	return all
}

// TestDocsAnchors: how headings are named, and what counts as a link.
func TestDocsAnchors(t *testing.T) {
	t.Parallel()
	const page = "# A `b` C_d: e's, (f)\n\n```sh\n# not [this](no.md)\n```\n## One\n## One\n#tag\n" +
		"[x](y.md#z) and [two\nlines](#one)\n[web](https://example.com/a.md) ![p](p.svg)\n"
	if got, want := anchorsOf(page), []string{"a-b-c_d-es-f", "one", "one-1"}; !slices.Equal(got, want) {
		t.Errorf("headings: got %q, want %q", got, want)
	}
	want := []link{{9, "y.md", "z"}, {10, "", "one"}, {11, "p.svg", ""}}
	if got := linksOf(page); !slices.Equal(got, want) {
		t.Errorf("links: got %+v, want %+v", got, want)
	}
}

// TestDocsReadme: the README is read to its end. What it has no room for stands in docs.
func TestDocsReadme(t *testing.T) {
	t.Parallel()
	lines := strings.Split(strings.TrimSuffix(readFile(t, "README.md"), "\n"), "\n")
	if len(lines) > 150 {
		t.Errorf("README.md has %d lines, want 150 at most", len(lines))
	}
	for number, line := range lines {
		if n := utf8.RuneCountInString(line); n > columns {
			t.Errorf("README.md:%d has %d columns, want %d at most, in tables and code, too", number+1, n,
				columns)
		}
	}
}

// TestDocsIndex: each page of docs is in the index, and in one of its two tables only.
func TestDocsIndex(t *testing.T) {
	t.Parallel()
	index := readFile(t, "docs/index.md")
	pages, err := filepath.Glob("docs/*.md")
	if err != nil || len(pages) < 10 {
		t.Fatalf("found %d pages, %v", len(pages), err)
	}
	for _, page := range pages {
		name := filepath.Base(page)
		if n := strings.Count(index, "]("+name+")"); n != 1 && name != "index.md" {
			t.Errorf("docs/index.md links to %s %d times, want once", name, n)
		}
	}
}

// TestDocsModules: each module below this one is on the page, with what it is for.
func TestDocsModules(t *testing.T) {
	t.Parallel()
	page, modules := readFile(t, "docs/dependencies.md"), 0
	walk(t, ".", func(name string) {
		folder := filepath.ToSlash(filepath.Dir(name))
		if filepath.Base(name) != "go.mod" || folder == "." {
			return
		}
		if modules++; !strings.Contains(page, "| `"+folder+"` |") {
			t.Errorf("docs/dependencies.md doesn't say what %s is for", folder)
		}
	}, isForeign)
	if modules < 10 {
		t.Errorf("found %d modules", modules)
	}
}

// TestDocsSnippets: each line of Go in a page stands in one file that is compiled, in that order.
func TestDocsSnippets(t *testing.T) {
	t.Parallel()
	var sources [][]string
	walk(t, ".", func(name string) {
		if filepath.Ext(name) == ".go" {
			sources = append(sources, statements(readFile(t, name)))
		}
	}, isForeign)
	blocks := regexp.MustCompile("(?s)```go\n(.*?)```")
	found := 0
	walk(t, ".", func(name string) {
		if filepath.Ext(name) != ".md" {
			return
		}
		for _, block := range blocks.FindAllStringSubmatch(readFile(t, name), -1) {
			found++
			wanted := statements(block[1])
			if !slices.ContainsFunc(sources, func(s []string) bool { return hasInOrder(s, wanted) }) {
				t.Errorf("%s: no file has all these lines in this order:\n%s", name, block[1])
			}
		}
	}, isForeign)
	if found < 5 {
		t.Errorf("found %d blocks of Go, there are more", found)
	}
}

// statements are the lines of a Go text without blank ones, comments and alignment.
func statements(text string) []string {
	var all []string
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, " // ")
		line = strings.Join(strings.Fields(line), " ")
		if line != "" && !strings.HasPrefix(line, "//") {
			all = append(all, line)
		}
	}
	return all
}

// hasInOrder reports whether all of wanted are lines of a source, one after the other, with others
// in between at most.
func hasInOrder(source, wanted []string) bool {
	for _, line := range source {
		if len(wanted) > 0 && line == wanted[0] {
			wanted = wanted[1:]
		}
	}
	return len(wanted) == 0
}

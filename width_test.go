package identity_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

const columns = 100

// TestDocsWidth keeps lines short enough to be read beside others: comments and Markdown always,
// code but for a few lines in a hundred. What can't be broken, such as a link, a table's row or
// what an Example prints, may be longer.
func TestDocsWidth(t *testing.T) {
	t.Parallel()
	code, long := 0, 0
	walk(t, ".", func(name string) {
		fenced, printed := false, false
		for number, line := range strings.Split(readFile(t, name), "\n") {
			text := strings.TrimSpace(line)
			tooLong := utf8.RuneCountInString(line) > columns
			switch filepath.Ext(name) {
			case ".md":
				if strings.HasPrefix(text, "```") {
					fenced = !fenced
				}
				if strings.HasPrefix(line, "<<<<<<< ") || strings.HasPrefix(line, ">>>>>>> ") {
					t.Errorf("%s:%d: the mark of a conflict", name, number+1)
				}
				if tooLong && !fenced && !strings.HasPrefix(text, "|") && isBreakable(text) {
					t.Errorf("%s:%d: more than %d columns", name, number+1, columns)
				}
			case ".go":
				comment, isComment := strings.CutPrefix(text, "//")
				printed = isComment && (printed || strings.HasPrefix(comment, " Output:"))
				switch {
				case !isComment && text != "":
					code++
					if tooLong {
						long++
					}
				case tooLong && !printed && !strings.HasPrefix(comment, "\t") &&
					isBreakable(strings.TrimSpace(comment)):
					t.Errorf("%s:%d: a comment of more than %d columns", name, number+1, columns)
				}
			}
		}
	}, isForeign)
	if share := 100 * float64(long) / float64(code); share > 2 {
		t.Errorf("%d of %d lines of code, %.1f %%, have more than %d columns, want 2 %% at most",
			long, code, share, columns)
	}
}

// TestDocsTestLength: who reads why a test failed reads one function.
func TestDocsTestLength(t *testing.T) {
	t.Parallel()
	isTest := regexp.MustCompile("^(Test|Fuzz|Benchmark|Example)")
	walk(t, ".", func(name string) {
		if !strings.HasSuffix(name, "_test.go") {
			return
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || !isTest.MatchString(f.Name.Name) {
				continue
			}
			if n := fset.Position(f.End()).Line - fset.Position(f.Pos()).Line + 1; n > 100 {
				t.Errorf("%s: %s has %d lines, want 100 at most: its rows fit into a variable, its "+
					"steps into functions", name, f.Name.Name, n)
			}
		}
	}, isForeign)
}

// isBreakable reports whether a text has a blank at which it could go on in the next line: not in a
// link or a picture, not in code.
func isBreakable(text string) bool {
	first, rest, _ := strings.Cut(unbreakable.ReplaceAllString(text, "x"), " ")
	return strings.Contains(rest, " ") || len(first) > 2 && rest != ""
}

var unbreakable = regexp.MustCompile("!?\\[[^]]*\\]\\([^)]*\\)|`[^`]*`")

// isForeign reports whether a folder holds what others have written.
func isForeign(folder string) bool { return filepath.Base(folder) == "node_modules" }

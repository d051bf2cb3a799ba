package identity_test

import (
	"go/ast"
	"go/token"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const operationsPage = "docs/operations.md"

// TestOperationsIsComplete: docs/operations.md has every text that the library can say, and its
// tables quote none that it can't.
func TestOperationsIsComplete(t *testing.T) {
	t.Parallel()
	page := readFile(t, operationsPage)
	said := messages(t)
	if len(said) < 200 {
		t.Errorf("found %d texts in the library, there are more", len(said))
	}
	for _, m := range said {
		if !slices.Contains(unsaid, m.text) && !strings.Contains(page, m.text) {
			t.Errorf("%s: %s does not tell what this means:\n%s", m.at, operationsPage, m.text)
		}
	}
	column := -1 // of the table's that has messages
	for number, line := range strings.Split(page, "\n") {
		cells := strings.Split(line, "|")
		if !strings.HasPrefix(line, "|") {
			column = -1
			continue
		}
		if column < 0 {
			column = slices.IndexFunc(cells, func(c string) bool {
				c = strings.TrimSpace(c)
				return c == "message" || c == "reason"
			})
			column = max(column, 0) // the first cell is empty: a table without
			continue
		}
		for _, quote := range regexp.MustCompile("`([^`]*)`").FindAllStringSubmatch(cells[column], -1) {
			text := strings.Trim(strings.TrimPrefix(quote[1], "identity: "), ends) // which ours adds
			isSaid := slices.ContainsFunc(said, func(m message) bool {
				return strings.Contains(m.text, text)
			})
			if words.MatchString(text) && !others[text] && !isSaid {
				t.Errorf("%s:%d: nothing in the library says:\n%s", operationsPage, number+1, text)
			}
		}
	}
}

// unsaid are texts that nobody sees: the first, and what is looked for in the words of az, azd and
// shells.
var unsaid = []string{
	"identity: unreachable: the last rule takes every machine",
	"ERROR: The command failed with an unexpected error", "Traceback (most recent call last)",
	"To check existing issues", "To open a new issue", "Please run 'az login' to setup account",
	"does not exist in MSAL token cache", "Can't find token from MSAL cache", "from local cache",
	"Failed to load or parse file", "Resource temporarily unavailable",
	"Please explicitly log in with", "Run 'az account set'", "Azure CLI not found on path",
	"failed to create credential",
	"not logged in, run `azd auth login`", "not logged in, run `azd login`", "Max retries exceeded",
	"Failed to establish a new connection", "Read timed out", "no such host", "TLS handshake timeout",
	"error while loading shared libraries", "Error loading shared library", "Error relocating",
	`^(?:\s*'[^\r\n]*' is not recognized as an internal or external command,\s*operable program ` +
		`or batch file\.\s*)+$`,
	"Extra data: line", "Expecting value: line",
	"azd auth login" + `(?: --?[a-z][a-z-]*(?:[ =](?:"[A-Za-z0-9._:/+=-]+"|[A-Za-z0-9._:/+=-]+))?)*`,
}

// others are what the page's tables quote of somebody else's.
var others = map[string]bool{
	"context deadline exceeded": true,
}

// message is a text of the library's, with … in place of each value.
type message struct{ at, text string }

// messages are all texts of the library's packages that consist of words: of errors, hints, log
// lines and reasons.
func messages(t *testing.T) []message {
	t.Helper()
	var all []message
	files := parsed(t, engine(t)...)
	shared := map[string]map[string]ast.Expr{} // by package; the names of packages differ
	for _, file := range files {
		if shared[file.Name.Name] == nil {
			shared[file.Name.Name] = map[string]ast.Expr{}
		}
		for _, d := range file.Decls {
			if g, ok := d.(*ast.GenDecl); ok {
				constants(g, shared[file.Name.Name])
			}
		}
	}
	for _, file := range files {
		for _, d := range file.Decls {
			known := map[string]ast.Expr{} // those of the function hide the package's
			for other, values := range shared {
				for name, value := range values {
					known[other+"."+name] = value
				}
			}
			maps.Copy(known, shared[file.Name.Name])
			ast.Inspect(d, func(n ast.Node) bool {
				if g, ok := n.(*ast.GenDecl); ok {
					constants(g, known)
				}
				return true
			})
			ast.Inspect(d, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.Field: // a tag is no message
					return n.Tag == nil
				case *ast.GenDecl:
					return n.Tok != token.IMPORT
				case *ast.BinaryExpr, *ast.BasicLit:
					text := adjoining.ReplaceAllString(fold(n.(ast.Expr), known), "…")
					if words.MatchString(text) {
						at := fileSet.Position(n.Pos()).String()
						all = append(all, message{at, strings.Trim(text, ends)})
					}
					return false
				}
				return true
			})
		}
	}
	slices.SortFunc(all, func(a, b message) int { return strings.Compare(a.at, b.at) })
	return all
}

var (
	// words are three in a row: fewer are names, and the last words of a text that stands elsewhere
	// as a whole.
	words     = regexp.MustCompile(`[A-Za-z'] [A-Za-z']+ [A-Za-z']`)
	adjoining = regexp.MustCompile("…( ?…)+")
	ends      = "… :;,\n\t"
	verb      = regexp.MustCompile(`%[-+#0-9.]*[a-zA-Z]`)
)

// constants notes those of a declaration.
func constants(g *ast.GenDecl, into map[string]ast.Expr) {
	if g.Tok != token.CONST {
		return
	}
	for _, spec := range g.Specs {
		for i, name := range spec.(*ast.ValueSpec).Names {
			if given := spec.(*ast.ValueSpec).Values; i < len(given) {
				into[name.Name] = given[i]
			}
		}
	}
}

// fold is the value of a text, with … for what is only known when the program runs.
func fold(x ast.Expr, known map[string]ast.Expr) string {
	switch x := x.(type) {
	case *ast.BasicLit:
		if x.Kind == token.STRING {
			text, _ := strconv.Unquote(x.Value)
			return verb.ReplaceAllString(text, "…")
		}
	case *ast.Ident:
		if value, ok := known[x.Name]; ok {
			return fold(value, known)
		}
	case *ast.SelectorExpr: // a constant of another package's, perhaps
		if of, ok := x.X.(*ast.Ident); ok {
			if value, ok := known[of.Name+"."+x.Sel.Name]; ok {
				return fold(value, known)
			}
		}
	case *ast.ParenExpr:
		return fold(x.X, known)
	case *ast.BinaryExpr:
		if x.Op == token.ADD {
			return fold(x.X, known) + fold(x.Y, known)
		}
	}
	return "…"
}

// TestNothingIsWritten: no token reaches a file, because the library calls nothing that writes one.
func TestNothingIsWritten(t *testing.T) {
	t.Parallel()
	allowed := map[string]bool{
		"Environ": true, "Getenv": true, "LookupEnv": true, "Stat": true, "Lstat": true,
		"Open": true, "SameFile": true, "PathError": true,
	}
	used := 0
	for name, file := range parsed(t, engine(t)...) {
		for _, use := range usesOf(file, "os") {
			if used++; !allowed[use] {
				t.Errorf("%s: os.%s: SECURITY.md says that nothing is written to a file", name, use)
			}
		}
	}
	if used == 0 {
		t.Error("the library doesn't use os, which can't be")
	}
}

package identity_test

import (
	"go/ast"
	"go/token"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/keyless-go/identity/internal/detect"
)

const variablesPage = "docs/variables.md"

// TestDocsVariables: docs/variables.md has each variable that the code reads, and no other.
func TestDocsVariables(t *testing.T) {
	t.Parallel()
	rows := variableRows(t)
	read := map[string]string{}
	for _, file := range parsed(t, append(engine(t), integrations(t)...)...) {
		for variable, at := range variablesIn(file) {
			if !strings.HasPrefix(variable, "IDENTITY_TEST_") { // what tests share
				read[variable] = fileSet.Position(at).String()
			}
		}
	}
	if len(read) < 45 {
		t.Errorf("found %d variables in the code, there are more", len(read))
	}
	for variable, at := range read {
		if _, ok := rows[variable]; !ok {
			t.Errorf("%s: %s has no row for %s: add one (a text that only looks like a variable's "+
				"name belongs into noVariables)", at, variablesPage, variable)
		}
	}
	for variable := range rows {
		if read[variable] == "" {
			t.Errorf("%s has a row for %s, which the code doesn't read", variablesPage, variable)
		}
	}
}

// TestDocsVariablesSecrets: what the page calls a secret is what Detect doesn't show.
func TestDocsVariablesSecrets(t *testing.T) {
	t.Parallel()
	rows := variableRows(t)
	items := detect.Evidence(detect.Machine{
		Getenv:    func(name string) string { return "http://127.0.0.1/" + name },
		Exists:    func(string) bool { return false },
		Forbidden: func(string) bool { return false },
		GOOS:      "linux",
	})
	for _, item := range items {
		if item.File {
			continue
		}
		secret, known := rows[item.Name]
		if !known {
			t.Errorf("%s has no row for %s, which Detect reports", variablesPage, item.Name)
		}
		// the one exception, as its row says
		if want := secret || item.Name == detect.EnvCAData; item.Withheld != want {
			t.Errorf("%s: withheld is %v, want %v: %s", item.Name, item.Withheld, want, variablesPage)
		}
	}
	for _, name := range []string{detect.EnvHeader, detect.EnvMSISecret, "SYSTEM_ACCESSTOKEN",
		"ACTIONS_ID_TOKEN_REQUEST_TOKEN", "AZURE_CLIENT_SECRET"} {
		if !rows[name] {
			t.Errorf("%s doesn't say that %s is a secret", variablesPage, name)
		}
	}
}

// variableRows are the names in the first columns of the tables, each with whether it is a secret.
// What Go reads by itself is not among them.
func variableRows(t *testing.T) map[string]bool {
	t.Helper()
	rows := map[string]bool{}
	page, _, _ := strings.Cut(readFile(t, variablesPage), "\n## What Go ")
	for number, line := range strings.Split(page, "\n") {
		cells := strings.Split(line, "|")
		if !strings.HasPrefix(line, "| `") {
			continue
		}
		if len(cells) != 8 {
			t.Errorf("%s:%d has %d columns, want 6", variablesPage, number+1, len(cells)-2)
			continue
		}
		secret := strings.HasPrefix(strings.Trim(cells[5], " *"), "yes")
		for _, name := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cells[1], -1) {
			if _, twice := rows[name[1]]; twice {
				t.Errorf("%s:%d: %s has a row already", variablesPage, number+1, name[1])
			}
			rows[name[1]] = secret
		}
	}
	return rows
}

// noVariables look like names of variables.
var noVariables = map[string]bool{
	"CERTIFICATE_VERIFY_FAILED": true, // of Python's words
}

var (
	variableName = regexp.MustCompile(`^[A-Z][A-Z0-9]*(_[A-Z0-9]+)+$`)
	readers      = regexp.MustCompile(`^([gG]etenv|LookupEnv|has)$`)
)

// variablesIn are the variables that a file reads: texts in the form of a variable's name, with or
// without a value behind it; a list's neighbours of one; and what is given to getenv and the like,
// also from the list of a loop around it.
func variablesIn(file *ast.File) map[string]token.Pos {
	found := map[string]token.Pos{}
	add := func(x ast.Expr) {
		if name := text(x); name != "" && !noVariables[name] {
			found[name] = x.Pos()
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ImportSpec:
			return false
		case *ast.BasicLit:
			name, _, _ := strings.Cut(text(n), "=")
			if variableName.MatchString(name) && !noVariables[name] {
				found[name] = n.Pos()
			}
		case *ast.CompositeLit:
			if slices.ContainsFunc(n.Elts, func(x ast.Expr) bool {
				return variableName.MatchString(text(x)) && !noVariables[text(x)]
			}) {
				for _, x := range n.Elts {
					if !strings.Contains(text(x), "=") {
						add(x)
					}
				}
			}
		case *ast.CallExpr:
			if readers.MatchString(called(n)) {
				for _, x := range n.Args {
					add(x)
				}
			}
		case *ast.RangeStmt:
			if list, ok := n.X.(*ast.CompositeLit); ok && reads(n.Body, n.Value) {
				for _, x := range list.Elts {
					add(x)
				}
			}
		}
		return true
	})
	return found
}

// text is the value of a literal, and "" of anything else.
func text(x ast.Expr) string {
	if b, ok := x.(*ast.BasicLit); ok && b.Kind == token.STRING {
		s, _ := strconv.Unquote(b.Value)
		return s
	}
	return ""
}

// called is the name of the function or the method that is called.
func called(call *ast.CallExpr) string {
	switch f := call.Fun.(type) {
	case *ast.Ident:
		return f.Name
	case *ast.SelectorExpr:
		return f.Sel.Name
	}
	return ""
}

// reads reports whether a loop's body reads the variable that the loop's own names.
func reads(body *ast.BlockStmt, value ast.Expr) (yes bool) {
	of, ok := value.(*ast.Ident)
	ast.Inspect(body, func(n ast.Node) bool {
		if call, isCall := n.(*ast.CallExpr); ok && isCall && readers.MatchString(called(call)) {
			for _, x := range call.Args {
				arg, isIdent := x.(*ast.Ident)
				yes = yes || isIdent && arg.Name == of.Name
			}
		}
		return true
	})
	return yes
}

// integrations are the folders of the modules below integrations that have Go files.
func integrations(t *testing.T) []string {
	t.Helper()
	folders := map[string]bool{}
	walk(t, "integrations", func(name string) {
		if filepath.Ext(name) == ".go" && !strings.HasSuffix(name, "_test.go") {
			folders[filepath.ToSlash(filepath.Dir(name))] = true
		}
	})
	return slices.Sorted(maps.Keys(folders))
}

// TestDocsScopes: docs/recipes.md has each scope that an integration asks for by itself, and those
// of each cloud's Event Hubs.
func TestDocsScopes(t *testing.T) {
	t.Parallel()
	const page = "docs/recipes.md"
	table := readFile(t, page)
	scope := regexp.MustCompile(`^(?:https://|[0-9a-f]{8}-)\S+/\.default$`)
	eventHubs := regexp.MustCompile(`^\.servicebus\.\S+$`)
	found := 0
	for _, file := range parsed(t, integrations(t)...) {
		ast.Inspect(file, func(n ast.Node) bool {
			b, ok := n.(*ast.BasicLit)
			if !ok {
				return true
			}
			want := text(b)
			if eventHubs.MatchString(want) {
				want = "https://NAMESPACE" + want + "/.default"
			} else if !scope.MatchString(want) {
				return true
			}
			if found++; !strings.Contains(table, "`"+want+"`") {
				t.Errorf("%s: %s has no row for the scope %s", fileSet.Position(b.Pos()), page, want)
			}
			return true
		})
	}
	if found < 10 {
		t.Errorf("found %d scopes in integrations, there are more", found)
	}
}

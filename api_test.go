package identity_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"go/ast"
	"go/doc"
	"go/parser"
	"go/printer"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const apiFile = "testdata/api.txt"

// updateFlag is shared with any other test of this binary that has an -update flag: a flag can be
// defined once only.
var updateFlag = func() *flag.Flag {
	if flag.Lookup("update") == nil {
		flag.Bool("update", false, "rewrite "+apiFile+" from the source")
	}
	return flag.Lookup("update")
}()

// TestAPI compares the exported API, as the source declares it, with testdata/api.txt, so that no
// name, field or signature comes, goes or changes unseen.
func TestAPI(t *testing.T) {
	t.Parallel()
	var got strings.Builder
	for _, dir := range []string{".", "identitytest"} {
		if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		api, err := packageAPI(dir, path.Join("github.com/keyless-go/identity", dir))
		if err != nil {
			t.Fatalf("reading the API of %s: %v", dir, err)
		}
		if got.Len() > 0 {
			got.WriteString("\n")
		}
		got.WriteString(api)
	}

	if updateFlag.Value.String() == "true" {
		if err := os.MkdirAll(filepath.Dir(apiFile), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(apiFile, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}

	const accept = "if the change is meant, run `make api` (go test -run '^TestAPI$' . -update), commit " + apiFile +
		" and say so in CHANGELOG.md"
	want, err := os.ReadFile(apiFile)
	if err != nil {
		t.Fatalf("%v; %s", err, accept)
	}
	lines := func(s string) []string {
		return strings.Split(strings.ReplaceAll(s, "\r\n", "\n"), "\n")
	}
	if diff := cmp.Diff(lines(string(want)), lines(got.String())); diff != "" {
		t.Errorf("the exported API differs from %s; %s\n(-%s +source):\n%s", apiFile, accept, apiFile,
			diff)
	}
}

func TestPackageAPI(t *testing.T) {
	t.Parallel()
	const source = `// Package p is not shown.
package p

import "errors"

// Comments are not shown.
const (
	KindB Kind = "b" // nor these
	KindA Kind = "a"
	kindC Kind = "c"
)

const (
	_ = 1 << iota
	Two
	Four
)

var (
	ErrA       = errors.New("not shown")
	Table      = map[string]int{"not": 1}
	Typed  int = secret()
	hidden int
)

var _ error = (*T)(nil)

type Kind string

// T is a type.
type T struct {
	// A, then a blank line and a hidden field.
	A, B int ` + "`json:\"a\"`" + `

	c int
	D func(
		x int,
	) error
}

type Sealed interface {
	Get() int
	sealed()
}

type Opaque struct{ t *T }

type Pair[K comparable, V any] struct{ Key K; Value V }

type Same = T

func (t *T) Error() string { return "" }
func (T) B2(a, b int)      {}
func (t *T) hidden()       {}

func NewT(
	a int, // a comment
	b ...string,
) (*T, error) {
	return nil, nil
}
func Map[K comparable](m map[K]int) {}
func secret() int                   { return 0 }
`
	const want = `package p // import "example.com/p"

const Four = 1 << 2
const KindA Kind = "a"
const KindB Kind = "b"
const Two = 1 << 1

var ErrA = errors.New()
var Table = map[string]int{}
var Typed int

func Map[K comparable](m map[K]int)
func NewT(a int, b ...string) (*T, error)
func OnWindows()

type Kind string

type Opaque struct {
	// contains filtered or unexported fields
}

type Pair[K comparable, V any] struct {
	Key   K
	Value V
}

type Same = T

type Sealed interface {
	Get() int
	// contains filtered or unexported methods
}

type T struct {
	A, B int ` + "`json:\"a\"`" + `
	D    func(x int) error
	// contains filtered or unexported fields
}
func (T) B2(a, b int)
func (t *T) Error() string
`
	dir := t.TempDir()
	for name, text := range map[string]string{
		"p.go":         source,
		"p_windows.go": "package p\n\nfunc OnWindows() {}\n",
		"p_test.go":    "package p\n\nfunc InTest() {}\n",
		"gen.go":       "//go:build ignore\n\npackage main\n\nfunc Generate() {}\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := packageAPI(dir, "example.com/p")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(want, "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// packageAPI renders the exported declarations of the package in dir, sorted by kind and name:
// without comments, bodies and unexported fields, and with the files of every operating system, so
// that the result is the same on each.
func packageAPI(dir, importPath string) (string, error) {
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return "", err
	}
	fset := token.NewFileSet()
	var files []*ast.File
	for _, name := range names { // Glob sorts
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(fset, name, nil, parser.SkipObjectResolution)
		if err != nil {
			return "", err
		}
		if file.Name.Name != "main" { // a generator that isn't part of the package
			files = append(files, file)
		}
	}
	if len(files) == 0 {
		return "", fmt.Errorf("%s: no Go files", dir)
	}
	// first: go/doc drops what iota counts
	consts, vars := values(files, token.CONST), values(files, token.VAR)
	pkg, err := doc.NewFromFiles(fset, files, importPath)
	if err != nil {
		return "", err
	}
	funcs := pkg.Funcs
	for _, typ := range pkg.Types { // go/doc files a function that returns a type under that type
		funcs = append(funcs, typ.Funcs...)
	}

	var out strings.Builder
	fmt.Fprintf(&out, "package %s // import %q\n", pkg.Name, importPath)
	section := func(lines []string) {
		if len(lines) > 0 {
			fmt.Fprintf(&out, "\n%s\n", strings.Join(lines, "\n"))
		}
	}
	section(consts)
	section(vars)
	section(signatures(funcs))
	slices.SortFunc(pkg.Types, func(a, b *doc.Type) int { return strings.Compare(a.Name, b.Name) })
	for _, typ := range pkg.Types {
		for _, spec := range typ.Decl.Specs {
			if spec := spec.(*ast.TypeSpec); spec.Name.Name == typ.Name {
				fmt.Fprintf(&out, "\ntype %s\n", render(spec))
			}
		}
		for _, method := range signatures(typ.Methods) {
			fmt.Fprintln(&out, method)
		}
	}
	return out.String(), nil
}

// values renders each exported constant or variable by itself. A constant keeps its value, with
// iota counted and a repeated expression written out. A variable with a type loses its value; one
// without keeps what shows its type.
func values(files []*ast.File, tok token.Token) []string {
	var lines []string
	for _, file := range files {
		for _, decl := range file.Decls {
			group, ok := decl.(*ast.GenDecl)
			if !ok || group.Tok != tok {
				continue
			}
			var last *ast.ValueSpec // the constants without a value repeat its type and values
			for i, spec := range group.Specs {
				spec := spec.(*ast.ValueSpec)
				if tok == token.VAR || len(spec.Values) > 0 {
					last = spec
				}
				for j, name := range spec.Names {
					if name.IsExported() {
						lines = append(lines, tok.String()+" "+name.Name+value(tok, last, i, j))
					}
				}
			}
		}
	}
	slices.Sort(lines)
	return lines
}

// value renders the type and value of the j-th name of the i-th line of a group.
func value(tok token.Token, spec *ast.ValueSpec, i, j int) string {
	switch {
	case tok == token.CONST && spec.Type != nil:
		return " " + render(spec.Type) + " = " + constant(spec.Values[j], i)
	case tok == token.CONST:
		return " = " + constant(spec.Values[j], i)
	case spec.Type != nil:
		return " " + render(spec.Type)
	default: // one call may give several variables their values
		return " = " + render(outline(spec.Values[min(j, len(spec.Values)-1)]))
	}
}

// constant renders the expression with iota replaced by its value.
func constant(expr ast.Expr, iota int) string {
	copied, err := parser.ParseExpr(render(expr)) // the same expression serves further constants
	if err != nil {
		return render(expr)
	}
	ast.Inspect(copied, func(n ast.Node) bool {
		if ident, ok := n.(*ast.Ident); ok && ident.Name == "iota" {
			ident.Name = strconv.Itoa(iota)
		}
		return true
	})
	return render(copied)
}

// outline drops what is inside calls, literals and functions.
func outline(expr ast.Expr) ast.Expr {
	ast.Inspect(expr, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			n.Args = nil
		case *ast.CompositeLit:
			n.Elts = nil
		case *ast.FuncLit:
			n.Body = &ast.BlockStmt{}
		}
		return true
	})
	return expr
}

func signatures(funcs []*doc.Func) []string {
	slices.SortFunc(funcs, func(a, b *doc.Func) int { return strings.Compare(a.Name, b.Name) })
	var lines []string
	for _, f := range funcs {
		f.Decl.Body = nil
		lines = append(lines, render(f.Decl))
	}
	return lines
}

// render prints a node in gofmt's form but for its comments and its own line breaks, which an empty
// file set hides.
func render(node ast.Node) string {
	// too long for the printer to put it on the struct's own line
	const filtered = "contains_filtered_or_unexported_"
	ast.Inspect(node, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			n.Doc = nil
		case *ast.TypeSpec:
			n.Doc, n.Comment = nil, nil
		case *ast.Field:
			n.Doc, n.Comment = nil, nil
		// The printer's own note of what was left out needs line numbers.
		case *ast.StructType:
			if n.Incomplete {
				n.Incomplete = false
				n.Fields.List = append(n.Fields.List, &ast.Field{Type: ast.NewIdent(filtered + "fields")})
			}
		case *ast.InterfaceType:
			if n.Incomplete {
				n.Incomplete = false
				n.Methods.List = append(n.Methods.List, &ast.Field{Type: ast.NewIdent(filtered + "methods")})
			}
		}
		return true
	})
	var out bytes.Buffer
	config := printer.Config{Mode: printer.UseSpaces | printer.TabIndent, Tabwidth: 8}
	if err := config.Fprint(&out, token.NewFileSet(), node); err != nil {
		return fmt.Sprintf("%T: %v", node, err)
	}
	return strings.ReplaceAll(out.String(), filtered, "// contains filtered or unexported ")
}

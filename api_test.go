package identity_test

import (
	"bytes"
	"flag"
	"fmt"
	"go/ast"
	"go/doc"
	"go/parser"
	"go/printer"
	"go/token"
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
		if err := os.WriteFile(apiFile, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}

	want := strings.ReplaceAll(readFile(t, apiFile), "\r\n", "\n")
	if diff := cmp.Diff(strings.Split(want, "\n"), strings.Split(got.String(), "\n")); diff != "" {
		t.Errorf("the exported API differs from %s; if the change is meant, run `make api` (go test "+
			"-run '^TestAPI$' . -update), commit %[1]s and say so in CHANGELOG.md\n"+
			"(-%[1]s +source):\n%s", apiFile, diff)
	}
}

// TestPackageAPI: what is exported is shown, without comments, bodies, tests and generators.
func TestPackageAPI(t *testing.T) {
	t.Parallel()
	got, err := packageAPI("testdata/api", "example.com/p")
	if err != nil {
		t.Fatal(err)
	}
	want := readFile(t, "testdata/api/want.txt")
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

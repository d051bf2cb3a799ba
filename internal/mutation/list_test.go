package main

import (
	"errors"
	"go/ast"
	"go/build"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestList finds mutations that can't be tested any more: the code that they edit is no longer
// there, what they make of it doesn't compile, or a test that ought to notice has another name.
func TestList(t *testing.T) {
	t.Parallel()
	root, err := rootDir()
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	packages := map[string]*checker{}
	exports := exported(t, root)
	for _, a := range areas {
		for _, m := range a.mutations {
			for other := range names {
				if strings.Contains(m.name, other) || strings.Contains(other, m.name) {
					t.Errorf("%q and %q: -only can't tell them apart", m.name, other)
				}
			}
			names[m.name] = true
			for _, text := range []string{m.name, m.harm} {
				if text == "" || strings.ContainsAny(text, "|\n`") {
					t.Errorf("%q: %q can't be a cell of a table", m.name, text)
				}
			}
			for _, dir := range testedIn(m.dir()) {
				if packages[dir] == nil {
					packages[dir] = newChecker(t, root, dir, exports)
				}
			}
			c := packages[m.dir()]
			text, err := m.apply(root)
			if err != nil {
				t.Error(err)
				continue
			}
			if m.old == m.new {
				t.Errorf("%q changes nothing", m.name)
			}
			if err := c.check(m.file, text); err != nil {
				t.Errorf("%q does not compile: %v", m.name, err)
			}
			for name := range strings.SplitSeq(m.tests, "|") {
				if !c.tests[name] && !packages["."].tests[name] {
					t.Errorf("%q: there is no test %q in %s, nor in the root", m.name, name, m.dir())
				}
			}
		}
	}
}

// checker looks for errors in one file of a package, given the declarations of the others.
type checker struct {
	fset     *token.FileSet
	importer types.Importer
	others   map[string]*ast.File // by name in the repository, without functions' bodies
	tests    map[string]bool
}

// exported are the files with what each package exports, and each one that these need. One go list
// for all is as quick as one for any of them.
func exported(t *testing.T, root string) map[string]string {
	t.Helper()
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("the go command isn't on PATH")
	}
	list := exec.CommandContext(t.Context(), "go", "list", "-export", "-deps", "-f",
		"{{.ImportPath}} {{.Export}}", "./...")
	list.Dir = root
	var stderr strings.Builder
	list.Stderr = &stderr
	out, err := list.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	exports := map[string]string{}
	for line := range strings.Lines(string(out)) {
		if path, file, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
			exports[path] = file
		}
	}
	return exports
}

func newChecker(t *testing.T, root, dir string, exports map[string]string) *checker {
	t.Helper()
	c := &checker{fset: token.NewFileSet(), others: map[string]*ast.File{}, tests: map[string]bool{}}
	c.importer = importer.ForCompiler(c.fset, "gc", func(path string) (io.ReadCloser, error) {
		if exports[path] == "" {
			return nil, errors.New("not imported by any package as it is")
		}
		return os.Open(exports[path])
	})
	paths, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(dir), "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		parsed, err := parser.ParseFile(c.fset, path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		isTest := strings.HasSuffix(path, "_test.go")
		for _, d := range parsed.Decls {
			if f, ok := d.(*ast.FuncDecl); ok {
				c.tests[f.Name.Name] = c.tests[f.Name.Name] || isTest && f.Recv == nil
				if f.Name.Name != "init" {
					f.Body = nil
				}
			}
		}
		if match, err := build.Default.MatchFile(filepath.Split(path)); err == nil && match && !isTest {
			relative, err := filepath.Rel(root, path)
			if err != nil {
				t.Fatal(err)
			}
			c.others[filepath.ToSlash(relative)] = parsed
		}
	}
	return c
}

func (c *checker) check(name, text string) error {
	mutant, err := parser.ParseFile(c.fset, name, text, parser.SkipObjectResolution)
	if err != nil || c.others[name] == nil { // not built for this system
		return err
	}
	files := []*ast.File{mutant}
	for other, parsed := range c.others {
		if other != name {
			files = append(files, parsed)
		}
	}
	var first error
	config := types.Config{Importer: c.importer, Error: func(err error) {
		// What the others import for their bodies is unused here.
		if e, ok := errors.AsType[types.Error](err); ok && c.fset.Position(e.Pos).Filename == name &&
			first == nil {
			first = err
		}
	}}
	_, _ = config.Check("mutant", c.fset, files, nil)
	return first
}

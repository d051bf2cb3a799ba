package identity_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// folders are those of this module that hold a package, "." first, with forward slashes. Commands,
// packages of tests only and modules below this one are left out.
func folders(t *testing.T) []string {
	t.Helper()
	names := map[string]string{} // of packages by their folders
	for _, file := range sources(t) {
		folder := filepath.ToSlash(filepath.Dir(file))
		if strings.HasSuffix(file, "_test.go") || names[folder] != "" {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.PackageClauseOnly)
		if err != nil {
			t.Fatal(err)
		}
		names[folder] = parsed.Name.Name
	}
	var list []string
	for folder, name := range names {
		if name != "main" {
			list = append(list, folder)
		}
	}
	slices.Sort(list)
	if len(list) < 3 || list[0] != "." || !slices.Contains(list, "internal/seam") {
		t.Fatalf("the module's packages are in %v, which can't be", list)
	}
	return list
}

// engine are the folders whose packages are linked into a user's program: all but the fakes'.
func engine(t *testing.T) []string {
	t.Helper()
	return slices.DeleteFunc(folders(t), func(folder string) bool {
		return folder == "identitytest" || folder == "internal/record" // that one is the fakes' alone
	})
}

// sources are this module's Go files, with forward slashes: tests and commands, too.
func sources(t *testing.T) []string {
	t.Helper()
	var list []string
	walk(t, ".", func(name string) {
		if filepath.Ext(name) == ".go" {
			list = append(list, filepath.ToSlash(name))
		}
	}, func(folder string) bool {
		_, err := os.Stat(filepath.Join(folder, "go.mod"))
		return filepath.Base(folder) == "testdata" || folder != "." && err == nil
	})
	return list
}

// fileSet has the positions of all files that parsed has read.
var fileSet = token.NewFileSet()

// parsed are the non-test Go files of the packages in some folders, by their names with forward
// slashes, whatever system each is built for.
func parsed(t *testing.T, folders ...string) map[string]*ast.File {
	t.Helper()
	files := map[string]*ast.File{}
	for _, folder := range folders {
		names, err := filepath.Glob(filepath.Join(folder, "*.go"))
		for _, name := range names {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			file, err := parser.ParseFile(fileSet, name, nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			files[filepath.ToSlash(name)] = file
		}
		if err != nil || len(names) == 0 {
			t.Fatalf("%s has no Go files: %v", folder, err)
		}
	}
	return files
}

// importsOf are the paths that a file imports.
func importsOf(file *ast.File) (paths []string) {
	for _, spec := range file.Imports {
		paths = append(paths, strings.Trim(spec.Path.Value, "\""))
	}
	return paths
}

// usesOf are the names of a package that a file uses, in their order.
func usesOf(file *ast.File, packageName string) (names []string) {
	ast.Inspect(file, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok {
			if of, ok := s.X.(*ast.Ident); ok && of.Name == packageName {
				names = append(names, s.Sel.Name)
			}
		}
		return true
	})
	return names
}

// walk calls visit with each file below dir. It passes over git's own, and over the folders that
// one of skip finds.
func walk(t *testing.T, dir string, visit func(name string), skip ...func(folder string) bool) {
	t.Helper()
	err := filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.Name() == ".git":
			if entry.IsDir() {
				return filepath.SkipDir
			}
			return nil
		case entry.IsDir():
			for _, skips := range skip {
				if skips(name) {
					return filepath.SkipDir
				}
			}
		case entry.Type().IsRegular():
			visit(name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

package identity_test

import (
	"bytes"
	"go/ast"
	"go/doc"
	"go/format"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestExamplesAreWhole: pkg.go.dev shows each Example as a program, with every declaration that it
// uses. An Example's helpers stand in its own file, or else readers see calls of what they can't
// see.
func TestExamplesAreWhole(t *testing.T) {
	t.Parallel()
	const most = 90 // lines: in a longer one a reader has to look for the point
	byFolder := map[string][]string{}
	walk(t, ".", func(name string) {
		first, _, _ := strings.Cut(filepath.ToSlash(name), "/")
		if strings.HasSuffix(name, "_test.go") && first != "examples" && first != "internal" {
			byFolder[filepath.Dir(name)] = append(byFolder[filepath.Dir(name)], name)
		}
	}, isForeign)
	found := 0
	for folder, names := range byFolder {
		sources := map[string]string{}
		for _, name := range names {
			sources[name] = readFile(t, name)
		}
		for _, e := range examplesOf(t, sources) {
			found++
			program, missing := shown(t, e)
			if program == "" || len(missing) > 0 {
				t.Errorf("%s: Example%s isn't shown as a program: move what it uses into its file, name "+
					"imports whose name is not the path's last element; not shown: %q", folder, e.Name,
					missing)
			}
			if n := strings.Count(program, "\n"); n > most {
				t.Errorf("%s: Example%s is shown as %d lines, want %d at most", folder, e.Name, n, most)
			}
		}
	}
	if found < 60 {
		t.Errorf("found %d Examples, there are more", found)
	}
}

// TestShown: what would be missing on pkg.go.dev is found.
func TestShown(t *testing.T) {
	t.Parallel()
	const head = "package p_test\nimport \"fmt\"\n"
	for _, tt := range []struct {
		name    string
		sources map[string]string
		whole   bool
	}{
		{"by itself", map[string]string{"a": head + "func Example() { fmt.Println() }\nvar x = 1"}, true},
		{"a helper beside one Example", map[string]string{
			"a": head + "func Example() { help() }\nfunc help() { fmt.Println() }"}, true},
		{"a helper beside two", map[string]string{
			"a": head + "func Example() { help() }\nfunc Example_b() { help() }\n" +
				"func help() { fmt.Println() }"}, true},
		{"a helper in another file", map[string]string{
			"a": head + "func Example() { help() }", "b": head + "func help() { fmt.Println() }"}, false},
		{"a helper's helper in another file", map[string]string{
			"a": head + "func Example() { help() }\nfunc help() { more() }",
			"b": head + "func more() { fmt.Println() }"}, false},
		{"an import of another name", map[string]string{
			"a": "package p_test\nimport \"example.com/q\"\nfunc Example() { p.F() }"}, false},
		{"an import that says its name", map[string]string{
			"a": "package p_test\nimport p \"example.com/q\"\nfunc Example() { p.F() }"}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, e := range examplesOf(t, tt.sources) {
				program, missing := shown(t, e)
				if got := program != "" && len(missing) == 0; got != tt.whole {
					t.Errorf("got whole %v, want %v: missing %q in\n%s", got, tt.whole, missing, program)
				}
			}
		})
	}
}

func examplesOf(t *testing.T, sources map[string]string) []*doc.Example {
	t.Helper()
	var files []*ast.File
	for name, source := range sources {
		file, err := parser.ParseFile(exampleFiles, name, source, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	return doc.Examples(files...)
}

var exampleFiles = token.NewFileSet()

// shown is an Example's program as pkg.go.dev shows it, "" if it shows a fragment, and the names in
// it that are neither declared nor imported there.
func shown(t *testing.T, e *doc.Example) (program string, missing []string) {
	t.Helper()
	if e.Play == nil {
		return "", nil
	}
	var out bytes.Buffer
	if err := format.Node(&out, exampleFiles, e.Play); err != nil {
		t.Fatal(err)
	}
	file, err := parser.ParseFile(token.NewFileSet(), e.Name, out.Bytes(), 0)
	if err != nil {
		t.Fatal(err)
	}
	known := types.Universe.Names()
	for _, imported := range file.Imports {
		name, err := strconv.Unquote(imported.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		if imported.Name != nil {
			name = imported.Name.Name
		}
		base := path.Base(name)
		if strings.TrimLeft(base, "v0123456789") == "" { // a major version
			base = path.Base(path.Dir(name))
		}
		base, _, _ = strings.Cut(strings.TrimPrefix(base, "go-"), "-")
		known = append(known, base)
	}
	for _, id := range file.Unresolved {
		if !slices.Contains(known, id.Name) {
			missing = append(missing, id.Name)
		}
	}
	return out.String(), missing
}

// printed is what f writes to os.Stdout and os.Stderr: a few lines, which a pipe holds.
func printed(t *testing.T, f func()) (stdout string) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	out, errors := os.Stdout, os.Stderr
	os.Stdout, os.Stderr = w, w
	func() {
		defer func() {
			os.Stdout, os.Stderr = out, errors
			w.Close()
		}()
		f()
	}()
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

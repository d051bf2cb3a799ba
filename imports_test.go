package identity_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"
)

// TestImports keeps packages of the standard library out, or in the files that have a reason. A package that is in nobody's
// way (fmt, strings) isn't listed.
func TestImports(t *testing.T) {
	t.Parallel()

	t.Run("restricted", func(t *testing.T) {
		t.Parallel()
		in := func(files ...string) []string { return files }
		restricted := []struct {
			paths []string
			files []string // that may, nil for none
			why   string
		}{
			{in("unsafe", "C", "plugin"), nil, "memory safety is most of what there is to trust here, and a user builds with CGO_ENABLED=0"},
			{in("syscall"), in("internal/command/process_unix.go", "internal/command/process_windows.go",
				"internal/chassis/tag_windows.go", "identitytest/errno.go", "identitytest/errno_plan9.go"),
				"a system's own calls stand in a file of that system; errno.go only has the error of a reset connection"},
			{in("os/exec"), in("internal/command/command.go", "internal/command/process_other.go",
				"internal/command/process_unix.go", "internal/command/process_windows.go"),
				"a program is run for az and azd only, in the one way that is safe"},
			{in("os/user", "os/signal", "flag"), nil, "users, signals and flags are the program's business, not a library's"},
			{in("crypto/sha1", "crypto/fips140"), in("internal/transport/pin.go", "identitytest/certificate.go", "identitytest/fips.go"),
				"SHA-1 is for the thumbprint that Service Fabric names, and FIPS mode is excepted for nothing else"},
			{in("crypto/md5", "crypto/rc4", "crypto/des", "crypto/dsa"), nil, "they are broken, and refused in FIPS mode"},
			{in("math/rand"), nil, "math/rand/v2 can't be seeded by others, and is faster"},
			{in("math/rand/v2"), in("internal/retry/jitter.go", "internal/tokencache/renewal.go", "identitytest/random.go"), "it is for waits; nothing here needs a random secret"},
			{in("log"), in("identitytest/client.go"), "what is to be said goes to the user's *slog.Logger"},
			{in("encoding/gob", "encoding/xml", "net/rpc", "text/template", "html/template"), nil,
				"no host speaks them; they parse or call by reflection, and templates keep the linker from dropping methods"},
			{in("expvar", "net/http/pprof", "runtime/debug", "runtime/pprof", "runtime/trace", "runtime/metrics"), nil,
				"they show or change the whole process, which isn't ours"},
			{in("reflect"), in("chain.go", "internal/usercode/context.go", "internal/usercode/sharederror.go", "internal/usercode/tracing.go"), "a nil pointer in an interface, the type of a context's key, and a TracingProvider that is none need it; tokens don't"},
			{in("testing"), in("identitytest/server.go"), "it is for tests"},
		}
		files := imports(t, folders(t)...)
		for _, file := range slices.Sorted(maps.Keys(files)) {
			for _, imported := range files[file] {
				for _, r := range restricted {
					if slices.Contains(r.paths, imported) && !slices.Contains(r.files, file) {
						t.Errorf("%s imports %s, which only %v may: %s", file, imported, r.files, r.why)
					}
				}
			}
		}
		// A permission that nobody uses would be there for the next mistake.
		for _, r := range restricted {
			for _, file := range r.files {
				if !slices.ContainsFunc(r.paths, func(p string) bool { return slices.Contains(files[file], p) }) {
					t.Errorf("%s may import %v, and doesn't: take it out of this test", file, r.paths)
				}
			}
		}
	})
	t.Run("init", testNoInit)
	t.Run("exceptions from FIPS mode", testExceptionsFromFIPS)
}

// testNoInit: a program that never asks for a token pays nothing for the import, and gets no surprise
// from it.
func testNoInit(t *testing.T) {
	t.Parallel()
	allowed := map[string]string{
		"identitytest/fips.go": "must run before a test's bubble",
	}
	for name := range imports(t, folders(t)...) {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, declaration := range file.Decls {
			f, ok := declaration.(*ast.FuncDecl)
			if ok && f.Recv == nil && f.Name.Name == "init" && allowed[name] == "" {
				t.Errorf("%s has an init function: set a variable where it is declared, or on first use", name)
			}
		}
	}
}

// testExceptionsFromFIPS allows one for each of the two that need it, around one call.
func testExceptionsFromFIPS(t *testing.T) {
	t.Parallel()
	found := 0
	for name, imported := range imports(t, folders(t)...) {
		if !slices.Contains(imported, "crypto/sha1") {
			continue
		}
		found++
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		var calls []string
		ast.Inspect(file, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok {
				if selector, ok := call.Fun.(*ast.SelectorExpr); ok {
					if of, ok := selector.X.(*ast.Ident); ok && (of.Name == "fips140" || of.Name == "sha1") {
						calls = append(calls, path.Join(of.Name, selector.Sel.Name))
					}
				}
			}
			return true
		})
		if got, want := strings.Join(calls, " "), "fips140/WithoutEnforcement sha1/Sum"; got != want {
			t.Errorf("%s calls %s, want %s", name, got, want)
		}
	}
	if found != 2 {
		t.Errorf("%d files import crypto/sha1, want the pin and the fake of it", found)
	}
}

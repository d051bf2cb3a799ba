package identity_test

import (
	"go/ast"
	"maps"
	"slices"
	"testing"
)

// restricted are packages of the standard library, the files that may import them, and why no other
// may. A package that is in nobody's way (fmt, strings) isn't listed.
var restricted = []struct {
	paths, files []string
	why          string
}{
	{paths: []string{"unsafe", "C", "plugin"},
		why: "memory safety is most of what there is to trust here, and a user builds without cgo"},
	{paths: []string{"syscall"}, files: []string{
		"internal/command/process_unix.go", "internal/command/process_windows.go",
		"internal/chassis/tag_windows.go", "identitytest/errno.go", "identitytest/errno_plan9.go",
		"internal/record/fault.go",
	}, why: "a system's own calls stand in a file of that system; errno.go and fault.go only " +
		"have the errors of connections"},
	{paths: []string{"os/exec"}, files: []string{
		"internal/command/command.go", "internal/command/process_other.go",
		"internal/command/process_unix.go", "internal/command/process_windows.go",
	}, why: "a program is run for az and azd only, in the one way that is safe"},
	{paths: []string{"os/user", "os/signal", "flag"},
		why: "users, signals and flags are the program's business, not a library's"},
	{paths: []string{"crypto/sha1", "crypto/fips140"}, files: []string{
		"internal/transport/pin.go", "identitytest/certificate.go", "identitytest/fips.go",
	}, why: "SHA-1 is for the thumbprint that Service Fabric names, and FIPS mode is excepted for " +
		"nothing else"},
	{paths: []string{"crypto/md5", "crypto/rc4", "crypto/des", "crypto/dsa"},
		why: "they are broken, and refused in FIPS mode"},
	{paths: []string{"math/rand"}, why: "math/rand/v2 can't be seeded by others, and is faster"},
	{paths: []string{"math/rand/v2"}, files: []string{
		"internal/retry/jitter.go", "internal/tokencache/renewal.go", "identitytest/random.go",
	}, why: "it is for waits; nothing here needs a random secret"},
	{paths: []string{"log"}, files: []string{"identitytest/client.go"},
		why: "what is to be said goes to the user's *slog.Logger"},
	{paths: []string{"encoding/gob", "encoding/xml", "net/rpc", "text/template", "html/template"},
		why: "no host speaks them; they parse or call by reflection, and templates keep the linker " +
			"from dropping methods"},
	{paths: []string{"expvar", "net/http/pprof", "runtime/debug", "runtime/pprof", "runtime/trace",
		"runtime/metrics"}, why: "they show or change the whole process, which isn't ours"},
	{paths: []string{"reflect"}, files: []string{
		"chain.go", "internal/usercode/context.go", "internal/usercode/sharederror.go",
		"internal/usercode/tracing.go",
	}, why: "a nil pointer in an interface, the type of a context's key, and a TracingProvider that " +
		"is none need it; tokens don't"},
	{paths: []string{"testing"}, files: []string{"identitytest/server.go", "identitytest/replay.go"},
		why: "it is for tests"},
}

// TestImports keeps packages of the standard library out, or in the files that have a reason.
func TestImports(t *testing.T) {
	t.Parallel()
	files := parsed(t, folders(t)...)
	imports := func(name string, paths []string) bool {
		return slices.ContainsFunc(importsOf(files[name]),
			func(p string) bool { return slices.Contains(paths, p) })
	}
	for _, r := range restricted {
		for _, name := range slices.Sorted(maps.Keys(files)) {
			if imports(name, r.paths) && !slices.Contains(r.files, name) {
				t.Errorf("%s imports one of %v, which only %v may: %s", name, r.paths, r.files, r.why)
			}
		}
		// A permission that nobody uses would be there for the next mistake.
		for _, name := range r.files {
			if files[name] == nil || !imports(name, r.paths) {
				t.Errorf("%s may import %v, and doesn't: take it out of this test", name, r.paths)
			}
		}
	}
	// A program that never asks for a token pays nothing for the import, and gets no surprise from it.
	for name, file := range files {
		for _, declaration := range file.Decls {
			f, ok := declaration.(*ast.FuncDecl)
			if ok && f.Recv == nil && f.Name.Name == "init" && // that one must run before a bubble
				name != "identitytest/fips.go" {
				t.Errorf("%s has an init function: set a variable where it is declared, or on first use",
					name)
			}
		}
	}
	// Each of the two that need SHA-1 has one exception from FIPS mode, around one call.
	needing := 0
	for name, file := range files {
		if !imports(name, []string{"crypto/sha1"}) {
			continue
		}
		needing++
		calls := slices.DeleteFunc(append(usesOf(file, "fips140"), usesOf(file, "sha1")...),
			func(name string) bool { return name == "Size" })
		if !slices.Equal(calls, []string{"WithoutEnforcement", "Sum"}) {
			t.Errorf("%s calls %v, want one exception around one sum", name, calls)
		}
	}
	if needing != 2 {
		t.Errorf("%d files import crypto/sha1, want the pin and the fake of it", needing)
	}
}

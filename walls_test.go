package identity_test

import (
	"errors"
	"go/ast"
	"go/build"
	"go/importer"
	"go/types"
	"io"
	"maps"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// wall is what a package of the engine may not know.
type wall struct {
	ours   []string // the packages below internal/ that it may import
	others []string // the packages of others that it may import; /... is all of a module
	not    []string // the packages of the standard library that it may not import
	std    []string // if there are any, the only ones of the standard library that it may import
}

const azcoreModule = "github.com/Azure/azure-sdk-for-go/sdk/azcore"

var (
	network = []string{
		"net", "net/http", "net/http/httptrace", "net/url", "crypto/tls", "crypto/x509",
	}
	machine = []string{"os", "os/exec", "syscall", "io/fs", "path/filepath"}
	logging = []string{"log", "log/slog"}
)

// walls has each package that is linked into a user's program, the root aside.
var walls = map[string]wall{
	"internal/redact": {not: slices.Concat([]string{"net", "crypto/tls"}, machine, logging)},
	// Anybody may import it.
	"internal/lazy":    {std: []string{"regexp", "sync"}},
	"internal/chassis": {not: slices.Concat(network, logging, []string{"os/exec"})},
	"internal/command": {
		not: slices.Concat(network, logging),
	},
	"internal/devtool": {
		ours: []string{"acquire", "check", "command", "failure", "redact", "token"},
		not:  slices.Concat(network, machine, logging),
	},
	"internal/token": {ours: []string{"redact"}, not: slices.Concat(network, machine, logging)},
	// It is pure: a status, a header and the time of day in, a wait or a stop out. Of azcore it has
	// the options of a user, and the context ends the loop.
	"internal/retry": {
		others: []string{"github.com/cenkalti/backoff/v4", azcoreModule + "/policy"},
		std: []string{
			"cmp", "context", "errors", "fmt", "math", "math/rand/v2", "net/http", "slices",
			"strconv", "strings", "time",
		},
	},
	// What it keeps comes from anywhere: it knows no HTTP, and writes no log.
	"internal/tokencache": {
		others: []string{azcoreModule, "github.com/patrickmn/go-cache"},
		not:    slices.Concat(network, machine, logging, []string{"encoding/json"}),
	},
	"internal/variants": {
		ours: []string{"tokencache"}, not: slices.Concat(network, machine, logging),
	},
	"internal/failure": {
		ours: []string{"redact", "token", "usercode"}, not: slices.Concat(machine, logging),
	},
	"internal/wording": {
		ours: []string{"redact", "tokencache"}, others: []string{azcoreModule},
		not: slices.Concat(network, machine),
	},
	// A chain knows the credentials that it is made of as azcore does, and their errors. Of failure
	// it has what takes the times out of a text.
	"internal/chain": {
		ours:   []string{"failure", "redact", "usercode"},
		others: []string{azcoreModule, azcoreModule + "/policy"},
		not:    slices.Concat(network, machine, []string{"encoding/json"}),
	},
	// What it shields is the user's: contexts, errors, log handlers and tracers.
	"internal/usercode": {
		others: []string{azcoreModule + "/tracing"},
		not:    slices.Concat(machine, []string{"net/http", "net/url", "crypto/tls"}),
	},
	"internal/transport": {
		ours: []string{"redact", "seam", "usercode"}, others: []string{azcoreModule + "/..."},
		not: slices.Concat([]string{"os/exec"}, logging),
	},
	"internal/acquire": {
		ours: []string{
			"redact", "command", "token", "retry", "failure", "transport", "usercode",
		},
		others: []string{azcoreModule + "/..."},
		not:    machine,
	},
	"internal/arckey": {
		ours: []string{"check", "failure", "redact"},
		not:  slices.Concat(logging, []string{"net", "os/exec"}),
	},
	"internal/assertion": {
		ours: []string{
			"check", "failure", "redact", "retry", "seam", "smallfile", "token", "transport", "usercode",
		},
		others: []string{azcoreModule + "/..."},
		not:    slices.Concat(logging, []string{"os/exec"}),
	},
	"internal/bearer": {
		ours: []string{"redact"}, not: slices.Concat(machine, logging, []string{"net", "crypto/tls"}),
	},
	"internal/stream": {
		others: []string{azcoreModule}, not: slices.Concat(network, machine, logging),
	},
	"internal/smallfile": {not: slices.Concat(network, logging, []string{"os/exec"})},
	"internal/entra": {
		ours: []string{"check", "redact", "token"},
		not:  slices.Concat(machine, logging, []string{"net", "net/http", "crypto/tls", "context"}),
	},
	"internal/exchange": {
		ours: []string{"acquire", "assertion", "binding", "check", "detect", "entra", "failure",
			"principal", "redact", "retry", "seam", "token", "transport"},
		others: []string{azcoreModule + "/..."},
		not:    slices.Concat(machine, logging, []string{"net", "crypto/tls"}),
	},
	"internal/binding": {
		ours: []string{"check", "detect", "failure", "redact", "smallfile", "transport"},
		not:  slices.Concat(machine, logging, []string{"encoding/json"}),
	},
	"internal/check": {
		ours: []string{"redact"},
		not:  slices.Concat([]string{"net", "net/http", "crypto/tls"}, machine, logging),
	},
	"internal/detect": {
		ours: []string{"chassis", "check", "redact"},
		not:  slices.Concat([]string{"net", "net/http", "crypto/tls"}, machine, logging),
	},
	"internal/principal": {
		ours: []string{"check", "redact", "token"}, not: slices.Concat(network, machine, logging),
	},
	"internal/seam": {not: slices.Concat(machine, logging)},
}

// rootWalls are those between files of the root, by patterns of their names.
var rootWalls = []struct {
	files []string
	wall
}{
	// A host says how it is asked. What becomes of its tokens is none of its business.
	{[]string{
		"appservice.go", "arc.go", "azureml.go", "cloudshell.go", "containerinstances.go",
		"federatedhost.go", "imds.go", "servicefabric.go", "workload.go", "variablehost.go",
	}, wall{
		ours: []string{"acquire", "arckey", "assertion", "binding", "check", "detect", "exchange",
			"failure", "principal", "redact", "retry", "seam", "token", "transport"},
		others: []string{azcoreModule + "/..."},
		not:    slices.Concat([]string{"os/exec"}, logging),
	}},
}

// TestWalls keeps the packages apart, and the files of each from growing into each other.
func TestWalls(t *testing.T) {
	t.Parallel()
	t.Run("imports", testWallsOfImports)
	t.Run("files", testShapes)
}

func testWallsOfImports(t *testing.T) {
	t.Parallel()
	files, used := parsed(t, engine(t)...), map[string]bool{}
	for file := range files {
		folder := path.Dir(file)
		if w, ok := walls[folder]; ok {
			w.check(t, file, importsOf(files[file]))
		} else if folder != "." {
			t.Errorf("%s: nothing says what %s may import: say it in walls", file, folder)
		}
		for _, w := range rootWalls {
			for _, pattern := range w.files {
				if ok, _ := path.Match(pattern, file); ok {
					used[pattern] = true
					w.check(t, file, importsOf(files[file]))
				}
			}
		}
	}
	for _, w := range rootWalls {
		for _, pattern := range w.files {
			if !used[pattern] {
				t.Errorf("no file is %s: take it out of rootWalls", pattern)
			}
		}
	}
}

func testShapes(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("the limits are those of the files for Linux")
	}
	exports := exportData(t)
	for _, folder := range append(folders(t), "internal/mutation") {
		limit, ok := limits[folder]
		if !ok {
			limit = shape{files: 15, lines: 1500, mutual: 2, circle: 3}
		}
		got, circle := measure(t, folder, exports)
		t.Logf("%s: %+v %v", folder, got, circle)
		if got.files > limit.files || got.lines > limit.lines || got.mutual > limit.mutual ||
			got.circle > limit.circle {
			t.Errorf("%s has %+v, want %+v at most: move what two files need of each other "+
				"into one, or a part of it into a package of its own; the circle is of %v",
				folder, got, limit, circle)
		}
	}
}

func (w wall) check(t *testing.T, file string, imported []string) {
	t.Helper()
	for _, p := range imported {
		mine, isOurs := strings.CutPrefix(p, modulePath+"/internal/")
		first, _, _ := strings.Cut(p, "/")
		allowed := true
		switch {
		case isOurs:
			allowed = mine == "lazy" || slices.Contains(w.ours, mine)
		case strings.Contains(first, "."): // a domain
			allowed = slices.ContainsFunc(w.others, func(other string) bool {
				module, all := strings.CutSuffix(other, "/...")
				return p == module || all && strings.HasPrefix(p, module+"/")
			})
		case w.std != nil:
			allowed = slices.Contains(w.std, p)
		default:
			allowed = !slices.Contains(w.not, p)
		}
		if !allowed {
			t.Errorf("%s imports %s, which is on the other side of a wall: see walls", file, p)
		}
	}
}

// shape is how a package's files hang together: an arrow is a file that uses another one's names.
type shape struct {
	files  int
	lines  int
	mutual int // pairs of files that use each other
	circle int // the largest set of files each of which needs all others in the end
}

// limits of the packages that have their own. They are to shrink: the root's to 35 files and 4,500
// lines.
var limits = map[string]shape{
	".":                 {files: 35, lines: 4500, mutual: 0, circle: 0},
	"identitytest":      {files: 40, lines: 4540, mutual: 3, circle: 3},
	"internal/mutation": {files: 27, lines: 4500, mutual: 1, circle: 2}, // most of it is the list
}

// exportData are the files by which the compiler knows each package that ours import.
func exportData(t *testing.T) map[string]string {
	t.Helper()
	files := map[string]string{}
	listed := goTool(t, "list", "-export", "-deps", "-f", "{{.ImportPath}} {{.Export}}", "./...")
	for line := range strings.Lines(listed) {
		if p, file, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
			files[p] = file
		}
	}
	return files
}

// measure finds a package's shape by its types, with the files of the largest circle. It looks at
// what is built for this system, tests aside.
func measure(t *testing.T, folder string, exports map[string]string) (shape, []string) {
	t.Helper()
	var files []*ast.File
	var s shape
	for name, file := range parsed(t, folder) {
		if match, err := build.Default.MatchFile(filepath.Split(name)); err == nil && match {
			files = append(files, file)
			s.lines += fileSet.File(file.Pos()).LineCount()
		}
	}
	s.files = len(files)
	open := func(p string) (io.ReadCloser, error) {
		if exports[p] == "" {
			return nil, errors.New("go list has not named it")
		}
		return os.Open(exports[p])
	}
	config := types.Config{Importer: importer.ForCompiler(fileSet, "gc", open)}
	info := types.Info{Uses: map[*ast.Ident]types.Object{}}
	checked, err := config.Check(path.Join(modulePath, folder), fileSet, files, &info)
	if err != nil {
		t.Fatal(err)
	}
	uses := map[string]map[string]bool{}
	for id, o := range info.Uses {
		from := filepath.Base(fileSet.Position(id.Pos()).Filename)
		if o.Pkg() != checked || !o.Pos().IsValid() || !isShared(o, checked.Scope()) {
			continue
		}
		if to := filepath.Base(fileSet.Position(o.Pos()).Filename); to != from {
			if uses[from] == nil {
				uses[from] = map[string]bool{}
			}
			uses[from][to] = true
		}
	}
	for from, all := range uses {
		for to := range all {
			if uses[to][from] && from < to {
				s.mutual++
			}
		}
	}
	circle := largestCircle(uses)
	s.circle = len(circle)
	return s, circle
}

// isShared reports whether an object is a package's name, a method or a field.
func isShared(o types.Object, scope *types.Scope) bool {
	switch o := o.(type) {
	case *types.Var:
		return o.IsField() || o.Parent() == scope
	case *types.Func, *types.TypeName, *types.Const:
		return o.Parent() == nil || o.Parent() == scope
	}
	return false
}

// largestCircle is the largest set of files that all reach each other. None is a set of one.
func largestCircle(uses map[string]map[string]bool) []string {
	reached := map[string]map[string]bool{}
	for from := range uses {
		reached[from] = map[string]bool{}
		for rest := []string{from}; len(rest) > 0; {
			next := rest[0]
			rest = rest[1:]
			for to := range uses[next] {
				if !reached[from][to] {
					reached[from][to] = true
					rest = append(rest, to)
				}
			}
		}
	}
	var best []string
	for _, from := range slices.Sorted(maps.Keys(reached)) {
		var circle []string
		for to := range reached[from] {
			if reached[to][from] {
				circle = append(circle, to)
			}
		}
		if len(circle) > len(best) {
			best = circle
		}
	}
	slices.Sort(best)
	return best
}

func TestLargestCircle(t *testing.T) {
	t.Parallel()
	uses := func(arrows ...string) map[string]map[string]bool {
		all := map[string]map[string]bool{}
		for _, a := range arrows {
			from, to, _ := strings.Cut(a, ">")
			if all[from] == nil {
				all[from] = map[string]bool{}
			}
			all[from][to] = true
		}
		return all
	}
	for _, tt := range []struct {
		arrows []string
		want   string
	}{
		{[]string{"a>b", "b>c", "a>c"}, ""},
		{[]string{"a>b", "b>a", "c>a"}, "a b"},
		{[]string{"a>b", "b>a", "b>c", "c>d", "d>e", "e>c"}, "c d e"},
		{[]string{"a>b", "b>c", "c>a", "c>d", "d>c"}, "a b c d"},
	} {
		if got := strings.Join(largestCircle(uses(tt.arrows...)), " "); got != tt.want {
			t.Errorf("%v: got %q, want %q", tt.arrows, got, tt.want)
		}
	}
}

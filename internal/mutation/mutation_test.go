package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// fixture is a laboratory for a module with one file and its tests.
func fixture(t *testing.T, code, tests string) *laboratory {
	t.Helper()
	return fixtureOf(t, map[string]string{"fixture.go": code, "fixture_test.go": tests})
}

// fixtureOf is a laboratory for a module with some files.
func fixtureOf(t *testing.T, files map[string]string) *laboratory {
	t.Helper()
	if testing.Short() {
		t.Skip("builds programs")
	}
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("the go command isn't on PATH")
	}
	l := &laboratory{root: t.TempDir(), scratch: t.TempDir()}
	files["go.mod"] = "module fixture\n\ngo 1.26\n"
	for name, text := range files {
		path := filepath.Join(l.root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return l
}

func TestExamine(t *testing.T) {
	t.Parallel()
	const code = `package fixture

func Add(a, b int) int { return a + b }

func Unseen() int { return 1 }

var factor = 2

func Double(a int) int { return factor * a }
`
	l := fixture(t, code, `package fixture

import "testing"

func TestOne(t *testing.T) {
	if Add(2, 2) != 4 || Double(1) != 2 {
		t.Error("2 + 2 or 2 * 1")
	}
}

func TestTwo(t *testing.T) {
	if Add(2, 3) != 5 {
		t.Error("2 + 3")
	}
}
`)
	of := func(name, old, new string) mutation {
		return mutation{name: name, file: "fixture.go", old: old, new: new, tests: "TestOne"}
	}
	tests := []struct {
		mutation
		want verdict
		by   string
	}{
		{of("noticed by who ought to", "a + b", "a - b"), caught, "TestOne"},
		{of("noticed by another only", "a + b", "a * b"), caught, "TestTwo"},
		{of("noticed by none", "return 1", "return 2"), survived, ""},
		{of("outside of a function", "factor = 2", "factor = 3"), caught, "TestOne"},
		{of("outside of a function, no Go", "factor = 2", "factor == 2"), notCompiled, ""},
		{of("a panic that is no test's", "return a + b", "go panic(a); select {}"), crashed, ""},
	}
	var all []mutation
	for _, tt := range tests {
		all = append(all, tt.mutation)
	}
	c, err := l.culture(t.Context(), ".", all)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.numbers) != 4 {
		t.Errorf("one binary has %v, want the 4 within functions", c.numbers)
	}
	for _, tt := range tests {
		got, err := c.examine(t.Context(), tt.mutation)
		if err != nil || got.verdict != tt.want || strings.Join(got.tests, " ") != tt.by {
			t.Errorf("%s: got %v by %q, %v, want %v by %q\n%s", tt.name, got.verdict, got.tests, err,
				tt.want, tt.by, got.output)
		}
	}
	if text, err := os.ReadFile(filepath.Join(l.root, "fixture.go")); err != nil ||
		string(text) != code {
		t.Errorf("the tree has changed: %v\n%s", err, text)
	}
}

// TestExamineInAnotherPackage: a mutant of a package below the root is looked for by that package's
// tests and by the root's. Two files have one name.
func TestExamineInAnotherPackage(t *testing.T) {
	t.Parallel()
	l := fixtureOf(t, map[string]string{
		"sum.go": "package fixture\n\nimport \"fixture/internal/sum\"\n\nfunc Twice(a int) int { " +
			"return sum.Of(a, a) }\n",
		"sum_test.go": `package fixture

import "testing"

func TestTwice(t *testing.T) {
	if Twice(3) != 6 {
		t.Error("2 * 3")
	}
}
`,
		"internal/sum/sum.go": `package sum

var zero = 0

func Of(a, b int) int {
	if a == b {
		return a + a
	}
	return a + b + zero
}

func Unseen() int { return 1 }
`,
		"internal/sum/sum_test.go": `package sum

import "testing"

func TestOf(t *testing.T) {
	if Of(2, 3) != 5 {
		t.Error("2 + 3")
	}
}
`,
		"internal/bare/bare.go": "package bare\n",
	})
	of := func(name, old, new, tests string) mutation {
		return mutation{name: name, file: "internal/sum/sum.go", old: old, new: new, tests: tests}
	}
	tests := []struct {
		mutation
		want verdict
		by   string
	}{
		{of("noticed in its package", "a + b", "a - b", "TestOf"), caught, "TestOf"},
		{of("noticed in the root", "a + a", "a - a", "TestTwice"), caught, "TestTwice"},
		{of("noticed by another in the root", "return a + a", "return a", "TestOf"), caught, "TestTwice"},
		{of("a variable", "zero = 0", "zero = 1", "TestTwice"), caught, "TestOf"},
		{of("noticed by none", "return 1", "return 2", "TestOf"), survived, ""},
	}
	var all []mutation
	for _, tt := range tests {
		all = append(all, tt.mutation)
	}
	c, err := l.culture(t.Context(), "internal/sum", all)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range tests {
		got, err := c.examine(t.Context(), tt.mutation)
		if err != nil || got.verdict != tt.want || strings.Join(got.tests, " ") != tt.by {
			t.Errorf("%s: got %v by %q, %v, want %v by %q\n%s", tt.name, got.verdict, got.tests, err,
				tt.want, tt.by, got.output)
		}
	}
	// A package without tests of its own has the root's.
	bare := mutation{name: "a mutant", file: "internal/bare/bare.go", old: "bare", new: "bare",
		tests: "TestTwice"}
	if c, err := l.culture(t.Context(), "internal/bare", []mutation{bare}); err != nil ||
		len(c.suites) != 1 || c.suites[0].dir != "." {
		t.Errorf("got %+v, %v, want the root's tests", c, err)
	}
}

// TestTestsThatFailAnyway: no mutant would be told from the rest.
func TestTestsThatFailAnyway(t *testing.T) {
	t.Parallel()
	l := fixture(t, "package fixture\n\nvar _ = 1\n",
		"package fixture\n\nimport \"testing\"\n\nfunc TestOne(t *testing.T) { t.Fail() }\n\nfunc "+
			"TestTwo(*testing.T) {}\n")
	m := mutation{file: "fixture.go", old: "= 1", new: "= 2", tests: "TestOne"}
	const want = "the tests of . fail without any mutation: caught by TestOne"
	if _, err := l.culture(t.Context(), ".", []mutation{m}); err == nil ||
		!strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
	m.tests = "TestTwo" // which notices nothing, so that all tests are run
	c, err := l.culture(t.Context(), ".", []mutation{m})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.examine(t.Context(), m); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestCombine(t *testing.T) {
	t.Parallel()
	const text = `package x

const limit = 5

// Get gets.
func (t *T) Get(ctx context.Context, _ int, more ...string) (n int, err error) {
	n, err = t.get(ctx, more)
	return n, err
}

func (T) note(string) { println(1) }
`
	const want = `package x

const limit = 5

// Get gets.
func (t *T) Get(ctx context.Context, _ int, more ...string) (n int, err error) {
	if mutantChosen == "1" {
		return t.mutant1Get(ctx, (*new(int)), more...)
	}

	if mutantChosen == "3" {
		return t.mutant3Get(ctx, (*new(int)), more...)
	}

	n, err = t.get(ctx, more)
	return n, err
}

func (T) note(string) {
	if mutantChosen == "4" {
		(*new(T)).mutant4note((*new(string)))
		return
	}
 println(1) }


func (t *T) mutant1Get(ctx context.Context, _ int, more ...string) (n int, err error) {
	n, err = t.get(nil, more)
	return n, err
}

func (t *T) mutant3Get(ctx context.Context, _ int, more ...string) (n int, err error) {
	n, err = t.get(ctx, more)
	return n, nil
}

func (T) mutant4note(string) {}
`
	got, rest, err := combine(text, []numbered{
		{mutation{old: "get(ctx", new: "get(nil"}, "1"},
		{mutation{old: "limit = 5", new: "limit = 6"}, "2"},
		{mutation{old: "return n, err", new: "return n, nil"}, "3"},
		{mutation{old: " println(1) ", new: ""}, "4"},
	})
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if len(rest) != 1 || rest[0].number != "2" {
		t.Errorf("the rest is %v, want the constant", rest)
	}
}

// TestIsolation runs this program as a laboratory does, and looks at the network from there.
func TestIsolation(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("only Linux has network namespaces")
	}
	l := fixture(t, "package fixture\n", `package fixture

import (
	"net"
	"testing"
)

func TestLoopbackOnly(t *testing.T) {
	devices, err := net.Interfaces()
	if err != nil || len(devices) != 1 || devices[0].Flags&(net.FlagUp|net.FlagLoopback) != net.FlagUp|net.FlagLoopback {
		t.Error(devices, err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	if _, err := net.Dial("tcp", listener.Addr().String()); err != nil {
		t.Error(err)
	}
}
`)
	l.isolate = true
	program := filepath.Join(t.TempDir(), "mutation")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-o", program,
		".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	l.self = program
	_, err := l.culture(t.Context(), ".",
		[]mutation{{file: "fixture.go", old: "fixture", new: "fixture", tests: "TestLoopbackOnly"}})
	switch {
	case err != nil && strings.Contains(err.Error(), "namespace"):
		t.Skipf("this machine makes no network namespaces: %v", err)
	case err != nil:
		t.Error(err)
	}
}

func TestStale(t *testing.T) {
	t.Parallel()
	l := fixture(t, "package fixture\n\n// twice twice\n", "package fixture\n")
	for _, tt := range []struct{ file, old, want string }{
		{"fixture.go", "never", `"a name" is stale: its old text is 0 times in fixture.go`},
		{"fixture.go", "twice", `"a name" is stale: its old text is 2 times in fixture.go`},
		{"gone.go", "twice", `"a name" is stale: open`},
	} {
		if _, err := l.culture(t.Context(), ".",
			[]mutation{{name: "a name", file: tt.file, old: tt.old}}); err == nil ||
			!strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s, %s: got %v, want %s", tt.file, tt.old, err, tt.want)
		}
	}
}

func TestJudge(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, out string
		passed    bool
		want      string
	}{
		{"passes", "PASS\n", true, "SURVIVED"},
		{"fails", "--- FAIL: TestA (0.00s)\n    --- FAIL: TestA/x (0.00s)\nFAIL\n", false,
			"caught by TestA"},
		{"two fail", "--- FAIL: TestA (0.00s)\n--- FAIL: TestB (0.00s)\nFAIL\n", false,
			"caught by TestA (and 1 other)"},
		{"more fail", "--- FAIL: TestA (0.0s)\n--- FAIL: TestB (0.0s)\n--- FAIL: ExampleC (0.0s)\n",
			false, "caught by TestA (and 2 others)"},
		{"hangs", "panic: test timed out after 1s\n\trunning tests:\n\t\tTestA (1s)\n", false, "HUNG"},
		{"one fails before one hangs", "--- FAIL: TestA (0.00s)\npanic: test timed out after 1s\n", false,
			"HUNG"},
		{"crashes", "panic: x\n\ngoroutine 1 [running]:\n", false, "CRASHED"},
	} {
		if got := judge(tt.out, tt.passed).String(); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, got, tt.want)
		}
	}
}

// TestReport compares docs/mutation.md with the list. What caught each is known only after a run.
func TestReport(t *testing.T) {
	t.Parallel()
	root, err := rootDir()
	if err != nil {
		t.Fatal(err)
	}
	have, err := os.ReadFile(filepath.Join(root, "docs", "mutation.md"))
	if err != nil {
		t.Fatal(err)
	}
	if want, err := report(resultsIn(string(have))); err != nil || want != string(have) {
		t.Errorf("docs/mutation.md is not of this list (%v): go -C internal/mutation run . -write, "+
			"with -only for what has changed", err)
	}
}

func TestArguments(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		args   []string
		status int
		want   string
	}{
		{[]string{"-list"}, 0, "renewals are not jittered"},
		{[]string{"-list", "-only", "^cache.go$"}, 0, "cache.go: "},
		{[]string{"-only", "("}, 2, "error parsing regexp"},
		{[]string{"-only", "no mutation has this name"}, 2, "-only: no mutation"},
		{[]string{"all"}, 2, `unexpected argument "all"`},
	} {
		var out strings.Builder
		if got := run(t.Context(), tt.args, &out, &out); got != tt.status ||
			!strings.Contains(out.String(), tt.want) {
			t.Errorf("%q: got status %d and %q, want %d and %q", tt.args, got, out.String(), tt.status,
				tt.want)
		}
	}
	if all, some := choose(regexp.MustCompile("")),
		choose(regexp.MustCompile("^cache.go$")); len(some) == 0 || len(some) >= len(all) {
		t.Errorf("-only chose %d of %d", len(some), len(all))
	}
}

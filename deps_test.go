package identity_test

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const modulePath = "github.com/keyless-go/identity"

// TestDependencies keeps what a user's build takes in small, and each dependency behind one file.
func TestDependencies(t *testing.T) {
	t.Parallel()
	t.Run("go.mod", testGoMod)
	t.Run("docs/dependencies.md", testDependenciesPage)
	t.Run("module graph", testModuleGraph)
	t.Run("linked", testLinked)
	t.Run("one file each", testOneFileEach)
	t.Run("identitytest", testFakesImportNothing)
	t.Run("mentions", testMentions)
}

func testGoMod(t *testing.T) {
	t.Parallel()
	var mod struct {
		Require []struct{ Path string }
		Replace []struct{ Old struct{ Path string } }
	}
	if err := json.Unmarshal([]byte(goTool(t, "mod", "edit", "-json", "go.mod")), &mod); err != nil {
		t.Fatalf("go mod edit -json: %v", err)
	}
	allowed := []string{
		"github.com/Azure/azure-sdk-for-go/sdk/azcore",
		"github.com/Azure/azure-sdk-for-go/sdk/internal", // of azcore
		"github.com/cenkalti/backoff/v4",
		"github.com/google/go-cmp", // tests only
		"github.com/patrickmn/go-cache",
		"golang.org/x/net",  // of azcore
		"golang.org/x/text", // of golang.org/x/net
	}
	for _, require := range mod.Require {
		if !slices.Contains(allowed, require.Path) {
			t.Errorf("go.mod requires %s: do without it, or move what needs it to a module of its "+
				"own below this one, as examples/ is; every user of this package would get it in "+
				"go.sum", require.Path)
		}
	}
	for _, replace := range mod.Replace {
		t.Errorf("go.mod replaces %s: a user's build ignores that, so what is tested here wouldn't "+
			"be what they get", replace.Old.Path)
	}
}

func testDependenciesPage(t *testing.T) {
	t.Parallel()
	documented := documentedModules(t)
	list := []string{"list", "-m", "-e", "-json"}
	for line := range strings.Lines(readFile(t, "go.sum")) {
		if f := strings.Fields(line); !strings.HasSuffix(f[1], "/go.mod") {
			list = append(list, f[0]+"@"+f[1])
		}
	}
	for _, m := range listModules(t, goTool(t, list...)) {
		compare(t, m, documented)
		if m.Dir == "" {
			continue // it isn't in the module cache: nothing has needed it yet
		}
		if got, want := licence(t, m.Dir), documented[m.Path].licence; got != want {
			t.Errorf("docs/dependencies.md has %s under %q, its LICENSE is %q", m.Path, want, got)
		}
	}
}

// testModuleGraph looks at the modules that aren't downloaded, too. This takes their go.mod files,
// which the module cache may not have.
func testModuleGraph(t *testing.T) {
	t.Parallel()
	out, err := exec.Command("go", "list", "-m", "-json", "all").Output()
	if err != nil {
		t.Skipf("go list -m all: %v", err)
	}
	documented := documentedModules(t)
	for _, m := range listModules(t, string(out)) {
		if m.Version != "" { // this module has none
			compare(t, m, documented)
			delete(documented, m.Path)
		}
	}
	for path := range documented {
		t.Errorf("docs/dependencies.md has %s, which is not in the build list: take it out", path)
	}
}

func testLinked(t *testing.T) {
	t.Parallel()
	forbidden := []string{
		"testing", "net/http/httptest", "github.com/google/go-cmp", modulePath + "/identitytest",
		// once they are linked they serve the process's inside on http.DefaultServeMux
		"expvar", "net/http/pprof",
		"plugin", // makes the linker keep everything
	}
	within := func(path, root string) bool { return path == root || strings.HasPrefix(path, root+"/") }
	listed := goTool(t, "list", "-deps", "-f", `{{.ImportPath}} {{join .Imports " "}}`, ".")
	importers := make(map[string][]string) // of a forbidden package
	for line := range strings.Lines(listed) {
		fields := strings.Fields(line)
		for _, imported := range fields[1:] {
			if slices.ContainsFunc(forbidden, func(root string) bool { return within(imported, root) }) {
				importers[imported] = append(importers[imported], fields[0])
			}
		}
	}
	for imported, by := range importers {
		t.Errorf("%s is linked into the package, imported by %s: move the import to a _test.go "+
			"file or to identitytest; it would be in every user's binary", imported,
			strings.Join(by, ", "))
	}
}

func testOneFileEach(t *testing.T) {
	t.Parallel()
	files := parsed(t, engine(t)...)
	for _, module := range []string{
		"github.com/patrickmn/go-cache", "github.com/cenkalti/backoff/v4",
	} {
		var by []string
		for file, parsed := range files {
			if slices.Contains(importsOf(parsed), module) {
				by = append(by, file)
			}
		}
		slices.Sort(by)
		if len(by) != 1 {
			t.Errorf("%s is imported by %d files %v, want 1: keep it behind the file that wraps it, "+
				"so that it can be replaced there; when nothing needs it any more, take it out of "+
				"go.mod and of this test", module, len(by), by)
		}
	}
}

func testFakesImportNothing(t *testing.T) {
	t.Parallel()
	for file, parsed := range parsed(t, "identitytest") {
		for _, path := range importsOf(parsed) {
			// The first element of a path outside the standard library is a domain.
			// The seam holds no value that a mistake could agree with itself in, and the format of
			// records knows no host.
			first, _, _ := strings.Cut(path, "/")
			if strings.Contains(first, ".") && path != modulePath+"/internal/seam" &&
				path != modulePath+"/internal/record" {
				t.Errorf("%s imports %s: the fakes use the standard library only. They share "+
					"nothing with the package they check, so that a mistake can't agree with "+
					"itself; write the value out again", file, path)
			}
		}
	}
}

func testMentions(t *testing.T) {
	t.Parallel()
	private := "../" + "shared" // notes that are not part of this repository
	walk(t, ".", func(name string) {
		if ext := filepath.Ext(name); ext != ".go" && ext != ".md" {
			return
		}
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for number, line := range strings.Split(string(text), "\n") {
			if strings.Contains(line, private) {
				t.Errorf("%s:%d mentions %s, which no reader of this repository has: say it here instead",
					name, number+1, private)
			}
		}
	})
}

type module struct{ Path, Version, Dir string }

// listModules reads what go list -m -json prints.
func listModules(t *testing.T, printed string) []module {
	t.Helper()
	var list []module
	for d := json.NewDecoder(strings.NewReader(printed)); ; {
		var m module
		switch err := d.Decode(&m); {
		case errors.Is(err, io.EOF):
			return list
		case err != nil:
			t.Fatalf("go list -m -json: %v", err)
		}
		list = append(list, m)
	}
}

// compare fails the test if a module isn't in docs/dependencies.md, or with another version.
func compare(t *testing.T, m module, documented map[string]documentedModule) {
	t.Helper()
	switch row, ok := documented[m.Path]; {
	case !ok:
		t.Errorf("%s %s is not in docs/dependencies.md: say there why it is needed, whose it is "+
			"and under which licence", m.Path, m.Version)
	case row.version != m.Version:
		t.Errorf("docs/dependencies.md has %s %s, go has %s: read what has changed, then put it "+
			"right", m.Path, row.version, m.Version)
	}
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

type documentedModule struct{ version, licence string }

// documentedModules are the rows of the tables that begin with module, version, licence.
func documentedModules(t *testing.T) map[string]documentedModule {
	t.Helper()
	modules := make(map[string]documentedModule)
	page, _, _ := strings.Cut(readFile(t, "docs/dependencies.md"), "\n## The modules below this one")
	for line := range strings.Lines(page) {
		cells := strings.Split(line, "|")
		if len(cells) < 5 || !strings.HasPrefix(cells[1], " `") {
			continue
		}
		name := strings.Trim(cells[1], " `")
		if _, ok := modules[name]; ok {
			t.Errorf("docs/dependencies.md has %s twice", name)
		}
		modules[name] = documentedModule{strings.TrimSpace(cells[2]), strings.TrimSpace(cells[3])}
	}
	return modules
}

// licence tells which one a module's directory has, by the words of those that are allowed.
func licence(t *testing.T, dir string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "LICENSE*"))
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, file := range files {
		words := strings.Join(strings.Fields(readFile(t, file)), " ")
		for _, known := range []struct{ name, words string }{
			{"MIT", "Permission is hereby granted, free of charge, to any person obtaining a copy"},
			{"Apache-2.0", "Licensed under the Apache License, Version 2.0"},
			{"BSD-3-Clause", "Redistribution and use in source and binary forms, with or without " +
				"modification, are permitted provided that the following conditions are met: " +
				"* Redistributions of source code must retain"},
			{"GPL", "GNU "},
		} {
			if strings.Contains(words, known.words) {
				found = append(found, known.name)
			}
		}
	}
	return strings.Join(found, " and ")
}

// goTool returns what the go command prints, run in this directory.
func goTool(t *testing.T, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("the go command isn't on PATH")
	}
	var stderr strings.Builder
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return string(out)
}

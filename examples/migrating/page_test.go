package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// without are the credentials for which this library has none: their options aren't told apart.
var without = []string{
	"AzurePowerShell", "ClientCertificate", "ClientSecret", "DeviceCode", "Environment",
	"InteractiveBrowser", "OnBehalfOf", "UsernamePassword",
}

// TestPage: docs/migrating.md has each constructor of azidentity's, and each field of the options
// of those that have a counterpart.
func TestPage(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/migrating.md")
	if err != nil {
		t.Fatal(err)
	}
	var quotes []string
	for _, m := range regexp.MustCompile("`([^`\n]+)`").FindAllStringSubmatch(string(text), -1) {
		name, _, _ := strings.Cut(m[1], "(")
		quotes = append(quotes, name)
	}
	has := func(name string) bool {
		return slices.ContainsFunc(quotes, func(q string) bool {
			prefix, cut := strings.CutSuffix(q, "…")
			return q == name || cut && strings.HasPrefix(name, prefix)
		})
	}
	names := exportedNames(t)
	if len(names) < 30 {
		t.Errorf("found %q, there are more", names)
	}
	for _, name := range names {
		if !has(name) {
			t.Errorf("docs/migrating.md doesn't have %s of azidentity", name)
		}
	}
}

// exportedNames are those of azidentity's constructors, and of the fields of their options.
func exportedNames(t *testing.T) (names []string) {
	t.Helper()
	dir, err := exec.CommandContext(t.Context(), "go", "list", "-f", "{{.Dir}}",
		"github.com/Azure/azure-sdk-for-go/sdk/azidentity").Output()
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(dir)), "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				if n.Recv == nil && strings.HasPrefix(n.Name.Name, "New") {
					names = append(names, n.Name.Name)
				}
			case *ast.TypeSpec:
				names = append(names, fieldsOf(n)...)
			}
			return true
		})
	}
	return names
}

// fieldsOf are the exported fields of a credential's options, those that are embedded included.
func fieldsOf(n *ast.TypeSpec) (names []string) {
	of, options := n.Type.(*ast.StructType)
	name, isOptions := strings.CutSuffix(n.Name.Name, "CredentialOptions")
	if !options || !isOptions || slices.Contains(without, name) {
		return nil
	}
	for _, field := range of.Fields.List {
		if embedded, ok := field.Type.(*ast.SelectorExpr); ok && field.Names == nil {
			names = append(names, embedded.Sel.Name)
		}
		for _, name := range field.Names {
			if name.IsExported() {
				names = append(names, name.Name)
			}
		}
	}
	return names
}

package identity_test

import (
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestDocsCommentLinks: a comment that links to a name of another package wants one of its own
// package's files to import that. If none does, pkg.go.dev shows the brackets.
func TestDocsCommentLinks(t *testing.T) {
	t.Parallel()
	folders := map[string][]*ast.File{}
	files := token.NewFileSet()
	walk(t, ".", func(name string) {
		folder := filepath.ToSlash(filepath.Dir(name))
		if filepath.Ext(name) != ".go" || strings.HasSuffix(name, "_test.go") ||
			strings.Contains("/"+folder+"/", "/internal/") || strings.HasPrefix(folder, "examples") {
			return
		}
		file, err := parser.ParseFile(files, name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		folders[folder] = append(folders[folder], file)
	}, isForeign)
	noLink := regexp.MustCompile(`\\\[(\*?[a-z]\w*\.[A-Z][\w.]*)\]`) // in Markdown it is escaped
	found := 0
	for folder, sources := range folders {
		page, err := doc.NewFromFiles(files, sources, "example.com/"+folder)
		if err != nil {
			t.Fatal(err)
		}
		for _, comment := range commentsOf(page) {
			found++
			for _, m := range noLink.FindAllSubmatch(page.Markdown(comment), -1) {
				t.Errorf("%s: [%s] is no link, because no file there imports it", folder, m[1])
			}
		}
	}
	if len(folders) < 10 || found < 150 {
		t.Errorf("found %d comments in %d folders, there are more", found, len(folders))
	}
}

// commentsOf are the comments of a package's page.
func commentsOf(page *doc.Package) []string {
	all := []string{page.Doc}
	functions := page.Funcs
	values := append(page.Consts, page.Vars...)
	for _, t := range page.Types {
		all = append(all, t.Doc)
		functions = append(append(functions, t.Funcs...), t.Methods...)
		values = append(append(values, t.Consts...), t.Vars...)
	}
	for _, f := range functions {
		all = append(all, f.Doc)
	}
	for _, v := range values {
		all = append(all, v.Doc)
	}
	return all
}

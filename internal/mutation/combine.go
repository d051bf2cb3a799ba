package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"strings"
)

// chosen is what the name of a file ends in that says which of many mutants a binary is. It begins
// with the binary's. A variable would not do: some tests run their own binary again, with other
// variables.
const chosen = ".chosen"

// chooser is a file that is added to such a package.
func chooser(packageName string) string {
	return `package ` + packageName + `

import "os"

var mutantChosen = func() string {
	binary, _ := os.Executable()
	number, _ := os.ReadFile(binary + "` + chosen + `")
	return string(number)
}()
`
}

// numbered is a mutation by the number that chooses it.
type numbered struct {
	mutation
	number string
}

// combine puts many mutants into one text of a file, since building each by itself would take
// nearly all of the time. Each mutated function becomes another one, and the original begins with
// going there if that mutant is chosen:
//
//	func (s *imds) identity() ID {
//		if mutantChosen == "7" {
//			return s.mutant7identity()
//		}
//		return s.id
//	}
//
// rest are the mutations outside of functions' bodies. Each old text is known to be in text once.
func combine(text string, mutations []numbered) (combined string, rest []numbered, err error) {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, "", text, parser.SkipObjectResolution)
	if err != nil {
		return "", nil, err
	}
	offset := func(p token.Pos) int { return fset.Position(p).Offset }
	jumps := map[int]string{} // by where they are to be
	var others strings.Builder
	for _, m := range mutations {
		from := strings.Index(text, m.old)
		to := from + len(m.old)
		f := around(file, func(body *ast.BlockStmt) bool {
			return offset(body.Lbrace) < from && to <= offset(body.Rbrace)
		})
		if f == nil {
			rest = append(rest, m)
			continue
		}
		name := "mutant" + m.number + f.Name.Name
		fmt.Fprintf(&others, "\n\n%s%s%s%s%s", text[offset(f.Pos()):offset(f.Name.Pos())], name,
			text[offset(f.Name.End()):from], m.new, text[to:offset(f.End())])

		source := func(n ast.Node) string { return text[offset(n.Pos()):offset(n.End())] }
		call := name + "(" + strings.Join(arguments(f.Type.Params, source), ", ") + ")"
		if f.Recv != nil {
			call = arguments(f.Recv, source)[0] + "." + call
		}
		if f.Type.Results != nil {
			call = "return " + call
		} else {
			call += "\n\t\treturn"
		}
		jumps[offset(f.Body.Lbrace)+1] += fmt.Sprintf("\n\tif mutantChosen == %q {\n\t\t%s\n\t}\n",
			m.number, call)
	}
	var b strings.Builder
	for i := range len(text) {
		b.WriteString(jumps[i])
		b.WriteByte(text[i])
	}
	return b.String() + others.String() + "\n", rest, nil
}

// around finds the function whose body it is.
func around(file *ast.File, is func(*ast.BlockStmt) bool) *ast.FuncDecl {
	for _, d := range file.Decls {
		if f, ok := d.(*ast.FuncDecl); ok && f.Body != nil && is(f.Body) {
			return f
		}
	}
	return nil
}

// arguments pass parameters on. Those without a name are not used, so that any value will do.
func arguments(parameters *ast.FieldList, source func(ast.Node) string) []string {
	var passed []string
	for _, field := range parameters.List {
		if len(field.Names) == 0 {
			passed = append(passed, "(*new("+source(field.Type)+"))")
		}
		for _, name := range field.Names {
			_, variadic := field.Type.(*ast.Ellipsis)
			switch {
			case name.Name == "_":
				passed = append(passed, "(*new("+source(field.Type)+"))")
			case variadic:
				passed = append(passed, name.Name+"...")
			default:
				passed = append(passed, name.Name)
			}
		}
	}
	return passed
}

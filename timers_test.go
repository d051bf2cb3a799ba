package identity_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strings"
	"testing"
)

// TestTimersAreNotDueAtOnce keeps the tests from crashing under the race detector. Go 1.26 has one
// race context for all timers of a bubble. Two goroutines that receive at one time from timers that
// are due already use it at once, and the process ends with SIGSEGV (runtime, maybeRunChan). So a
// test waits on a timer's channel for a constant time only, or by lasts, which makes no timer for
// no time.
func TestTimersAreNotDueAtOnce(t *testing.T) {
	t.Parallel()
	checked := map[string]string{
		"harness_test.go":                  "lasts looks at its time",
		"internal/chain/harness_test.go":   "so does this one",
		"internal/devtool/harness_test.go": "a run that takes no time has no timer",
		"campaign_test.go":                 "its pauses are a millisecond or longer",
		"campaignworld_test.go":            "it waits only when its time isn't zero",
	}
	for _, name := range sources(t) {
		if !strings.HasSuffix(name, "_test.go") || checked[name] != "" {
			continue
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) != 1 || !isTimer(call.Fun) {
				return true
			}
			ast.Inspect(call.Args[0], func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.SelectorExpr:
					if of, ok := n.X.(*ast.Ident); ok && of.Name == "time" {
						return false // time.Second and the like
					}
				case *ast.Ident:
					if n.Obj == nil || n.Obj.Kind == ast.Var {
						t.Errorf("%s: the timer's time is no constant: wait by lasts", set.Position(call.Pos()))
					}
				}
				return true
			})
			return true
		})
	}
}

func isTimer(f ast.Expr) bool {
	selector, ok := f.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	of, ok := selector.X.(*ast.Ident)
	name := selector.Sel.Name
	return ok && of.Name == "time" && (name == "After" || name == "NewTimer" || name == "NewTicker")
}

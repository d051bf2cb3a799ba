package lazy

import (
	"sync"
	"testing"
)

// TestRegexp: compiled once, whoever comes first.
func TestRegexp(t *testing.T) {
	t.Parallel()
	r := Regexp{Expr: `^a+$`}
	var wait sync.WaitGroup
	for range 10 {
		wait.Go(func() {
			if !r.Get().MatchString("aaa") || r.Get().MatchString("b") {
				t.Error("it matches something else")
			}
		})
	}
	wait.Wait()
	if first, second := r.Get(), r.Get(); first != second {
		t.Error("it was compiled twice")
	}
}

// TestRegexpPanics: an expression that is none is a mistake of this module.
func TestRegexpPanics(t *testing.T) {
	t.Parallel()
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	(&Regexp{Expr: `(`}).Get()
}

// Package lazy has what is made when it is first used. A variable of a package that is made when
// the program begins is paid for by every program that imports the package, and most programs never
// need the regular expressions that read failures. It knows nothing of identities.
package lazy

import (
	"regexp"
	"sync"
)

// Regexp is a regular expression that is compiled by its first Get. As a variable with an Expr that
// is constant it costs nothing when the program begins. Get panics if Expr is none.
type Regexp struct {
	Expr string

	once     sync.Once
	compiled *regexp.Regexp
}

// Get returns the compiled expression. It is safe for concurrent use.
func (r *Regexp) Get() *regexp.Regexp {
	r.once.Do(func() { r.compiled = regexp.MustCompile(r.Expr) })
	return r.compiled
}

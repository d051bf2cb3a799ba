// Package p is not shown.
package p

import "errors"

// Comments are not shown.
const (
	KindB Kind = "b" // nor these
	KindA Kind = "a"
	kindC Kind = "c"
)

const (
	_ = 1 << iota
	Two
	Four
)

var (
	ErrA       = errors.New("not shown")
	Table      = map[string]int{"not": 1}
	Typed  int = secret()
	hidden int
)

var _ error = (*T)(nil)

type Kind string

// T is a type.
type T struct {
	// A, then a blank line and a hidden field.
	A, B int `json:"a"`

	c int
	D func(
		x int,
	) error
}

type Sealed interface {
	Get() int
	sealed()
}

type Opaque struct{ t *T }

type Pair[K comparable, V any] struct {
	Key   K
	Value V
}

type Same = T

func (t *T) Error() string { return "" }
func (T) B2(a, b int)      {}
func (t *T) hidden()       {}

func NewT(
	a int, // a comment
	b ...string,
) (*T, error) {
	return nil, nil
}
func Map[K comparable](m map[K]int) {}
func secret() int                   { return 0 }

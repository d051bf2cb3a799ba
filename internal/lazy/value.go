package lazy

import "sync"

// Value is what Make returns, which is called by the first Get. As a variable with a function that
// captures nothing it costs nothing when the program begins.
type Value[T any] struct {
	Make func() T

	once sync.Once
	made T
}

// Get returns the value. It is safe for concurrent use.
func (v *Value[T]) Get() T {
	v.once.Do(func() { v.made = v.Make() })
	return v.made
}

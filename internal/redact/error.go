package redact

import (
	"errors"
	"fmt"
	"slices"
)

// Error replaces an error that repeats a secret: azcore's log and trace show it as it is.
func Error(err error, secrets []string) error {
	if Reveals(err, secrets) {
		return errors.New(Text(err.Error(), secrets...))
	}
	return err
}

// Reveals reports whether a secret is in an error or in one that it wraps: in the text, or in
// fields, which %#v prints.
func Reveals(err error, secrets []string) bool {
	left := 4 * MaxText
	return NewIndex(secrets).inError(err, &left)
}

// inError is Reveals for what is left to be looked into. An error with more to it is taken for one
// that does.
func (x *Index) inError(err error, left *int) bool {
	for _, text := range []string{err.Error(), fmt.Sprintf("%#v", err)} {
		if *left -= len(text) + 1; *left < 0 || x.Text(text) != text {
			return true
		}
	}
	switch e := err.(type) {
	case interface{ Unwrap() error }:
		inner := e.Unwrap()
		return inner != nil && x.inError(inner, left)
	case interface{ Unwrap() []error }:
		return slices.ContainsFunc(e.Unwrap(),
			func(inner error) bool { return inner != nil && x.inError(inner, left) })
	}
	return false
}

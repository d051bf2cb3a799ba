package usercode

import (
	"net"
	"reflect"
	"slices"
)

// told stands for an error that isn't ours. The error's methods may not be safe for several
// goroutines, but all callers of one request get the error. So its text is taken once, and none of
// its methods is called any more. errors.Is still finds it. errors.As finds those of its wrapped
// errors that may be shared.
type told struct {
	text  string
	of    error // compared only; nil if it can't be
	inner []error
}

func (t *told) Error() string        { return t.text }
func (t *told) Is(target error) bool { return t.of != nil && t.of == target }
func (t *told) Unwrap() []error      { return t.inner }

// Share makes an error one that many goroutines may use: the error itself if all of it may be
// shared, otherwise another one with its text, in which errors.Is still finds it. Share calls the
// error's methods.
func Share(err error) error {
	shared, _ := share(err)
	return shared
}

func share(err error) (shared error, changed bool) {
	var inner []error
	switch e := err.(type) {
	case interface{ Unwrap() error }:
		inner = []error{e.Unwrap()}
	case interface{ Unwrap() []error }:
		inner = slices.Clone(e.Unwrap())
	}
	inner = slices.DeleteFunc(inner, func(e error) bool { return e == nil })
	changed = !mayBeShared(err)
	for i, e := range inner {
		var other bool
		inner[i], other = share(e)
		changed = changed || other
	}
	if !changed {
		return err, false
	}
	t := &told{text: err.Error(), inner: inner}
	if reflect.ValueOf(err).Comparable() {
		t.of = err
	}
	return t, true
}

// standardErrors are the packages of Go's whose errors a connection, a file or a program's own code
// may fail with. They don't change, and so their methods may be called by many at once. A path
// without a dot is not enough to know Go's own by: a module may have such a name, too.
var standardErrors = []string{
	"bufio", "context", "crypto/tls", "crypto/x509", "encoding/json", "errors", "fmt",
	"internal/poll", "io", "io/fs", "net", "net/http", "net/http/internal",
	"net/http/internal/http2", "net/textproto", "net/url", "os", "os/exec", "strconv", "syscall",
}

// mayBeShared reports whether an error's methods may be called by many at once, but for those of
// what it wraps.
func mayBeShared(err error) bool {
	// It asks its addresses for their texts.
	if op, ok := err.(*net.OpError); ok && op != nil {
		return isStandard(op.Source) && isStandard(op.Addr)
	}
	return isStandard(err)
}

func isStandard(x any) bool {
	if x == nil {
		return true
	}
	t := reflect.TypeOf(x)
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return slices.Contains(standardErrors, t.PkgPath())
}

package eventhubs

import (
	"errors"
	"fmt"
	"io"
	"net"
	"reflect"
	"regexp"
	"strings"
	"sync"
	"syscall"
)

// tokenError is a credential's error, in the hands of a Kafka client. Such a client takes a
// *net.OpError or io.EOF in an error for its own connection's, and acts on it: it drops the broker,
// or tries the next. So those of the connection to the identity's host aren't found in it. Errors
// of this library, of azidentity and of the context are.
type tokenError struct {
	text string
	err  error
}

func (e *tokenError) Error() string { return e.text + ": " + e.err.Error() }

// connectionEnds are the values that Kafka clients look for.
var connectionEnds = []error{io.EOF, io.ErrUnexpectedEOF, io.ErrClosedPipe, net.ErrClosed}

// Is reports what errors.Is finds in it.
func (e *tokenError) Is(target error) bool {
	for _, end := range connectionEnds {
		if target == end {
			return false
		}
	}
	_, isErrno := target.(syscall.Errno)
	return !isErrno && errors.Is(e.err, target)
}

// As finds types of modules, and none of Go's own packages. Interfaces have no package, or one of
// Go's, as net.Error.
func (e *tokenError) As(target any) bool {
	t := reflect.TypeOf(target).Elem()
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	module, _, _ := strings.Cut(t.PkgPath(), "/")
	return strings.Contains(module, ".") && errors.As(e.err, target)
}

// refusal is a broker's error with what was asked of it.
type refusal struct {
	text string
	err  error // what the Kafka client says
}

func (e *refusal) Error() string { return e.text }
func (e *refusal) Unwrap() error { return e.err }

// Refused is err, a broker's refusal of the last token, with what it was a token for, whose it was,
// and what to check. The broker's words are those of err. An error of Refused's it returns as it
// is.
func (s *Source) Refused(err error) error {
	if _, ok := errors.AsType[*refusal](err); ok {
		return err
	}
	return &refusal{err: err, text: fmt.Sprintf("%s: %s (token for %s%s): %s",
		s.Package, Words(err.Error()), s.Scope, s.owner(), check)}
}

// check is what can be wrong with a token that a broker refuses.
const check = "is the scope that of the broker's namespace? does the identity have a role for its " +
	"data, such as Azure Event Hubs Data Receiver? is the clock right?"

// owner says whose the last token was.
func (s *Source) owner() string {
	last := s.last.Load()
	if last == nil {
		return ""
	}
	whose, err := (*last)()
	switch {
	case err != nil || whose.ObjectID == "":
		return ""
	case whose.Name != "":
		return " of " + whose.Name + ", object ID " + whose.ObjectID
	}
	return " of object ID " + whose.ObjectID
}

// bearer is what has the form of a token, and control what breaks a line.
var (
	bearer = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`(?i)\bey[a-z0-9_-]+\.[a-z0-9_-]+\.[a-z0-9_-]*`)
	})
	control = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`[\x00-\x1f\x7f]+`)
	})
)

// Words are a peer's words as an error has them: one line, without a token that they repeat, at
// most 500 bytes.
func Words(s string) string {
	s = control().ReplaceAllString(strings.ToValidUTF8(s, "?"), " ")
	s = bearer().ReplaceAllString(s, "TOKEN")
	if s = strings.TrimSpace(s); len(s) > 500 {
		s = strings.ToValidUTF8(s[:500], "") + "…"
	}
	return s
}

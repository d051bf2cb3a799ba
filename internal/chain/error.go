package chain

import (
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity/internal/redact"
)

// Error lists what each source of a chain said. It is its caller's alone.
type Error struct {
	head     string
	lines    []string // one for each source
	decisive []error  // those by which programs decide
	passing  bool     // worth asking again

	// For Summary:
	subject string    // what head begins with
	names   []string  // of all sources
	failed  []attempt // in the order asked
	stopped int       // the source that ended the walk, -1 for none
	ended   error     // what ended it before that one said why, nil for nothing
}

// wanted is what a token was asked for, in messages.
func wanted(options policy.TokenRequestOptions) string {
	return redact.Line(redact.Text(
		strings.TrimSuffix(strings.Join(options.Scopes, ", "), "/.default")))
}

// newError is the error of a call. failed are the sources that brought no token; ended is
// what ended the walk before the last of them said why, nil if the last one ended it or was the
// last.
func newError(
	chain string, links []Link, memory *memory, options policy.TokenRequestOptions,
	failed []attempt, ended error,
) *Error {
	e := &Error{subject: "identity: " + chain + ": no token for " + wanted(options),
		failed: failed, ended: ended, stopped: -1, passing: true}
	for _, a := range failed {
		switch {
		case a.err == nil: // barred
		case !a.goesOn: // what came before was unavailable, which is not why
			e.stopped, e.decisive, e.passing = a.index, []error{a.err}, a.passes
		case ended == nil:
			e.decisive = append(e.decisive, a.err)
		}
	}
	switch {
	case ended == errCrowd:
		e.head = ended.Error()
		e.decisive = append(e.decisive, ended)
	case ended != nil:
		e.head = "gave up waiting: " + ended.Error()
		e.decisive, e.passing = append(e.decisive, ended), true
	case e.stopped >= 0:
		stopped := &links[e.stopped]
		e.head = stopped.Name + " failed"
		if stopped.Advice != nil {
			if advice := stopped.Advice(e.decisive[0]); advice != "" {
				e.head += ": " + advice
			}
		}
	default:
		e.head = "no source is available"
	}
	e.head = e.subject + ": " + e.head
	for i := range links {
		e.names = append(e.names, links[i].Name)
		line, asked := reasonFor(i, failed, memory)
		switch {
		case !asked && ended == nil && e.stopped >= 0 && i > e.stopped:
			line = "not asked: the next source is for when one is unavailable, not for when one fails"
		case line == "":
			line = "not asked"
		}
		e.lines = append(e.lines, links[i].Name+": "+line)
	}
	return e
}

// reasonFor is why a source brought no token: in this walk, or the last time before if it was
// passed over. "" is none.
func reasonFor(i int, failed []attempt, memory *memory) (why string, inThisWalk bool) {
	for _, a := range failed {
		if a.index == i {
			return a.why, true
		}
	}
	return memory.lastFailure(i).why, false
}

// Error returns a line that says what failed, and one for each source.
func (e *Error) Error() string { return e.head + "\n\t" + strings.Join(e.lines, "\n\t") }

// Unwrap returns the errors that ended the walk.
func (e *Error) Unwrap() []error { return e.decisive }

// NonRetriable tells azcore's retry policy that asking again is no use: the sources have done their
// own retries.
func (e *Error) NonRetriable() {}

// Passes reports whether it may be worth asking again.
func (e *Error) Passes() bool { return e.passing }

// Waited adds what ended the wait for the error to pass: errors.Is finds cause in it from then on,
// and its text has note. Nobody else may have the error yet.
func (e *Error) Waited(note string, cause error) {
	e.head += "; " + note
	e.decisive = append(e.decisive, cause)
}

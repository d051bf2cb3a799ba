package identity

import (
	"errors"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity/internal/redact"
)

// chainError lists what each source of a chain said.
type chainError struct {
	head     string
	lines    []string // one for each source
	decisive []error  // those by which programs decide
	passing  bool     // worth asking again: Ready waits

	// For Summary:
	subject string    // what head begins with
	names   []string  // of all sources
	failed  []attempt // in the order asked
	stopped int       // the source that ended the walk, -1 for none
	ended   error     // what ended it before that one said why, nil for nothing
}

// wanted is what a token was asked for, in messages.
func wanted(options policy.TokenRequestOptions) string {
	return redact.Line(redact.Text(resourceOf(strings.Join(options.Scopes, ", "))))
}

// newChainError is the error of a chain. failed are the sources that brought no token; ended is
// what ended the walk before the last of them said why, nil if the last one ended it or was the
// last.
func newChainError(
	chain string, links []link, memory *chainMemory, options policy.TokenRequestOptions,
	failed []attempt, ended error,
) *chainError {
	e := &chainError{subject: "identity: " + chain + ": no token for " + wanted(options),
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
		e.head = stopped.name + " failed"
		if stopped.advice != nil {
			if advice := stopped.advice(e.decisive[0]); advice != "" {
				e.head += ": " + advice
			}
		}
	default:
		e.head = "no source is available"
	}
	e.head = e.subject + ": " + e.head
	for i := range links {
		e.names = append(e.names, links[i].name)
		line, asked := reasonFor(i, failed, memory)
		switch {
		case !asked && ended == nil && e.stopped >= 0 && i > e.stopped:
			line = "not asked: the next source is for when one is unavailable, not for when one fails"
		case line == "":
			line = "not asked"
		}
		e.lines = append(e.lines, links[i].name+": "+line)
	}
	return e
}

// reasonFor is why a source brought no token: in this walk, or the last time before if it was
// passed over. "" is none.
func reasonFor(i int, failed []attempt, memory *chainMemory) (why string, inThisWalk bool) {
	for _, a := range failed {
		if a.index == i {
			return a.why, true
		}
	}
	return memory.lastFailure(i).why, false
}

// Error returns a line that says what failed, and one for each source.
func (e *chainError) Error() string { return e.head + "\n\t" + strings.Join(e.lines, "\n\t") }

// Unwrap returns the errors that ended the walk.
func (e *chainError) Unwrap() []error { return e.decisive }

// NonRetriable tells azcore's retry policy that asking again is no use: the sources have done their
// own retries.
func (e *chainError) NonRetriable() {}

func (e *chainError) passes() bool { return e.passing }

func (e *chainError) unready(cause error) error {
	e.head += "; " + notReady + cause.Error()
	e.decisive = append(e.decisive, cause)
	return e
}

// summarizer is an error that has a Summary.
type summarizer interface {
	error
	Summary() string
}

// summary is that of a source's failure, which was judged before.
func (a attempt) summary() (text string) {
	defer func() {
		if recover() != nil { // in a method of somebody else's error
			text = unvarying(a.why)
		}
	}()
	s, ok := errors.AsType[summarizer](a.err)
	if !ok {
		return unvarying(a.why)
	}
	text = s.Summary()
	switch s.(type) {
	case *AuthenticationError, *chainError:
	default:
		text = redact.Printable(redact.Text(text))
	}
	return strings.TrimPrefix(text, "identity: ")
}

// Summary is [AuthenticationError.Summary] for a chain: what failed, with the Summary of the
// sources that ended the walk.
func (e *chainError) Summary() string {
	var last attempt
	if len(e.failed) > 0 {
		last = e.failed[len(e.failed)-1]
	}
	switch {
	case e.ended == nil && e.stopped < 0:
		var reasons []string
		for _, a := range e.failed {
			if a.err != nil {
				reasons = append(reasons,
					e.names[a.index]+": "+strings.TrimPrefix(a.summary(), e.names[a.index]+": "))
			}
		}
		return e.subject + ": no source is available: " + strings.Join(reasons, "; ")
	case e.stopped >= 0 && (e.ended == nil || last.answered()):
		return e.subject + ": " + e.names[e.stopped] + " failed: " +
			strings.TrimPrefix(last.summary(), e.names[e.stopped]+": ")
	case e.stopped >= 0:
		return e.subject + ": gave up waiting for " + e.names[e.stopped] + ": " +
			unvarying(e.ended.Error())
	case e.ended == errCrowd:
		return e.subject + ": " + e.ended.Error()
	}
	return e.subject + ": gave up waiting: " + unvarying(e.ended.Error())
}

// answered reports whether a failure says what the host answered before its caller left.
func (a attempt) answered() bool {
	switch err := a.err.(type) {
	case *AuthenticationError:
		return err.soFar != nil
	case *chainError:
		return len(err.failed) > 0 && err.failed[len(err.failed)-1].answered()
	}
	return false
}

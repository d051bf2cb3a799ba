package identity

import (
	"errors"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// chainError lists what each source of a chain said.
type chainError struct {
	head     string
	lines    []string // one for each source
	decisive []error  // those by which programs decide
	passing  bool     // worth asking again: Ready waits
}

// failure is the error of a chain. failed are the sources that brought no token, in order; ended is why nobody waits for the
// rest, nil if the last of failed ended the pass or was the last.
func (c *Chain) failure(options policy.TokenRequestOptions, failed []attempt, ended error) *chainError {
	e := &chainError{head: "identity: " + c.name + ": no token for " + oneLine(redact(resourceOf(strings.Join(options.Scopes, ", "))))}
	stopped := -1
	for _, a := range failed {
		switch {
		case a.err == nil: // barred
		case c.goesOn(a.err) && ended == nil:
			e.decisive = append(e.decisive, a.err)
		case !c.goesOn(a.err): // what came before was unavailable, which is not why
			stopped, e.decisive = a.index, []error{a.err}
		}
	}
	switch {
	case ended != nil:
		e.head += ": gave up waiting: " + ended.Error()
		e.decisive, e.passing = append(e.decisive, ended), true
	case stopped >= 0:
		e.head += ": " + c.links[stopped].name + " failed"
		p, ok := errors.AsType[passingError](e.decisive[0])
		e.passing = ok && p.passes()
	default:
		e.head += ": no source is available"
		e.passing = true
	}
	for i, err := range e.decisive {
		if _, ok := errors.AsType[*azcore.ResponseError](err); ok {
			e.decisive[i] = concealed{err}
		}
	}
	for i := range c.links {
		e.lines = append(e.lines, c.links[i].name+": "+c.account(i, failed, stopped, ended))
	}
	return e
}

// account is the line of one source.
func (c *Chain) account(i int, failed []attempt, stopped int, ended error) string {
	for _, a := range failed {
		if a.index == i {
			return c.reason(a)
		}
	}
	c.mu.Lock()
	last := c.links[i].last
	c.mu.Unlock()
	switch {
	case stopped >= 0 && i > stopped:
		return "not asked: the next source is for when one is unavailable, not for when one fails"
	case ended != nil && i == len(failed):
		return "no answer yet"
	case ended != nil && i > len(failed):
		return "not asked yet"
	case last != nil: // it was passed over, for the one in use
		return c.reason(attempt{i, last})
	}
	return "not asked"
}

// maxForeign bounds a line about a credential of another package.
const maxForeign = 1000

// reason is why a source brought no token, in one line.
func (c *Chain) reason(a attempt) string {
	if a.err == nil {
		return "not asked: this is Azure, because " + c.bar(a.index) + "; " + envTokenCredentials + "=dev selects the developer's credentials all the same"
	}
	text := a.err.Error()
	if _, ours := a.err.(*AuthenticationError); !ours {
		if text = printable(redactOutput(text)); len(text) > maxForeign {
			text = strings.ToValidUTF8(text[:maxForeign], "") + "…"
		}
	}
	return strings.TrimPrefix(strings.TrimPrefix(text, "identity: "), c.links[a.index].name+": ")
}

// Error returns a line that says what failed, and one for each source.
func (e *chainError) Error() string { return e.head + "\n\t" + strings.Join(e.lines, "\n\t") }

// Unwrap returns the errors that ended the pass.
func (e *chainError) Unwrap() []error { return e.decisive }

// NonRetriable tells azcore's retry policy that asking again is no use: the sources have done their own retries.
func (e *chainError) NonRetriable() {}

func (e *chainError) passes() bool { return e.passing }

func (e *chainError) unready(cause error) error {
	e.head += "; not ready when the context ended: " + cause.Error()
	e.decisive = append(e.decisive, cause)
	return e
}

// forCaller copies the error for one caller: many wait for one pass, and each may read a body.
func (e *chainError) forCaller() *chainError {
	own := *e
	own.decisive = make([]error, len(e.decisive))
	for i, err := range e.decisive {
		switch err := err.(type) {
		case *AuthenticationError:
			own.decisive[i] = err.forCaller()
		case *chainError:
			own.decisive[i] = err.forCaller()
		default:
			own.decisive[i] = err
		}
	}
	return &own
}

// concealed is an error that errors.As finds no *azcore.ResponseError in: the caller of an Azure SDK client would take it for the
// answer to the call that needed the token.
type concealed struct{ error }

func (e concealed) Is(target error) bool { return errors.Is(e.error, target) }

func (e concealed) As(target any) bool {
	if _, ok := target.(**azcore.ResponseError); ok {
		return false
	}
	return errors.As(e.error, target)
}

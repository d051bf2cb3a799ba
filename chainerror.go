package identity

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// attempt is what became of asking one source.
type attempt struct {
	index  int
	err    error  // nil for a token, and for a source that was not asked because it is barred
	why    string // there is none, in one line
	goesOn bool   // the next source is to be tried
	passes bool   // worth asking again: Ready waits
}

// errEnded is the failure of a source that neither returned nor panicked.
var errEnded = errors.New("it ended the goroutine that asked it")

func panicked(p any) error { return fmt.Errorf("it panicked: %s", oneLine(redact(fmt.Sprint(p)))) }

// judge says once and for all what a source's failure means. It is the only place where methods of an error that isn't ours are
// called, and ContinueOn: they may panic, and would do so in a goroutine that is nobody's.
func (c *Chain) judge(i int, err error) (a attempt) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("its error can't be judged: %w", panicked(p))
			a = attempt{index: i, err: err, why: err.Error()}
		}
	}()
	a = attempt{index: i, err: err, why: c.reason(i, err)}
	a.goesOn = errors.Is(err, ErrUnavailable) || c.continueOn != nil && c.continueOn(err)
	if p, ok := errors.AsType[passingError](err); ok {
		a.passes = p.passes()
	}
	if _, ok := errors.AsType[*azcore.ResponseError](err); ok {
		a.err = concealed{err}
	}
	return a
}

// barredAttempt is that of a source that must not be used.
func barredAttempt(i int, why string) attempt {
	return attempt{index: i, goesOn: true, why: "not asked: this is Azure, because " + why + "; " + envTokenCredentials + "=dev selects the developer's credentials all the same"}
}

// maxForeign bounds a line about a credential of another package.
const maxForeign = 1000

// reason is why a source brought no token, in one line.
func (c *Chain) reason(i int, err error) string {
	text := err.Error()
	if _, ours := err.(*AuthenticationError); !ours {
		if text = printable(redact(text)); len(text) > maxForeign {
			text = strings.ToValidUTF8(text[:maxForeign], "") + "…"
		}
	}
	text = strings.TrimPrefix(strings.TrimPrefix(text, "identity: "), c.links[i].name+": ")
	return cmp.Or(text, "an error without a word")
}

// chainError lists what each source of a chain said.
type chainError struct {
	head     string
	lines    []string // one for each source
	decisive []error  // those by which programs decide
	passing  bool     // worth asking again: Ready waits
}

// failure is the error of a chain. failed are the sources that brought no token; asking is the one that hasn't answered yet, -1
// for none; ended is why nobody waits for it, nil if the last of failed ended the pass or was the last.
func (c *Chain) failure(options policy.TokenRequestOptions, failed []attempt, asking int, ended error) *chainError {
	e := &chainError{head: "identity: " + c.name + ": no token for " + oneLine(redact(resourceOf(strings.Join(options.Scopes, ", ")))), passing: true}
	stopped := -1
	for _, a := range failed {
		switch {
		case a.err == nil: // barred
		case !a.goesOn: // what came before was unavailable, which is not why
			stopped, e.decisive, e.passing = a.index, []error{a.err}, a.passes
		case ended == nil:
			e.decisive = append(e.decisive, a.err)
		}
	}
	switch {
	case ended != nil:
		e.head += ": gave up waiting: " + ended.Error()
		e.decisive, e.passing = append(e.decisive, ended), ended != errEnded
	case stopped >= 0:
		e.head += ": " + c.links[stopped].name + " failed"
	default:
		e.head += ": no source is available"
	}
	for i := range c.links {
		e.lines = append(e.lines, c.links[i].name+": "+c.account(i, failed, stopped, asking, ended))
	}
	return e
}

// account is the line of one source.
func (c *Chain) account(i int, failed []attempt, stopped, asking int, ended error) string {
	for _, a := range failed {
		if a.index == i {
			return a.why
		}
	}
	c.state.mu.Lock()
	last := c.state.last[i].why
	c.state.mu.Unlock()
	switch {
	case ended == nil && stopped >= 0 && i > stopped:
		return "not asked: the next source is for when one is unavailable, not for when one fails"
	case i == asking && ended == errEnded:
		return ended.Error()
	case i == asking:
		return "no answer yet"
	case asking >= 0 && i > asking:
		return "not asked yet"
	case last != "": // it was passed over, for the one in use
		return last
	}
	return "not asked"
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

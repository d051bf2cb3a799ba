package identity

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity/internal/redact"
)

// attempt is what became of asking one source.
type attempt struct {
	index  int
	err    error  // nil for a token, and for a source that was not asked because it is barred
	why    string // there is none, in one line
	goesOn bool   // the next source is to be tried
	away   bool   // it is unavailable, whatever the scope
	passes bool   // worth asking again: Ready waits
}

// unasked stands for no attempt.
var unasked = attempt{index: -1}

func panicked(p any) error {
	return fmt.Errorf("it panicked: %s", redact.Line(redact.Text(fmt.Sprint(p))))
}

// judge says once and for all what a source's failure means. It is the only place where methods of
// an error that isn't ours are called, and ContinueOn: under no lock, and recovered, because a look
// is in a goroutine that is nobody's.
func (c *Chain) judge(ctx context.Context, i int, err error) (a attempt) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("its error can't be judged: %w", panicked(p))
			a = attempt{index: i, err: err, why: err.Error()}
		}
	}()
	a = attempt{index: i, err: err, why: c.reason(i, err)}
	unavailable := errors.Is(err, ErrUnavailable)
	a.away = unavailable && c.links[i].whole
	// one that has no time left says nothing
	a.goesOn = unavailable || ctx.Err() == nil && c.continueOn != nil && c.continueOn(err)
	if p, ok := errors.AsType[passingError](err); ok {
		a.passes = p.passes()
	}
	if _, ok := errors.AsType[*azcore.ResponseError](err); ok {
		a.err = concealed{err}
	}
	if errors.Is(err, errCrowd) { // as deep as there are walks
		a.err, a.why = errCrowd, errCrowd.Error()
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
		if text = redact.Printable(redact.Text(text)); len(text) > maxForeign {
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

// failure is the error of a chain. failed are the sources that brought no token; ended is what
// ended the walk before the last of them said why, nil if the last one ended it or was the last.
func (c *Chain) failure(
	options policy.TokenRequestOptions, failed []attempt, ended error,
) *chainError {
	subject := "identity: " + c.name + ": no token for " + wanted(options)
	e := &chainError{head: subject, passing: true, subject: subject, failed: failed, ended: ended}
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
	case ended == errCrowd:
		e.head += ": " + ended.Error()
		e.decisive = append(e.decisive, ended)
	case ended != nil:
		e.head += ": gave up waiting: " + ended.Error()
		e.decisive, e.passing = append(e.decisive, ended), true
	case stopped >= 0:
		e.head += ": " + c.links[stopped].name + " failed"
		if say := c.links[stopped].advice; say != nil {
			if advice := say(e.decisive[0]); advice != "" {
				e.head += ": " + advice
			}
		}
	default:
		e.head += ": no source is available"
	}
	e.stopped = stopped
	for i := range c.links {
		e.names = append(e.names, c.links[i].name)
		line, asked := c.reasonFor(i, failed)
		switch {
		case !asked && ended == nil && stopped >= 0 && i > stopped:
			line = "not asked: the next source is for when one is unavailable, not for when one fails"
		case line == "":
			line = "not asked"
		}
		e.lines = append(e.lines, c.links[i].name+": "+line)
	}
	return e
}

// reasonFor is why a source brought no token: in this walk, or the last time before if it was
// passed over. "" is none.
func (c *Chain) reasonFor(i int, failed []attempt) (why string, inThisWalk bool) {
	for _, a := range failed {
		if a.index == i {
			return a.why, true
		}
	}
	c.state.mu.Lock()
	defer c.state.mu.Unlock()
	return c.state.last[i].why, false
}

// Error returns a line that says what failed, and one for each source.
func (e *chainError) Error() string { return e.head + "\n\t" + strings.Join(e.lines, "\n\t") }

// Unwrap returns the errors that ended the pass.
func (e *chainError) Unwrap() []error { return e.decisive }

// NonRetriable tells azcore's retry policy that asking again is no use: the sources have done their own retries.
func (e *chainError) NonRetriable() {}

func (e *chainError) passes() bool { return e.passing }

func (e *chainError) unready(cause error) error {
	e.head += "; " + notReady + cause.Error()
	e.decisive = append(e.decisive, cause)
	return e
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

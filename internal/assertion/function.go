package assertion

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/keyless-go/identity/internal/failure"
	"github.com/keyless-go/identity/internal/redact"
	"github.com/keyless-go/identity/internal/usercode"
)

// Function is a Source that is code of the user's: a function, or a credential. Whatever the code
// does, it hurts only the exchange that it is called for. No lock is held over a call.
//
// A call that hasn't returned within the bound is left to itself, because nothing can end a
// goroutine. While it hangs, the time since the first such call began has to double before the code
// is called again for the same token. So a call that is stuck for ever, perhaps on a lost
// connection, is followed by another. Code that hangs each time leaves a goroutine for each
// doubling: with a bound of 30 s, 6 in an hour and 20 in a year.
type Function struct {
	name  string
	bound time.Duration
	call  func(context.Context, Request) (string, error)
	judge func(error) (ours, passes bool)

	mu    sync.Mutex       // guards the rest
	stuck map[string]stuck // by what the calls are for
}

// stuck are calls that have not returned in time.
type stuck struct {
	calls int       // 1 at least
	since time.Time // when the first of them began
	next  time.Time // no other call before
}

// NewFunction makes a Source of code that is to return within the bound. name is the code's in
// errors. judge gets an error of the code's. It says whether the error is one of this library's, so
// that its text and methods are safe to use, and whether it may pass. It is called where the code
// is.
func NewFunction(
	name string, bound time.Duration, call func(context.Context, Request) (string, error),
	judge func(error) (ours, passes bool),
) *Function {
	return &Function{name: name, bound: bound, call: call, judge: judge, stuck: map[string]stuck{}}
}

// Name implements Source.
func (f *Function) Name() string { return f.name }

// Proof implements Source: only the credential itself may have its tokens, because nobody can say
// what code goes by.
func (f *Function) Proof() string { return "" }

// Get implements Source.
func (f *Function) Get(ctx context.Context, r Request) (string, error) {
	if err := f.mayBegin(r.For); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, f.bound)
	defer cancel()
	c := &call{of: f, began: time.Now(), what: r.For, done: make(chan struct{})}
	outer, _ := ctx.Value(asking{}).(*asked)
	go c.run(context.WithValue(ctx, asking{}, &asked{f, outer}), r)
	select {
	case <-c.done:
		return c.result()
	case <-ctx.Done():
	}
	// Code that heeds its context says by itself what it has waited for.
	grace := time.NewTimer(graceAfterBound)
	defer grace.Stop()
	select {
	case <-c.done:
		return c.result()
	case <-grace.C:
	}
	if f.leave(c) {
		return c.result()
	}
	return "", failure.InAWhile(fmt.Errorf("%s: has not returned within %v: does it heed its context, "+
		"and not wait for the credential that it is for?", f.name,
		redact.Round(time.Since(c.began)-graceAfterBound)))
}

// graceAfterBound is how long code is waited for that has been told to end.
const graceAfterBound = 100 * time.Millisecond

// mayBegin refuses another call while one hangs that isn't old enough.
func (f *Function) mayBegin(what string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	s, now := f.stuck[what], time.Now()
	if s.calls == 0 || !now.Before(s.next) {
		return nil
	}
	return failure.InAWhile(fmt.Errorf("%s: has not returned since %v ago, and is called again in %v "+
		"at the earliest", f.name, redact.Round(now.Sub(s.since)), redact.Round(s.next.Sub(now))))
}

// leave leaves a call to itself, unless it has returned in this moment.
func (f *Function) leave(c *call) (returned bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	select {
	case <-c.done:
		return true
	default:
	}
	s, now := f.stuck[c.what], time.Now()
	if s.calls == 0 {
		s.since = c.began
	}
	s.calls, s.next = s.calls+1, now.Add(now.Sub(s.since))
	f.stuck[c.what], c.left = s, true
	return false
}

// call is one call of the code.
type call struct {
	of    *Function
	began time.Time
	what  string
	left  bool // it is left to itself; guarded by of.mu

	assertion string // these two are set when done is closed
	err       error
	done      chan struct{}
}

// result is that of a call that has returned.
func (c *call) result() (string, error) {
	if c.err != nil {
		return "", c.err
	}
	return c.assertion, nil
}

// run calls the code, in a goroutine of its own.
func (c *call) run(ctx context.Context, r Request) {
	f := c.of
	// Unless it returns:
	c.err = failure.InAWhile(errors.New(f.name + ": has ended its goroutine, as runtime.Goexit and " +
		"testing.T.FailNow do"))
	defer func() {
		if p := recover(); p != nil {
			said := "something that can't be printed"
			usercode.Shielded(func() { said = redact.Line(redact.Text(fmt.Sprint(p))) })
			c.assertion, c.err = "", failure.InAWhile(errors.New(f.name+": panicked: "+said))
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		close(c.done)
		if s := f.stuck[c.what]; c.left {
			if s.calls--; s.calls == 0 {
				delete(f.stuck, c.what)
			} else {
				f.stuck[c.what] = s
			}
		}
	}()
	assertion, err := f.call(ctx, r)
	if err != nil {
		err = f.told(err, assertion)
	}
	c.assertion, c.err = strings.TrimSpace(assertion), err
}

// told makes an error of the code's one for all who wait for the exchange. Its methods are not
// called after that, unless it is one of this library's.
func (f *Function) told(err error, assertion string) error {
	ours, passes := f.judge(err)
	cause, text := err, err.Error()
	if !ours {
		cause = nil
		if !redact.Reveals(err, []string{assertion}) {
			cause = usercode.Share(err)
		}
		text = redact.Text(text, assertion)
		if len(text) > maxText {
			text = text[:maxText] + "…"
		}
	}
	// The context that has ended then is the exchange's, and must not look like the caller's.
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		cause = nil
	}
	err = failure.CausedBy(cause, errors.New(f.name+": "+redact.Printable(trimmed(text))))
	if !passes {
		return err
	}
	return failure.InAWhile(err)
}

// maxText bounds what is repeated of an error that isn't this library's.
const maxText = 1000

// trimmed is an error's text as a part of another one.
func trimmed(text string) string {
	text = strings.TrimPrefix(text, failure.Prefix)
	return cmp.Or(strings.ToValidUTF8(text, ""), "an error without a word")
}

// asking is by what the context of a call has the *asked that it is of.
type asking struct{}

// asked is code that is being called, and the code that has asked for that, nil for none.
type asked struct {
	code  Source
	outer *asked
}

// Within reports whether ctx is that of a call of the source's code: what is asked for in it can't
// wait for the source.
func Within(ctx context.Context, s Source) bool {
	a, _ := ctx.Value(asking{}).(*asked)
	for ; a != nil; a = a.outer {
		if a.code == s {
			return true
		}
	}
	return false
}

// Carry copies what Within wants to know from one context to another that isn't derived from it.
func Carry(to, from context.Context) context.Context {
	if a, ok := from.Value(asking{}).(*asked); ok {
		return context.WithValue(to, asking{}, a)
	}
	return to
}

package chain

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity/internal/failure"
	"github.com/keyless-go/identity/internal/redact"
)

// ask asks one source, and remembers what that says of it.
func (c *Chain) ask(
	ctx context.Context, i int, options policy.TokenRequestOptions,
) (azcore.AccessToken, attempt) {
	token, err := c.links[i].Source.GetToken(ctx, options)
	if err == nil {
		c.memory.granted(i)
		return token, attempt{index: i}
	}
	a := c.judge(ctx, i, err)
	if ctx.Err() == nil {
		c.memory.failed(i, a.why, a.away)
	}
	return azcore.AccessToken{}, a
}

// judge says once and for all what a failure of the i-th source means. It is the only place where
// methods of an error that isn't ours are called, and ContinueOn: under no lock, and recovered,
// because a look is in a goroutine in which no caller recovers.
func (c *Chain) judge(ctx context.Context, i int, err error) (a attempt) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("its error can't be judged: %w", panicked(p))
			a = attempt{index: i, err: err, why: err.Error()}
		}
	}()
	read := c.read(err)
	a = attempt{index: i, err: err, why: c.links[i].reason(err, err == read.Own),
		passes: read.Passes, answered: read.Answered, own: read.Own}
	a.away = read.Unavailable && c.links[i].Whole
	// One that has no time left says nothing.
	a.goesOn = read.Unavailable || ctx.Err() == nil && c.continueOn != nil && c.continueOn(err)
	if nested, ok := errors.AsType[*Error](err); ok {
		a.passes = nested.passing
		a.answered = err == error(nested) && nested.answered()
	}
	if _, ok := errors.AsType[*azcore.ResponseError](err); ok {
		a.err = concealed{err}
	}
	if errors.Is(err, errCrowd) { // as deep as there are walks
		a.err, a.why = errCrowd, errCrowd.Error()
	}
	return a
}

// maxForeign bounds a line about a credential of another package.
const maxForeign = 1000

// reason is why a source brought no token, in one line. own says that the error is one already.
func (l *Link) reason(err error, own bool) string {
	text := err.Error()
	if !own {
		if text = redact.Printable(redact.Text(text)); len(text) > maxForeign {
			text = strings.ToValidUTF8(text[:maxForeign], "") + "…"
		}
	}
	text = strings.TrimPrefix(strings.TrimPrefix(text, failure.Prefix), l.Name+": ")
	return cmp.Or(text, "an error without a word")
}

// concealed is an error that errors.As finds no *azcore.ResponseError in: the caller of an Azure
// SDK client would take it for the answer to the call that needed the token.
type concealed struct{ error }

func (e concealed) Is(target error) bool { return errors.Is(e.error, target) }

func (e concealed) As(target any) bool {
	if _, ok := target.(**azcore.ResponseError); ok {
		return false
	}
	return errors.As(e.error, target)
}

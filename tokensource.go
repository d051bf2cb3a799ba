package identity

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/keyless-go/identity/internal/acquire"
	"github.com/keyless-go/identity/internal/failure"
	"github.com/keyless-go/identity/internal/redact"
	"github.com/keyless-go/identity/internal/token"
	"github.com/keyless-go/identity/internal/tokencache"
	"github.com/keyless-go/identity/internal/usercode"
)

// tokenSource is what the cache asks for tokens, with what this package wants to know of it.
type tokenSource interface {
	tokencache.Source
	// budget is how long an acquisition takes at the longest, if it starts for a caller with ctx.
	// It asks ctx for its deadline.
	budget(ctx context.Context) time.Duration
	// sign makes an error one of who was asked.
	sign(*AuthenticationError)
}

// acquisition runs an acquisition of s's for the cache, and calls end with the error that callers
// get. end ends the span.
//
// A panic is recovered here, where its text can be told: net/http, too, would not let one in the
// user's Transport or policy end the program. After a runtime.Goexit (testing.T.FailNow in a fake)
// the cache itself says that the acquisition was aborted.
func acquisition(
	s tokenSource, resource string, end func(error), acquire func() (tokencache.Grant, error),
) (g tokencache.Grant, err error) {
	var failed error = aborted(s, resource)
	defer func() {
		if p := recover(); p != nil {
			failed = panicError(p)
		}
		if e, ok := failed.(*AuthenticationError); ok && e.Host == "" && e.tool == "" {
			s.sign(e)
			e.Resource = resource
		}
		end(failed)
		err = failureOf(failed)
	}()
	g, failed = acquire()
	return g, nil
}

// failureOf is what an error tells the cache of asking again.
func failureOf(err error) error {
	e, ok := err.(*AuthenticationError)
	if !ok {
		return err
	}
	return &tokencache.Failure{
		Err:        e,
		RetryAfter: e.retryAfter,
		Final:      !e.transient && e.cause != errAborted,
		Waited:     e.waited,
	}
}

// grantFrom makes a token one for the cache.
func grantFrom(t token.Token) tokencache.Grant {
	return tokencache.Grant{Token: t.Value, ExpiresOn: t.ExpiresOn, RefreshIn: t.RefreshIn}
}

// callersError makes the error that one caller gets of what the cache says, which all callers
// share. It is called while that caller is there: ctx is asked for its cause.
func callersError(ctx context.Context, err error, s tokenSource, resource string) error {
	switch e := err.(type) {
	case *AuthenticationError:
		return e.forCaller()
	case *tokencache.Error:
		own := &AuthenticationError{Resource: resource, transient: true}
		s.sign(own)
		switch e.Why {
		case tokencache.Left:
			own.left(ctx, e.Waited)
		case tokencache.Overdue: // for a flight that began with options that allow it more, for two
			// flights in a row, or for a Transport that ignores its context
			own.what = "no token after " + redact.Round(e.Waited).String() + ", the request goes on"
		case tokencache.Crowded:
			own.what = fmt.Sprintf("%d other resources are waiting for a token of the host already",
				e.UnderWay)
		case tokencache.Aborted:
			return aborted(s, resource)
		}
		if e.Last != nil {
			own.answered(sharedError(e.Last, s, resource))
		}
		return own
	}
	return err
}

// sharedError is the error of an acquisition for all who want to know of it.
func sharedError(err error, s tokenSource, resource string) error {
	if _, ok := err.(*tokencache.Error); ok { // the only one that all share
		return aborted(s, resource)
	}
	return err
}

// left says why a caller has left while the request for its token went on.
func (e *AuthenticationError) left(ctx context.Context, waited time.Duration) {
	e.what = "gave up waiting after " + redact.Round(waited).String() + ": " + ctx.Err().Error()
	e.cause = ctx.Err()
	// errgroup, for one, makes a sibling's error the cause. An SDK's must not come out of here as
	// if it were the credential's; even its Error method may not be called by several goroutines.
	var response *azcore.ResponseError
	if cause := context.Cause(ctx); cause != ctx.Err() && !errors.As(cause, &response) {
		e.what += ", because " + redact.Line(cause.Error())
		e.cause = errors.Join(ctx.Err(), cause)
	}
}

// answered adds the last failure to the error of a caller who gave up.
func (e *AuthenticationError) answered(last error) {
	e.soFar = answeredSoFar(last)
	e.hint = failure.SoFar + strings.TrimPrefix(last.Error(), "identity: ")
}

// errAborted is what waiters get when an acquisition never returned: a panic in the user's code is
// recovered as net/http would in the caller's goroutine, and a runtime.Goexit (testing.T.FailNow in
// a fake) ends only the flight's.
var errAborted = acquire.ErrAborted

// aborted is that error for callers of s.
func aborted(s tokenSource, resource string) *AuthenticationError {
	e := &AuthenticationError{Resource: resource, what: errAborted.Error(), cause: errAborted}
	s.sign(e)
	return e
}

// panicError is the error of waiters after a panic.
func panicError(p any, secrets ...string) *AuthenticationError {
	said := "something that can't be printed"
	// its own methods may do anything
	usercode.Shielded(func() { said = redact.Line(redact.Text(fmt.Sprint(p), secrets...)) })
	return &AuthenticationError{what: errAborted.Error() + ", which panicked: " + said,
		cause: errAborted}
}

// isMismatch reports whether the error is ErrIdentityMismatch. errors.Is would call methods of an
// error of the user's Transport, and a panic in one would end the program here.
func isMismatch(err error) bool {
	e, ok := err.(*AuthenticationError)
	return ok && e.reason == ErrIdentityMismatch
}

// logEvent says what became of an acquisition. heeds reports whether a challenge's claims reach
// whoever grants the token; otherwise the host's own cache decides.
func logEvent(
	to *slog.Logger, s tokenSource, r tokencache.Request, e tokencache.Event, heeds bool,
) {
	attrs := []slog.Attr{slog.String("resource", r.Resource)}
	if !e.Expires.IsZero() {
		attrs = append(attrs, slog.Time("expires", e.Expires))
	}
	say := func(level slog.Level, message string, more ...slog.Attr) {
		to.LogAttrs(context.Background(), level, message, append(attrs, more...)...)
	}
	renewal, changed := slog.Time("renewal", e.Next), slog.Bool("changed", e.Changed)
	switch {
	case e.Err != nil:
		level, message := slog.LevelWarn, "token request failed"
		if !e.First {
			message = "token renewal failed, the held token stays in use"
		}
		switch {
		case isMismatch(e.Err):
			message = "token of another identity refused"
		case e.Blip: // most are gone at the next try
			level = slog.LevelInfo
		}
		say(level, message, slog.Time("next_try", e.Next.UTC()),
			slog.String("error", sharedError(e.Err, s, r.Resource).Error()))
	case e.OfUser: // Azure ML's instances have single sign-on (Azure/azure-sdk-for-python#31032)
		say(slog.LevelWarn, "the token is a signed-in user's, not a managed identity's", renewal)
	case r.Claims != "" && !heeds:
		level := slog.LevelInfo
		if !e.Changed {
			level = slog.LevelWarn
		}
		say(level, "claims challenge: the host takes no claims, "+
			"its own cache decides whether the token changes", renewal, changed)
	case r.Claims != "":
		say(slog.LevelInfo, "token acquired after a claims challenge", renewal, changed)
	case r.Anew && e.Changed:
		say(slog.LevelInfo, "token refreshed", renewal, changed)
	case r.Anew: // for about a day:
		// https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/managed-identities-faq
		say(slog.LevelInfo, "the host repeated the held token from its own cache, "+
			"which ends with the token at the latest",
			renewal, changed, slog.Time("host_cache_ends", e.Expires))
	case e.First:
		say(slog.LevelInfo, "token acquired", renewal)
	default:
		say(slog.LevelDebug, "token renewed", renewal, changed)
	}
}

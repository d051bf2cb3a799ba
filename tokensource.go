package identity

import (
	"cmp"
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
	s tokenSource, resource string, end func(error),
	acquire func() (tokencache.Grant, *failure.Failure),
) (g tokencache.Grant, err error) {
	failed := aborted("")
	defer func() {
		if p := recover(); p != nil {
			failed = panicFailure(p)
		}
		if failed == nil {
			end(nil)
			return
		}
		end(publicError(failed, s, resource))
		err = &tokencache.Failure{
			Err:        failed,
			RetryAfter: failed.RetryAfter,
			Final:      failed.Verdict == failure.Never && failed.Cause != errAborted,
			Waited:     failed.Waited,
		}
	}()
	g, failed = acquire()
	return g, nil
}

// grantFrom makes a token one for the cache.
func grantFrom(t token.Token) tokencache.Grant {
	return tokencache.Grant{Token: t.Value, ExpiresOn: t.ExpiresOn, RefreshIn: t.RefreshIn}
}

// publicError makes the error of a failure, for one caller of s, who asked for a token for a
// resource. It is the only function that makes one of an acquisition's.
func publicError(f *failure.Failure, s tokenSource, resource string) *AuthenticationError {
	e := &AuthenticationError{
		Resource:      cmp.Or(f.Resource, resource),
		StatusCode:    f.StatusCode,
		Code:          f.Code,
		Message:       f.Message,
		CorrelationID: f.CorrelationID,
		Attempts:      f.Attempts,
		Elapsed:       f.Elapsed,
		RawResponse:   f.Answer,
		reason:        sentinel(f.Reason),
		cause:         f.Cause,
		what:          f.What,
		hint:          f.Hint,
		transient:     f.Verdict != failure.Never,
		body:          f.Body,
	}
	s.sign(e)
	e.Endpoint = cmp.Or(f.Endpoint, e.Endpoint) // App Service's can move
	return e.forCaller()
}

// callersError makes the error that one caller gets of what the cache says, which all callers
// share. It is called while that caller is there: ctx is asked for its cause.
func callersError(ctx context.Context, err error, s tokenSource, resource string) error {
	switch e := err.(type) {
	case *failure.Failure:
		return publicError(e, s, resource)
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
			return publicError(aborted(""), s, resource)
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
	switch e := err.(type) {
	case *failure.Failure:
		return publicError(e, s, resource)
	case *tokencache.Error: // the only one that all share
		return publicError(aborted(""), s, resource)
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

// aborted is that failure. more is said behind it.
func aborted(more string) *failure.Failure {
	return &failure.Failure{Line: failure.Line{What: errAborted.Error() + more}, Cause: errAborted}
}

// panicFailure is the failure of an acquisition that panicked.
func panicFailure(p any) *failure.Failure {
	said := "something that can't be printed"
	// its own methods may do anything
	usercode.Shielded(func() { said = redact.Line(redact.Text(fmt.Sprint(p))) })
	return aborted(", which panicked: " + said)
}

// isMismatch reports whether the error is ErrIdentityMismatch. errors.Is would call methods of an
// error of the user's Transport, and a panic in one would end the program here.
func isMismatch(err error) bool {
	f, ok := err.(*failure.Failure)
	return ok && f.Reason == failure.IdentityMismatch
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

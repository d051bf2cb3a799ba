package identity

import (
	"context"
	"log/slog"

	"github.com/keyless-go/identity/internal/tokencache"
)

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

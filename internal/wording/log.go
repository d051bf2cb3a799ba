package wording

import (
	"context"
	"log/slog"

	"github.com/keyless-go/identity/internal/tokencache"
)

// LogFailure says that an acquisition brought no token. text is its error's; mismatch says that a
// token came and was another identity's.
func LogFailure(
	to *slog.Logger, r tokencache.Request, e tokencache.Event, mismatch bool, text string,
) {
	level, message := slog.LevelWarn, "token request failed"
	if !e.First {
		message = "token renewal failed, the held token stays in use"
	}
	switch {
	case mismatch:
		message = "token of another identity refused"
	case e.Blip: // most are gone at the next try
		level = slog.LevelInfo
	}
	say(to, r, e, level, message, slog.Time("next_try", e.Next.UTC()), slog.String("error", text))
}

// LogToken says that an acquisition brought a token, and what is remarkable about that. heeds
// reports whether a challenge's claims reach whoever grants the token; otherwise the host's own
// cache decides.
func LogToken(to *slog.Logger, r tokencache.Request, e tokencache.Event, heeds bool) {
	renewal, changed := slog.Time("renewal", e.Next), slog.Bool("changed", e.Changed)
	switch {
	case e.OfUser: // Azure ML's instances have single sign-on (Azure/azure-sdk-for-python#31032)
		say(to, r, e, slog.LevelWarn, "the token is a signed-in user's, not a managed identity's",
			renewal)
	case r.Claims != "" && !heeds:
		level := slog.LevelInfo
		if !e.Changed {
			level = slog.LevelWarn
		}
		say(to, r, e, level, "claims challenge: the host takes no claims, "+
			"its own cache decides whether the token changes", renewal, changed)
	case r.Claims != "":
		say(to, r, e, slog.LevelInfo, "token acquired after a claims challenge", renewal, changed)
	case r.Anew && e.Changed:
		say(to, r, e, slog.LevelInfo, "token refreshed", renewal, changed)
	case r.Anew: // for about a day:
		// https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/managed-identities-faq
		say(to, r, e, slog.LevelInfo, "the host repeated the held token from its own cache, "+
			"which ends with the token at the latest",
			renewal, changed, slog.Time("host_cache_ends", e.Expires))
	case e.First:
		say(to, r, e, slog.LevelInfo, "token acquired", renewal)
	default:
		say(to, r, e, slog.LevelDebug, "token renewed", renewal, changed)
	}
}

// say writes a line. Each says which resource it is about, and when the held token ends, if any.
func say(
	to *slog.Logger, r tokencache.Request, e tokencache.Event, level slog.Level, message string,
	more ...slog.Attr,
) {
	attrs := []slog.Attr{slog.String("resource", r.Resource)}
	if !e.Expires.IsZero() {
		attrs = append(attrs, slog.Time("expires", e.Expires))
	}
	to.LogAttrs(context.Background(), level, message, append(attrs, more...)...)
}

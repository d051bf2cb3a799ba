package identity

import (
	"context"
	"log/slog"
	"time"
)

// outcome is what the log says of a flight.
type outcome struct {
	first   bool // no valid token was held
	changed bool // the host gave a token other than the one held
	expires time.Time
	next    time.Time // renewal, or the earliest next try
	err     error
	// the token is a person's where it should be a managed identity's, and the one before was none
	ofUser bool
	blip   bool // the first failure, of a renewal that nobody waited for

	refreshed  bool // Refresh asked for it
	challenged bool // claims asked for it
	heeded     bool // and the host takes claims
}

// isMismatch reports whether the error is ErrIdentityMismatch. errors.Is would call methods of an
// error of the user's Transport, and a panic in one would end the program here.
func isMismatch(err error) bool {
	e, ok := err.(*AuthenticationError)
	return ok && e.reason == ErrIdentityMismatch
}

func (o outcome) log(to *slog.Logger, resource string) {
	ctx := context.Background()
	attrs := []slog.Attr{slog.String("resource", resource)}
	if !o.expires.IsZero() {
		attrs = append(attrs, slog.Time("expires", o.expires))
	}
	switch {
	case o.err != nil:
		level, message := slog.LevelWarn, "token request failed"
		if !o.first {
			message = "token renewal failed, the held token stays in use"
		}
		switch {
		case isMismatch(o.err):
			message = "token of another identity refused"
		case o.blip: // most are gone at the next try
			level = slog.LevelInfo
		}
		to.LogAttrs(ctx, level, message, append(attrs, slog.Time("next_try", o.next.UTC()), slog.String("error", o.err.Error()))...)
	case o.ofUser: // Azure ML's instances have single sign-on (Azure/azure-sdk-for-python#31032)
		to.LogAttrs(ctx, slog.LevelWarn,
			"the token is a signed-in user's, not a managed identity's",
			append(attrs, slog.Time("renewal", o.next))...)
	case o.challenged && !o.heeded:
		level := slog.LevelInfo
		if !o.changed {
			level = slog.LevelWarn
		}
		to.LogAttrs(ctx, level, "claims challenge: the host takes no claims, its own cache decides whether the token changes", append(attrs, slog.Time("renewal", o.next), slog.Bool("changed", o.changed))...)
	case o.challenged:
		to.LogAttrs(ctx, slog.LevelInfo, "token acquired after a claims challenge", append(attrs, slog.Time("renewal", o.next), slog.Bool("changed", o.changed))...)
	case o.refreshed && o.changed:
		to.LogAttrs(ctx, slog.LevelInfo, "token refreshed", append(attrs, slog.Time("renewal", o.next), slog.Bool("changed", true))...)
	case o.refreshed: // https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/managed-identities-faq: about a day
		to.LogAttrs(ctx, slog.LevelInfo, "the host repeated the held token from its own cache, which ends with the token at the latest",
			append(attrs, slog.Time("renewal", o.next), slog.Bool("changed", false), slog.Time("host_cache_ends", o.expires))...)
	case o.first:
		to.LogAttrs(ctx, slog.LevelInfo, "token acquired", append(attrs, slog.Time("renewal", o.next))...)
	default:
		to.LogAttrs(ctx, slog.LevelDebug, "token renewed", append(attrs, slog.Time("renewal", o.next), slog.Bool("changed", o.changed))...)
	}
}

package usercode

import (
	"context"
	"log/slog"
)

// silent is the Logger of credentials that were given none.
var silent = slog.New(slog.DiscardHandler)

// Logger is the user's Logger as it is used here, one that says nothing for nil. If its handler
// panics or ends its goroutine, the line is lost and nothing else. Most lines come from goroutines
// in which nobody recovers, so that a panic would end the program.
func Logger(user *slog.Logger) *slog.Logger {
	if user == nil {
		return silent
	}
	return slog.New(shieldedHandler{user.Handler()})
}

// shieldedHandler calls a handler of the user's, all of its methods shielded.
type shieldedHandler struct{ user slog.Handler }

// Enabled leaves the question to Handle, so that a line costs one goroutine. There are few lines.
func (h shieldedHandler) Enabled(context.Context, slog.Level) bool { return true }

func (h shieldedHandler) Handle(ctx context.Context, r slog.Record) (err error) {
	Shielded(func() {
		if h.user.Enabled(ctx, r.Level) {
			err = h.user.Handle(ctx, r)
		}
	})
	return err
}

func (h shieldedHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return h.derived(func() slog.Handler { return h.user.WithAttrs(attrs) })
}

func (h shieldedHandler) WithGroup(name string) slog.Handler {
	return h.derived(func() slog.Handler { return h.user.WithGroup(name) })
}

// derived is a handler that the user's makes. One that can't be made loses its lines.
func (h shieldedHandler) derived(from func() slog.Handler) slog.Handler {
	var user slog.Handler
	if !Shielded(func() { user = from() }) || user == nil {
		return slog.DiscardHandler
	}
	return shieldedHandler{user}
}

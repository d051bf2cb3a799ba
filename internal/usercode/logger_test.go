package usercode

import (
	"bytes"
	"context"
	"log/slog"
	"runtime"
	"strings"
	"testing"
)

// wicked is a handler of which one method does something bad instead of returning, as long as there
// is something.
type wicked struct {
	slog.Handler
	method string
	bad    *func()
}

func (h wicked) meet(method string) {
	if *h.bad != nil && method == h.method {
		(*h.bad)()
	}
}

func (h wicked) Enabled(ctx context.Context, level slog.Level) bool {
	h.meet("Enabled")
	return h.Handler.Enabled(ctx, level)
}

func (h wicked) Handle(ctx context.Context, r slog.Record) error {
	h.meet("Handle")
	return h.Handler.Handle(ctx, r)
}

func (h wicked) WithAttrs(attrs []slog.Attr) slog.Handler {
	h.meet("WithAttrs")
	return wicked{h.Handler.WithAttrs(attrs), h.method, h.bad}
}

func (h wicked) WithGroup(name string) slog.Handler {
	h.meet("WithGroup")
	return wicked{h.Handler.WithGroup(name), h.method, h.bad}
}

// TestLogger: a handler that panics or ends its goroutine loses the line and nothing else. A panic
// that got through would end this test's process.
func TestLogger(t *testing.T) {
	t.Parallel()
	for how, bad := range map[string]func(){
		"panics": func() { panic("a bug") }, "ends its goroutine": runtime.Goexit,
	} {
		for _, method := range []string{"Enabled", "Handle", "WithAttrs", "WithGroup"} {
			var b bytes.Buffer
			now := bad
			log := Logger(slog.New(wicked{slog.NewTextHandler(&b, nil), method, &now}))
			log.With("a", 1).WithGroup("g").Info("lost", "b", 2)
			if b.Len() > 0 {
				t.Errorf("%s %s: the log has %q, want nothing", method, how, b.String())
			}
			now = nil
			log.With("a", 1).WithGroup("g").Info("kept", "b", 2)
			if text := b.String(); !strings.Contains(text, "msg=kept a=1 g.b=2") {
				t.Errorf("%s %s: the log has %q after the handler has recovered", method, how, text)
			}
		}
	}
	// No Logger, one without a handler, and a handler that makes none.
	for _, log := range []*slog.Logger{nil, {}, slog.New(barren{slog.DiscardHandler})} {
		Logger(log).Error("lost")
		Logger(log).WithGroup("g").With("a", 1).Info("lost")
	}
}

// barren makes no handlers.
type barren struct{ slog.Handler }

func (barren) WithAttrs([]slog.Attr) slog.Handler { return nil }
func (barren) WithGroup(string) slog.Handler      { return nil }

package chain

import (
	"context"
	"log/slog"
	"sync/atomic"
)

// log tells which source is in use, when that changes. A handler may be slow, want a lock that
// the caller holds, or a token of this chain, so nobody waits for it.
type log struct {
	to      *slog.Logger
	telling atomic.Int64 // goroutines that write
	told    atomic.Bool  // it has said that sources are barred
}

// maxTelling bounds the goroutines that write to the log, if its handler hangs. Lines beyond that
// are lost: they are one for each change of the source in use.
const maxTelling = 100

// tell writes news, one after the other. A nil one is none.
func (l *log) tell(news ...func()) {
	if l.telling.Add(1) > maxTelling {
		l.telling.Add(-1)
		return
	}
	go func() {
		defer l.telling.Add(-1)
		for _, write := range news {
			if write != nil {
				write()
			}
		}
	}()
}

// barred are the news, once, that sources are barred from now on. They are a warning if one of
// those was in use.
func (l *log) barred(message, why string, wasInUse bool) (news func()) {
	if !l.told.CompareAndSwap(false, true) {
		return nil
	}
	level := slog.LevelInfo
	if wasInUse {
		level = slog.LevelWarn
	}
	return func() {
		l.to.LogAttrs(context.Background(), level, message, slog.String("because", why))
	}
}

// inUse are the news that another source is in use.
func (l *log) inUse(attrs []slog.Attr) (news func()) {
	return func() {
		l.to.LogAttrs(context.Background(), slog.LevelInfo, "source of tokens in use", attrs...)
	}
}

// failed are the news that a source before the one in use is there again, and of no use.
func (l *log) failed(source, why string) (news func()) {
	return func() {
		l.to.LogAttrs(context.Background(), slog.LevelWarn,
			"a source before the one in use fails",
			slog.String("source", source), slog.String("error", why))
	}
}

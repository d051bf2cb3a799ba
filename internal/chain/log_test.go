package chain

import (
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// slowHandler is a log handler that takes a minute for each line.
type slowHandler struct{ lines atomic.Int64 }

func (*slowHandler) Enabled(context.Context, slog.Level) bool { return true }
func (h *slowHandler) Handle(context.Context, slog.Record) error {
	h.lines.Add(1)
	time.Sleep(time.Minute)
	return nil
}
func (h *slowHandler) WithAttrs([]slog.Attr) slog.Handler { return h }
func (h *slowHandler) WithGroup(string) slog.Handler      { return h }

// TestChainDoesNotWaitForTheLog: neither callers nor Announce wait for a slow handler, and one that
// hangs costs a bounded number of goroutines.
func TestChainDoesNotWaitForTheLog(t *testing.T) {
	bubble(t, func(t *testing.T) {
		start := time.Now()
		h := &slowHandler{}
		bar := &Bar{Why: func() string { return "proof" }}
		of(Options{Logger: slog.New(h)}, Link{Name: "tool", Source: &scripted{}, Bar: bar}).Announce()
		chain := of(Options{Logger: slog.New(h)}, &scripted{err: errAway}, &scripted{name: "b"})
		for _, scope := range scopesOf(1000) {
			wantFrom(t, chain, "b", scope)
		}
		synctest.Wait()
		if took, n := time.Since(start), h.lines.Load(); took > 0 || n != 1+maxTelling {
			t.Errorf("a thousand calls waited %v for the log, which got %d lines, want 0 and %d",
				took, n, 1+maxTelling)
		}
	})
}

// TestChainLogsWhichSource is in use, why not those before, and nothing while that stays.
func TestChainLogsWhichSource(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var log lines
		a, b := &scripted{name: "a", err: errAway, took: time.Second}, &scripted{name: "b"}
		chain := of(Options{Logger: log.logger()}, of(Options{}, a), b)
		wantLast := func(n int, parts ...string) {
			t.Helper()
			all := strings.Split(strings.TrimSpace(log.String()), "\n")
			if last := all[len(all)-1]; len(all) != n ||
				!strings.HasSuffix(last, strings.Join(parts, "")) {
				t.Errorf("the log is\n%s\nwant %d lines, and as the last one\n%s", log.String(), n,
					strings.Join(parts, ""))
			}
		}
		for range 2 { // walks at once
			go func() { _, _ = getToken(t.Context(), chain) }()
		}
		synctest.Wait()
		for range 3 {
			wantFrom(t, chain, "b")
			time.Sleep(time.Minute)
		}
		synctest.Wait()
		const inUse, vault = `level=INFO msg="source of tokens in use" source=`, "https://vault.azure.net"
		wantLast(1, inUse+"chain.scripted resource="+vault+` "not chain"="no token for `+vault+
			`: no source is available chain.scripted: away: unavailable"`)
		a.set(nil)
		time.Sleep(time.Minute)
		wantFrom(t, chain, "b")
		time.Sleep(time.Second)
		synctest.Wait()
		wantFrom(t, chain, "a")
		wantLast(2, inUse+"chain before=chain.scripted resource="+vault)
	})
}

// TestChainBarred: what a source brings or says once it is barred is nobody's, whenever that comes.
func TestChainBarred(t *testing.T) {
	for _, tt := range []struct {
		name  string
		inUse bool
		look  bool  // of the source before the one in use
		err   error // of the source that is barred meanwhile
		log   string
	}{
		{name: "in a walk", log: "INFO"},
		{name: "in a walk that fails", err: errBroken, log: "INFO"},
		{name: "in use", inUse: true, log: "WARN"},
		{name: "in use, and fails", inUse: true, err: errBroken, log: "WARN"},
		{name: "in a look", inUse: true, look: true, log: "WARN"},
	} {
		bubbleIn(t, tt.name, func(t *testing.T) {
			var log lines
			var closed atomic.Bool
			bar := &Bar{News: "news", Line: func(why string) string { return "barred: " + why },
				Why: func() string { return map[bool]string{true: "proof"}[closed.Load()] }}
			host, other := &scripted{name: "host", err: errAway}, &scripted{err: errAway}
			tool := &scripted{name: "tool"}
			chain := of(Options{Logger: log.logger()}, Link{Name: "host", Source: host},
				Link{Name: "other", Source: other, Bar: bar},
				Link{Name: "tool", Source: tool, Bar: bar})
			if tt.inUse {
				wantFrom(t, chain, "tool")
			}
			asked := tool
			if tt.look {
				time.Sleep(2 * time.Minute)
				asked = other
			}
			asked.took, asked.err = 5*time.Second, tt.err
			time.AfterFunc(time.Second, func() {
				host.set(nil)
				closed.Store(true)
			})
			if tt.look {
				wantFrom(t, chain, "tool") // begins it
				time.Sleep(6 * time.Second)
			}
			wantFrom(t, chain, "host")
			synctest.Wait()
			if s := chain.Status(); s.InUse != "host" || s.Barred != "proof" ||
				!strings.Contains(log.String(), "level="+tt.log+" msg=news because=proof\n") ||
				strings.Count(log.String(), "news") != 1 ||
				strings.Contains(log.String(), "source=other") {
				t.Errorf("status is %+v, the log\n%s", s, log.String())
			}
			host.set(errAway)
			other.asks.Store(0)
			tool.asks.Store(0)
			_, err := getToken(t.Context(), chain)
			want := "no source is available\n\thost: away: unavailable\n\tother: barred: proof" +
				"\n\ttool: barred: proof"
			if err == nil || !strings.HasSuffix(err.Error(), want) {
				t.Errorf("error is %v, want %q", err, want)
			}
			wantAsks(t, other, 0)
			wantAsks(t, tool, 0)
		})
	}
}

package chain

import (
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// TestChainDoesNotWaitForTheLog: neither callers nor the constructor wait for a slow handler, and
// one that hangs costs a bounded number of goroutines.
func TestChainDoesNotWaitForTheLog(t *testing.T) {
	bubble(t, func(t *testing.T) {
		start := time.Now()
		var lines atomic.Int64
		log := slog.New(handlerFunc(func(slog.Record) {
			lines.Add(1)
			time.Sleep(time.Minute)
		}))
		chain := of(Options{Logger: log}, &scripted{err: errAway},
			&scripted{name: "b"})
		for _, scope := range scopesOf(1000) {
			if tk, err := chain.GetToken(t.Context(),
				policy.TokenRequestOptions{Scopes: []string{scope}}); tk.Token != "b" {
				t.Fatalf("got %q, error %v", tk.Token, err)
			}
		}
		synctest.Wait()
		if took := time.Since(start); took > 0 || lines.Load() != maxTelling {
			t.Errorf("a thousand calls waited %v for the log, which got %d lines, want 0 and %d",
				took, lines.Load(), maxTelling)
		}
	})
}

// TestChainLogsWhichSource is in use, why not those before, and nothing while that stays.
func TestChainLogsWhichSource(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var log lines
		a, b := &scripted{name: "a", err: errAway, took: time.Second}, &scripted{name: "b"}
		chain := of(Options{Logger: slog.New(slog.NewTextHandler(&log, nil))},
			of(Options{}, a), b)
		for range 2 { // walks at once
			go func() { _, _ = getToken(t.Context(), chain) }()
		}
		synctest.Wait()
		for range 3 {
			wantFrom(t, chain, "b")
			time.Sleep(time.Minute)
		}
		synctest.Wait()
		want := `level=INFO msg="source of tokens in use" source=chain.scripted ` +
			`resource=https://vault.azure.net "not chain"="no token for https://`
		if got := log.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, want) ||
			!strings.Contains(got, ": no source is available chain.scripted: away: ") {
			t.Errorf("the log is %s", got)
		}
		a.set(nil)
		time.Sleep(time.Minute)
		wantFrom(t, chain, "b")
		time.Sleep(time.Second)
		synctest.Wait()
		wantFrom(t, chain, "a")
		if got := log.String(); strings.Count(got, "\n") != 2 ||
			!strings.Contains(got,
				"source=chain before=chain.scripted resource=https://vault.azure.net\n") {
			t.Errorf("the log is %s", got)
		}
	})
}

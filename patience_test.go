package identity

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// FuzzPatience: whatever the text of Service Fabric's answer says, the wait has its bounds, and a
// text that isn't understood wholly means nothing.
func FuzzPatience(f *testing.F) {
	for _, body := range []string{
		"The request was throttled locally; the service allows 30 requests per 10s; retry after 4s.",
		"Retry-After: 4", "retry after 250 ms", "RETRY AFTER 2 minutes", "retry after 1 hour",
		"retry after 00:00:04", "retry after 4 fortnights", "retry after 4s5", "retry after 1.5 s",
		"retry after 1" + strings.Repeat("0", 400), "retry after never", "retry after ٧",
		"retry after -7", "retry after 1e3", "retry after 99999999999999999999",
	} {
		f.Add(uint16(len(body)), body)
		f.Add(uint16(7), `{"error":{"code":"TooManyRequests","message":"`+body+`"}}`)
	}
	f.Fuzz(func(t *testing.T, n uint16, body string) {
		fabric := &serviceFabric{}
		if got := fabric.Patience(http.StatusServiceUnavailable, body); got != 0 {
			t.Errorf("a 503 is patient for %v", got)
		}
		patience := func(body string) time.Duration {
			return fabric.Patience(http.StatusTooManyRequests, body)
		}
		got := patience(body)
		if got < 0 || got > 5*time.Minute {
			t.Errorf("the text means %v, want 0 to 5 minutes", got)
		}
		for unit, each := range map[string]time.Duration{
			"ms": time.Millisecond, "s": time.Second, "": time.Second, " seconds": time.Second,
			" MIN": time.Minute, "\thours": time.Hour,
		} {
			text := fmt.Sprint("; retry after ", n, unit)
			want := min(time.Duration(n)*each, 5*time.Minute)
			if got := patience(text + "."); got != want {
				t.Errorf("%q means %v, want %v", text, got, want)
			}
			for _, more := range []string{":5", "5"} {
				got := patience(text + more)
				if unit != "" && got != 0 || more == ":5" && got != 0 {
					t.Errorf("%q means %v, want what isn't understood to mean nothing", text+more, got)
				}
			}
		}
		said := strings.ToLower(body)
		if got > 0 && !strings.Contains(said, "retry after") && !strings.Contains(said, "retry-after") {
			t.Errorf("%q means %v", body, got)
		}
		// Of the text it is the first that says it, so what comes behind changes nothing.
		if after := patience(body + "; retry after 299 s"); got > 0 && after != got {
			t.Errorf("%q means %v, and %v with more behind it", body, got, after)
		}
		if after := patience("retry after 299 s; " + body); after != 299*time.Second {
			t.Errorf("behind another, %q changes that to %v", body, after)
		}
	})
}

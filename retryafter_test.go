package identity

import (
	"fmt"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	const limit = 5 * time.Minute
	for _, tt := range []struct {
		name   string
		header []string
		want   time.Duration
	}{
		{"none", nil, 0},
		{"empty", []string{"Retry-After", ""}, 0},
		{"seconds", []string{"Retry-After", "7"}, 7 * time.Second},
		{"seconds with blanks", []string{"Retry-After", " 7 "}, 7 * time.Second},
		{"leading zeros", []string{"Retry-After", "007"}, 7 * time.Second},
		{"name in another case", []string{"RETRY-AFTER", "7"}, 7 * time.Second},
		{"retry-after-ms", []string{"retry-after-ms", "1500"}, 1500 * time.Millisecond},
		{"x-ms-retry-after-ms", []string{"x-ms-retry-after-ms", "1500"}, 1500 * time.Millisecond},
		{"one millisecond", []string{"retry-after-ms", "1"}, time.Millisecond},
		{"RFC 1123", []string{"Retry-After", "Fri, 02 Jan 2026 03:04:35 GMT"}, 30 * time.Second},
		{"RFC 850", []string{"Retry-After", "Friday, 02-Jan-26 03:04:35 GMT"}, 30 * time.Second},
		{"asctime", []string{"Retry-After", "Fri Jan  2 03:04:35 2026"}, 30 * time.Second},
		{"date that has passed", []string{"Retry-After", "Fri, 02 Jan 2026 03:04:04 GMT"}, 0},
		{"date that is now", []string{"Retry-After", "Fri, 02 Jan 2026 03:04:05 GMT"}, 0},
		{"date years ago", []string{"Retry-After", "Thu, 01 Jan 1970 00:00:00 GMT"}, 0},
		{"date in years", []string{"Retry-After", "Fri, 31 Dec 2100 23:59:59 GMT"}, limit},
		{"date in millennia", []string{"Retry-After", "Fri, 31 Dec 9999 23:59:59 GMT"}, limit},
		{"zero", []string{"Retry-After", "0"}, 0},
		{"zero in every header", []string{"retry-after-ms", "0", "x-ms-retry-after-ms", "0", "Retry-After", "0"}, 0},
		{"negative", []string{"Retry-After", "-7"}, 0},
		{"negative milliseconds", []string{"retry-after-ms", "-7"}, 0},
		{"fraction", []string{"Retry-After", "1.5"}, 0},
		{"exponent", []string{"Retry-After", "1e3"}, 0},
		{"sign", []string{"Retry-After", "+7"}, 0},
		{"unit", []string{"Retry-After", "7s"}, 0},
		{"words", []string{"Retry-After", "soon"}, 0},
		{"words behind what overflows", []string{"Retry-After", "20000000000000000000 years"}, 0},
		{"another date", []string{"Retry-After", "2026-01-02T03:04:35Z"}, 0},
		{"milliseconds as a date", []string{"retry-after-ms", "Fri, 02 Jan 2026 03:04:35 GMT"}, 0},
		{"at the limit", []string{"Retry-After", "300"}, limit},
		{"over the limit", []string{"Retry-After", "301"}, limit},
		{"milliseconds over the limit", []string{"retry-after-ms", "300001"}, limit},
		{"overflows a Duration", []string{"Retry-After", "9223372037"}, limit},
		{"overflows milliseconds", []string{"x-ms-retry-after-ms", "9223372036855"}, limit},
		{"overflows int64", []string{"Retry-After", "9223372036854775808"}, limit},
		{"overflows uint64", []string{"Retry-After", "99999999999999999999"}, limit},
		{"the most precise wins", []string{"Retry-After", "7", "x-ms-retry-after-ms", "2000", "retry-after-ms", "1500"}, 1500 * time.Millisecond},
		{"x-ms before seconds", []string{"Retry-After", "7", "x-ms-retry-after-ms", "2000"}, 2 * time.Second},
		{"garbage gives way", []string{"retry-after-ms", "soon", "x-ms-retry-after-ms", "-1", "Retry-After", "7"}, 7 * time.Second},
		{"zero gives way", []string{"retry-after-ms", "0", "Retry-After", "7"}, 7 * time.Second},
		{"the first of two", []string{"Retry-After", "7", "Retry-After", "8"}, 7 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			header := http.Header{}
			for i := 0; i+1 < len(tt.header); i += 2 {
				header.Add(tt.header[i], tt.header[i+1])
			}
			if got := retryAfter(header, now); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
	if got := retryAfter(nil, now); got != 0 {
		t.Errorf("without any header: got %v, want 0", got)
	}
}

// FuzzRetryAfter: whatever the headers and the text of an answer say, the wait is the one that a slower reading of them finds.
func FuzzRetryAfter(f *testing.F) {
	const now = int64(1767323045) // 2026-01-02T03:04:05Z
	const date = "Fri, 02 Jan 2026 03:04:05 GMT"
	for _, value := range []string{
		"7", " 7 ", "007", "0", "-7", "+7", "1.5", "1e3", "0x7", "1_000", "7s", "soon", "٧", "7, 8", "300", "301", "300001", "9223372037", "9223372036855", "18446744073709551615", "99999999999999999999", "20000000000000000000A",
		"Fri, 02 Jan 2026 03:04:35 GMT", "Friday, 02-Jan-26 03:04:35 GMT", "Fri Jan  2 03:04:35 2026", "Fri, 02 Jan 2026 03:04:35 UTC", "Fri, 02 Jan 2026 03:04:35 +0100",
		"Thu, 01 Jan 1970 00:00:00 GMT", "Fri, 31 Dec 9999 23:59:59 GMT", "2026-01-02T03:04:35Z",
	} {
		f.Add("", "", value, "", now, "")
		f.Add(value, "0", "", "", now, "")
		f.Add("0", value, "7", "", now, "")
		f.Add("", "", value, date, int64(0), "")
		f.Add("", "", value, value, now, "retry after "+value)
	}
	f.Add("", "", date, "nonsense", int64(-1)<<62, "")
	f.Add("", "", date, date, int64(1)<<62, "")
	for _, body := range []string{
		"The request was throttled locally; the service allows 30 requests per 10s; retry after 4s.", "Retry-After: 4", "retry after 250 ms", "RETRY AFTER 2 minutes", "retry after 1 hour",
		"retry after 00:00:04", "retry after 4 fortnights", "retry after 4s5", "retry after 1.5 s", "retry after 1" + strings.Repeat("0", 400), "retry after never",
	} {
		f.Add("", "", "", "", now, body)
		f.Add("soon", "-1", "", "", now, `{"error":{"code":"TooManyRequests","message":"`+body+`"}}`)
	}
	f.Fuzz(func(t *testing.T, ms, xms, seconds, date string, unix int64, body string) {
		header := http.Header{"Retry-After-Ms": {ms}, "X-Ms-Retry-After-Ms": {xms}, "Retry-After": {seconds}, "Date": {date}}
		now := time.Unix(unix, 0)
		if got, want := retryAfter(header, now), slowRetryAfter(ms, xms, seconds, date, now); got != want {
			t.Errorf("got %v, want %v", got, want)
		}
		fabric := &serviceFabric{}
		if got := fabric.patience(http.StatusServiceUnavailable, body); got != 0 {
			t.Errorf("a 503 is patient for %v", got)
		}
		got := fabric.patience(http.StatusTooManyRequests, body)
		if got < 0 || got > 5*time.Minute {
			t.Errorf("the text means %v, want 0 to 5 minutes", got)
		}
		n := unix & 0xffff
		for unit, each := range map[string]time.Duration{"ms": time.Millisecond, "s": time.Second, "": time.Second, " seconds": time.Second, " MIN": time.Minute, "\thours": time.Hour} {
			text := fmt.Sprint("; retry after ", n, unit)
			if got, want := fabric.patience(http.StatusTooManyRequests, text+"."), min(time.Duration(n)*each, 5*time.Minute); got != want {
				t.Errorf("%q means %v, want %v", text, got, want)
			}
			for _, more := range []string{":5", "5"} {
				if got := fabric.patience(http.StatusTooManyRequests, text+more); unit != "" && got != 0 || more == ":5" && got != 0 {
					t.Errorf("%q means %v, want what isn't understood to mean nothing", text+more, got)
				}
			}
		}
		said := strings.ToLower(body)
		if got > 0 && !(strings.Contains(said, "retry after") || strings.Contains(said, "retry-after")) {
			t.Errorf("%q means %v", body, got)
		}
		// Of the text it is the first that says it, so what comes behind changes nothing.
		if after := fabric.patience(http.StatusTooManyRequests, body+"; retry after 299 s"); got > 0 && after != got {
			t.Errorf("%q means %v, and %v with more behind it", body, got, after)
		}
		if after := fabric.patience(http.StatusTooManyRequests, "retry after 299 s; "+body); after != 299*time.Second {
			t.Errorf("behind another, %q changes that to %v", body, after)
		}
	})
}

// slowRetryAfter reads the headers as their definitions say: decimal digits of any length, or one of HTTP's three dates.
func slowRetryAfter(ms, xms, seconds, date string, now time.Time) time.Duration {
	const limit = 5 * time.Minute
	for i, value := range []string{ms, xms, seconds} {
		value = strings.TrimSpace(value)
		unit := []time.Duration{time.Millisecond, time.Millisecond, time.Second}[i]
		if value != "" && strings.Trim(value, "0123456789") == "" {
			n, _ := new(big.Int).SetString(value, 10)
			switch wait := n.Mul(n, big.NewInt(int64(unit))); {
			case wait.Cmp(big.NewInt(int64(limit))) > 0:
				return limit
			case wait.Sign() > 0:
				return time.Duration(wait.Int64())
			}
		} else if i == 2 {
			if sent, ok := slowDate(date); ok {
				now = sent
			}
			if at, ok := slowDate(value); ok && at.After(now) {
				return min(at.Sub(now), limit)
			}
		}
	}
	return 0
}

func slowDate(value string) (time.Time, bool) {
	for _, layout := range []string{"Mon, 02 Jan 2006 15:04:05 GMT", "Monday, 02-Jan-06 15:04:05 MST", "Mon Jan _2 15:04:05 2006"} {
		if at, err := time.Parse(layout, value); err == nil {
			return at, true
		}
	}
	return time.Time{}, false
}

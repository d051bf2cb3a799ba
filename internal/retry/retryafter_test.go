package retry

import (
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestAfter: FuzzAfter has what else a header may be.
func TestAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	const limit = MaxAfter
	type pairs []string
	for _, tt := range []struct {
		name   string
		header pairs
		want   time.Duration
	}{
		{name: "none"},
		{name: "seconds", header: pairs{"Retry-After", "7"}, want: 7 * time.Second},
		{name: "retry-after-ms", header: pairs{"retry-after-ms", "1500"}, want: 1500 * time.Millisecond},
		{name: "x-ms-retry-after-ms", header: pairs{"x-ms-retry-after-ms", "1500"},
			want: 1500 * time.Millisecond},
		{name: "RFC 1123", header: pairs{"Retry-After", "Fri, 02 Jan 2026 03:04:35 GMT"},
			want: 30 * time.Second},
		{name: "date that has passed", header: pairs{"Retry-After", "Fri, 02 Jan 2026 03:04:04 GMT"}},
		{name: "date in years", header: pairs{"Retry-After", "Fri, 31 Dec 2100 23:59:59 GMT"},
			want: limit},
		{name: "zero", header: pairs{"Retry-After", "0"}},
		{name: "negative", header: pairs{"Retry-After", "-7"}},
		{name: "fraction", header: pairs{"Retry-After", "1.5"}},
		{name: "over the limit", header: pairs{"Retry-After", "301"}, want: limit},
		{name: "overflows a Duration", header: pairs{"Retry-After", "9223372037"}, want: limit},
		{name: "overflows int64", header: pairs{"Retry-After", "9223372036854775808"}, want: limit},
		{name: "the most precise wins", header: pairs{"Retry-After", "7", "x-ms-retry-after-ms", "2000",
			"retry-after-ms", "1500"}, want: 1500 * time.Millisecond},
		{name: "zero gives way", header: pairs{"retry-after-ms", "0", "Retry-After", "7"},
			want: 7 * time.Second},
		{name: "a date by the host's clock, ours an hour slow",
			header: pairs{"Date", "Fri, 02 Jan 2026 04:04:05 GMT", "Retry-After",
				"Fri, 02 Jan 2026 04:04:08 GMT"}, want: 3 * time.Second},
		{name: "the first of two", header: pairs{"Retry-After", "7", "Retry-After", "8"},
			want: 7 * time.Second},
	} {
		header := http.Header{}
		for i := 0; i+1 < len(tt.header); i += 2 {
			header.Add(tt.header[i], tt.header[i+1])
		}
		if got := After(header, now); got != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
	if got := After(nil, now); got != 0 {
		t.Errorf("without any header: got %v, want 0", got)
	}
}

// FuzzAfter: whatever the headers of an answer say, the wait is the one that a slower reading of
// them finds.
func FuzzAfter(f *testing.F) {
	const now = int64(1767323045) // 2026-01-02T03:04:05Z
	const date = "Fri, 02 Jan 2026 03:04:05 GMT"
	for _, value := range []string{
		"7", " 7 ", "007", "0", "-7", "+7", "1.5", "1e3", "0x7", "1_000", "7s", "soon", "٧", "7, 8",
		"300", "301", "300001", "9223372037", "9223372036855", "18446744073709551615",
		"99999999999999999999", "20000000000000000000A",
		"Fri, 02 Jan 2026 03:04:35 GMT", "Friday, 02-Jan-26 03:04:35 GMT",
		"Fri Jan  2 03:04:35 2026", "Fri, 02 Jan 2026 03:04:35 UTC",
		"Fri, 02 Jan 2026 03:04:35 +0100", "Thu, 01 Jan 1970 00:00:00 GMT",
		"Fri, 31 Dec 9999 23:59:59 GMT", "2026-01-02T03:04:35Z",
	} {
		f.Add("", "", value, "", now)
		f.Add(value, "0", "", "", now)
		f.Add("0", value, "7", "", now)
		f.Add("", "", value, date, int64(0))
		f.Add("", "", value, value, now)
	}
	f.Add("", "", date, "nonsense", int64(-1)<<62)
	f.Add("", "", date, date, int64(1)<<62)
	f.Fuzz(func(t *testing.T, ms, xms, seconds, date string, unix int64) {
		header := http.Header{
			"Retry-After-Ms": {ms}, "X-Ms-Retry-After-Ms": {xms}, "Retry-After": {seconds},
			"Date": {date},
		}
		now := time.Unix(unix, 0)
		if got, want := After(header, now), slowAfter(ms, xms, seconds, date, now); got != want {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}

// slowAfter reads the headers as their definitions say: decimal digits of any length, or one of
// HTTP's three dates.
func slowAfter(ms, xms, seconds, date string, now time.Time) time.Duration {
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
	for _, layout := range []string{
		"Mon, 02 Jan 2006 15:04:05 GMT", "Monday, 02-Jan-06 15:04:05 MST",
		"Mon Jan _2 15:04:05 2006",
	} {
		if at, err := time.Parse(layout, value); err == nil {
			return at, true
		}
	}
	return time.Time{}, false
}

package identity

import (
	"net/http"
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

func FuzzRetryAfter(f *testing.F) {
	f.Add("", "", "7", int64(0))
	f.Add("1500", "", "", int64(1))
	f.Add("0", "99999999999999999999", "-1", int64(1))
	f.Add("", "", "Fri, 02 Jan 2026 03:04:35 GMT", int64(1767323045))
	f.Add("", "", "Friday, 02-Jan-26 03:04:35 GMT", int64(-1)<<62)
	f.Fuzz(func(t *testing.T, ms, xms, seconds string, now int64) {
		got := retryAfter(http.Header{"Retry-After-Ms": {ms}, "X-Ms-Retry-After-Ms": {xms}, "Retry-After": {seconds}}, time.Unix(now, 0))
		if got < 0 || got > 5*time.Minute {
			t.Errorf("got %v, want 0 to 5 minutes", got)
		}
	})
}

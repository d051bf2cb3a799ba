package failure

import (
	"strconv"
	"strings"
	"time"

	"github.com/keyless-go/identity/internal/lazy"
)

// retryAfter finds "retry after 4s" in what Service Fabric says: "The request was throttled
// locally; the service allows 30 requests per 10s; retry after 4s."
// (https://github.com/AzureAD/microsoft-authentication-library-for-dotnet/issues/5178).
var retryAfter = lazy.Regexp{Expr: `(?i)\bretry[ -]after:?\s+` +
	`([0-9]+(?:\.[0-9]+)?)[ \t]*([a-z]*)([:0-9]?)`}

// RetryAfter is for how long a text asks to be left alone, limit at most; 0 if it doesn't ask. A
// text that is understood only in part counts for nothing.
func RetryAfter(text string, limit time.Duration) time.Duration {
	found := retryAfter.Get().FindStringSubmatch(text)
	if found == nil || found[3] != "" {
		return 0
	}
	var unit time.Duration
	switch strings.ToLower(found[2]) {
	case "ms", "msec", "millisecond", "milliseconds":
		unit = time.Millisecond
	case "", "s", "sec", "secs", "second", "seconds":
		unit = time.Second
	case "m", "min", "mins", "minute", "minutes":
		unit = time.Minute
	case "h", "hour", "hours":
		unit = time.Hour
	default:
		return 0
	}
	// Digits. Too many of them are infinite, which limit takes care of.
	n, _ := strconv.ParseFloat(found[1], 64)
	return time.Duration(min(n*float64(unit), float64(limit)))
}

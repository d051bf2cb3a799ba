package token

import (
	"strings"
	"time"
)

// dateLayouts are the dates that hosts have been seen to send. HTTP's own three, and mail's beside
// them, come from servers that stand in for a host. A fraction of a second is accepted in all of
// them. Not among them is what nobody sends with a token, such as .NET's /Date(…)/ and TimeSpan:
// then the next of the answer's fields dates the token.
var dateLayouts = []string{
	time.RFC3339,
	"2006-01-02T15:04:05",
	"1/2/2006 15:04:05 -07:00",
	"1/2/2006 3:04:05 PM -07:00",
	"2006-01-02 15:04:05 -07:00",
	"2006-01-02 15:04:05Z07:00",
	"1/2/2006 15:04:05",
	"1/2/2006 3:04:05 PM",
	"2006-01-02 15:04:05",
	"Mon, 2 Jan 2006 15:04:05 GMT",
	"Mon, 2 Jan 2006 15:04:05 -0700",
	"Monday, 02-Jan-06 15:04:05 GMT",
	time.ANSIC,
}

// date reads a date in words; without a zone it is UTC. "PM" behind an hour above 12 or of 0 is
// decoration on a 24-hour clock, as in App Service's documentation.
func date(s string) (time.Time, bool) {
	fields := strings.Fields(strings.ToUpper(s))
	s = strings.Join(fields, " ")
	for i, f := range fields {
		if (f != "AM" && f != "PM") || i == 0 {
			continue
		}
		hour, _, _ := strings.Cut(fields[i-1], ":")
		if hour == "0" || hour == "00" || hour > "12" && len(hour) == 2 {
			s = strings.Join(append(fields[:i:i], fields[i+1:]...), " ")
		}
		break
	}
	for _, layout := range dateLayouts {
		if t, err := time.Parse(layout, s); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

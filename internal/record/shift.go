package record

import (
	"encoding/base64"
	"encoding/json"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Shifted is the body of an answer as if it came later by d: a token that had an hour then has one
// now. Times are moved in the fields that have one, in whichever form, and in the claims of tokens.
// What isn't JSON stays as it is.
func Shifted(body string, d time.Duration) string {
	return moved(body, func(field, value string) string {
		if IsPlaceholder(value) {
			return shiftedToken(value, d)
		}
		return shiftedTime(field, value, d)
	})
}

// moved is a JSON text with other strings and numbers.
func moved(text string, move func(field, value string) string) string {
	same := func(field string) string { return field }
	out, ok := Rewrite(text, same, func(field string, value any) any {
		switch v := value.(type) {
		case string:
			return move(field, v)
		case json.Number:
			return json.Number(move(field, v.String()))
		}
		return value
	})
	if !ok {
		return text
	}
	return out
}

// moments are the fields and the claims that have a time.
var moments = []string{"expires_on", "expiresOn", "not_before", "ext_expires_on", "refresh_on",
	"exp", "nbf", "iat", "timestamp"}

var unix = regexp.MustCompile(`^\d{9,11}$`)

// dates are the forms in words that hosts have been seen to use.
var dates = []string{time.RFC3339, "1/2/2006 3:04:05 PM -07:00", "1/2/2006 15:04:05 -07:00",
	"2006-01-02 15:04:05Z", "2006-01-02 15:04:05 -07:00"}

func shiftedTime(field, value string, d time.Duration) string {
	if !slices.Contains(moments, field) {
		return value
	}
	if unix.MatchString(value) {
		n, _ := strconv.ParseInt(value, 10, 64)
		return strconv.FormatInt(n+int64(d/time.Second), 10)
	}
	for _, layout := range dates {
		if t, err := time.Parse(layout, value); err == nil {
			return t.Add(d).Format(layout)
		}
	}
	return value
}

// shiftedToken is a token of a record with other times.
func shiftedToken(token string, d time.Duration) string {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return token
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return token
	}
	later := moved(string(payload), func(field, value string) string {
		return shiftedTime(field, value, d)
	})
	parts[1] = base64.RawURLEncoding.EncodeToString([]byte(later))
	return strings.Join(parts, ".")
}

package token

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/keyless-go/identity/internal/redact"
)

// Until sets the end of a token, which must be later than now, and notes whose it says that it is.
func (t *Token) Until(end, now time.Time) error {
	claims := ClaimsOf(t.Value)
	t.OfUser = claims.OfUser()
	// The token itself knows best when it ends. Only a later end than now counts, because test
	// doubles repeat old tokens.
	exp, ok := Number(string(claims.Exp))
	if ok && exp >= plausible && Unix(exp).After(now) && Unix(exp).Before(end) {
		end = Unix(exp)
	}
	// UTC also takes off the monotonic reading: the wall clock decides, also after a suspend.
	t.ExpiresOn = end.UTC()
	if !t.ExpiresOn.After(now) {
		return fmt.Errorf("%w at %s, %v ago", ErrExpired, t.ExpiresOn.Format(time.RFC3339),
			redact.Round(now.Sub(t.ExpiresOn)))
	}
	return nil
}

// plausible is 2000-01-01 in Unix seconds, where the clock of testing/synctest begins: a smaller
// expires_on is no date. MSAL for .NET draws the line a year later.
const plausible = 946684800

// latest is the end of the year 9999 in Unix seconds: a larger expires_on is no date either.
const latest = 253402300799

// UnixDate reads Unix seconds that can be a date: from the year 2000 to the year 9999.
func UnixDate(seconds string) (time.Time, bool) {
	s, ok := Number(seconds)
	if !ok || s < plausible || s > latest {
		return time.Time{}, false
	}
	return Unix(s), true
}

// expiry dates a token: expires_on, then expires_in, then the JWT's exp, then an expires_on too
// small to be a date, which some hosts meant as seconds from now.
func expiry(r response, token string, now time.Time) (time.Time, bool) {
	if t, ok := UnixDate(string(r.ExpiresOn)); ok {
		return t, true
	}
	// not .NET's DateTime.MinValue
	if t, ok := date(string(r.ExpiresOn)); ok && t.Unix() >= plausible {
		return t, true
	}
	if s, ok := Number(string(r.ExpiresIn)); ok && s > 0 {
		return now.Add(seconds(s)), true
	}
	if exp, ok := Number(string(ClaimsOf(token).Exp)); ok && exp >= plausible {
		return Unix(exp), true
	}
	switch relative, ok := Number(string(r.ExpiresOn)); {
	case !ok || relative <= 0 || relative > latest*1000:
		return time.Time{}, false
	case relative > latest: // nobody sends milliseconds on purpose, but a year 50,000 is none either
		return Unix(relative / 1000), true
	default:
		return now.Add(seconds(relative)), true
	}
}

// Number reads decimal seconds, whole or not.
func Number(s string) (float64, bool) {
	// ParseFloat takes hexadecimal floats, "inf" and "nan", which no host sends.
	if strings.ContainsAny(s, "xXpPnN_") {
		return 0, false
	}
	f, err := strconv.ParseFloat(s, 64)
	return f, err == nil && !math.IsNaN(f) && !math.IsInf(f, 0)
}

// maxSeconds is a hundred years: whatever a host says beyond it is the same to us and can't
// overflow.
const maxSeconds = 100 * 365 * 24 * 60 * 60

func seconds(s float64) time.Duration {
	return time.Duration(min(s, maxSeconds) * float64(time.Second))
}

// Unix is the time of Unix seconds, the end of the year 9999 at the latest.
func Unix(s float64) time.Time {
	whole, fraction := math.Modf(min(s, latest))
	return time.Unix(int64(whole), int64(fraction*1e9))
}

package token

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// at is a time in RFC 3339.
func at(s string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		panic(err)
	}
	return t
}

// forms are those of expires_on in JSON, and the times that they are.
var forms = map[string]string{
	// Unix seconds
	`"1700000000"`:   "2023-11-14T22:13:20Z",
	`1700000000`:     "2023-11-14T22:13:20Z",
	`" 1700000000 "`: "2023-11-14T22:13:20Z",
	`1700000000.5`:   "2023-11-14T22:13:20.5Z",
	`"1700000000.0"`: "2023-11-14T22:13:20Z",
	`1.7e9`:          "2023-11-14T22:13:20Z",
	`"1.7E+9"`:       "2023-11-14T22:13:20Z",
	// seconds from now
	`"3600"`: "2017-01-02T04:04:05Z",
	`86399`:  "2017-01-03T03:04:04Z",
	// Windows plans
	`"1/16/2020 5:24:12 AM +00:00"`:   "2020-01-16T05:24:12Z",
	`"1/16/2020 5:24:12 PM +00:00"`:   "2020-01-16T17:24:12Z",
	`"1/16/2020 12:24:12 AM +00:00"`:  "2020-01-16T00:24:12Z",
	`"1/16/2020 12:24:12 PM +00:00"`:  "2020-01-16T12:24:12Z",
	`"11/16/2020 11:24:12 PM +00:00"`: "2020-11-16T23:24:12Z",
	`"01/06/2020 09:04:02 PM +00:00"`: "2020-01-06T21:04:02Z",
	`"1/16/2020 5:24:12 AM -08:00"`:   "2020-01-16T13:24:12Z",
	`"1/16/2020 5:24:12 am +00:00"`:   "2020-01-16T05:24:12Z",
	`"1/16/2020 5:24:12 PM"`:          "2020-01-16T17:24:12Z",
	// Linux plans
	`"06/20/2019 02:57:58 +00:00"`: "2019-06-20T02:57:58Z",
	`"06/20/2019 22:57:58 +00:00"`: "2019-06-20T22:57:58Z",
	// a 24-hour clock with AM or PM
	`"09/14/2017 00:00:00 PM +00:00"`: "2017-09-14T00:00:00Z",
	`"09/14/2017 15:04:05 PM +00:00"`: "2017-09-14T15:04:05Z",
	`"09/14/2017 00:10:00 AM +00:00"`: "2017-09-14T00:10:00Z",
	// ISO 8601 and RFC 3339
	`"2024-10-18T19:51:37.0000000+00:00"`: "2024-10-18T19:51:37Z",
	`"2024-10-18T19:51:37.1234567+00:00"`: "2024-10-18T19:51:37.1234567Z",
	`"2024-10-18T19:51:37Z"`:              "2024-10-18T19:51:37Z",
	`"2024-10-18T19:51:37+02:00"`:         "2024-10-18T17:51:37Z",
	`"2024-10-18t19:51:37z"`:              "2024-10-18T19:51:37Z",
	`"2024-10-18T19:51:37"`:               "2024-10-18T19:51:37Z",
	// other clients
	`"10/18/2024 19:51:37"`:        "2024-10-18T19:51:37Z",
	`"2024-10-18 19:51:37"`:        "2024-10-18T19:51:37Z",
	`"2024-10-18 19:51:37 +00:00"`: "2024-10-18T19:51:37Z",
	`"2024-10-18 19:51:37+02:00"`:  "2024-10-18T17:51:37Z",
	`"2024-10-18 19:51:37Z"`:       "2024-10-18T19:51:37Z",
	// HTTP: also with the wrong day of the week, of RFC 850, and of C's asctime
	`"Sun, 22 Nov 3333 04:05:06 GMT"`:    "3333-11-22T04:05:06Z",
	`"sun, 22 NOV 3333 04:05:06 gmt"`:    "3333-11-22T04:05:06Z",
	`"Fri, 02 Nov 2029 04:05:06 GMT"`:    "2029-11-02T04:05:06Z",
	`"Fri, 2 Nov 2029 04:05:06 GMT"`:     "2029-11-02T04:05:06Z",
	`"Mon, 22 Nov 2029 04:05:06 GMT"`:    "2029-11-22T04:05:06Z",
	`"Thursday, 22-Nov-29 04:05:06 GMT"`: "2029-11-22T04:05:06Z",
	`"Fri Nov  2 04:05:06 2029"`:         "2029-11-02T04:05:06Z",
	// mail, the second from Python
	`"Thu, 22 Nov 2029 04:05:06 +0200"`: "2029-11-22T02:05:06Z",
	`"Thu, 22 Nov 2029 04:05:06 -0000"`: "2029-11-22T04:05:06Z",
}

func TestExpiresOnForms(t *testing.T) {
	t.Parallel()
	for written, want := range forms {
		g, err := parse("t", `"expires_on":`+written)
		if err != nil || !g.ExpiresOn.Equal(at(want)) || g.ExpiresOn.Location() != time.UTC {
			t.Errorf("expires_on %s: got %v, %v, want %v", written, g.ExpiresOn, err, want)
		}
	}
}

// The ends that an answer with expires_on 1700000000, expires_in 3600 and exp 1800000000 names.
var (
	byOn  = at("2023-11-14T22:13:20Z")
	byIn  = parsedAt.Add(time.Hour)
	byJWT = at("2027-01-15T08:00:00Z")
	jwt   = jwtOf(`{"exp":1800000000}`)
)

// noDates are what expires_on may be without naming a time: .NET's first date, its old JSON and
// HTTP's date in a zone that may be anywhere, too.
var noDates = []string{
	`""`, `"  "`, `null`, `0`, `"0"`, `-1`, `"tomorrow"`, `"N/A"`, `"NaN"`, `"Infinity"`,
	`"0x6553F100"`, `1e999`, `true`, `[1700000000]`, `{"x":1}`, `"13/32/2024 25:61:61"`,
	`"/Date(1700000000000)/"`, `"Thu, 22 Nov 2029 04:05:06 IST"`, `"Thu, 01 Jan 1970 00:00:00 GMT"`,
	`"7200"`, `"0001-01-01T00:00:00.0000000+00:00"`, `"1/1/0001 12:00:00 AM +00:00"`,
	`1893456000000`, `"1893456000000"`,
}

// TestExpiryFallsBack: expires_on, then expires_in, then the JWT's exp.
func TestExpiryFallsBack(t *testing.T) {
	t.Parallel()
	var besideIn []string
	for _, on := range noDates {
		besideIn = append(besideIn, `"expires_on":`+on+`,"expires_in":3600`)
	}
	none := time.Time{} // an error
	for _, tt := range []struct {
		token  string
		want   time.Time
		fields []string
	}{
		{jwt, byOn, []string{
			`"expires_on":"1700000000","expires_in":"3600"`,
			`"expires_on":1700000000,"expires_in":"3600"`,
		}},
		{jwt, byIn, besideIn},
		{jwt, byIn, []string{
			`"expires_in":"3600"`, `"expires_in":" 3600 "`, `"expires_in":"3.6e3"`,
			`"expires_in":"3600.0"`,
		}},
		{jwt, byJWT, []string{
			`"x":1`, `"expires_on":"","expires_in":""`, `"expires_on":null,"expires_in":null`,
			`"expires_on":0,"expires_in":"0"`, `"expires_in":-3600`, `"expires_in":"soon"`,
			`"expires_in":{}`, `"expires_in":"01:00:00"`, `"expires_in":"1h0m0s"`,
			`"expires_in":"PT1H"`, `"expires_on":"3600"`, `"expires_on":"1893456000000"`,
		}},
		{jwtOf(`{"exp":"1800000000"}`), byJWT, []string{`"x":1`}},
		{jwtOf(`{"exp":1.8e9}`), byJWT, []string{`"x":1`}},
		{strings.Replace(jwtOf(`{"exp":1800000000 }`), ".c2ln", "=.c2ln", 1), byJWT, []string{`"x":1`}},
		{"opaque", parsedAt.Add(500 * time.Millisecond), []string{`"expires_in":0.5`}},
		// Milliseconds are read as what they must be only where nothing else dates the token.
		{"opaque", time.Unix(1893456000, 0), []string{`"expires_on":1893456000000`}},
		{"opaque", none, []string{
			`"x":1`, `"expires_on":"","expires_in":0,"refresh_in":"3600"`,
			`"not_before":"1700000000"`, `"expires_on":1e300`,
		}},
		{jwtOf(`{}`), none, []string{`"x":1`}},
		{jwtOf(`{"exp":0}`), none, []string{`"x":1`}},
	} {
		for _, fields := range tt.fields {
			g, err := parse(tt.token, fields)
			if tt.want.IsZero() != (err != nil) || err == nil && !g.ExpiresOn.Equal(tt.want) {
				t.Errorf("%.40s with %s: got %v, %v, want %v", tt.token, fields, g.ExpiresOn, err, tt.want)
			}
			if err != nil && !strings.Contains(err.Error(), "expires_on, expires_in") {
				t.Errorf("%s: the error is %q", fields, err)
			}
		}
	}
}

func TestHugeNumbers(t *testing.T) {
	t.Parallel()
	for _, field := range []string{"expires_on", "expires_in", "refresh_in"} {
		for _, value := range []string{
			"1e300", "1e18", "9e15", "99999999999999999999", "9223372036854775807", "253402300800",
			"1e400",
		} {
			for _, raw := range []string{value, `"` + value + `"`} {
				g, err := parse("t", `"expires_in":3600,"`+field+`":`+raw)
				refused := field == "expires_in" && value == "1e400"
				if refused != (err != nil) || err == nil && (!g.ExpiresOn.After(parsedAt) || g.RefreshIn < 0) {
					t.Errorf("%s: %s: ends at %v, refresh in %v, %v", field, raw, g.ExpiresOn, g.RefreshIn, err)
				}
			}
		}
	}
}

// TestTokenKnowsItsEndBest: an answer that dates it later than the token itself is wrong, and one
// that dates it to the end of the calendar must not keep it for ever.
func TestTokenKnowsItsEndBest(t *testing.T) {
	t.Parallel()
	const now, hour, day = 1_700_000_000, 1_700_003_600, 1_700_086_400
	until := func(exp int64) string { return jwtOf(fmt.Sprintf(`{"exp":%d}`, exp)) }
	for name, tt := range map[string]struct {
		token       string
		dated, want int64
	}{
		"alike":                                {until(day), day, day},
		"answer earlier":                       {until(day), hour, hour},
		"token earlier":                        {until(hour), day, hour},
		"end of the calendar":                  {until(hour), 253402300799, hour},
		"an old token, as test doubles repeat": {until(1_600_000_000), day, day},
		"opaque":                               {"opaque", day, day},
	} {
		body := fmt.Sprintf(`{"access_token":%q,"expires_on":"%d"}`, tt.token, tt.dated)
		g, err := Parse([]byte(body), time.Unix(now, 0))
		if err != nil || g.ExpiresOn.Unix() != tt.want {
			t.Errorf("%s: expires at %d, %v, want %d", name, g.ExpiresOn.Unix(), err, tt.want)
		}
	}
}

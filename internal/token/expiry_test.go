package token

import (
	"encoding/base64"
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

var expiresOnTests = []struct {
	name, json string
	want       time.Time
}{
	{name: "Unix seconds as string", json: `"1700000000"`, want: at("2023-11-14T22:13:20Z")},
	{name: "Unix seconds as number", json: `1700000000`, want: at("2023-11-14T22:13:20Z")},
	{
		name: "Unix seconds with blanks", json: `" 1700000000 "`,
		want: at("2023-11-14T22:13:20Z"),
	},
	{name: "float", json: `1700000000.5`, want: at("2023-11-14T22:13:20.5Z")},
	{name: "float as string", json: `"1700000000.0"`, want: at("2023-11-14T22:13:20Z")},
	{name: "exponent", json: `1.7e9`, want: at("2023-11-14T22:13:20Z")},
	{name: "exponent as string", json: `"1.7E+9"`, want: at("2023-11-14T22:13:20Z")},
	{
		name: "Windows plans", json: `"1/16/2020 5:24:12 AM +00:00"`,
		want: at("2020-01-16T05:24:12Z"),
	}, {
		name: "Windows plans, afternoon", json: `"1/16/2020 5:24:12 PM +00:00"`,
		want: at("2020-01-16T17:24:12Z"),
	}, {
		name: "Windows plans, midnight", json: `"1/16/2020 12:24:12 AM +00:00"`,
		want: at("2020-01-16T00:24:12Z"),
	}, {
		name: "Windows plans, noon", json: `"1/16/2020 12:24:12 PM +00:00"`,
		want: at("2020-01-16T12:24:12Z"),
	}, {
		name: "Windows plans, two digits", json: `"11/16/2020 11:24:12 PM +00:00"`,
		want: at("2020-11-16T23:24:12Z"),
	}, {
		name: "Windows plans, leading zeros", json: `"01/06/2020 09:04:02 PM +00:00"`,
		want: at("2020-01-06T21:04:02Z"),
	}, {
		name: "Windows plans, another zone", json: `"1/16/2020 5:24:12 AM -08:00"`,
		want: at("2020-01-16T13:24:12Z"),
	}, {
		name: "Windows plans, lower case", json: `"1/16/2020 5:24:12 am +00:00"`,
		want: at("2020-01-16T05:24:12Z"),
	}, {
		name: "Windows plans, no zone", json: `"1/16/2020 5:24:12 PM"`,
		want: at("2020-01-16T17:24:12Z"),
	}, {
		name: "Linux plans", json: `"06/20/2019 02:57:58 +00:00"`,
		want: at("2019-06-20T02:57:58Z"),
	}, {
		name: "Linux plans, evening", json: `"06/20/2019 22:57:58 +00:00"`,
		want: at("2019-06-20T22:57:58Z"),
	}, {
		name: "24-hour clock with PM, midnight", json: `"09/14/2017 00:00:00 PM +00:00"`,
		want: at("2017-09-14T00:00:00Z"),
	}, {
		name: "24-hour clock with PM", json: `"09/14/2017 15:04:05 PM +00:00"`,
		want: at("2017-09-14T15:04:05Z"),
	}, {
		name: "24-hour clock with AM", json: `"09/14/2017 00:10:00 AM +00:00"`,
		want: at("2017-09-14T00:10:00Z"),
	}, {
		name: "ISO 8601 with seven digits", json: `"2024-10-18T19:51:37.0000000+00:00"`,
		want: at("2024-10-18T19:51:37Z"),
	}, {
		name: "ISO 8601 with a fraction", json: `"2024-10-18T19:51:37.1234567+00:00"`,
		want: at("2024-10-18T19:51:37.1234567Z"),
	},
	{name: "RFC 3339", json: `"2024-10-18T19:51:37Z"`, want: at("2024-10-18T19:51:37Z")},
	{
		name: "RFC 3339 with a zone", json: `"2024-10-18T19:51:37+02:00"`,
		want: at("2024-10-18T17:51:37Z"),
	}, {
		name: "RFC 3339 in lower case", json: `"2024-10-18t19:51:37z"`,
		want: at("2024-10-18T19:51:37Z"),
	}, {
		name: "ISO 8601 without a zone", json: `"2024-10-18T19:51:37"`,
		want: at("2024-10-18T19:51:37Z"),
	}, {
		name: "slashes without a zone", json: `"10/18/2024 19:51:37"`,
		want: at("2024-10-18T19:51:37Z"),
	}, {
		name: "dashes without a zone", json: `"2024-10-18 19:51:37"`,
		want: at("2024-10-18T19:51:37Z"),
	}, {
		name: "dashes with a zone", json: `"2024-10-18 19:51:37 +00:00"`,
		want: at("2024-10-18T19:51:37Z"),
	}, {
		name: "dashes with a zone and no blank", json: `"2024-10-18 19:51:37+02:00"`,
		want: at("2024-10-18T17:51:37Z"),
	},
	{name: "dashes with Z", json: `"2024-10-18 19:51:37Z"`, want: at("2024-10-18T19:51:37Z")},
	{name: "HTTP", json: `"Sun, 22 Nov 3333 04:05:06 GMT"`, want: at("3333-11-22T04:05:06Z")},
	{
		name: "HTTP, another case", json: `"sun, 22 NOV 3333 04:05:06 gmt"`,
		want: at("3333-11-22T04:05:06Z"),
	}, {
		name: "HTTP, one digit", json: `"Fri, 02 Nov 2029 04:05:06 GMT"`,
		want: at("2029-11-02T04:05:06Z"),
	}, {
		name: "HTTP, one digit and no zero", json: `"Fri, 2 Nov 2029 04:05:06 GMT"`,
		want: at("2029-11-02T04:05:06Z"),
	}, {
		name: "HTTP, the wrong day of the week", json: `"Mon, 22 Nov 2029 04:05:06 GMT"`,
		want: at("2029-11-22T04:05:06Z"),
	}, {
		name: "HTTP of RFC 850", json: `"Thursday, 22-Nov-29 04:05:06 GMT"`,
		want: at("2029-11-22T04:05:06Z"),
	}, {
		name: "HTTP of C's asctime", json: `"Fri Nov  2 04:05:06 2029"`,
		want: at("2029-11-02T04:05:06Z"),
	},
	{name: "mail", json: `"Thu, 22 Nov 2029 04:05:06 +0200"`, want: at("2029-11-22T02:05:06Z")},
	{
		name: "mail, from Python", json: `"Thu, 22 Nov 2029 04:05:06 -0000"`,
		want: at("2029-11-22T04:05:06Z"),
	},
	{name: "seconds from now", json: `"3600"`, want: parsedAt.Add(time.Hour)},
	{
		name: "seconds from now as number", json: `86399`,
		want: parsedAt.Add(86399 * time.Second),
	},
}

func TestExpiresOnForms(t *testing.T) {
	t.Parallel()
	for _, tt := range expiresOnTests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g, err := Parse([]byte(`{"access_token":"t","token_type":"Bearer","expires_on":`+tt.json+`}`),
				parsedAt)
			if err != nil {
				t.Fatal(err)
			}
			if !g.ExpiresOn.Equal(tt.want) || g.ExpiresOn.Location() != time.UTC {
				t.Errorf("expires_on %s: got %v, want %v", tt.json, g.ExpiresOn, tt.want)
			}
		})
	}
}

// The ends that an answer with expires_on 1700000000, expires_in 3600 and exp 1800000000 names.
var (
	byOn  = at("2023-11-14T22:13:20Z")
	byIn  = parsedAt.Add(time.Hour)
	byJWT = at("2027-01-15T08:00:00Z")
	jwt   = jwtOf(`{"exp":1800000000}`)
)

var fallbackTests = []struct {
	name, token, fields string
	want                time.Time // zero: an error
}{
	{
		name: "all", token: jwt, fields: `"expires_on":"1700000000","expires_in":"3600"`,
		want: byOn,
	}, {
		name: "expires_on a number, expires_in a string", token: jwt,
		fields: `"expires_on":1700000000,"expires_in":"3600"`, want: byOn,
	},
	{name: "expires_on absent", token: jwt, fields: `"expires_in":"3600"`, want: byIn},
	{
		name: "expires_on empty", token: jwt, fields: `"expires_on":"","expires_in":"3600"`,
		want: byIn,
	}, {
		name: "expires_on blank", token: jwt, fields: `"expires_on":"  ","expires_in":3600`,
		want: byIn,
	}, {
		name: "expires_on null", token: jwt, fields: `"expires_on":null,"expires_in":3600`,
		want: byIn,
	},
	{name: "expires_on 0", token: jwt, fields: `"expires_on":0,"expires_in":3600`, want: byIn},
	{
		name: "expires_on \"0\"", token: jwt, fields: `"expires_on":"0","expires_in":3600`,
		want: byIn,
	}, {
		name: "expires_on negative", token: jwt, fields: `"expires_on":-1,"expires_in":3600`,
		want: byIn,
	}, {
		name: "expires_on in words", token: jwt,
		fields: `"expires_on":"tomorrow","expires_in":3600`, want: byIn,
	}, {
		name: "expires_on N/A", token: jwt, fields: `"expires_on":"N/A","expires_in":3600`,
		want: byIn,
	}, {
		name: "expires_on NaN", token: jwt, fields: `"expires_on":"NaN","expires_in":3600`,
		want: byIn,
	}, {
		name: "expires_on inf", token: jwt, fields: `"expires_on":"Infinity","expires_in":3600`,
		want: byIn,
	}, {
		name: "expires_on hexadecimal", token: jwt,
		fields: `"expires_on":"0x6553F100","expires_in":3600`, want: byIn,
	}, {
		name: "expires_on beyond float", token: jwt,
		fields: `"expires_on":1e999,"expires_in":3600`, want: byIn,
	}, {
		name: "expires_on a bool", token: jwt, fields: `"expires_on":true,"expires_in":3600`,
		want: byIn,
	}, {
		name: "expires_on an array", token: jwt,
		fields: `"expires_on":[1700000000],"expires_in":3600`, want: byIn,
	}, {
		name: "expires_on an object", token: jwt,
		fields: `"expires_on":{"x":1},"expires_in":3600`, want: byIn,
	}, {
		name: "expires_on no date", token: jwt,
		fields: `"expires_on":"13/32/2024 25:61:61","expires_in":3600`, want: byIn,
	}, {
		name: "expires_on of .NET's old JSON", token: jwt,
		fields: `"expires_on":"/Date(1700000000000)/","expires_in":3600`, want: byIn,
	}, {
		name: "expires_on HTTP's date in a zone that may be anywhere", token: jwt,
		fields: `"expires_on":"Thu, 22 Nov 2029 04:05:06 IST","expires_in":3600`, want: byIn,
	}, {
		name: "expires_on HTTP's date of 1970", token: jwt,
		fields: `"expires_on":"Thu, 01 Jan 1970 00:00:00 GMT","expires_in":3600`, want: byIn,
	},
	{name: "expires_in with blanks", token: jwt, fields: `"expires_in":" 3600 "`, want: byIn},
	{
		name: "expires_in with an exponent", token: jwt, fields: `"expires_in":"3.6e3"`,
		want: byIn,
	}, {
		name: "expires_in a float as string", token: jwt, fields: `"expires_in":"3600.0"`,
		want: byIn,
	}, {
		name: "expires_in .NET's TimeSpan", token: jwt, fields: `"expires_in":"01:00:00"`,
		want: byJWT,
	}, {
		name: "expires_in Go's duration", token: jwt, fields: `"expires_in":"1h0m0s"`,
		want: byJWT,
	}, {
		name: "expires_in ISO 8601's duration", token: jwt, fields: `"expires_in":"PT1H"`,
		want: byJWT,
	}, {
		name: "expires_on relative, too", token: jwt,
		fields: `"expires_on":"7200","expires_in":3600`, want: byIn,
	}, {
		name: "expires_on .NET's DateTime.MinValue", token: jwt,
		fields: `"expires_on":"0001-01-01T00:00:00.0000000+00:00","expires_in":3600`,
		want:   byIn,
	}, {
		name: "expires_on .NET's DateTime.MinValue on Windows", token: jwt,
		fields: `"expires_on":"1/1/0001 12:00:00 AM +00:00","expires_in":3600`, want: byIn,
	},
	{name: "neither", token: jwt, fields: `"x":1`, want: byJWT},
	{name: "both empty", token: jwt, fields: `"expires_on":"","expires_in":""`, want: byJWT},
	{name: "both null", token: jwt, fields: `"expires_on":null,"expires_in":null`, want: byJWT},
	{name: "both 0", token: jwt, fields: `"expires_on":0,"expires_in":"0"`, want: byJWT},
	{name: "expires_in negative", token: jwt, fields: `"expires_in":-3600`, want: byJWT},
	{name: "expires_in in words", token: jwt, fields: `"expires_in":"soon"`, want: byJWT},
	{name: "expires_in an object", token: jwt, fields: `"expires_in":{}`, want: byJWT},
	{
		name: "expires_on relative against exp", token: jwt, fields: `"expires_on":"3600"`,
		want: byJWT,
	}, {
		name: "expires_in a fraction", token: "opaque", fields: `"expires_in":0.5`,
		want: parsedAt.Add(500 * time.Millisecond),
	},
	{name: "exp a string", token: jwtOf(`{"exp":"1800000000"}`), fields: `"x":1`, want: byJWT},
	{name: "exp a float", token: jwtOf(`{"exp":1.8e9}`), fields: `"x":1`, want: byJWT},
	{
		name:   "exp with padding",
		token:  strings.Replace(jwtOf(`{"exp":1800000000 }`), ".c2ln", "=.c2ln", 1),
		fields: `"x":1`, want: byJWT,
	},
	{name: "opaque and undated", token: "opaque", fields: `"x":1`, want: time.Time{}},
	{
		name: "opaque, all useless", token: "opaque",
		fields: `"expires_on":"","expires_in":0,"refresh_in":"3600"`, want: time.Time{},
	},
	{name: "JWT without exp", token: jwtOf(`{}`), fields: `"x":1`, want: time.Time{}},
	{name: "JWT with exp 0", token: jwtOf(`{"exp":0}`), fields: `"x":1`, want: time.Time{}},
	{
		name: "not_before is no end", token: "opaque", fields: `"not_before":"1700000000"`,
		want: time.Time{},
	},
}

// TestExpiryFallsBack: expires_on, then expires_in, then the JWT's exp.
func TestExpiryFallsBack(t *testing.T) {
	t.Parallel()
	for _, tt := range fallbackTests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g, err := Parse([]byte(`{"access_token":"`+tt.token+`",`+tt.fields+`}`), parsedAt)
			switch {
			case tt.want.IsZero() && err == nil:
				t.Errorf("got a token that ends at %v, want an error", g.ExpiresOn)
			case tt.want.IsZero():
				if !strings.Contains(err.Error(), "expires_on, expires_in") {
					t.Errorf("error is %q", err)
				}
			case err != nil:
				t.Errorf("a token that can be dated was refused: %v", err)
			case !g.ExpiresOn.Equal(tt.want):
				t.Errorf("got %v, want %v", g.ExpiresOn, tt.want)
			}
		})
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
				g, err := Parse([]byte(`{"access_token":"t","expires_in":3600,"`+field+`":`+raw+`}`), parsedAt)
				switch {
				case field == "expires_in" && value == "1e400":
					if err == nil {
						t.Errorf("%s: %s gives a token that ends at %v", field, raw, g.ExpiresOn)
					}
				case err != nil:
					t.Errorf("%s: %s: %v", field, raw, err)
				case !g.ExpiresOn.After(parsedAt) || g.RefreshIn < 0:
					t.Errorf("%s: %s: ends at %v, refresh in %v", field, raw, g.ExpiresOn, g.RefreshIn)
				}
			}
		}
	}
}

// TestMilliseconds: a date that is none yields to the other fields, and only alone it is read as
// what it must be.
func TestMilliseconds(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, body string
		want       time.Time
	}{
		{
			name: "with expires_in",
			body: `{"access_token":"t","expires_on":1893456000000,"expires_in":60}`,
			want: parsedAt.Add(time.Minute),
		}, {
			name: "with exp",
			body: `{"access_token":"` + jwtOf(`{"exp":1800000000}`) +
				`","expires_on":"1893456000000"}`,
			want: time.Unix(1800000000, 0),
		}, {
			name: "alone", body: `{"access_token":"t","expires_on":1893456000000}`,
			want: time.Unix(1893456000, 0),
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g, err := Parse([]byte(tt.body), parsedAt)
			if err != nil || !g.ExpiresOn.Equal(tt.want) {
				t.Errorf("ends at %v (%v), want %v", g.ExpiresOn, err, tt.want)
			}
		})
	}
	if _, err := Parse([]byte(`{"access_token":"t","expires_on":1e300}`), parsedAt); err == nil {
		t.Error("1e300 was taken for a date")
	}
}

// TestTokenKnowsItsEndBest: an answer that dates it later than the token itself is wrong, and one
// that dates it to the end of the calendar must not keep it for ever.
func TestTokenKnowsItsEndBest(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_700_000_000, 0)
	jwt := func(exp int64) string {
		return "e30." + base64.RawURLEncoding.EncodeToString([]byte(fmt.Sprintf(`{"exp":%d}`, exp))) +
			".s"
	}
	for _, tt := range []struct {
		name   string
		token  string
		dated  int64
		expect int64
	}{
		{name: "alike", token: jwt(1_700_086_400), dated: 1_700_086_400, expect: 1_700_086_400},
		{
			name: "answer earlier", token: jwt(1_700_086_400), dated: 1_700_003_600,
			expect: 1_700_003_600,
		}, {
			name: "token earlier", token: jwt(1_700_003_600), dated: 1_700_086_400,
			expect: 1_700_003_600,
		}, {
			name: "end of the calendar", token: jwt(1_700_003_600), dated: 253402300799,
			expect: 1_700_003_600,
		}, {
			name: "an old token, as test doubles repeat", token: jwt(1_600_000_000),
			dated: 1_700_086_400, expect: 1_700_086_400,
		},
		{name: "opaque", token: "opaque", dated: 1_700_086_400, expect: 1_700_086_400},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g, err := Parse([]byte(fmt.Sprintf(`{"access_token":%q,"expires_on":"%d"}`, tt.token, tt.dated)),
				now)
			if err != nil || g.ExpiresOn.Unix() != tt.expect {
				t.Errorf("expires at %d, %v, want %d", g.ExpiresOn.Unix(), err, tt.expect)
			}
		})
	}
}

package token

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestExpiresOnForms(t *testing.T) {
	t.Parallel()
	at := func(s string) time.Time {
		got, err := time.Parse(time.RFC3339Nano, s)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	for _, tt := range []struct {
		name, json string
		want       time.Time
	}{
		{"Unix seconds as string", `"1700000000"`, at("2023-11-14T22:13:20Z")},
		{"Unix seconds as number", `1700000000`, at("2023-11-14T22:13:20Z")},
		{"Unix seconds with blanks", `" 1700000000 "`, at("2023-11-14T22:13:20Z")},
		{"float", `1700000000.5`, at("2023-11-14T22:13:20.5Z")},
		{"float as string", `"1700000000.0"`, at("2023-11-14T22:13:20Z")},
		{"exponent", `1.7e9`, at("2023-11-14T22:13:20Z")},
		{"exponent as string", `"1.7E+9"`, at("2023-11-14T22:13:20Z")},
		{"Windows plans", `"1/16/2020 5:24:12 AM +00:00"`, at("2020-01-16T05:24:12Z")},
		{"Windows plans, afternoon", `"1/16/2020 5:24:12 PM +00:00"`, at("2020-01-16T17:24:12Z")},
		{"Windows plans, midnight", `"1/16/2020 12:24:12 AM +00:00"`, at("2020-01-16T00:24:12Z")},
		{"Windows plans, noon", `"1/16/2020 12:24:12 PM +00:00"`, at("2020-01-16T12:24:12Z")},
		{"Windows plans, two digits", `"11/16/2020 11:24:12 PM +00:00"`, at("2020-11-16T23:24:12Z")},
		{"Windows plans, leading zeros", `"01/06/2020 09:04:02 PM +00:00"`, at("2020-01-06T21:04:02Z")},
		{"Windows plans, another zone", `"1/16/2020 5:24:12 AM -08:00"`, at("2020-01-16T13:24:12Z")},
		{"Windows plans, lower case", `"1/16/2020 5:24:12 am +00:00"`, at("2020-01-16T05:24:12Z")},
		{"Windows plans, no zone", `"1/16/2020 5:24:12 PM"`, at("2020-01-16T17:24:12Z")},
		{"Linux plans", `"06/20/2019 02:57:58 +00:00"`, at("2019-06-20T02:57:58Z")},
		{"Linux plans, evening", `"06/20/2019 22:57:58 +00:00"`, at("2019-06-20T22:57:58Z")},
		{"24-hour clock with PM, midnight", `"09/14/2017 00:00:00 PM +00:00"`,
			at("2017-09-14T00:00:00Z")},
		{"24-hour clock with PM", `"09/14/2017 15:04:05 PM +00:00"`, at("2017-09-14T15:04:05Z")},
		{"24-hour clock with AM", `"09/14/2017 00:10:00 AM +00:00"`, at("2017-09-14T00:10:00Z")},
		{"ISO 8601 with seven digits", `"2024-10-18T19:51:37.0000000+00:00"`, at("2024-10-18T19:51:37Z")},
		{"ISO 8601 with a fraction", `"2024-10-18T19:51:37.1234567+00:00"`,
			at("2024-10-18T19:51:37.1234567Z")},
		{"RFC 3339", `"2024-10-18T19:51:37Z"`, at("2024-10-18T19:51:37Z")},
		{"RFC 3339 with a zone", `"2024-10-18T19:51:37+02:00"`, at("2024-10-18T17:51:37Z")},
		{"RFC 3339 in lower case", `"2024-10-18t19:51:37z"`, at("2024-10-18T19:51:37Z")},
		{"ISO 8601 without a zone", `"2024-10-18T19:51:37"`, at("2024-10-18T19:51:37Z")},
		{"slashes without a zone", `"10/18/2024 19:51:37"`, at("2024-10-18T19:51:37Z")},
		{"dashes without a zone", `"2024-10-18 19:51:37"`, at("2024-10-18T19:51:37Z")},
		{"dashes with a zone", `"2024-10-18 19:51:37 +00:00"`, at("2024-10-18T19:51:37Z")},
		{"dashes with a zone and no blank", `"2024-10-18 19:51:37+02:00"`, at("2024-10-18T17:51:37Z")},
		{"dashes with Z", `"2024-10-18 19:51:37Z"`, at("2024-10-18T19:51:37Z")},
		{"HTTP", `"Sun, 22 Nov 3333 04:05:06 GMT"`, at("3333-11-22T04:05:06Z")},
		{"HTTP, another case", `"sun, 22 NOV 3333 04:05:06 gmt"`, at("3333-11-22T04:05:06Z")},
		{"HTTP, one digit", `"Fri, 02 Nov 2029 04:05:06 GMT"`, at("2029-11-02T04:05:06Z")},
		{"HTTP, one digit and no zero", `"Fri, 2 Nov 2029 04:05:06 GMT"`, at("2029-11-02T04:05:06Z")},
		{"HTTP, the wrong day of the week", `"Mon, 22 Nov 2029 04:05:06 GMT"`,
			at("2029-11-22T04:05:06Z")},
		{"HTTP of RFC 850", `"Thursday, 22-Nov-29 04:05:06 GMT"`, at("2029-11-22T04:05:06Z")},
		{"HTTP of C's asctime", `"Fri Nov  2 04:05:06 2029"`, at("2029-11-02T04:05:06Z")},
		{"mail", `"Thu, 22 Nov 2029 04:05:06 +0200"`, at("2029-11-22T02:05:06Z")},
		{"mail, from Python", `"Thu, 22 Nov 2029 04:05:06 -0000"`, at("2029-11-22T04:05:06Z")},
		{"seconds from now", `"3600"`, parsedAt.Add(time.Hour)},
		{"seconds from now as number", `86399`, parsedAt.Add(86399 * time.Second)},
	} {
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

// TestExpiryFallsBack: expires_on, then expires_in, then the JWT's exp.
func TestExpiryFallsBack(t *testing.T) {
	t.Parallel()
	const (
		on  = 1700000000
		exp = 1800000000
	)
	jwt := jwtOf(fmt.Sprintf(`{"exp":%d}`, exp))
	byOn, byIn, byJWT := time.Unix(on, 0).UTC(), parsedAt.Add(time.Hour), time.Unix(exp, 0).UTC()
	for _, tt := range []struct {
		name, token, fields string
		want                time.Time // zero: an error
	}{
		{"all", jwt, `"expires_on":"1700000000","expires_in":"3600"`, byOn},
		{"expires_on a number, expires_in a string", jwt, `"expires_on":1700000000,"expires_in":"3600"`,
			byOn},
		{"expires_on absent", jwt, `"expires_in":"3600"`, byIn},
		{"expires_on empty", jwt, `"expires_on":"","expires_in":"3600"`, byIn},
		{"expires_on blank", jwt, `"expires_on":"  ","expires_in":3600`, byIn},
		{"expires_on null", jwt, `"expires_on":null,"expires_in":3600`, byIn},
		{"expires_on 0", jwt, `"expires_on":0,"expires_in":3600`, byIn},
		{"expires_on \"0\"", jwt, `"expires_on":"0","expires_in":3600`, byIn},
		{"expires_on negative", jwt, `"expires_on":-1,"expires_in":3600`, byIn},
		{"expires_on in words", jwt, `"expires_on":"tomorrow","expires_in":3600`, byIn},
		{"expires_on N/A", jwt, `"expires_on":"N/A","expires_in":3600`, byIn},
		{"expires_on NaN", jwt, `"expires_on":"NaN","expires_in":3600`, byIn},
		{"expires_on inf", jwt, `"expires_on":"Infinity","expires_in":3600`, byIn},
		{"expires_on hexadecimal", jwt, `"expires_on":"0x6553F100","expires_in":3600`, byIn},
		{"expires_on beyond float", jwt, `"expires_on":1e999,"expires_in":3600`, byIn},
		{"expires_on a bool", jwt, `"expires_on":true,"expires_in":3600`, byIn},
		{"expires_on an array", jwt, `"expires_on":[1700000000],"expires_in":3600`, byIn},
		{"expires_on an object", jwt, `"expires_on":{"x":1},"expires_in":3600`, byIn},
		{"expires_on no date", jwt, `"expires_on":"13/32/2024 25:61:61","expires_in":3600`, byIn},
		{"expires_on of .NET's old JSON", jwt, `"expires_on":"/Date(1700000000000)/","expires_in":3600`,
			byIn},
		{"expires_on HTTP's date in a zone that may be anywhere", jwt,
			`"expires_on":"Thu, 22 Nov 2029 04:05:06 IST","expires_in":3600`, byIn},
		{"expires_on HTTP's date of 1970", jwt,
			`"expires_on":"Thu, 01 Jan 1970 00:00:00 GMT","expires_in":3600`, byIn},
		{"expires_in with blanks", jwt, `"expires_in":" 3600 "`, byIn},
		{"expires_in with an exponent", jwt, `"expires_in":"3.6e3"`, byIn},
		{"expires_in a float as string", jwt, `"expires_in":"3600.0"`, byIn},
		{"expires_in .NET's TimeSpan", jwt, `"expires_in":"01:00:00"`, byJWT},
		{"expires_in Go's duration", jwt, `"expires_in":"1h0m0s"`, byJWT},
		{"expires_in ISO 8601's duration", jwt, `"expires_in":"PT1H"`, byJWT},
		{"expires_on relative, too", jwt, `"expires_on":"7200","expires_in":3600`, byIn},
		{"expires_on .NET's DateTime.MinValue", jwt,
			`"expires_on":"0001-01-01T00:00:00.0000000+00:00","expires_in":3600`, byIn},
		{"expires_on .NET's DateTime.MinValue on Windows", jwt,
			`"expires_on":"1/1/0001 12:00:00 AM +00:00","expires_in":3600`, byIn},
		{"neither", jwt, `"x":1`, byJWT},
		{"both empty", jwt, `"expires_on":"","expires_in":""`, byJWT},
		{"both null", jwt, `"expires_on":null,"expires_in":null`, byJWT},
		{"both 0", jwt, `"expires_on":0,"expires_in":"0"`, byJWT},
		{"expires_in negative", jwt, `"expires_in":-3600`, byJWT},
		{"expires_in in words", jwt, `"expires_in":"soon"`, byJWT},
		{"expires_in an object", jwt, `"expires_in":{}`, byJWT},
		{"expires_on relative against exp", jwt, `"expires_on":"3600"`, byJWT},
		{"expires_in a fraction", "opaque", `"expires_in":0.5`, parsedAt.Add(500 * time.Millisecond)},
		{"exp a string", jwtOf(`{"exp":"1800000000"}`), `"x":1`, byJWT},
		{"exp a float", jwtOf(`{"exp":1.8e9}`), `"x":1`, byJWT},
		{"exp with padding", strings.Replace(jwtOf(`{"exp":1800000000 }`), ".c2ln", "=.c2ln", 1), `"x":1`,
			byJWT},
		{"opaque and undated", "opaque", `"x":1`, time.Time{}},
		{"opaque, all useless", "opaque", `"expires_on":"","expires_in":0,"refresh_in":"3600"`,
			time.Time{}},
		{"JWT without exp", jwtOf(`{}`), `"x":1`, time.Time{}},
		{"JWT with exp 0", jwtOf(`{"exp":0}`), `"x":1`, time.Time{}},
		{"not_before is no end", "opaque", `"not_before":"1700000000"`, time.Time{}},
	} {
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
		for _, value := range []string{"1e300", "1e18", "9e15", "99999999999999999999", "9223372036854775807", "253402300800", "1e400"} {
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
		{"with expires_in", `{"access_token":"t","expires_on":1893456000000,"expires_in":60}`,
			parsedAt.Add(time.Minute)},
		{"with exp", `{"access_token":"` + jwtOf(`{"exp":1800000000}`) +
			`","expires_on":"1893456000000"}`, time.Unix(1800000000, 0)},
		{"alone", `{"access_token":"t","expires_on":1893456000000}`, time.Unix(1893456000, 0)},
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
		{"alike", jwt(1_700_086_400), 1_700_086_400, 1_700_086_400},
		{"answer earlier", jwt(1_700_086_400), 1_700_003_600, 1_700_003_600},
		{"token earlier", jwt(1_700_003_600), 1_700_086_400, 1_700_003_600},
		{"end of the calendar", jwt(1_700_003_600), 253402300799, 1_700_003_600},
		{"an old token, as test doubles repeat", jwt(1_600_000_000), 1_700_086_400, 1_700_086_400},
		{"opaque", "opaque", 1_700_086_400, 1_700_086_400},
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

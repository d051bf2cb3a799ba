package identity

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/google/go-cmp/cmp"
	"github.com/keyless-go/identity/internal/redact"
)

// jwtOf is a token with the given claims, a JSON object. Its signature is none.
func jwtOf(claims string) string {
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(`{"alg":"none"}`)) + "." + encode([]byte(claims)) + ".c2lnbmF0dXJl"
}

// parsedAt is the clock of the tests of the parser.
var parsedAt = time.Date(2017, 1, 2, 3, 4, 5, 0, time.UTC)

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
		{"24-hour clock with PM, midnight", `"09/14/2017 00:00:00 PM +00:00"`, at("2017-09-14T00:00:00Z")},
		{"24-hour clock with PM", `"09/14/2017 15:04:05 PM +00:00"`, at("2017-09-14T15:04:05Z")},
		{"24-hour clock with AM", `"09/14/2017 00:10:00 AM +00:00"`, at("2017-09-14T00:10:00Z")},
		{"ISO 8601 with seven digits", `"2024-10-18T19:51:37.0000000+00:00"`, at("2024-10-18T19:51:37Z")},
		{"ISO 8601 with a fraction", `"2024-10-18T19:51:37.1234567+00:00"`, at("2024-10-18T19:51:37.1234567Z")},
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
		{"HTTP, the wrong day of the week", `"Mon, 22 Nov 2029 04:05:06 GMT"`, at("2029-11-22T04:05:06Z")},
		{"HTTP of RFC 850", `"Thursday, 22-Nov-29 04:05:06 GMT"`, at("2029-11-22T04:05:06Z")},
		{"HTTP of C's asctime", `"Fri Nov  2 04:05:06 2029"`, at("2029-11-02T04:05:06Z")},
		{"mail", `"Thu, 22 Nov 2029 04:05:06 +0200"`, at("2029-11-22T02:05:06Z")},
		{"mail, from Python", `"Thu, 22 Nov 2029 04:05:06 -0000"`, at("2029-11-22T04:05:06Z")},
		{"seconds from now", `"3600"`, parsedAt.Add(time.Hour)},
		{"seconds from now as number", `86399`, parsedAt.Add(86399 * time.Second)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g, err := parseToken([]byte(`{"access_token":"t","token_type":"Bearer","expires_on":`+tt.json+`}`), parsedAt)
			if err != nil {
				t.Fatal(err)
			}
			if !g.expiresOn.Equal(tt.want) || g.expiresOn.Location() != time.UTC {
				t.Errorf("expires_on %s: got %v, want %v", tt.json, g.expiresOn, tt.want)
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
		{"expires_on a number, expires_in a string", jwt, `"expires_on":1700000000,"expires_in":"3600"`, byOn},
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
		{"expires_on of .NET's old JSON", jwt, `"expires_on":"/Date(1700000000000)/","expires_in":3600`, byIn},
		{"expires_on HTTP's date in a zone that may be anywhere", jwt, `"expires_on":"Thu, 22 Nov 2029 04:05:06 IST","expires_in":3600`, byIn},
		{"expires_on HTTP's date of 1970", jwt, `"expires_on":"Thu, 01 Jan 1970 00:00:00 GMT","expires_in":3600`, byIn},
		{"expires_in with blanks", jwt, `"expires_in":" 3600 "`, byIn},
		{"expires_in with an exponent", jwt, `"expires_in":"3.6e3"`, byIn},
		{"expires_in a float as string", jwt, `"expires_in":"3600.0"`, byIn},
		{"expires_in .NET's TimeSpan", jwt, `"expires_in":"01:00:00"`, byJWT},
		{"expires_in Go's duration", jwt, `"expires_in":"1h0m0s"`, byJWT},
		{"expires_in ISO 8601's duration", jwt, `"expires_in":"PT1H"`, byJWT},
		{"expires_on relative, too", jwt, `"expires_on":"7200","expires_in":3600`, byIn},
		{"expires_on .NET's DateTime.MinValue", jwt, `"expires_on":"0001-01-01T00:00:00.0000000+00:00","expires_in":3600`, byIn},
		{"expires_on .NET's DateTime.MinValue on Windows", jwt, `"expires_on":"1/1/0001 12:00:00 AM +00:00","expires_in":3600`, byIn},
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
		{"exp with padding", strings.Replace(jwtOf(`{"exp":1800000000 }`), ".c2ln", "=.c2ln", 1), `"x":1`, byJWT},
		{"opaque and undated", "opaque", `"x":1`, time.Time{}},
		{"opaque, all useless", "opaque", `"expires_on":"","expires_in":0,"refresh_in":"3600"`, time.Time{}},
		{"JWT without exp", jwtOf(`{}`), `"x":1`, time.Time{}},
		{"JWT with exp 0", jwtOf(`{"exp":0}`), `"x":1`, time.Time{}},
		{"not_before is no end", "opaque", `"not_before":"1700000000"`, time.Time{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g, err := parseToken([]byte(`{"access_token":"`+tt.token+`",`+tt.fields+`}`), parsedAt)
			switch {
			case tt.want.IsZero() && err == nil:
				t.Errorf("got a token that ends at %v, want an error", g.expiresOn)
			case tt.want.IsZero():
				if !strings.Contains(err.Error(), "expires_on, expires_in") {
					t.Errorf("error is %q", err)
				}
			case err != nil:
				t.Errorf("a token that can be dated was refused: %v", err)
			case !g.expiresOn.Equal(tt.want):
				t.Errorf("got %v, want %v", g.expiresOn, tt.want)
			}
		})
	}
}

func TestHugeNumbers(t *testing.T) {
	t.Parallel()
	for _, field := range []string{"expires_on", "expires_in", "refresh_in"} {
		for _, value := range []string{"1e300", "1e18", "9e15", "99999999999999999999", "9223372036854775807", "253402300800", "1e400"} {
			for _, raw := range []string{value, `"` + value + `"`} {
				g, err := parseToken([]byte(`{"access_token":"t","expires_in":3600,"`+field+`":`+raw+`}`), parsedAt)
				switch {
				case field == "expires_in" && value == "1e400":
					if err == nil {
						t.Errorf("%s: %s gives a token that ends at %v", field, raw, g.expiresOn)
					}
				case err != nil:
					t.Errorf("%s: %s: %v", field, raw, err)
				case !g.expiresOn.After(parsedAt) || g.refreshIn < 0:
					t.Errorf("%s: %s: ends at %v, refresh in %v", field, raw, g.expiresOn, g.refreshIn)
				}
			}
		}
	}
}

// TestTokensThatNeverEnd: the store must stay bounded, and every entry find its way out of it, whatever a host says.
func TestTokensThatNeverEnd(t *testing.T) {
	for _, expiresOn := range []string{"32503680000", "253402300799", `"9999-12-31T23:59:59Z"`} {
		t.Run(expiresOn, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				cred := onIMDS(t, always(200, `{"access_token":"t","expires_on":`+expiresOn+`}`))
				cred.tokens.limit = 10
				for i := range 100 {
					scope := fmt.Sprintf("https://r%d.example/.default", i)
					tk, err := cred.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{scope}})
					if err != nil {
						t.Fatal(err)
					}
					if wait := time.Until(tk.RefreshOn); wait > 24*time.Hour {
						t.Fatalf("renewed in %v: a role that was granted meanwhile would never show", wait)
					}
				}
				if n := cred.tokens.store.ItemCount(); n > 10 {
					t.Errorf("the store holds %d entries, its limit is 10", n)
				}
			})
		})
	}
}

func TestRefreshInIsRead(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]time.Duration{
		`1800`: 30 * time.Minute, `"1800"`: 30 * time.Minute, `1.5`: 1500 * time.Millisecond, `"1.8e3"`: 30 * time.Minute,
		`0`: 0, `"0"`: 0, `""`: 0, `null`: 0, `-5`: 0, `"soon"`: 0, `{}`: 0, `[1800]`: 0, `true`: 0, `"NaN"`: 0,
	} {
		g, err := parseToken([]byte(`{"access_token":"t","expires_in":3600,"refresh_in":`+raw+`}`), parsedAt)
		if err != nil || g.refreshIn != want {
			t.Errorf("refresh_in %s: got %v, %v, want %v", raw, g.refreshIn, err, want)
		}
	}
}

// TestRefusedTokenResponses: no error may show a part of the token, which is marked.
func TestRefusedTokenResponses(t *testing.T) {
	t.Parallel()
	const mark = "TOPSECRET-of-the-token"
	ok := `"expires_in":3600`
	for _, tt := range []struct{ name, body, want string }{
		{"empty", ``, "not a JSON object"},
		{"HTML", `<html>` + mark, "not a JSON object"},
		{"truncated", `{"access_token":"` + mark, "not a JSON object"},
		{"truncated after the token", `{"access_token":"` + mark + `",`, "not a JSON object"},
		{"array", `[{"access_token":"` + mark + `"}]`, "not a JSON object"},
		{"string", `"` + mark + `"`, "not a JSON object"},
		{"number", `42`, "not a JSON object"},
		{"two objects", `{"access_token":"` + mark + `",` + ok + `}{}`, "not a JSON object"},
		{"not JSON's quotes", `{'access_token':'` + mark + `'}`, "not a JSON object"},
		{"deeply nested", strings.Repeat(`{"a":`, 20000) + `1` + strings.Repeat(`}`, 20000), "not a JSON object"},
		{"null", `null`, "access_token"},
		{"no token", `{` + ok + `}`, "access_token"},
		{"token empty", `{"access_token":"",` + ok + `}`, "access_token"},
		{"token blank", `{"access_token":" \t ",` + ok + `}`, "access_token"},
		{"token null", `{"access_token":null,` + ok + `}`, "access_token"},
		{"token an object", `{"access_token":{"access_token":"` + mark + `"},` + ok + `}`, "access_token"},
		{"token an array", `{"access_token":["` + mark + `"],` + ok + `}`, "access_token"},
		{"token a bool", `{"access_token":true,` + ok + `}`, "access_token"},
		{"token a number", `{"access_token":12345,` + ok + `}`, "access_token"},
		{"token 0", `{"access_token":0,` + ok + `}`, "access_token"},
		{"wrapped", `{"token":{"access_token":"` + mark + `"},` + ok + `}`, "access_token"},
		{"the last of two is empty", `{"access_token":"` + mark + `","access_token":"",` + ok + `}`, "access_token"},
		{"line feed in the token", `{"access_token":"` + mark + `\nX-Evil: 1",` + ok + `}`, "access_token contains"},
		{"carriage return in the token", `{"access_token":"` + mark + `\r1",` + ok + `}`, "access_token contains"},
		{"NUL in the token", `{"access_token":"` + mark + `\u00001",` + ok + `}`, "access_token contains"},
		{"blank in the token", `{"access_token":"` + mark + ` 1",` + ok + `}`, "access_token contains"},
		{"DEL in the token", `{"access_token":"` + mark + `\u007f1",` + ok + `}`, "access_token contains"},
		{"beyond ASCII in the token", `{"access_token":"` + mark + `é",` + ok + `}`, "access_token contains"},
		{"not UTF-8 in the token", `{"access_token":"` + mark + "\xff" + `",` + ok + `}`, "access_token contains"},
		{"another token type", `{"access_token":"` + mark + `","token_type":"pop",` + ok + `}`, `token_type is "pop"`},
		{"a nasty token type", `{"access_token":"` + mark + `","token_type":"a\r\nb",` + ok + `}`, "token_type"},
		{"a long token type", `{"access_token":"` + mark + `","token_type":"` + strings.Repeat("x", 5000) + `",` + ok + `}`, "token_type"},
		{"the token in the token type", `{"access_token":"` + mark + `","token_type":"` + mark + `",` + ok + `}`, "token_type"},
		{"expired", `{"access_token":"` + mark + `","expires_on":"1483326244"}`, "expired at 2017-01-02T03:04:04Z"},
		{"expires now", `{"access_token":"` + mark + `","expires_on":"1483326245"}`, "expired at"},
		{"expired, by date", `{"access_token":"` + mark + `","expires_on":"1/16/2016 5:24:12 AM +00:00"}`, "expired at 2016-01-16T05:24:12Z"},
		{"expired, by exp", `{"access_token":"` + jwtOf(`{"exp":1400000000}`) + `"}`, "expired at 2014-05-13T16:53:20Z"},
		{"expired, whatever expires_in says", `{"access_token":"` + mark + `","expires_on":"1400000000",` + ok + `}`, "expired at"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g, err := parseToken([]byte(tt.body), parsedAt)
			if err == nil {
				t.Fatalf("got a token that ends at %v, want an error", g.expiresOn)
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %q, want %q in it", err, tt.want)
			}
			if strings.Contains(err.Error(), mark) || strings.Contains(err.Error(), "eyJ") {
				t.Errorf("error shows the token: %q", err)
			}
			if strings.ContainsAny(err.Error(), "\r\n") || len(err.Error()) > 600 {
				t.Errorf("error is not one short line: %q", err)
			}
			if g != (grant{}) {
				t.Error("a grant came with the error")
			}
		})
	}
}

func TestAcceptedTokenResponses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, body, token string
		echo              echo
	}{
		{"least", `{"access_token":"t","expires_in":"3600"}`, "t", echo{}},
		{"blanks around the object", "\r\n {\"access_token\":\"t\",\"expires_in\":\"3600\"} \n", "t", echo{}},
		{"token type in lower case", `{"access_token":"t","expires_in":3600,"token_type":"bearer"}`, "t", echo{}},
		{"token type null", `{"access_token":"t","expires_in":3600,"token_type":null}`, "t", echo{}},
		{"token type empty", `{"access_token":"t","expires_in":3600,"token_type":""}`, "t", echo{}},
		{"all characters a token may have", `{"access_token":"aZ09-._~+/=!","expires_in":3600}`, "aZ09-._~+/=!", echo{}},
		{"the last of two counts", `{"access_token":"a","access_token":"b","expires_in":3600}`, "b", echo{}},
		{"IMDS", `{"access_token":"t","client_id":"c","expires_in":"86399","expires_on":"1700000000","ext_expires_in":"86399","not_before":"1483326245","resource":"https://vault.azure.net","token_type":"Bearer","refresh_token":"","object_id":"o","msi_res_id":"/r"}`, "t", echo{"c", "o", "", "/r"}},
		{"App Service", `{"access_token":"t","client_id":"c","expires_on":"1700000000","not_before":"1483326245","resource":"https://vault.azure.net","token_type":"Bearer"}`, "t", echo{clientID: "c"}},
		{"principal_id and mi_res_id", `{"access_token":"t","expires_in":3600,"principal_id":"o","mi_res_id":"/r"}`, "t", echo{"", "", "o", "/r"}},
		{"other fields of any type", `{"access_token":"t","expires_in":3600,"client_id":null,"object_id":[],"msi_res_id":{},"resource":1,"not_before":"","ext_expires_in":0}`, "t", echo{}},
		{"a megabyte", `{"access_token":"` + strings.Repeat("t", 1000000) + `","expires_in":3600}`, strings.Repeat("t", 1000000), echo{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g, err := parseToken([]byte(tt.body), parsedAt)
			if err != nil {
				t.Fatal(err)
			}
			if g.token != tt.token || g.echo != tt.echo {
				t.Errorf("got a token of %d bytes and %+v, want %d bytes and %+v", len(g.token), g.echo, len(tt.token), tt.echo)
			}
		})
	}
}

func TestClaimsOf(t *testing.T) {
	t.Parallel()
	encode := base64.RawURLEncoding.EncodeToString
	for _, tt := range []struct{ name, token, want string }{
		{"a JWT", jwtOf(`{"appid":"a","oid":"o"}`), "a"},
		{"no signature", strings.TrimSuffix(jwtOf(`{"appid":"a"}`), "c2lnbmF0dXJl"), "a"},
		{"padded", "x." + base64.URLEncoding.EncodeToString([]byte(`{"appid":"a"}`)) + ".y", "a"},
		{"empty", "", ""},
		{"dots", "..", ""},
		{"opaque", "opaque", ""},
		{"two parts", "x." + encode([]byte(`{"appid":"a"}`)), ""},
		{"encrypted, five parts", "a.b.c.d.e", ""},
		{"not base64", "x.$$$.y", ""},
		{"not JSON", "x." + encode([]byte(`appid=a`)) + ".y", ""},
		{"JSON array", "x." + encode([]byte(`["appid"]`)) + ".y", ""},
		{"JSON null", "x." + encode([]byte(`null`)) + ".y", ""},
		{"claim is an object", jwtOf(`{"appid":{}}`), ""},
		{"claim is null", jwtOf(`{"appid":null}`), ""},
		{"truncated", "x." + encode([]byte(`{"appid":"a"`)) + ".y", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := text(claimsOf(tt.token).AppID); got != tt.want {
				t.Errorf("appid is %q, want %q", got, tt.want)
			}
		})
	}
}

func TestMismatch(t *testing.T) {
	t.Parallel()
	const (
		other   = "99999999-2222-3333-4444-555555555555"
		unnamed = "an identity that neither the answer nor the token names"
		person  = "a signed-in user, who is no managed identity"
	)
	v1 := jwtOf(`{"appid":"` + guid + `","oid":"` + guid + `","sub":"` + guid + `","xms_mirid":"` + identityID + `"}`)
	v1Other := jwtOf(`{"appid":"` + other + `","oid":"` + other + `","xms_mirid":"` + identityID + `x"}`)
	v2 := jwtOf(`{"azp":"` + guid + `"}`)
	v2Other := jwtOf(`{"azp":"` + other + `"}`)
	upper := jwtOf(`{"appid":"ABCDEF11-2222-3333-4444-555555555555","xms_mirid":"` + strings.ToUpper(identityID) + `"}`)
	for _, tt := range []struct {
		name  string
		id    ID
		token string
		echo  echo
		want  string
	}{
		{"nobody asked", nil, v1Other, echo{clientID: other}, ""},
		{"client ID, v1", ClientID(guid), v1, echo{}, ""},
		{"client ID, v2", ClientID(guid), v2, echo{}, ""},
		{"client ID, other case", ClientID("abcdef11-2222-3333-4444-555555555555"), upper, echo{clientID: "abcDEF11-2222-3333-4444-555555555555"}, ""},
		{"client ID, another, v1", ClientID(guid), v1Other, echo{}, other},
		{"client ID, another, v2", ClientID(guid), v2Other, echo{}, other},
		{"client ID, echo agrees, JWT contradicts", ClientID(guid), v1Other, echo{clientID: guid}, other},
		{"client ID, JWT agrees, echo contradicts", ClientID(guid), v1, echo{clientID: other}, other},
		{"client ID, opaque with echo", ClientID(guid), "opaque", echo{clientID: guid}, ""},
		{"client ID, opaque with another echo", ClientID(guid), "opaque", echo{clientID: other}, other},
		{"client ID, opaque without echo", ClientID(guid), "opaque", echo{}, ""},
		{"client ID, object ID differs", ClientID(guid), jwtOf(`{"appid":"` + guid + `","oid":"` + other + `"}`), echo{objectID: other}, ""},
		{"client ID that is a prefix", ClientID(guid), jwtOf(`{"appid":"` + guid + `0"}`), echo{}, guid + "0"},
		{"client ID, claim is a number", ClientID(guid), jwtOf(`{"appid":42}`), echo{}, "42"},
		{"client ID, claim is null", ClientID(guid), jwtOf(`{"appid":null}`), echo{}, unnamed},
		{"client ID, claim is null, echo", ClientID(guid), jwtOf(`{"appid":null}`), echo{clientID: guid}, ""},
		{"client ID, no claim", ClientID(guid), jwtOf(`{"oid":"` + guid + `","sub":"` + guid + `","xms_mirid":"` + identityID + `"}`), echo{objectID: guid, principalID: guid, resourceID: identityID}, unnamed},
		{"client ID, no claim but an echo", ClientID(guid), jwtOf(`{"oid":"` + other + `"}`), echo{clientID: guid}, ""},
		{"client ID, appid and azp differ", ClientID(guid), jwtOf(`{"appid":"` + guid + `","azp":"` + other + `"}`), echo{}, other},
		{"client ID, no claims at all", ClientID(guid), jwtOf(`{}`), echo{}, unnamed},
		{"client ID, a JWT whose claims are none", ClientID(guid), jwtOf(`null`), echo{}, ""},
		{"client ID, a list of claims", ClientID(guid), jwtOf(`["appid"]`), echo{}, ""},
		{"client ID, an encrypted token", ClientID(guid), "a.b.c.d.e", echo{}, ""},
		{"client ID, an application", ClientID(guid), jwtOf(`{"appid":"` + guid + `","idtyp":"app","oid":"` + other + `"}`), echo{}, ""},
		{"client ID, an application with a user's claims", ClientID(guid), jwtOf(`{"appid":"` + guid + `","idtyp":"app","upn":"u","scp":"s"}`), echo{}, ""},
		{"client ID, a user of that application", ClientID(guid), jwtOf(`{"appid":"` + guid + `","idtyp":"user"}`), echo{clientID: guid}, person},
		{"client ID, a user by name", ClientID(guid), jwtOf(`{"appid":"` + guid + `","upn":"dev@contoso.example"}`), echo{}, person},
		{"client ID, a user by what was allowed", ClientID(guid), jwtOf(`{"azp":"` + guid + `","scp":"user_impersonation"}`), echo{}, person},
		{"client ID, nothing allowed", ClientID(guid), jwtOf(`{"azp":"` + guid + `","scp":"","upn":null,"idtyp":""}`), echo{}, ""},
		{"object ID, sub instead of oid", ObjectID(guid), jwtOf(`{"sub":"` + guid + `","appid":"` + other + `"}`), echo{}, ""},
		{"object ID, another's sub instead of oid", ObjectID(guid), jwtOf(`{"sub":"` + other + `","appid":"` + other + `"}`), echo{}, other},
		{"object ID, another's sub beside oid", ObjectID(guid), jwtOf(`{"sub":"` + other + `","oid":"` + guid + `"}`), echo{}, ""},
		{"object ID, another's sub beside an echo", ObjectID(guid), jwtOf(`{"sub":"` + other + `"}`), echo{principalID: guid}, ""},
		{"object ID, another's oid beside sub", ObjectID(guid), jwtOf(`{"sub":"` + guid + `","oid":"` + other + `"}`), echo{}, other},
		{"object ID, neither oid nor sub", ObjectID(guid), jwtOf(`{"appid":"` + other + `"}`), echo{clientID: other}, unnamed},
		{"object ID, neither but object_id", ObjectID(guid), jwtOf(`{"appid":"` + other + `"}`), echo{objectID: guid}, ""},
		{"object ID, neither but principal_id", ObjectID(guid), jwtOf(`{"appid":"` + other + `"}`), echo{principalID: strings.ToUpper(guid)}, ""},
		{"object ID, object_id and principal_id differ", ObjectID(guid), v1, echo{objectID: guid, principalID: other}, other},
		{"object ID, a user's", ObjectID(guid), jwtOf(`{"oid":"` + guid + `","idtyp":"User"}`), echo{objectID: guid}, person},
		{"object ID, a user's sub", ObjectID(guid), jwtOf(`{"sub":"` + guid + `","scp":"s"}`), echo{}, person},
		{"resource ID, no claim, as with other resources than Microsoft's", ResourceID(identityID), jwtOf(`{"appid":"` + other + `","oid":"` + other + `"}`), echo{}, ""},
		{"resource ID, no claim but an echo", ResourceID(identityID), jwtOf(`{"appid":"` + other + `"}`), echo{resourceID: identityID}, ""},
		{"resource ID, a user's", ResourceID(identityID), jwtOf(`{"appid":"` + other + `","idtyp":"user"}`), echo{resourceID: identityID}, person},
		{"resource ID, a user's, no echo", ResourceID(identityID), jwtOf(`{"upn":"u"}`), echo{}, person},
		{"object ID", ObjectID(guid), v1, echo{}, ""},
		{"object ID, another", ObjectID(guid), v1Other, echo{}, other},
		{"object ID, client ID differs", ObjectID(guid), jwtOf(`{"oid":"` + guid + `","appid":"` + other + `"}`), echo{clientID: other}, ""},
		{"object ID, another echo", ObjectID(guid), v1, echo{objectID: other}, other},
		{"object ID, opaque", ObjectID(guid), "opaque", echo{clientID: other}, ""},
		{"resource ID", ResourceID(identityID), v1, echo{}, ""},
		{"resource ID, other case", ResourceID(identityID), upper, echo{}, ""},
		{"resource ID, trailing slash", ResourceID(identityID + "/"), v1, echo{}, ""},
		{"resource ID, trailing slash came back", ResourceID(identityID), "opaque", echo{resourceID: identityID + "/"}, ""},
		{"resource ID, no leading slash came back", ResourceID(identityID), "opaque", echo{resourceID: strings.TrimPrefix(identityID, "/")}, ""},
		{"resource ID, another", ResourceID(identityID), v1Other, echo{}, identityID + "x"},
		{"resource ID, another echo", ResourceID(identityID), v1, echo{resourceID: "/other"}, "/other"},
		{"resource ID, opaque", ResourceID(identityID), "opaque", echo{}, ""},
		{"system-assigned instead", ResourceID(identityID), jwtOf(`{"xms_mirid":"/subscriptions/s/resourcegroups/g/providers/Microsoft.Compute/virtualMachines/n"}`), echo{}, "/subscriptions/s/resourcegroups/g/providers/Microsoft.Compute/virtualMachines/n"},
		{"a nasty claim", ClientID(guid), jwtOf(`{"appid":"a\r\nb"}`), echo{}, "a b"},
		{"a claim that can't be printed", ClientID(guid), jwtOf(`{"appid":"\u0000"}`), echo{}, "an identity that can't be printed"},
		{"an echo that can't be printed", ClientID(guid), v1, echo{clientID: "\u200b\u0001"}, "an identity that can't be printed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := mismatch(tt.id, grant{token: tt.token, echo: tt.echo}, false); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			// Where the answer must name it, silence doesn't pass, and nothing else does that
			// doesn't without.
			if got := mismatch(tt.id, grant{token: tt.token, echo: tt.echo}, true); tt.want != "" &&
				got == "" {
				t.Errorf("with an echo demanded it passes, want %q", tt.want)
			}
		})
	}
}

// TestMismatchIsAnError: through the whole of GetToken, and the token is not kept.
func TestMismatchIsAnError(t *testing.T) {
	bubble(t, func(t *testing.T) {
		tokenOfAnother := jwtOf(`{"appid":"another"}`)
		cred := onIMDS(t, always(200, grantBody(tokenOfAnother, time.Hour)), func(o *CredentialOptions) { o.ID = ClientID(guid) })
		for range 2 {
			e, _ := mustFail(t, cred)
			want := "identity: IMDS: 200: the host returned a token of another identity (token for https://vault.azure.net, 1 attempt, 0s): asked for client ID " + guid + ", got the token of another: is the identity assigned, and does this host support selecting one?"
			if diff := cmp.Diff(want, e.Error()); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
			if !errors.Is(e, ErrIdentityMismatch) || errors.Is(e, ErrIdentityNotFound) || errors.Is(e, ErrUnavailable) {
				t.Errorf("sentinels are off: %v", e)
			}
			if e.RawResponse != nil {
				t.Error("RawResponse has the body with the token")
			}
			time.Sleep(time.Minute)
		}
	})
}

// TestMismatchDoesNotShowTheToken: a look-alike may put the token where the identity belongs.
func TestMismatchDoesNotShowTheToken(t *testing.T) {
	bubble(t, func(t *testing.T) {
		cred := onIMDS(t, always(200, `{"access_token":"TOPSECRET-of-the-token","expires_in":3600,"client_id":"TOPSECRET-of-the-token"}`), func(o *CredentialOptions) { o.ID = ClientID(guid) })
		if e, _ := mustFail(t, cred); strings.Contains(e.Error(), "TOPSECRET") {
			t.Errorf("error shows the token: %v", e)
		}
	})
}

func TestAcceptedStatuses(t *testing.T) {
	for _, status := range []int{http.StatusOK, http.StatusAccepted} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				for _, env := range []environment{nowhere(), appServiceAt()} {
					mustToken(t, credentialAt(t, env, always(status, grantBody("t", time.Hour))))
				}
			})
		})
	}
}

// TestMilliseconds: a date that is none yields to the other fields, and only alone it is read as what it must be.
func TestMilliseconds(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, body string
		want       time.Time
	}{
		{"with expires_in", `{"access_token":"t","expires_on":1893456000000,"expires_in":60}`, parsedAt.Add(time.Minute)},
		{"with exp", `{"access_token":"` + jwtOf(`{"exp":1800000000}`) + `","expires_on":"1893456000000"}`, time.Unix(1800000000, 0)},
		{"alone", `{"access_token":"t","expires_on":1893456000000}`, time.Unix(1893456000, 0)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g, err := parseToken([]byte(tt.body), parsedAt)
			if err != nil || !g.expiresOn.Equal(tt.want) {
				t.Errorf("ends at %v (%v), want %v", g.expiresOn, err, tt.want)
			}
		})
	}
	if _, err := parseToken([]byte(`{"access_token":"t","expires_on":1e300}`), parsedAt); err == nil {
		t.Error("1e300 was taken for a date")
	}
}

// TestTokenKnowsItsEndBest: an answer that dates it later than the token itself is wrong, and one that dates it to the end of
// the calendar must not keep it for ever.
func TestTokenKnowsItsEndBest(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_700_000_000, 0)
	jwt := func(exp int64) string {
		return "e30." + base64.RawURLEncoding.EncodeToString([]byte(fmt.Sprintf(`{"exp":%d}`, exp))) + ".s"
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
			g, err := parseToken([]byte(fmt.Sprintf(`{"access_token":%q,"expires_on":"%d"}`, tt.token, tt.dated)), now)
			if err != nil || g.expiresOn.Unix() != tt.expect {
				t.Errorf("expires at %d, %v, want %d", g.expiresOn.Unix(), err, tt.expect)
			}
		})
	}
	if h := newHeld(grant{token: "opaque", expiresOn: time.Unix(253402300799, 0)}, nil, now); h.due.Sub(now) > 24*time.Hour {
		t.Errorf("renewed after %v, want a day at most", h.due.Sub(now))
	}
}

// TestCheckTokenIsLinear: 64 times the token, repeated as its type, takes about 64 times as long.
func TestCheckTokenIsLinear(t *testing.T) {
	if testing.Short() {
		t.Skip("it measures")
	}
	fastest := func(text string) time.Duration {
		best := time.Duration(1 << 62)
		for range 5 {
			start := time.Now()
			_ = checkToken(text, text, "access_token")
			best = min(best, time.Since(start))
		}
		return best
	}
	for _, piece := range []string{`\u0041`, "%2541", "&lt;", "token=(", "token='", "a"} {
		text := strings.Repeat(piece, redact.MaxText/len(piece))
		short := fastest(text[:len(text)/64])
		if long := fastest(text); long > 1000*short {
			t.Errorf("%s: 64 times as much takes %d times as long", piece, long/short)
		}
	}
}

package token

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/keyless-go/identity/internal/redact"
)

// jwtOf is a token with the given claims, a JSON object. Its signature is none.
func jwtOf(claims string) string {
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(`{"alg":"none"}`)) + "." + encode([]byte(claims)) + ".c2lnbmF0dXJl"
}

const (
	guid       = "77777777-2222-4333-8444-555555555555"
	resourceID = "/subscriptions/s/resourcegroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/n"
)

// parsedAt is the clock of these tests.
var parsedAt = time.Date(2017, 1, 2, 3, 4, 5, 0, time.UTC)

func TestRefreshInIsRead(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]time.Duration{
		`1800`: 30 * time.Minute, `"1800"`: 30 * time.Minute, `1.5`: 1500 * time.Millisecond,
		`"1.8e3"`: 30 * time.Minute,
		`0`:       0, `"0"`: 0, `""`: 0, `null`: 0, `-5`: 0, `"soon"`: 0, `{}`: 0, `[1800]`: 0,
		`true`:  0,
		`"NaN"`: 0,
	} {
		g, err := Parse([]byte(`{"access_token":"t","expires_in":3600,"refresh_in":`+raw+`}`), parsedAt)
		if err != nil || g.RefreshIn != want {
			t.Errorf("refresh_in %s: got %v, %v, want %v", raw, g.RefreshIn, err, want)
		}
	}
}

const (
	mark    = "TOPSECRET-of-the-token"
	lasting = `"expires_in":3600`
)

var refusedTests = []struct{ name, body, want string }{
	{name: "empty", want: "not a JSON object"},
	{name: "HTML", body: `<html>` + mark, want: "not a JSON object"},
	{name: "truncated", body: `{"access_token":"` + mark, want: "not a JSON object"},
	{
		name: "truncated after the token", body: `{"access_token":"` + mark + `",`,
		want: "not a JSON object",
	},
	{name: "array", body: `[{"access_token":"` + mark + `"}]`, want: "not a JSON object"},
	{name: "string", body: `"` + mark + `"`, want: "not a JSON object"},
	{name: "number", body: `42`, want: "not a JSON object"},
	{
		name: "two objects", body: `{"access_token":"` + mark + `",` + lasting + `}{}`,
		want: "not a JSON object",
	}, {
		name: "not JSON's quotes", body: `{'access_token':'` + mark + `'}`,
		want: "not a JSON object",
	}, {
		name: "deeply nested",
		body: strings.Repeat(`{"a":`, 20000) + `1` + strings.Repeat(`}`, 20000),
		want: "not a JSON object",
	},
	{name: "null", body: `null`, want: "access_token"},
	{name: "no token", body: `{` + lasting + `}`, want: "access_token"},
	{name: "token empty", body: `{"access_token":"",` + lasting + `}`, want: "access_token"},
	{name: "token blank", body: `{"access_token":" \t ",` + lasting + `}`, want: "access_token"},
	{name: "token null", body: `{"access_token":null,` + lasting + `}`, want: "access_token"},
	{
		name: "token an object",
		body: `{"access_token":{"access_token":"` + mark + `"},` + lasting + `}`,
		want: "access_token",
	}, {
		name: "token an array", body: `{"access_token":["` + mark + `"],` + lasting + `}`,
		want: "access_token",
	},
	{name: "token a bool", body: `{"access_token":true,` + lasting + `}`, want: "access_token"},
	{name: "token a number", body: `{"access_token":12345,` + lasting + `}`, want: "access_token"},
	{name: "token 0", body: `{"access_token":0,` + lasting + `}`, want: "access_token"},
	{
		name: "wrapped", body: `{"token":{"access_token":"` + mark + `"},` + lasting + `}`,
		want: "access_token",
	}, {
		name: "the last of two is empty",
		body: `{"access_token":"` + mark + `","access_token":"",` + lasting + `}`,
		want: "access_token",
	}, {
		name: "line feed in the token",
		body: `{"access_token":"` + mark + `\nX-Evil: 1",` + lasting + `}`,
		want: "access_token contains",
	}, {
		name: "carriage return in the token",
		body: `{"access_token":"` + mark + `\r1",` + lasting + `}`, want: "access_token contains",
	}, {
		name: "NUL in the token", body: `{"access_token":"` + mark + `\u00001",` + lasting + `}`,
		want: "access_token contains",
	}, {
		name: "blank in the token", body: `{"access_token":"` + mark + ` 1",` + lasting + `}`,
		want: "access_token contains",
	}, {
		name: "DEL in the token", body: `{"access_token":"` + mark + `\u007f1",` + lasting + `}`,
		want: "access_token contains",
	}, {
		name: "beyond ASCII in the token", body: `{"access_token":"` + mark + `é",` + lasting + `}`,
		want: "access_token contains",
	}, {
		name: "not UTF-8 in the token",
		body: `{"access_token":"` + mark + "\xff" + `",` + lasting + `}`,
		want: "access_token contains",
	}, {
		name: "another token type",
		body: `{"access_token":"` + mark + `","token_type":"pop",` + lasting + `}`,
		want: `token_type is "pop"`,
	}, {
		name: "a nasty token type",
		body: `{"access_token":"` + mark + `","token_type":"a\r\nb",` + lasting + `}`,
		want: "token_type",
	}, {
		name: "a long token type",
		body: `{"access_token":"` + mark + `","token_type":"` + strings.Repeat("x",
			5000) + `",` + lasting + `}`,
		want: "token_type",
	}, {
		name: "the token in the token type",
		body: `{"access_token":"` + mark + `","token_type":"` + mark + `",` +
			lasting + `}`,
		want: "token_type",
	}, {
		name: "expired", body: `{"access_token":"` + mark + `","expires_on":"1483326244"}`,
		want: "expired at 2017-01-02T03:04:04Z",
	}, {
		name: "expires now", body: `{"access_token":"` + mark + `","expires_on":"1483326245"}`,
		want: "expired at",
	}, {
		name: "expired, by date",
		body: `{"access_token":"` + mark + `","expires_on":"1/16/2016 5:24:12 AM +00:00"}`,
		want: "expired at 2016-01-16T05:24:12Z",
	}, {
		name: "expired, by exp", body: `{"access_token":"` + jwtOf(`{"exp":1400000000}`) + `"}`,
		want: "expired at 2014-05-13T16:53:20Z",
	}, {
		name: "expired, whatever expires_in says",
		body: `{"access_token":"` + mark + `","expires_on":"1400000000",` + lasting + `}`,
		want: "expired at",
	},
}

// TestRefusedTokenResponses: no error may show a part of the token, which is marked.
func TestRefusedTokenResponses(t *testing.T) {
	t.Parallel()
	for _, tt := range refusedTests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g, err := Parse([]byte(tt.body), parsedAt)
			if err == nil {
				t.Fatalf("got a token that ends at %v, want an error", g.ExpiresOn)
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
			if g != (Token{}) {
				t.Error("a grant came with the error")
			}
		})
	}
}

func TestAcceptedTokenResponses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, body, token string
		echo              Echo
	}{
		{name: "least", body: `{"access_token":"t","expires_in":"3600"}`, token: "t", echo: Echo{}},
		{
			name: "blanks around the object",
			body: "\r\n {\"access_token\":\"t\",\"expires_in\":\"3600\"} \n", token: "t",
			echo: Echo{},
		}, {
			name: "token type in lower case",
			body: `{"access_token":"t","expires_in":3600,"token_type":"bearer"}`, token: "t",
			echo: Echo{},
		}, {
			name: "token type null",
			body: `{"access_token":"t","expires_in":3600,"token_type":null}`, token: "t",
			echo: Echo{},
		}, {
			name: "token type empty",
			body: `{"access_token":"t","expires_in":3600,"token_type":""}`, token: "t",
			echo: Echo{},
		}, {
			name: "all characters a token may have",
			body: `{"access_token":"aZ09-._~+/=!","expires_in":3600}`, token: "aZ09-._~+/=!",
			echo: Echo{},
		}, {
			name: "the last of two counts",
			body: `{"access_token":"a","access_token":"b","expires_in":3600}`, token: "b",
			echo: Echo{},
		}, {
			name: "IMDS",
			body: `{"access_token":"t","client_id":"c","expires_in":"86399",` +
				`"expires_on":"1700000000","ext_expires_in":"86399","not_before":"1483326245",` +
				`"resource":"https://vault.azure.net","token_type":"Bearer","refresh_token":"",` +
				`"object_id":"o","msi_res_id":"/r"}`,
			token: "t", echo: Echo{"c", "o", "", "/r"},
		}, {
			name: "App Service",
			body: `{"access_token":"t","client_id":"c","expires_on":"1700000000",` +
				`"not_before":"1483326245","resource":"https://vault.azure.net",` +
				`"token_type":"Bearer"}`,
			token: "t", echo: Echo{ClientID: "c"},
		}, {
			name:  "principal_id and mi_res_id",
			body:  `{"access_token":"t","expires_in":3600,"principal_id":"o","mi_res_id":"/r"}`,
			token: "t",
			echo: Echo{"", "",
				"o", "/r"},
		}, {
			name: "other fields of any type",
			body: `{"access_token":"t","expires_in":3600,"client_id":null,"object_id":[],` +
				`"msi_res_id":{},"resource":1,"not_before":"","ext_expires_in":0}`,
			token: "t", echo: Echo{},
		}, {
			name:  "a megabyte",
			body:  `{"access_token":"` + strings.Repeat("t", 1000000) + `","expires_in":3600}`,
			token: strings.Repeat("t", 1000000), echo: Echo{},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g, err := Parse([]byte(tt.body), parsedAt)
			if err != nil {
				t.Fatal(err)
			}
			if g.Value != tt.token || g.Echo != tt.echo {
				t.Errorf("got a token of %d bytes and %+v, want %d bytes and %+v", len(g.Value), g.Echo,
					len(tt.token), tt.echo)
			}
		})
	}
}

// TestCheckIsLinear: 64 times the token, repeated as its type, takes about 64 times as long.
func TestCheckIsLinear(t *testing.T) {
	if testing.Short() {
		t.Skip("it measures")
	}
	fastest := func(text string) time.Duration {
		best := time.Duration(1 << 62)
		for range 5 {
			start := time.Now()
			_ = Check(text, text, "access_token")
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

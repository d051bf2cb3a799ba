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
		`0`:       0, `"0"`: 0, `""`: 0, `null`: 0, `-5`: 0, `"soon"`: 0, `{}`: 0, `[1800]`: 0, `true`: 0,
		`"NaN"`: 0,
	} {
		g, err := Parse([]byte(`{"access_token":"t","expires_in":3600,"refresh_in":`+raw+`}`), parsedAt)
		if err != nil || g.RefreshIn != want {
			t.Errorf("refresh_in %s: got %v, %v, want %v", raw, g.RefreshIn, err, want)
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
		{"deeply nested", strings.Repeat(`{"a":`, 20000) + `1` + strings.Repeat(`}`, 20000),
			"not a JSON object"},
		{"null", `null`, "access_token"},
		{"no token", `{` + ok + `}`, "access_token"},
		{"token empty", `{"access_token":"",` + ok + `}`, "access_token"},
		{"token blank", `{"access_token":" \t ",` + ok + `}`, "access_token"},
		{"token null", `{"access_token":null,` + ok + `}`, "access_token"},
		{"token an object", `{"access_token":{"access_token":"` + mark + `"},` + ok + `}`,
			"access_token"},
		{"token an array", `{"access_token":["` + mark + `"],` + ok + `}`, "access_token"},
		{"token a bool", `{"access_token":true,` + ok + `}`, "access_token"},
		{"token a number", `{"access_token":12345,` + ok + `}`, "access_token"},
		{"token 0", `{"access_token":0,` + ok + `}`, "access_token"},
		{"wrapped", `{"token":{"access_token":"` + mark + `"},` + ok + `}`, "access_token"},
		{"the last of two is empty", `{"access_token":"` + mark + `","access_token":"",` + ok + `}`,
			"access_token"},
		{"line feed in the token", `{"access_token":"` + mark + `\nX-Evil: 1",` + ok + `}`,
			"access_token contains"},
		{"carriage return in the token", `{"access_token":"` + mark + `\r1",` + ok + `}`,
			"access_token contains"},
		{"NUL in the token", `{"access_token":"` + mark + `\u00001",` + ok + `}`,
			"access_token contains"},
		{"blank in the token", `{"access_token":"` + mark + ` 1",` + ok + `}`, "access_token contains"},
		{"DEL in the token", `{"access_token":"` + mark + `\u007f1",` + ok + `}`,
			"access_token contains"},
		{"beyond ASCII in the token", `{"access_token":"` + mark + `é",` + ok + `}`,
			"access_token contains"},
		{"not UTF-8 in the token", `{"access_token":"` + mark + "\xff" + `",` + ok + `}`,
			"access_token contains"},
		{"another token type", `{"access_token":"` + mark + `","token_type":"pop",` + ok + `}`,
			`token_type is "pop"`},
		{"a nasty token type", `{"access_token":"` + mark + `","token_type":"a\r\nb",` + ok + `}`,
			"token_type"},
		{"a long token type", `{"access_token":"` + mark + `","token_type":"` + strings.Repeat("x",
			5000) + `",` + ok + `}`, "token_type"},
		{"the token in the token type", `{"access_token":"` + mark + `","token_type":"` + mark + `",` +
			ok + `}`, "token_type"},
		{"expired", `{"access_token":"` + mark + `","expires_on":"1483326244"}`,
			"expired at 2017-01-02T03:04:04Z"},
		{"expires now", `{"access_token":"` + mark + `","expires_on":"1483326245"}`, "expired at"},
		{"expired, by date", `{"access_token":"` + mark + `","expires_on":"1/16/2016 5:24:12 AM +00:00"}`,
			"expired at 2016-01-16T05:24:12Z"},
		{"expired, by exp", `{"access_token":"` + jwtOf(`{"exp":1400000000}`) + `"}`,
			"expired at 2014-05-13T16:53:20Z"},
		{"expired, whatever expires_in says",
			`{"access_token":"` + mark + `","expires_on":"1400000000",` + ok + `}`, "expired at"},
	} {
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
		{"least", `{"access_token":"t","expires_in":"3600"}`, "t", Echo{}},
		{"blanks around the object", "\r\n {\"access_token\":\"t\",\"expires_in\":\"3600\"} \n", "t",
			Echo{}},
		{"token type in lower case", `{"access_token":"t","expires_in":3600,"token_type":"bearer"}`, "t",
			Echo{}},
		{"token type null", `{"access_token":"t","expires_in":3600,"token_type":null}`, "t", Echo{}},
		{"token type empty", `{"access_token":"t","expires_in":3600,"token_type":""}`, "t", Echo{}},
		{"all characters a token may have", `{"access_token":"aZ09-._~+/=!","expires_in":3600}`,
			"aZ09-._~+/=!", Echo{}},
		{"the last of two counts", `{"access_token":"a","access_token":"b","expires_in":3600}`, "b",
			Echo{}},
		{"IMDS", `{"access_token":"t","client_id":"c","expires_in":"86399","expires_on":"1700000000","ext_expires_in":"86399","not_before":"1483326245","resource":"https://vault.azure.net","token_type":"Bearer","refresh_token":"","object_id":"o","msi_res_id":"/r"}`, "t", Echo{"c", "o", "", "/r"}},
		{"App Service", `{"access_token":"t","client_id":"c","expires_on":"1700000000","not_before":"1483326245","resource":"https://vault.azure.net","token_type":"Bearer"}`, "t", Echo{ClientID: "c"}},
		{"principal_id and mi_res_id",
			`{"access_token":"t","expires_in":3600,"principal_id":"o","mi_res_id":"/r"}`, "t", Echo{"", "",
				"o", "/r"}},
		{"other fields of any type",
			`{"access_token":"t","expires_in":3600,"client_id":null,"object_id":[],"msi_res_id":{},"resource":1,"not_before":"","ext_expires_in":0}`, "t", Echo{}},
		{"a megabyte", `{"access_token":"` + strings.Repeat("t", 1000000) + `","expires_in":3600}`,
			strings.Repeat("t", 1000000), Echo{}},
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

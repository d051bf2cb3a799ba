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
	resourceID = "/subscriptions/s/resourcegroups/g/userAssignedIdentities/n"
)

// parsedAt is the clock of these tests.
var parsedAt = time.Date(2017, 1, 2, 3, 4, 5, 0, time.UTC)

// parse reads an answer with a token and some other fields.
func parse(token, fields string) (Token, error) {
	return Parse([]byte(`{"access_token":"`+token+`",`+fields+`}`), parsedAt)
}

func TestRefreshInIsRead(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]time.Duration{
		`1800`: 30 * time.Minute, `"1800"`: 30 * time.Minute, `1.5`: 1500 * time.Millisecond,
		`"1.8e3"`: 30 * time.Minute, `0`: 0, `"0"`: 0, `""`: 0, `null`: 0, `-5`: 0, `"soon"`: 0,
		`{}`: 0, `[1800]`: 0, `true`: 0, `"NaN"`: 0,
	} {
		g, err := parse("t", `"expires_in":3600,"refresh_in":`+raw)
		if err != nil || g.RefreshIn != want {
			t.Errorf("refresh_in %s: got %v, %v, want %v", raw, g.RefreshIn, err, want)
		}
	}
}

const mark = "TOPSECRET-of-the-token"

// refused are answers by what their error says. TOKEN in them is a token, and LASTS its end.
var refused = map[string][]string{
	"not a JSON object": {
		``, `<html>TOKEN`, `{"access_token":"TOKEN`, `{"access_token":"TOKEN",`,
		`[{"access_token":"TOKEN"}]`, `"TOKEN"`, `42`, `{"access_token":"TOKEN",LASTS}{}`,
		`{'access_token':'TOKEN'}`,
		strings.Repeat(`{"a":`, 20000) + `1` + strings.Repeat(`}`, 20000),
	},
	"no access_token": {
		`null`, `{LASTS}`, `{"access_token":"",LASTS}`, `{"access_token":" \t ",LASTS}`,
		`{"access_token":null,LASTS}`, `{"access_token":{"access_token":"TOKEN"},LASTS}`,
		`{"access_token":["TOKEN"],LASTS}`, `{"access_token":true,LASTS}`,
		`{"access_token":12345,LASTS}`, `{"access_token":0,LASTS}`,
		`{"token":{"access_token":"TOKEN"},LASTS}`,
		`{"access_token":"TOKEN","access_token":"",LASTS}`, // the last counts
	},
	"access_token contains": {
		`{"access_token":"TOKEN\nX-Evil: 1",LASTS}`, `{"access_token":"TOKEN\r1",LASTS}`,
		`{"access_token":"TOKEN\u00001",LASTS}`, `{"access_token":"TOKEN 1",LASTS}`,
		`{"access_token":"TOKEN\u007f1",LASTS}`, `{"access_token":"TOKENé",LASTS}`,
		`{"access_token":"TOKEN` + "\xff" + `",LASTS}`,
	},
	`token_type is "pop"`: {`{"access_token":"TOKEN","token_type":"pop",LASTS}`},
	"token_type": {
		`{"access_token":"TOKEN","token_type":"a\r\nb",LASTS}`,
		`{"access_token":"TOKEN","token_type":"` + strings.Repeat("x", 5000) + `",LASTS}`,
		`{"access_token":"TOKEN","token_type":"TOKEN",LASTS}`,
	},
	"expired at 2017-01-02T03:04:04Z": {`{"access_token":"TOKEN","expires_on":"1483326244"}`},
	"expired at 2017-01-02T03:04:05Z": {`{"access_token":"TOKEN","expires_on":"1483326245"}`}, // now
	"expired at 2016-01-16T05:24:12Z": {
		`{"access_token":"TOKEN","expires_on":"1/16/2016 5:24:12 AM +00:00"}`,
	},
	"expired at 2014-05-13T16:53:20Z": {
		`{"access_token":"` + jwtOf(`{"exp":1400000000}`) + `"}`,
		`{"access_token":"TOKEN","expires_on":"1400000000",LASTS}`,
	},
}

// TestRefusedTokenResponses: no error may show a part of the token, which is marked.
func TestRefusedTokenResponses(t *testing.T) {
	t.Parallel()
	written := strings.NewReplacer("TOKEN", mark, "LASTS", `"expires_in":3600`)
	for want, bodies := range refused {
		for _, body := range bodies {
			g, err := Parse([]byte(written.Replace(body)), parsedAt)
			if err == nil || g != (Token{}) {
				t.Errorf("%.80s: got a token that ends at %v, %v, want an error alone", body, g.ExpiresOn, err)
				continue
			}
			if text := err.Error(); !strings.Contains(text, want) ||
				strings.Contains(text, mark) || strings.Contains(text, "eyJ") ||
				strings.ContainsAny(text, "\r\n") || len(text) > 600 {
				t.Errorf("%.80s: got %q, want a short line with %q and nothing of the token", body, text, want)
			}
		}
	}
}

func TestAcceptedTokenResponses(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("t", 1000000)
	for body, want := range map[string]Token{
		`{"access_token":"t","expires_in":"3600"}`:                     {Value: "t"},
		"\r\n {\"access_token\":\"t\",\"expires_in\":\"3600\"} \n":     {Value: "t"},
		`{"access_token":"t","expires_in":3600,"token_type":"bearer"}`: {Value: "t"},
		`{"access_token":"t","expires_in":3600,"token_type":null}`:     {Value: "t"},
		`{"access_token":"t","expires_in":3600,"token_type":""}`:       {Value: "t"},
		`{"access_token":"aZ09-._~+/=!","expires_in":3600}`:            {Value: "aZ09-._~+/=!"},
		`{"access_token":"a","access_token":"b","expires_in":3600}`:    {Value: "b"},
		`{"access_token":"` + long + `","expires_in":3600}`:            {Value: long},
		`{"access_token":"t","client_id":"c","expires_in":"86399","expires_on":"1700000000",` + // IMDS
			`"ext_expires_in":"86399","not_before":"1483326245","resource":"https://vault.azure.net",` +
			`"token_type":"Bearer","refresh_token":"","object_id":"o","msi_res_id":"/r"}`: {
			Value: "t", Echo: Echo{ClientID: "c", ObjectID: "o", ResourceID: "/r"}},
		`{"access_token":"t","client_id":"c","expires_on":"1700000000",` + // App Service
			`"not_before":"1483326245","resource":"https://vault.azure.net",` +
			`"token_type":"Bearer"}`: {Value: "t", Echo: Echo{ClientID: "c"}},
		`{"access_token":"t","expires_in":3600,"principal_id":"o","mi_res_id":"/r"}`: {
			Value: "t", Echo: Echo{PrincipalID: "o", ResourceID: "/r"}},
		`{"access_token":"t","expires_in":3600,"client_id":null,"object_id":[],"msi_res_id":{},` +
			`"resource":1,"not_before":"","ext_expires_in":0}`: {Value: "t"},
	} {
		g, err := Parse([]byte(body), parsedAt)
		if err != nil || g.Value != want.Value || g.Echo != want.Echo {
			t.Errorf("%.200s: got %.20s of %d bytes, %+v, %v", body, g.Value, len(g.Value), g.Echo, err)
		}
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

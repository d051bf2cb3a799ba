package token

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

func TestClaimsOf(t *testing.T) {
	t.Parallel()
	encode := base64.RawURLEncoding.EncodeToString
	for token, want := range map[string]string{
		jwtOf(`{"appid":"a","oid":"o"}`):                                         "a",
		strings.TrimSuffix(jwtOf(`{"appid":"a"}`), "c2lnbmF0dXJl"):               "a", // no signature
		"x." + base64.URLEncoding.EncodeToString([]byte(`{"appid":"a"}`)) + ".y": "a", // padded
		"": "", "..": "", "opaque": "", "a.b.c.d.e": "", "x.$$$.y": "",
		"x." + encode([]byte(`{"appid":"a"}`)):       "", // two parts
		"x." + encode([]byte(`appid=a`)) + ".y":      "",
		"x." + encode([]byte(`["appid"]`)) + ".y":    "",
		"x." + encode([]byte(`null`)) + ".y":         "",
		"x." + encode([]byte(`{"appid":"a"`)) + ".y": "",
		jwtOf(`{"appid":{}}`):                        "", jwtOf(`{"appid":null}`): "",
	} {
		if got := string(ClaimsOf(token).AppID); got != want {
			t.Errorf("%s: appid is %q, want %q", token, got, want)
		}
	}
}

// slowBase64 decodes as RFC 4648 says it for URLs, with or without padding. It is false for what is
// none.
func slowBase64(s string) ([]byte, bool) {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	var out []byte
	bits, n := 0, 0
	for _, c := range []byte(strings.TrimRight(s, "=")) {
		if c == '\r' || c == '\n' { // which Go passes over, and which no token has
			continue
		}
		at := strings.IndexByte(alphabet, c)
		if at < 0 {
			return nil, false
		}
		bits, n = bits<<6|at, n+6
		if n >= 8 {
			n -= 8
			out = append(out, byte(bits>>n))
			bits &= 1<<n - 1
		}
	}
	return out, n < 6
}

// FuzzClaims: a JWT's claims are those that are in it.
func FuzzClaims(f *testing.F) {
	for _, seed := range []string{
		jwtOf(`{"aud":"https://vault.azure.net","exp":1483412644,"appid":"` + guid +
			`","idtyp":"app","oid":"` + guid + `","sub":"` + guid + `","ver":"1.0","xms_mirid":"` +
			resourceID + `"}`),
		jwtOf(`{"aud":"` + guid + `","azp":"` + guid + `","azpacr":"2","exp":"1483412644","ver":"2.0"}`),
		jwtOf(`{"appid":{"a":[1]},"APPID":"a"}`), jwtOf(`{"appid":42,"oid":true,"xms_mirid":null}`),
		jwtOf(`{"appid":"\u017f\u212a"}`), jwtOf(`{"appid":"` + jwtOf("{}") + `"}`),
		jwtOf(`{"appid": -1e9 ,"appid":[]}`),
		strings.Replace(jwtOf(`{"appid":"a"} `), ".c2ln", "==.c2ln", 1),
		jwtOf(`{"sub":"a","idtyp":"user","scp":"s"}`), jwtOf(`{"oid":"\u0000","azp":"\u200b"}`),
		"opaque", "0", "..", "a.====.b", "a.e30\n.b", "a.b.c.d.e", "",
	} {
		f.Add(seed, guid)
	}
	for _, id := range []string{resourceID, "another", "", " a", "\x01", "\xff", "世"} {
		f.Add("opaque", id)
	}
	f.Fuzz(func(t *testing.T, token, id string) {
		claims := ClaimsOf(token)
		var want map[string]json.RawMessage
		readable := false
		if parts := strings.Split(token, "."); len(parts) == 3 {
			if payload, ok := slowBase64(parts[1]); ok {
				want, readable = lastFields(payload, "exp", "appid", "azp", "oid", "xms_mirid",
					"sub", "idtyp", "upn", "scp", "tid", "preferred_username", "unique_name")
				readable = readable && strings.TrimSpace(string(payload)) != "null"
			}
		}
		if claims.Readable != readable {
			t.Errorf("readable is %v, want %v", claims.Readable, readable)
		}
		for name, got := range map[string]Text{"exp": claims.Exp, "appid": claims.AppID,
			"azp": claims.Azp, "oid": claims.OID, "xms_mirid": claims.MIRID, "sub": claims.Sub,
			"idtyp": claims.IDType, "upn": claims.UPN, "scp": claims.Scopes, "tid": claims.TID,
			"preferred_username": claims.Preferred, "unique_name": claims.Unique} {
			var v any
			d := json.NewDecoder(bytes.NewReader(want[name]))
			d.UseNumber()
			_ = d.Decode(&v)
			says := ""
			switch v := v.(type) {
			case string:
				says = strings.TrimSpace(v)
			case json.Number:
				says = v.String()
			}
			if string(got) != says || TextOf(want[name]) != says {
				t.Errorf("claim %s %q reads %q, want %q", name, want[name], got, says)
			}
		}
		quoted, err := json.Marshal(id)
		if err != nil {
			t.Fatal(err)
		}
		made := jwtOf(fmt.Sprintf(`{"appid":%s,"sub":"x"}`, quoted))
		if got, want := string(ClaimsOf(made).AppID),
			strings.TrimSpace(strings.ToValidUTF8(id, "\ufffd")); got != want &&
			!strings.Contains(want, "\ufffd") {
			t.Errorf("a JWT of %q has the claim %q", want, got)
		}
	})
}

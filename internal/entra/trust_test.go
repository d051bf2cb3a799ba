package entra

import (
	"encoding/base64"
	"net/url"
	"strings"
	"testing"

	"github.com/keyless-go/identity/internal/redact"
)

func jwt(claims string) string {
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(`{"alg":"none"}`)) + "." + encode([]byte(claims)) + ".c2lnbmF0dXJl"
}

// TestTrust: what an assertion says of itself can be anything, and is shown on one line, without a
// token, and not at length.
func TestTrust(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", 300)
	for content, want := range map[string]string{
		jwt(`{"iss":"i","sub":"s","aud":"a"}`):               `iss "i", sub "s", aud "a"`,
		jwt(`{"iss":"i","sub":"s","aud":["a","b"]}`):         `iss "i", sub "s", aud "a b"`,
		jwt(`{"sub":"s","aud":[]}`):                          `sub "s"`,
		jwt(`{"iss":"a\r\nb","sub":"c\u2028d"}`):             `iss "a\r\nb", sub "c\u2028d"`,
		jwt(`{"iss":"` + jwt("{}") + `","sub":"s"}`):         `iss "REDACTED", sub "s"`,
		jwt(`{"iss":"access_token=x"}`):                      `iss "access_token=REDACTED"`,
		jwt(`{"iss":"` + long + `aaaaaaaaaaaaaaaaaaaaaaa"}`): `iss "` + long + `…"`,
		jwt(`{"iss":{},"sub":7,"aud":{"a":1}}`):              `sub "7"`,
		jwt(`[]`):                                            "", jwt(`{}`): "", "opaque": "",
		"a.b.c.d.e": "", "a.!.c": "", "": "",
	} {
		if got := TrustOf(content).String(); got != want {
			t.Errorf("%s: got %s, want %s", content, got, want)
		}
	}
}

// FuzzTrust: what an assertion says of itself is one line of printable text, bounded, without a
// token.
func FuzzTrust(f *testing.F) {
	for _, seed := range []string{`{"iss":"i","sub":"s","aud":["a","b"]}`, `{"iss":"` +
		jwt("{}") + `"}`, `{"iss":"\u2028\r\n","sub":{},"aud":7}`, `{"sub":"` +
		strings.Repeat("世", 300) + `"}`, "{\"sub\":\"\xe4\xb8\"}", "[]", ""} {
		f.Add([]byte(seed), "eyJhbGciOiJSUzI1NiJ9", "c2lnbmF0dXJl")
	}
	f.Fuzz(func(t *testing.T, payload []byte, head, signature string) {
		shown := TrustOf(head + "." + base64.RawURLEncoding.EncodeToString(payload) + "." +
			signature).String()
		if redact.Token(shown) != shown ||
			redact.Printable(shown) != strings.Join(strings.Fields(shown), " ") ||
			len(shown) > 3*(6*redact.MaxLine+10) {
			t.Errorf("shown is %q", shown)
		}
	})
}

func TestTokenURL(t *testing.T) {
	t.Parallel()
	for authority, want := range map[string]string{
		"https://login.microsoftonline.com":  "https://login.microsoftonline.com",
		"https://login.microsoftonline.com/": "https://login.microsoftonline.com",
		"https://login.example/a%2Fb/":       "https://login.example/a%2Fb",
	} {
		u, err := url.Parse(authority)
		if err != nil {
			t.Fatal(err)
		}
		if got := TokenURL(u, "t").String(); got != want+"/t/oauth2/v2.0/token" {
			t.Errorf("%s: got %s", authority, got)
		}
	}
}

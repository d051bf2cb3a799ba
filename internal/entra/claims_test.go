package entra

import (
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	cp1 = `{"access_token":{"xms_cc":{"values":["CP1"]}}}`
	// as azcore decodes it from the WWW-Authenticate header of a resource
	rejected = `{"access_token":{"nbf":{"essential":true,"value":"1604106651"}}}`
)

// exactJSON decodes without rounding numbers.
func exactJSON(tb testing.TB, text string) any {
	tb.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		tb.Fatalf("%s: %v", text, err)
	}
	return v
}

// FuzzWithCapability: claims come out of a resource's challenge, and go to Entra with the
// capability and nothing else added, nothing lost, no number rounded. What is refused is not
// repeated.
func FuzzWithCapability(f *testing.F) {
	for _, seed := range []string{
		"", "{}", " \r\n{ }\t", " ", "x", "{", "null", "[]", "[{}]", `"{}"`, "1", "true", "{}x", "{}\n{}",
		`{"a":}`, "{'a':1}", "\xff", "\x00", cp1, cp1[1:], rejected, "eyJhY2Nlc3NfdG9rZW4iOnt9fQ==",
		`{"access_token":null}`, `{"access_token":{}}`, `{"access_token":[]}`, `{"access_token":"x"}`,
		`{"access_token":1}`, `{"access_token":true}`,
		`{"access_token":{"xms_cc":1,"nbf":{"essential":true}},"x":"\ud800"}`,
		`{"access_token":{"xms_cc":{"values":["CP2","evil"]},"nbf":{}}}`,
		`{"access_token":{"acrs":{"essential":true,"value":"c1"},"none":null}}`,
		`{"access_token":{"capolids":{"essential":true,"values":["aaaaaaaa"]}},"id_token":{"time":null}}`,
		`{"access_token":{"a":{"b":{"c":[1,{"d":null}]}}},"id_token":{"auth_time":{"essential":true}}}`,
		`{"access_token":{"n":12345678901234567890123,"f":1.10,"e":1E400}}`,
		`{"access_token":{},"access_token":{"a":1}}`, `{"Access_Token":{"a":1}}`,
		`{"access_token":{"x":"a<b>&c\u2028","größe":"世界"}}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, claims string) {
		got, err := WithCapability(claims)
		before := map[string]any{}
		broken := errors.New("more than one value")
		if claims == "" {
			broken = nil
		} else if d := json.NewDecoder(strings.NewReader(claims)); true {
			d.UseNumber()
			if e := d.Decode(&before); e != nil || d.Decode(new(any)) == io.EOF {
				broken = e
			}
		}
		was, isObject := before["access_token"].(map[string]any)
		acceptable := broken == nil && before != nil && (isObject || before["access_token"] == nil)
		if acceptable != (err == nil) {
			t.Fatalf("%q: error is %v, want one: %v", claims, err, !acceptable)
		}
		if err != nil {
			if !strings.HasPrefix(err.Error(), "GetToken: Claims: ") ||
				len(err.Error()) > 100 || len(claims) > 20 && strings.Contains(err.Error(), claims) {
				t.Errorf("the error doesn't name the field, or repeats the claims: %q", err)
			}
			return
		}
		if again, err := WithCapability(got); err != nil || again != got {
			t.Errorf("%q became %q, and then %q, %v", claims, got, again, err)
		}
		if was == nil {
			was = map[string]any{}
		}
		was["xms_cc"] = map[string]any{"values": []any{"CP1"}}
		before["access_token"] = was
		if diff := cmp.Diff(any(before), exactJSON(t, got)); diff != "" {
			t.Errorf("%q became %q (-want +got):\n%s", claims, got, diff)
		}
	})
}

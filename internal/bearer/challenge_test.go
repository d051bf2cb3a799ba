package bearer

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
)

func TestClaims(t *testing.T) {
	t.Parallel()
	const want = `{"access_token":{"nbf":{"essential":true,"value":"1"}},"x":"??>>~~"}`
	std, url := base64.StdEncoding.EncodeToString([]byte(want)),
		base64.URLEncoding.EncodeToString([]byte(want))
	if std == url {
		t.Fatal("both alphabets write it alike: this test would see no difference")
	}
	of := base64.StdEncoding.EncodeToString
	for name, tt := range map[string]struct {
		lines []string
		none  bool
	}{
		"as Entra's resources say it": {lines: []string{`Bearer realm="", authorization_uri=` +
			`"https://login.microsoftonline.com/common/oauth2/authorize", client_id="x", ` +
			`error="insufficient_claims", claims="` + std + `"`}},
		"claims first":                 {lines: []string{`Bearer claims="` + std + `"`}},
		"base64 for URLs":              {lines: []string{`Bearer claims="` + url + `"`}},
		"without padding":              {lines: []string{`Bearer claims="` + strings.TrimRight(url, "=") + `"`}},
		"no quotes":                    {lines: []string{`Bearer error=x, claims=` + std}},
		"in another case":              {lines: []string{`bearer CLAIMS="` + std + `"`}},
		"no blanks":                    {lines: []string{`Bearer a="b",claims="` + std + `"`}},
		"blanks around":                {lines: []string{`Bearer a="b" , claims = "` + std + `"`}},
		"behind another scheme":        {lines: []string{`Negotiate, Basic realm="r", Bearer claims="` + std + `"`}},
		"in another header":            {lines: []string{`Basic realm="r"`, `Bearer claims="` + std + `"`}},
		"behind commas and quotes":     {lines: []string{`Bearer realm="a, claims=\"x\", b", claims="` + std + `"`}},
		"behind a challenge without":   {lines: []string{`Bearer, Bearer claims="` + std + `"`}},
		"after one that is none":       {lines: []string{`Bearer claims="!", Bearer claims="` + std + `"`}},
		"of another scheme":            {lines: []string{`PoP claims="` + std + `"`}, none: true},
		"of a scheme behind":           {lines: []string{`Bearer a="b", PoP claims="` + std + `"`}, none: true},
		"in quotes":                    {lines: []string{`Bearer realm="x, claims=` + std + `"`}, none: true},
		"no claims":                    {lines: []string{`Bearer error="invalid_token"`}, none: true},
		"empty":                        {lines: []string{`Bearer claims=""`}, none: true},
		"no base64":                    {lines: []string{`Bearer claims="{}"`}, none: true},
		"no JSON":                      {lines: []string{`Bearer claims="` + of([]byte("a")) + `"`}, none: true},
		"a list":                       {lines: []string{`Bearer claims="` + of([]byte("[1]")) + `"`}, none: true},
		"null":                         {lines: []string{`Bearer claims="` + of([]byte("null")) + `"`}, none: true},
		"a quote without an end":       {lines: []string{`Bearer claims="` + std}, none: true},
		"too long":                     {lines: []string{`Bearer a="` + strings.Repeat("a", maxHeader) + `", claims="` + std + `"`}, none: true},
		"no header":                    {none: true},
		"an empty one":                 {lines: []string{""}, none: true},
		"commas":                       {lines: []string{" , ,,"}, none: true},
		"a backslash at the end":       {lines: []string{`Bearer claims="\`}, none: true},
		"a parameter without a scheme": {lines: []string{`claims="` + std + `"`}, none: true},
	} {
		got := claims(http.Header{"Www-Authenticate": tt.lines})
		if tt.none && got != "" || !tt.none && got != want {
			t.Errorf("%s: got %q", name, got)
		}
	}
}

// FuzzClaims: whatever a server says, there is an end.
func FuzzClaims(f *testing.F) {
	for _, seed := range []string{`Bearer claims="e30="`, `Basic, Bearer a="\"", claims=e30`, `=,="`, ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		got := claims(http.Header{"Www-Authenticate": {line}})
		if got != "" && !strings.Contains(strings.ToLower(line), "claims") {
			t.Errorf("%q has the claims %q", line, got)
		}
	})
}

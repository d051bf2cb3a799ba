package redact

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

const aJWT = "eyJhbGciOiJub25lIn0.eyJhcHBpZCI6ImEifQ.c2lnbmF0dXJl"

func TestRedact(t *testing.T) {
	t.Parallel()
	const secret = `s3<cr>&"et\`
	quoted, err := json.Marshal(secret)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, text, secret, want string }{
		{"nothing to hide", "Identity not found", secret, "Identity not found"},
		{"no secret", "Identity not found", "", "Identity not found"},
		{"empty", "", secret, ""},
		{"the secret", "you sent " + secret + ".", secret, "you sent REDACTED."},
		{"the secret twice", secret + secret, secret, "REDACTEDREDACTED"},
		{"the secret as JSON", `{"sent":` + string(quoted) + `}`, secret, `{"sent":"REDACTED"}`},
		{"the secret as JSON, capitals in escapes", `{"sent":"s3\u003Ccr\u003E\u0026\u0022et\\"}`, secret,
			"REDACTED"},
		{"the secret without the blanks around it, which are not sent", "you sent s3cr et.",
			" s3cr et\u00a0 ", "you sent REDACTED."},
		{"blanks", "you sent nothing", "  ", "you sent nothing"},
		{"a pair of escapes", `{"sent":"pa55\uD83D\ude00"}`, "pa55😀", "REDACTED"},
		{"half a pair of escapes", `{"sent":"\uD83D \ude00 \u0070a55"}`, "pa55", "REDACTED"},
		{"the head of a long one", "you sent 0123456789ab…", "0123456789abcdefghi", "REDACTED"},
		{"less than 12 bytes of it", "you sent 0123456789a…", "0123456789abcdefghi",
			"you sent 0123456789a…"},
		{"its tail", "…789abcdefghi", "0123456789abcdefghi", "REDACTED"},
		{"its middle", "… 3456789abcde …", "0123456789abcdefghi", "REDACTED"},
		{"its middle, escaped", "%20%33%34567%389abcde%20", "0123456789abcdefghi", "REDACTED"},
		{"pieces that are too short", "0123456789a bcdefghi 0123456789a", "0123456789abcdefghi",
			"0123456789a bcdefghi 0123456789a"},
		{"a piece after a false start", "0123456789a0123456789ab", "0123456789abcdefghi", "REDACTED"},
		{"a piece that is twice in it", "0123450123456789ab", "012345x0123456789abc", "REDACTED"},
		{"a refresh token", `{"refresh_token": "opaque"}`, "", `{"refresh_token": "REDACTED"}`},
		{"a refresh token in a form", `grant_type=refresh_token&refresh_token=opaque`, "",
			"grant_type=refresh_token&refresh_token=REDACTED"},
		{"a refresh token in JSON in JSON", `{\"refreshToken\":\"opaque\"}`, "",
			`{\"refreshToken\":\"REDACTED\"}`},
		{"its name", "AADSTS900144: The request body must contain the following parameter: 'refresh_token'.", "", "AADSTS900144: The request body must contain the following parameter: 'refresh_token'."},
		{"a JWT", "token " + aJWT + " refused", "", "token REDACTED refused"},
		{"the head of a JWT", "token eyJhbGciOiJSUzI1NiIs", "", "token REDACTED"},
		{"a JWT in JSON", `{"t":"eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.eyJhIjoxfQ.c2ln"}`, "",
			`{"t":"REDACTED"}`},
		{"a word that begins alike", "eyJolly", "", "eyJolly"},
		{"a form without a value", "access_token=&expires_in=0", "", "access_token=&expires_in=0"},
		{"a field for a token", `{"access_token":"opaque","error":"x"}`, "",
			`{"access_token":"REDACTED","error":"x"}`},
		{"such a field in capitals", `{"ACCESS_TOKEN":"opaque"}`, "", `{"ACCESS_TOKEN":"REDACTED"}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := Text(tt.text, tt.secret); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// TestLongTextsAreCut: beyond what is looked into nothing is shown, nor the head of a secret that
// the cut leaves.
func TestLongTextsAreCut(t *testing.T) {
	t.Parallel()
	const secret = "0123456789"
	for shift := range 12 {
		for _, format := range []string{"%c", `\u%04x`, "%%25%02X"} {
			written := ""
			for _, c := range []byte(secret) {
				written += fmt.Sprintf(format, c)
			}
			text := strings.Repeat("x", MaxText-len(written)*shift/12) + written
			got := Text(text+strings.Repeat("y", MaxText), secret)
			for _, read := range slowlyReads(got) {
				if strings.Contains(read, "0") || strings.Contains(read, "y") {
					t.Fatalf("%d bytes end in %q", len(got), got[len(got)-100:])
				}
			}
			if len(got) < MaxText/2 || !strings.HasSuffix(got, "x…") {
				t.Errorf("%d bytes of %d are left", len(got), len(text))
			}
		}
	}
}

package redact

import (
	"fmt"
	"strings"
	"testing"
)

const aJWT = "eyJhbGciOiJub25lIn0.eyJhcHBpZCI6ImEifQ.c2lnbmF0dXJl"

// hardSecret has what JSON, HTML and URLs escape.
const hardSecret = `s3<cr>&"et\`

// hidden are texts and what becomes of them, by the secret that is named.
var hidden = map[string]map[string]string{
	"": {
		"Identity not found": "Identity not found",
		// tokens
		"token " + aJWT + " refused":                                   "token REDACTED refused",
		"token eyJhbGciOiJSUzI1NiIs":                                   "token REDACTED",
		`{"t":"eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.eyJhIjoxfQ.c2ln"}`: `{"t":"REDACTED"}`,
		"eyJolly": "eyJolly", // a word that begins alike
		// fields
		`{"refresh_token": "opaque"}`: `{"refresh_token": "REDACTED"}`,
		`grant_type=refresh_token&refresh_token=opaque`:// its value alone
		`grant_type=refresh_token&refresh_token=REDACTED`,
		`{\"refreshToken\":\"opaque\"}`: `{\"refreshToken\":\"REDACTED\"}`,
		"AADSTS900144: The body must contain 'refresh_token'.":// a field's name alone
		"AADSTS900144: The body must contain 'refresh_token'.",
		"access_token=&expires_in=0":            "access_token=&expires_in=0",
		`{"access_token":"opaque","error":"x"}`: `{"access_token":"REDACTED","error":"x"}`,
		`{"ACCESS_TOKEN":"opaque"}`:             `{"ACCESS_TOKEN":"REDACTED"}`,
		"x token=a%2525252525252541":            "REDACTED", // more layers than anybody makes
	},
	hardSecret: {
		"": "", "Identity not found": "Identity not found",
		"you sent " + hardSecret + ".":                "you sent REDACTED.",
		hardSecret + hardSecret:                       "REDACTEDREDACTED",
		`{"sent":` + jsonOf(hardSecret) + `}`:         `{"sent":"REDACTED"}`,
		`{"sent":"s3\u003Ccr\u003E\u0026\u0022et\\"}`: "REDACTED", // escapes in capitals
	},
	" s3cr et\u00a0 ": {"you sent s3cr et.": "you sent REDACTED."}, // the blanks are not sent
	"  ":              {"you sent nothing": "you sent nothing"},
	"pa55😀":           {`{"sent":"pa55\uD83D\ude00"}`: "REDACTED"},
	"pa55":            {`{"sent":"\uD83D \ude00 \u0070a55"}`: "REDACTED"}, // half a pair of escapes
	// A piece of a long one is hidden if it has 12 bytes.
	"0123456789abcdefghi": {
		"you sent 0123456789ab…": "REDACTED", "you sent 0123456789a…": "you sent 0123456789a…",
		"…789abcdefghi": "REDACTED", "… 3456789abcde …": "REDACTED",
		"%20%33%34567%389abcde%20":         "REDACTED",
		"0123456789a bcdefghi 0123456789a": "0123456789a bcdefghi 0123456789a",
		"0123456789a0123456789ab":          "REDACTED", // behind a false start
	},
	"012345x0123456789abc": {"0123450123456789ab": "REDACTED"}, // its head is twice in it
}

func TestRedact(t *testing.T) {
	t.Parallel()
	for secret, texts := range hidden {
		for text, want := range texts {
			if got := Text(text, secret); got != want {
				t.Errorf("%s: got %q, want %q", text, got, want)
			}
		}
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

package redact

import (
	"fmt"
	"strings"
	"testing"
)

const aJWT = "eyJhbGciOiJub25lIn0.eyJhcHBpZCI6ImEifQ.c2lnbmF0dXJl"

// hardSecret has what JSON, HTML and URLs escape.
const hardSecret = `s3<cr>&"et\`

var textTests = []struct{ name, text, secret, want string }{
	{
		name: "nothing to hide", text: "Identity not found", secret: hardSecret,
		want: "Identity not found",
	},
	{name: "no secret", text: "Identity not found", want: "Identity not found"},
	{name: "empty", secret: hardSecret},
	{
		name: "the secret", text: "you sent " + hardSecret + ".", secret: hardSecret,
		want: "you sent REDACTED.",
	},
	{name: "the secret twice", text: hardSecret + hardSecret, secret: hardSecret, want: "REDACTEDREDACTED"},
	{
		name: "the secret as JSON", text: `{"sent":` + jsonOf(hardSecret) + `}`, secret: hardSecret,
		want: `{"sent":"REDACTED"}`,
	}, {
		name: "the secret as JSON, capitals in escapes",
		text: `{"sent":"s3\u003Ccr\u003E\u0026\u0022et\\"}`, secret: hardSecret, want: "REDACTED",
	}, {
		name: "the secret without the blanks around it, which are not sent",
		text: "you sent s3cr et.", secret: " s3cr et\u00a0 ", want: "you sent REDACTED.",
	},
	{name: "blanks", text: "you sent nothing", secret: "  ", want: "you sent nothing"},
	{
		name: "a pair of escapes", text: `{"sent":"pa55\uD83D\ude00"}`, secret: "pa55😀",
		want: "REDACTED",
	}, {
		name: "half a pair of escapes", text: `{"sent":"\uD83D \ude00 \u0070a55"}`,
		secret: "pa55", want: "REDACTED",
	}, {
		name: "the head of a long one", text: "you sent 0123456789ab…",
		secret: "0123456789abcdefghi", want: "REDACTED",
	}, {
		name: "less than 12 bytes of it", text: "you sent 0123456789a…",
		secret: "0123456789abcdefghi", want: "you sent 0123456789a…",
	},
	{name: "its tail", text: "…789abcdefghi", secret: "0123456789abcdefghi", want: "REDACTED"},
	{
		name: "its middle", text: "… 3456789abcde …", secret: "0123456789abcdefghi",
		want: "REDACTED",
	}, {
		name: "its middle, escaped", text: "%20%33%34567%389abcde%20",
		secret: "0123456789abcdefghi", want: "REDACTED",
	}, {
		name: "pieces that are too short", text: "0123456789a bcdefghi 0123456789a",
		secret: "0123456789abcdefghi", want: "0123456789a bcdefghi 0123456789a",
	}, {
		name: "a piece after a false start", text: "0123456789a0123456789ab",
		secret: "0123456789abcdefghi", want: "REDACTED",
	}, {
		name: "a piece that is twice in it", text: "0123450123456789ab",
		secret: "012345x0123456789abc", want: "REDACTED",
	}, {
		name: "a refresh token", text: `{"refresh_token": "opaque"}`,
		want: `{"refresh_token": "REDACTED"}`,
	}, {
		name: "a refresh token in a form",
		text: `grant_type=refresh_token&refresh_token=opaque`,
		want: "grant_type=refresh_token&refresh_token=REDACTED",
	}, {
		name: "a refresh token in JSON in JSON", text: `{\"refreshToken\":\"opaque\"}`,
		want: `{\"refreshToken\":\"REDACTED\"}`,
	}, {
		name: "its name",
		text: "AADSTS900144: The request body must contain the following parameter: " +
			"'refresh_token'.",
		want: "AADSTS900144: The request body must contain the following parameter: " +
			"'refresh_token'.",
	},
	{name: "a JWT", text: "token " + aJWT + " refused", want: "token REDACTED refused"},
	{name: "the head of a JWT", text: "token eyJhbGciOiJSUzI1NiIs", want: "token REDACTED"},
	{
		name: "a JWT in JSON",
		text: `{"t":"eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.eyJhIjoxfQ.c2ln"}`,
		want: `{"t":"REDACTED"}`,
	},
	{name: "a word that begins alike", text: "eyJolly", want: "eyJolly"},
	{
		name: "a form without a value", text: "access_token=&expires_in=0",
		want: "access_token=&expires_in=0",
	}, {
		name: "a field for a token", text: `{"access_token":"opaque","error":"x"}`,
		want: `{"access_token":"REDACTED","error":"x"}`,
	}, {
		name: "such a field in capitals", text: `{"ACCESS_TOKEN":"opaque"}`,
		want: `{"ACCESS_TOKEN":"REDACTED"}`,
	},
}

func TestRedact(t *testing.T) {
	t.Parallel()
	for _, tt := range textTests {
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

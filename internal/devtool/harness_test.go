package devtool

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/keyless-go/identity/internal/acquire"
	"github.com/keyless-go/identity/internal/command"
	"github.com/keyless-go/identity/internal/redact"
)

const (
	homeTenant     = "11111111-aaaa-4aaa-8aaa-aaaaaaaaaaaa"
	guid           = "11111111-2222-3333-4444-555555555555"
	rejectedClaims = `{"access_token":{"nbf":{"essential":true,"value":"1604106651"},"CLAIMSMARK":null}}`
	nasty          = "a\r\nb\x00c\x1b[31m\u0085d\u2028e\u2029f\xff\"g\t"
)

// parsedAt is the clock of the tests of the parsers.
var parsedAt = time.Date(2017, 1, 2, 3, 4, 5, 0, time.UTC)

// jwtOf is a token with the given claims, a JSON object. Its signature is none.
func jwtOf(claims string) string {
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(`{"alg":"none"}`)) + "." + encode([]byte(claims)) + ".c2lnbmF0dXJl"
}

// showsToken reports whether something in a text looks like a token.
func showsToken(text string) bool { return redact.Token(text) != text }

// exits is the end of a tool that failed.
func exits(code int, stderr string) error { return &command.ExitError{Code: code, Stderr: stderr} }

// clientOf is one whose tool ends as answer says.
func clientOf(tb testing.TB, t *Tool, answer func() ([]byte, error)) *Client {
	tb.Helper()
	c, err := New(t, Options{Type: "Options"}, Machine{
		Getenv: func(string) string { return "" },
		Run:    func(context.Context, command.Command) ([]byte, error) { return answer() },
		Place:  acquire.NewPlaces(1),
	})
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

// azSays is what az prints of a token.
func azSays(token string, life time.Duration) []byte {
	out, err := json.Marshal(map[string]any{"accessToken": token,
		"expires_on": time.Now().Add(life).Unix(), "tokenType": "Bearer", "subscription": "s",
		"tenant": homeTenant})
	if err != nil {
		panic(err)
	}
	return out
}

// What azd prints with -o json, before 1.23.7 and since.
func azdMessage(text string) string {
	return fmt.Sprintf(`{"type":"consoleMessage","timestamp":"2026-04-14T22:02:36.154700776Z",`+
		`"data":{"message":%q}}`+"\n", text)
}

func azdError(text string) string {
	return fmt.Sprintf(`{"error":%q,"message":"Authentication with Azure failed.","suggestion":"Run `+
		`'azd auth login' to sign in again."}`+"\n", text)
}

// sampled is what a real tool wrote to its standard error; the files say where.
func sampled(tb testing.TB, name string) string {
	tb.Helper()
	content, err := os.ReadFile("testdata/" + name + ".txt")
	if err != nil {
		tb.Fatal(err)
	}
	_, text, _ := strings.Cut(string(content), "\n\n") // behind a head
	return text
}

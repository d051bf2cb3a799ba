package devtool

import (
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/keyless-go/identity/internal/acquire"
	"github.com/keyless-go/identity/internal/command"
	"github.com/keyless-go/identity/internal/redact"
)

const (
	homeTenant     = "11111111-aaaa-4aaa-8aaa-aaaaaaaaaaaa"
	otherTenant    = "f0f0f0f0-1111-4222-8333-abcdefabcdef"
	guid           = "11111111-2222-3333-4444-555555555555"
	rejectedClaims = `{"access_token":{"nbf":{"essential":true,"value":"1604106651"},"CLAIMSMARK":null}}`
	nasty          = "a\r\nb\x00c\x1b[31m\u0085d\u2028e\u2029f\xff\"g\t"

	vault      = "https://vault.azure.net"
	vaultScope = vault + "/.default"
)

var tools = []*Tool{AzureCLI, AzureDeveloperCLI}

// parsedAt is the clock of the tests of what is printed.
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

// grant is what both tools could print of a token that lasts an hour.
func grant(tenant string) []byte {
	end := time.Now().Add(time.Hour).UTC()
	return fmt.Appendf(nil,
		`{"accessToken":"t","expires_on":%d,"tenant":%q,"token":"t","expiresOn":%q}`,
		end.Unix(), tenant, end.Format(time.RFC3339))
}

// fake is a tool's runs as a function, with a note of them.
type fake struct {
	takes  time.Duration
	answer func(n int) ([]byte, error) // to the n-th run, from 1; nil grants

	place *acquire.Places // nil for one of its own

	mu        sync.Mutex
	runs      [][]string // arguments
	now, most int        // under way at once
}

func (f *fake) run(ctx context.Context, c command.Command) ([]byte, error) {
	f.mu.Lock()
	f.runs = append(f.runs, slices.Clone(c.Arguments))
	n := len(f.runs)
	f.now++
	f.most = max(f.most, f.now)
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		f.now--
		f.mu.Unlock()
	}()
	if f.takes > 0 {
		timer := time.NewTimer(f.takes)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if f.answer == nil {
		return grant(homeTenant), nil
	}
	return f.answer(n)
}

// client is one of a tool whose runs are f's.
func (f *fake) client(tb testing.TB, t *Tool, o Options, variables ...string) *Client {
	tb.Helper()
	if f.place == nil {
		f.place = acquire.NewPlaces(1)
	}
	o.Type = "Options"
	c, err := New(t, o, Machine{Run: f.run, Place: f.place, Getenv: func(name string) string {
		for i := 0; i+1 < len(variables); i += 2 {
			if variables[i] == name {
				return variables[i+1]
			}
		}
		return ""
	}})
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

// wantText checks that an error has all of some texts.
func wantText(tb testing.TB, err error, want ...string) {
	tb.Helper()
	for _, text := range want {
		if err == nil || !strings.Contains(err.Error(), text) {
			tb.Errorf("got %v, want an error with %q", err, text)
		}
	}
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
func sampled(name string) string {
	content, err := os.ReadFile("testdata/" + name + ".txt")
	if err != nil {
		panic(err)
	}
	_, text, _ := strings.Cut(string(content), "\n\n") // behind a head
	return text
}

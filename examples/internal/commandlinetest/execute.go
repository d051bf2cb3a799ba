// Package commandlinetest runs the examples' commands in their tests.
package commandlinetest

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/keyless-go/identity/examples/internal/standins"
	"github.com/keyless-go/identity/identitytest"
)

// Run is a command's main function without the process around it.
type Run func(ctx context.Context, args []string, stdout, stderr io.Writer) (status int)

// Execute runs a command, and checks what holds for every run: the status is the wanted one, one
// that is 0 comes without a word on stderr, and nothing is left behind. The test can't be parallel:
// the command reads this process's variables, and sets some for its stand-ins.
func Execute(
	ctx context.Context, t *testing.T, run Run, want int, args ...string,
) (stdout, stderr string) {
	t.Helper()
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	t.Setenv("TMP", temporary) // on Windows
	environment := os.Environ()
	var out, err bytes.Buffer
	got := run(ctx, args, &out, &err)
	stdout, stderr = out.String(), err.String()
	if got != want {
		t.Fatalf("%q: exit status %d, want %d\nstdout: %s\nstderr: %s", args, got, want, stdout, stderr)
	}
	if want == 0 && stderr != "" {
		t.Errorf("%q: stderr %q, want none", args, stderr)
	}
	if after := os.Environ(); strings.Join(after, "\n") != strings.Join(environment, "\n") {
		t.Errorf("%q: left the environment changed: %q, want %q", args, after, environment)
	}
	if left, err := os.ReadDir(temporary); err != nil || len(left) > 0 {
		t.Errorf("%q: left temporary files: %v, %v, want none", args, left, err)
	}
	return stdout, stderr
}

// WantOneLine checks what a command prints on stderr for a mistake.
func WantOneLine(t *testing.T, command, stderr, want string) {
	t.Helper()
	line, ok := strings.CutSuffix(stderr, "\n")
	if !ok || !strings.HasPrefix(line, command+": ") || strings.Contains(line, "\n") ||
		!strings.Contains(line, want) {
		t.Errorf("stderr %q, want one line that begins with %s: and has %q", stderr, command, want)
	}
}

// SkipWithout skips a test that needs a host which this system can't have: the agent of Azure Arc
// is for two systems only, and the library refuses to look for it elsewhere.
func SkipWithout(t *testing.T, host string) {
	t.Helper()
	if host == standins.Arc && runtime.GOOS != "linux" && runtime.GOOS != "windows" {
		t.Skip("Azure Arc's agent runs on Linux and Windows only")
	}
}

// StandIn makes a host's endpoint, which isn't served yet.
func StandIn(t *testing.T, host string) *identitytest.Endpoint {
	t.Helper()
	h, ok := standins.Find(host)
	if !ok {
		t.Fatalf("there is no stand-in for host %q", host)
	}
	return h.Endpoint(t.TempDir())
}

// Identities are those of the stand-ins: the system-assigned one, then the user-assigned one.
func Identities(t *testing.T) []identitytest.Identity {
	t.Helper()
	return StandIn(t, standins.IMDS).Identities()
}

// WantAll checks that a text has all of want in it.
func WantAll(t *testing.T, what, text string, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if !strings.Contains(text, want) {
			t.Errorf("%s has no %q:\n%s", what, want, text)
		}
	}
}

// Closed is an address of loopback where nothing listens.
func Closed(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	return listener.Addr().String()
}

// JWT makes a token of its claims, a JSON text.
func JWT(claims string) string {
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(`{"alg":"RS256","typ":"JWT"}`)) + "." + encode([]byte(claims)) + "." +
		encode([]byte("signature"))
}

// JWTOf makes a token with these claims.
func JWTOf(t *testing.T, claims map[string]any) string {
	t.Helper()
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	return JWT(string(payload))
}

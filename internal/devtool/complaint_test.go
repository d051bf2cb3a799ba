package devtool

import (
	"strings"
	"testing"

	"github.com/keyless-go/identity/internal/lazy"
)

// plain is a tool whose complaint is a text.
var plain = &Tool{split: func(stderr string) (reason, advice string) { return stderr, stderr },
	asks: lazy.Regexp{Expr: `az login` + options}}

func TestComplaint(t *testing.T) {
	t.Parallel()
	const head = "ERROR: The command failed with an unexpected error. Here is the traceback:\n"
	for _, tt := range []struct{ name, stderr, reason, login, logout string }{
		{name: "nothing"},
		{name: "a line", stderr: "ERROR: broken\r\n", reason: "ERROR: broken"},
		{name: "colors", stderr: "\x1b[31mERROR: broken\x1b[0m\n", reason: "ERROR: broken"},
		{name: "behind warnings", stderr: "WARNING: x\n  y\nERROR: broken", reason: "ERROR: broken"},
		{name: "a traceback behind it",
			stderr: "ERROR: broken\nTraceback (most recent call last):\n  File\nKeyError: 'x'",
			reason: "ERROR: broken"},
		{name: "a traceback",
			stderr: head + "Traceback (most recent call last):\n  File \"x\"\nOSError: full\n" +
				"To open a new issue, please run `az feedback`",
			reason: "OSError: full"},
		{name: "a traceback without its head", stderr: head + "ERROR: full",
			reason: head + "ERROR: full"},
		{name: "IDs that differ each time",
			stderr: "ERROR: AADSTS1: no. Trace ID: 1a Correlation ID: 2b Timestamp: 2026-01-02 03:04:05Z",
			reason: "ERROR: AADSTS1: no."},
		{name: "objects of Python's", stderr: "ERROR: <urllib3.Conn object at 0x7f00>: refused",
			reason: "ERROR: refused"},
		{name: "Entra's answer",
			stderr: "POST https://x\n--------\nRESPONSE 400\n--------\n" +
				`{"error":"invalid_grant","error_description":"AADSTS1: expired"}`,
			reason: "POST https://x, invalid_grant: AADSTS1: expired"},
		{name: "a secret", stderr: `ERROR: {"accessToken": "secret"}`,
			reason: `ERROR: {"accessToken": "REDACTED"}`},
		{name: "a login", stderr: "ERROR: x\nrun az login.", reason: "ERROR: x\nrun az login.",
			login: "az login"},
		{name: "the most exact login, after a logout",
			stderr: "Run `az login`.\naz logout\naz login --scope \"https://x/.default\"; reboot",
			reason: "Run `az login`.\naz logout\naz login --scope \"https://x/.default\"; reboot",
			login:  `az login --scope "https://x/.default"`, logout: "az logout, then "},
	} {
		got := plain.complaintIn(tt.stderr)
		if got.reason != tt.reason || got.login != tt.login || got.logout != tt.logout {
			t.Errorf("%s: got reason %q, login %q, logout %q, want %q, %q, %q", tt.name, got.reason,
				got.login, got.logout, tt.reason, tt.login, tt.logout)
		}
	}
}

func TestBothEnds(t *testing.T) {
	t.Parallel()
	if got := bothEnds("short\n\x1b text"); strings.ContainsAny(got, "\n\x1b") {
		t.Errorf("got %q, want a printable line", got)
	}
	long := bothEnds("begin " + strings.Repeat("größe ", 200) + "end")
	if !strings.HasPrefix(long, "begin ") || !strings.HasSuffix(long, "end") ||
		!strings.Contains(long, " … ") || len(long) > 300 {
		t.Errorf("got %d bytes, %q, want the two ends", len(long), long)
	}
}

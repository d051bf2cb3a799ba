package failure

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/keyless-go/identity/internal/redact"
)

func TestLine(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		line Line
		want string // TOKEN stands for what was asked for
	}{
		{line: Line{StatusCode: 400, Code: "invalid_request", Message: "Identity not found", Attempts: 1,
			Elapsed: 12 * time.Millisecond, Hint: "is client ID x assigned?"},
			want: `400 invalid_request "Identity not found" (TOKEN, 1 attempt, 12ms): ` +
				`is client ID x assigned?`},
		{line: Line{StatusCode: 500, Message: "oops", CorrelationID: "c", Attempts: 3,
			Elapsed: 1234567890}, want: `500 "oops" (TOKEN, 3 attempts, 1.2s, correlation ID c)`},
		{line: Line{StatusCode: 503, Attempts: 2, Elapsed: 75400e6},
			want: `503 (TOKEN, 2 attempts, 1m15s)`},
		{line: Line{Attempts: 1, Elapsed: 1500, What: "no answer from http://x: connection refused"},
			want: `no answer from http://x: connection refused (TOKEN, 1 attempt, 2µs)`},
		{line: Line{StatusCode: 200, Attempts: 1, What: "not an answer of IMDS"},
			want: `200: not an answer of IMDS (TOKEN, 1 attempt, 0s)`},
		{line: Line{What: "IDENTITY_HEADER: is empty"}, want: `IDENTITY_HEADER: is empty (TOKEN)`},
	} {
		tt.line.Who, tt.line.Resource = "IMDS", "https://vault.azure.net"
		want := "identity: IMDS: " + strings.Replace(tt.want, "TOKEN", "token for "+tt.line.Resource, 1)
		if got := tt.line.String(); got != want {
			t.Errorf("\n got %s\nwant %s", got, want)
		}
	}
}

// TestEndsAreNoCause: how the last try and the wait ended is in the line, and not in its summary.
func TestEndsAreNoCause(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		line          Line
		want, summary string
	}{
		{line: Line{What: "no answer", CutShort: "and none in 1s"},
			want: "no answer, and none in 1s", summary: "no answer"},
		{line: Line{What: "no answer", NotReady: "not ready"},
			want: "no answer; not ready", summary: "no answer"},
		{line: Line{What: "no answer", CutShort: "and none in 1s", NotReady: "not ready"},
			want: "no answer, and none in 1s; not ready", summary: "no answer"},
		{line: Line{StatusCode: 503, CutShort: "and none in 1s", NotReady: "not ready"},
			want: "503: and none in 1s; not ready", summary: "503"},
	} {
		tt.line.Who, tt.line.Resource = "IMDS", "vault"
		const around = "identity: IMDS: ? (token for vault)"
		if got, want := tt.line.String(), strings.Replace(around, "?", tt.want, 1); got != want {
			t.Errorf("\n got %s\nwant %s", got, want)
		}
		if got, want := tt.line.Summary(""), strings.Replace(around, "?", tt.summary, 1); got != want {
			t.Errorf("\n got %s\nwant %s", got, want)
		}
	}
}

// TestBlanksInQuotesStay: of a path with several in a row a person would look for another file.
func TestBlanksInQuotesStay(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/var/run/token", "/a  b", " /a   b    c ", "/a\u00a0 \t  b",
		`C:\a  b`, "  ", "/a \xff  b"} {
		text := Line{What: "can't read " + redact.Quoted(path) + ": no such file"}.String()
		prefix, err := strconv.QuotedPrefix(text[strings.Index(text, `"`):])
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if got, err := strconv.Unquote(prefix); got != path || err != nil {
			t.Errorf("%q is shown as %s, error %v", path, text, err)
		}
	}
}

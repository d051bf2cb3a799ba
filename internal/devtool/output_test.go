package devtool

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // zones by name, wherever the tests run

	"github.com/keyless-go/identity/internal/command"
)

// output is what a tool prints at parsedAt, with words in capitals for the end of the token: UNIX
// and RFC, by az's local time LOCAL, as the token's own JWT, and EARLY for one a minute before.
type output struct {
	name, text string
	earlier    time.Duration // than in an hour, by which the token ends
	err        string        // "" for a token
}

func (o output) bytes() []byte {
	end := parsedAt.Add(time.Hour)
	own := func(t time.Time) string { return jwtOf(fmt.Sprintf(`{"exp":%d}`, t.Unix())) }
	return []byte(strings.NewReplacer("UNIX", fmt.Sprint(end.Unix()), "RFC", end.Format(time.RFC3339),
		"LOCAL", end.In(time.Local).Format(time.DateTime), "JWT", own(end),
		"EARLY", own(end.Add(-time.Minute))).Replace(o.text))
}

const noDate, noObject = "doesn't say when the token expires", "printed no JSON object with a token"

// outputs are those of each tool. What surrounds an object is the same for both.
var outputs = map[*Tool][]output{
	AzureCLI: {
		{name: "2.54 and later", text: `{"accessToken":"t","expiresOn":"2001-01-01 ` +
			`00:00:00.000000","expires_on":UNIX,"subscription":"s","tenant":"` + homeTenant +
			`","tokenType":"Bearer"}`},
		{name: "before 2.54",
			text: `{"accessToken":"t","expiresOn":"LOCAL.000000","tenant":"T","tokenType":"Bearer"}`},
		{name: "without fractions", text: `{"accessToken":"t","expiresOn":"LOCAL"}`},
		{name: "a fraction", text: `{"accessToken":"t","expiresOn":"LOCAL.25"}`,
			earlier: -250 * time.Millisecond},
		{name: "numbers as texts, and texts as numbers",
			text: `{"accessToken":"t","expires_on":"UNIX","tenant":7,"tokenType":null,"subscription":{}}`},
		{name: "zero, and the local time",
			text: `{"accessToken":"t","expires_on":0,"expiresOn":"LOCAL"}`},
		{name: "N/A, and the token's own", text: `{"accessToken":"JWT","expiresOn":"N/A"}`},
		{name: "null, and the token's own",
			text: `{"accessToken":"JWT","expiresOn":null,"expires_on":null}`},
		{name: "the token's own is earlier", text: `{"accessToken":"EARLY","expires_on":UNIX}`,
			earlier: time.Minute},
		{name: "the token's own is later",
			text: `{"accessToken":"JWT","expires_on":"1483329785"}`, earlier: time.Minute},
		{name: "blanks and unknown fields",
			text: "\r\n {\"x\":[1], \"accessToken\" : \"t\", \"expires_on\" : UNIX}\r\n"},
		{name: "N/A and an opaque token", text: `{"accessToken":"t","expiresOn":"N/A"}`, err: noDate},
		{name: "another date", text: `{"accessToken":"t","expiresOn":"03/04/2026"}`, err: noDate},
		{name: "too small a number", text: `{"accessToken":"t","expires_on":3600}`, err: noDate},
		{name: "too large a number", text: `{"accessToken":"t","expires_on":253402300800}`, err: noDate},
		{name: "expired", text: `{"accessToken":"t","expires_on":1483326245}`, err: "the token expired"},
		{name: "long expired", text: `{"accessToken":"t","expires_on":1483322645}`, err: "1h0m0s ago"},
		{name: "a number as token", text: `{"accessToken":1,"expires_on":UNIX}`, err: noObject},
		{name: "another type", text: `{"accessToken":"t","expires_on":UNIX,"tokenType":"pop"}`,
			err: `token_type is "pop"`},
	},
	AzureDeveloperCLI: {
		{name: "UTC", text: `{"token":"t","expiresOn":"RFC"}`},
		{name: "another zone", text: `{"token":"t","expiresOn":"2017-01-02T06:04:05+02:00"}`},
		{name: "the token's own is earlier", text: `{"token":"EARLY","expiresOn":"RFC"}`,
			earlier: time.Minute},
		{name: "expired", text: `{"token":"t","expiresOn":"2017-01-02T03:04:05Z"}`,
			err: "the token expired"},
		{name: "no date", text: `{"token":"t"}`, err: noDate},
		{name: "a number", text: `{"token":"t","expiresOn":UNIX}`, err: noDate},
	},
}

// surroundings are what may be around the object GRANT, and what may be in its place.
var surroundings = []output{
	{name: "escapes around it", text: "\x1b[0mGRANT\x1b[0m\n"},
	{name: "a warning before it", text: "WARNING: '--tenant' is in preview.\nGRANT\n"},
	{name: "a byte order mark", text: "\ufeffGRANT"},
	{name: "a notice behind it", text: "GRANT\nYou have 2 update(s) available.\n"},
	{name: "another object before it", text: `{"type":"consoleMessage","data":{}}` + "\nGRANT"},
	{name: "half an object before it", text: "WARNING: {\"x\": [1, {\nGRANT"},
	{name: "a brace before it", text: "WARNING: use {name\nGRANT"},
	{name: "a quote and a brace before it", text: "WARNING: {\"name\nGRANT"},
	{name: "the first of two", text: `GRANT{"accessToken":"x","expires_on":9,"token":"x"}`},
	{name: "in a list", text: "[GRANT]"},
	{name: "nothing", err: noObject},
	{name: "garbage", text: "WARNING: hello\n", err: noObject},
	{name: "HTML", text: "<html><body>Sign in</body></html>", err: noObject},
	{name: "cut", text: `{"accessToken":"t","token":"t","expires_on":1`, err: noObject},
	{name: "a list", text: `["t"]`, err: noObject},
	{name: "null", text: "null", err: noObject},
	{name: "no token", text: `{"expires_on":UNIX,"expiresOn":"RFC"}`, err: noObject},
	{name: "an empty token", text: `{"accessToken":"","token":"","expires_on":UNIX}`,
		err: "the token response has no "},
	{name: "a blank token", text: `{"accessToken":" ","token":" ","expires_on":UNIX}`,
		err: "the token response has no "},
	{name: "a line break", text: `{"accessToken":"t\r\nX-Evil: 1","token":"t\nX-Evil: 1"}`,
		err: "characters that no token has"},
	{name: "a blank", text: `{"accessToken":"t t","token":"t t"}`,
		err: "characters that no token has"},
}

// allOutputs are a tool's, with all surroundings.
func allOutputs(tool *Tool) []output {
	list := append([]output{}, outputs[tool]...)
	for _, o := range surroundings {
		o.text = strings.ReplaceAll(o.text, "GRANT", outputs[tool][0].text)
		list = append(list, o)
	}
	return list
}

func TestOutput(t *testing.T) {
	t.Parallel()
	for _, tool := range tools {
		for _, tt := range allOutputs(tool) {
			got, err := tool.parse(tt.bytes(), parsedAt)
			end := parsedAt.Add(time.Hour - tt.earlier)
			switch {
			case tt.err == "" && (err != nil || !got.ExpiresOn.Equal(end) || got.Value == "" ||
				got.ExpiresOn.Location() != time.UTC):
				t.Errorf("%s, %s: ends at %v, error %v, want %v", tool.Program, tt.name, got.ExpiresOn, err,
					end)
			case tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err) ||
				strings.Contains(err.Error(), "Evil")):
				t.Errorf("%s, %s: error is %v, want one with %q", tool.Program, tt.name, err, tt.err)
			}
		}
	}
	if got, err := parseAz(outputs[AzureCLI][0].bytes(), parsedAt); got.tenant != homeTenant {
		t.Errorf("got tenant %q, error %v, want %s", got.tenant, err, homeTenant)
	}
}

// TestOutputElsewhere: az's local time is that of this process, which is set by its start.
func TestOutputElsewhere(t *testing.T) {
	t.Parallel()
	for _, zone := range []string{"Asia/Kolkata", "America/New_York"} {
		cmd := exec.Command(os.Args[0], "-test.run", "^TestOutput$", "-test.v")
		cmd.Env = append(os.Environ(), "TZ="+zone)
		if out, err := cmd.CombinedOutput(); err != nil ||
			!strings.Contains(string(out), "--- PASS: TestOutput") {
			t.Errorf("in %s: %v\n%s", zone, err, out)
		}
	}
}

// TestClockPutBack: then a local time says two times; the earlier is the safe one.
func TestClockPutBack(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ zone, local, want string }{
		{"Europe/Berlin", "2026-10-25 02:30:00.123456", "2026-10-25T00:30:00Z"},
		{"Europe/Berlin", "2026-10-25 01:59:59", "2026-10-24T23:59:59Z"},
		{"Europe/Berlin", "2026-10-25 03:00:00", "2026-10-25T02:00:00Z"},
		{"Europe/Berlin", "2026-07-01 12:00:00", "2026-07-01T10:00:00Z"},
		{"America/New_York", "2026-11-01 01:15:00", "2026-11-01T05:15:00Z"},
		{"America/New_York", "2026-11-01 02:15:00", "2026-11-01T07:15:00Z"},
		{"Australia/Lord_Howe", "2026-04-05 01:45:00", "2026-04-04T14:45:00Z"},
		{"Australia/Lord_Howe", "2026-04-05 01:15:00", "2026-04-04T14:15:00Z"},
		{"Antarctica/Troll", "2026-10-25 02:30:00", "2026-10-25T00:30:00Z"},
		{"Antarctica/Troll", "2026-10-25 01:30:00", "2026-10-24T23:30:00Z"},
		{"UTC", "2026-10-25 02:30:00", "2026-10-25T02:30:00Z"},
		{"Asia/Kolkata", "2026-10-25 02:30:00", "2026-10-24T21:00:00Z"},
	} {
		zone, err := time.LoadLocation(tt.zone)
		if err != nil {
			t.Fatal(err)
		}
		got, ok := endOfAz("", tt.local, "", zone)
		if got := got.UTC().Truncate(time.Second).Format(time.RFC3339); !ok || got != tt.want {
			t.Errorf("%s in %s is %s, want %s", tt.local, tt.zone, got, tt.want)
		}
	}
}

// BenchmarkReading: what a tool prints takes time in proportion to its length.
func BenchmarkReading(b *testing.B) {
	for _, bench := range []struct {
		name, piece string
		length      int
		read        func(text string)
	}{
		{"braces", "{", command.MaxStdout, func(s string) { objectWith([]byte(s), "accessToken") }},
		{"objects", `{"a":1}`, command.MaxStdout, func(s string) {
			objectWith([]byte(s), "accessToken")
		}},
		{"an object in an object", `{"a":`, command.MaxStdout,
			func(s string) { objectWith([]byte(s), "accessToken") }},
		{"commands", "az login --scope ", command.MaxStderr, func(s string) { plain.complaintIn(s) }},
		{"IDs", "Trace ID: ", command.MaxStderr, func(s string) { plain.complaintIn(s) }},
		{"tracebacks", traceback + "\n", command.MaxStderr, func(s string) { plain.complaintIn(s) }},
	} {
		text := strings.Repeat(bench.piece, bench.length/len(bench.piece))
		b.Run(bench.name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				bench.read(text)
			}
		})
	}
}

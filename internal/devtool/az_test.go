package devtool

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

func TestAzureCLIOutput(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	end := now.Add(time.Hour)
	unix := fmt.Sprint(end.Unix()) // END in the rows
	local := end.In(time.Local).Format("2006-01-02 15:04:05.000000")
	jwt := jwtOf(fmt.Sprintf(`{"exp":%d}`, end.Unix()))
	early := jwtOf(fmt.Sprintf(`{"exp":%d}`, end.Add(-time.Minute).Unix()))
	for _, tt := range []struct {
		name, out string
		end       time.Time // zero: end
	}{
		{name: "2.54 and later", out: `{"accessToken":"t","expiresOn":"2001-01-01 ` +
			`00:00:00.000000","expires_on":END,"subscription":"s","tenant":"T","tokenType":"Bearer"}`},
		{name: "before 2.54",
			out: `{"accessToken":"t","expiresOn":"` + local + `","tenant":"T","tokenType":"Bearer"}`},
		{name: "without fractions", out: fmt.Sprintf(`{"accessToken":"t","expiresOn":%q}`,
			end.In(time.Local).Format(time.DateTime))},
		{name: "a fraction", out: fmt.Sprintf(`{"accessToken":"t","expiresOn":%q}`,
			end.In(time.Local).Format(time.DateTime)+".25"), end: end.Add(250 * time.Millisecond)},
		{name: "tenant-only account",
			out: `{"accessToken":"t","expires_on":END,"tenant":"T","tokenType":"Bearer"}`},
		{name: "numbers as strings", out: `{"accessToken":"t","expires_on":"END"}`},
		{name: "zero, and the local time",
			out: fmt.Sprintf(`{"accessToken":"t","expires_on":0,"expiresOn":%q}`, local)},
		{name: "N/A, and the token's own", out: `{"accessToken":"` + jwt + `","expiresOn":"N/A"}`},
		{name: "null, and the token's own",
			out: `{"accessToken":"` + jwt + `","expiresOn":null,"expires_on":null}`},
		{name: "none, and the token's own", out: `{"accessToken":"` + jwt + `"}`},
		{name: "the token's own is earlier",
			out: fmt.Sprintf(`{"accessToken":%q,"expires_on":%d}`, early, end.Unix()),
			end: end.Add(-time.Minute)},
		{name: "the token's own is later", out: fmt.Sprintf(`{"accessToken":%q,"expires_on":%d}`, jwt,
			end.Add(-time.Minute).Unix()), end: end.Add(-time.Minute)},
		{name: "blanks and unknown fields",
			out: "\r\n {\"x\":[1], \"accessToken\" : \"t\", \"expires_on\" : END}\r\n"},
		{name: "numbers where texts are",
			out: `{"accessToken":"t","expires_on":END,"tenant":7,"tokenType":null,"subscription":{}}`},

		{name: "an escape behind it", out: "{\"accessToken\":\"t\",\"expires_on\":END}\x1b[0m\n"},
		{name: "escapes around it", out: "\x1b[0m{\"accessToken\":\"t\",\"expires_on\":END}\x1b[0m"},
		{name: "a warning before it", out: "WARNING: Argument '--tenant' is in " +
			"preview.\n{\"accessToken\":\"t\",\"expires_on\":END}\n"},
		{name: "a byte order mark", out: "\ufeff{\"accessToken\":\"t\",\"expires_on\":END}"},
		{name: "a notice behind it",
			out: "{\"accessToken\":\"t\",\"expires_on\":END}\nYou have 2 update(s) available.\n"},
		{name: "another object before it",
			out: "{\"type\":\"consoleMessage\",\"data\":{}}\n{\"accessToken\":\"t\",\"expires_on\":END}"},
		{name: "half an object before it",
			out: "WARNING: {\"x\": [1, {\n{\"accessToken\":\"t\",\"expires_on\":END}"},
		{name: "a brace before it",
			out: "WARNING: use {name\n{\"accessToken\":\"t\",\"expires_on\":END}"},
		{name: "a quote and a brace before it",
			out: "WARNING: {\"name\n{\"accessToken\":\"t\",\"expires_on\":END}"},
		{name: "the first of two",
			out: `{"accessToken":"t","expires_on":END}{"accessToken":"x","expires_on":9}`},
		{name: "in a list", out: `[{"accessToken":"t","expires_on":END}]`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if tt.end.IsZero() {
				tt.end = end
			}
			got, err := parseAz([]byte(strings.ReplaceAll(tt.out, "END", unix)), now)
			if err != nil || !got.ExpiresOn.Equal(tt.end) || got.ExpiresOn.Location() != time.UTC ||
				got.Value == "" {
				t.Errorf("ends at %v, error %v, want %v", got.ExpiresOn, err, tt.end)
			}
		})
	}
	if got, err := parseAz(azSays("t", time.Hour), time.Now()); err != nil ||
		got.tenant != homeTenant || got.Value != "t" {
		t.Errorf("got %v, error %v, want the token t of tenant %s", got.tenant, err, homeTenant)
	}
}

func TestAzureCLIOutputIsRefused(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	end := now.Add(time.Hour)
	unix := fmt.Sprint(end.Unix()) // END in the rows
	for _, tt := range []struct{ name, out, err string }{
		{name: "N/A and an opaque token", out: `{"accessToken":"t","expiresOn":"N/A"}`,
			err: "doesn't say when the token expires"},
		{name: "another date", out: `{"accessToken":"t","expiresOn":"03/04/2026"}`,
			err: "doesn't say when the token expires"},
		{name: "too small a number", out: `{"accessToken":"t","expires_on":3600}`,
			err: "doesn't say when the token expires"},
		{name: "too large a number", out: `{"accessToken":"t","expires_on":253402300800}`,
			err: "doesn't say when the token expires"},
		{name: "expired", out: fmt.Sprintf(`{"accessToken":"t","expires_on":%d}`, now.Unix()),
			err: "the token expired"},
		{name: "long expired", out: fmt.Sprintf(`{"accessToken":"t","expires_on":%d}`,
			now.Add(-time.Hour).Unix()), err: "1h0m0s ago"},
		{name: "nothing", err: "no JSON object"},
		{name: "garbage", out: "WARNING: hello\n", err: "no JSON object"},
		{name: "HTML", out: "<html><body>Sign in</body></html>", err: "no JSON object"},
		{name: "cut", out: `{"accessToken":"t","expires_on":1`, err: "no JSON object"},
		{name: "a list", out: `["t"]`, err: "no JSON object"},
		{name: "null", out: `null`, err: "no JSON object"},
		{name: "no token", out: `{"expires_on":END}`, err: "no JSON object with a token"},
		{name: "empty token", out: `{"accessToken":"","expires_on":END}`, err: "no accessToken"},
		{name: "blank token", out: `{"accessToken":" ","expires_on":END}`, err: "no accessToken"},
		{name: "a number as token", out: `{"accessToken":1,"expires_on":END}`, err: "no JSON object"},
		{name: "a token with a line break", out: `{"accessToken":"t\r\nX-Evil: 1","expires_on":END}`,
			err: "characters that no token has"},
		{name: "a token with a blank", out: `{"accessToken":"t t","expires_on":END}`,
			err: "characters that no token has"},
		{name: "another type", out: `{"accessToken":"t","expires_on":END,"tokenType":"pop"}`,
			err: `token_type is "pop"`},
	} {
		_, err := parseAz([]byte(strings.ReplaceAll(tt.out, "END", unix)), now)
		if err == nil || !strings.Contains(err.Error(), tt.err) ||
			strings.Contains(err.Error(), "Evil") {
			t.Errorf("%s: error is %v, want one with %q", tt.name, err, tt.err)
		}
	}
}

// TestAzureCLIOutputElsewhere: az's local time is that of this process, which is set by its start.
func TestAzureCLIOutputElsewhere(t *testing.T) {
	t.Parallel()
	for _, zone := range []string{"Asia/Kolkata", "America/New_York"} {
		cmd := exec.Command(os.Args[0], "-test.run", "^TestAzureCLIOutput$", "-test.v")
		cmd.Env = append(os.Environ(), "TZ="+zone)
		if out, err := cmd.CombinedOutput(); err != nil ||
			!strings.Contains(string(out), "--- PASS: TestAzureCLIOutput/before_2.54") {
			t.Errorf("in %s: %v\n%s", zone, err, out)
		}
	}
}

// TestAzureCLIClockPutBack: then a local time says two times; the earlier is the safe one.
func TestAzureCLIClockPutBack(t *testing.T) {
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

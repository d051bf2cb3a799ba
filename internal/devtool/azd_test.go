package devtool

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestAzureDeveloperCLIOutput(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	end := now.Add(time.Hour)
	for _, tt := range []struct{ name, out, err string }{
		{"UTC", `{"token":"t","expiresOn":"2026-03-04T06:06:07Z"}`, ""},
		{"another zone", `{"token":"t","expiresOn":"2026-03-04T08:06:07+02:00"}`, ""},
		{"the token's own is earlier", fmt.Sprintf(`{"token":%q,"expiresOn":"2026-03-04T07:06:07Z"}`,
			jwtOf(fmt.Sprintf(`{"exp":%d}`, end.Unix()))), ""},
		{"expired", `{"token":"t","expiresOn":"2026-03-04T05:06:07Z"}`, "the token expired"},
		{"no date", `{"token":"t"}`, "doesn't say when the token expires"},
		{"a number", `{"token":"t","expiresOn":1772604367}`, "doesn't say when the token expires"},
		{"no token", `{"expiresOn":"2026-03-04T06:06:07Z"}`, "no JSON object with a token"},
		{"an empty token", `{"token":"","expiresOn":"2026-03-04T06:06:07Z"}`, "no token"},
		{"an escape behind it", `{"token":"t","expiresOn":"2026-03-04T06:06:07Z"}` + "\x1b[0m\n", ""},
		{"a message before it", azdMessage("WARNING: update available") +
			`{"token":"t","expiresOn":"2026-03-04T06:06:07Z"}`, ""},
		{"a byte order mark", "\ufeff" + `{"token":"t","expiresOn":"2026-03-04T06:06:07Z"}`, ""},
		{"a line break", `{"token":"t\nX-Evil: 1","expiresOn":"2026-03-04T06:06:07Z"}`,
			"characters that no token has"},
		{"nothing", "", "no JSON object"},
		{"garbage", "WARNING: your version of azd is out of date", "no JSON object"},
		{"HTML", "<html>", "no JSON object"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := parseAzd([]byte(tt.out), now)
			switch {
			case tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err) ||
				strings.Contains(err.Error(), "Evil")):
				t.Errorf("error is %v, want one with %q", err, tt.err)
			case tt.err == "" && (err != nil || !got.ExpiresOn.Equal(end) || got.Value == ""):
				t.Errorf("ends at %v, error %v, want %v", got.ExpiresOn, err, end)
			}
		})
	}
}

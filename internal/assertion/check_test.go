package assertion

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/keyless-go/identity/internal/failure"
)

// TestCheck: what isn't sent, and whether it is worth waiting for another one. No error repeats it.
func TestCheck(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	jwt := func(claims string) string {
		return "eyJhbGciOiJub25lIn0." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + ".c2ln"
	}
	until := func(d time.Duration) string {
		return jwt(fmt.Sprintf(`{"exp":%d}`, now.Add(d).Unix()))
	}
	const noJWT = "is no JWT"
	for name, tt := range map[string]struct {
		text, want string
		passes     bool
	}{
		"good":                {text: until(time.Second)},
		"without an end":      {text: jwt(`{}`)},
		"an end that is none": {text: jwt(`{"exp":"soon"}`)},
		"ends now": {text: until(0), want: "ended at 2026-01-02T03:04:05Z, 0s ago",
			passes: true},
		"ended": {text: until(-time.Hour), want: "1h0m0s ago: is this machine's",
			passes: true},
		"empty":                {want: "is empty", passes: true},
		"blank":                {text: " \n", want: "is empty", passes: true},
		"a word":               {text: "pa55word", want: noJWT},
		"two segments":         {text: "eyJhbGciOiJub25lIn0.e30", want: noJWT},
		"claims are no object": {text: jwt(`[]`), want: noJWT},
		"encrypted":            {text: "a.b.c.d.e", want: noJWT},
		"two tokens":           {text: jwt(`{}`) + "\n" + jwt(`{}`), want: noJWT},
		"too large": {text: jwt(strings.Repeat(" ", 60<<10) + "{}"),
			want: "larger than 65536"},
	} {
		err := Check(&Function{name: "AssertionFunc"}, tt.text, now)
		if tt.want == "" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		f := &failure.Failure{}
		f.Heed(err)
		if err == nil || !strings.HasPrefix(err.Error(), "AssertionFunc: the assertion ") ||
			!strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "pa55") ||
			(f.Verdict == failure.Later) != tt.passes {
			t.Errorf("%s: got %v, %v, want %s", name, err, f.Verdict, tt.want)
		}
	}
}

package recorder

import (
	"strings"
	"testing"
)

// FuzzText: whatever stands around a value, it doesn't stay.
func FuzzText(f *testing.F) {
	f.Add("token=", ";")
	f.Add(`{"a":"`, `"}`)
	f.Add("https://", "/x")
	f.Add("for '", "' at")
	f.Add("%22", "%22")
	f.Fuzz(func(t *testing.T, before, after string) {
		if len(before)+len(after) > 2000 {
			return
		}
		for name, canary := range canaries {
			if name == "name" || name == "path" || name == "user name" {
				continue // what is left of them may be a word
			}
			for _, secrets := range [][]string{nil, {canary}} {
				m := newMask(secrets)
				all := before + canary + after
				for _, got := range []string{m.text(all), m.body([]byte(all)), m.url(all),
					m.audience(all)} {
					if strings.Contains(got, canary) {
						t.Errorf("%s stays between %q and %q: %q", name, before, after, got)
					}
				}
			}
		}
	})
}

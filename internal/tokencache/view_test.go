package tokencache

import (
	"strings"
	"testing"
)

// TestViewKeys: no two variants of an identity's tokens are kept as one.
func TestViewKeys(t *testing.T) {
	t.Parallel()
	keys := map[string]bool{}
	for _, variant := range []Variant{
		{"", false}, {"", true}, {"contoso", false}, {"contoso", true}, {"false", false},
	} {
		v := NewView("identity\n", variant, usual)
		key := v.key(vault)
		if keys[key] || !strings.HasPrefix(key, "identity\n") {
			t.Errorf("%+v has the key %q of another", variant, key)
		}
		keys[key] = true
	}
}

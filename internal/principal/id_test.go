package principal

import (
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	t.Parallel()
	for want, id := range map[string]ID{
		"":                     {},
		"empty ClientID":       {ClientID, ""},
		"empty ObjectID":       {ObjectID, "\t"},
		"of 1025 characters":   {ClientID, strings.Repeat("a", 1025)},
		"control character":    {ClientID, "a\x00b"},
		"white space":          {ObjectID, " a"},
		"use ResourceID":       {ClientID, identityID},
		"want /subscriptions/": {ResourceID, guid},
	} {
		err := id.Check("field")
		switch {
		case id == ID{}:
			if err != nil {
				t.Errorf("the host's default: %v", err)
			}
		case err == nil, !strings.Contains(err.Error(), "field: "), !strings.Contains(err.Error(), want):
			t.Errorf("%v: got %v, want %q in it", id, err, want)
		}
	}
	for _, id := range []ID{{ClientID, guid}, {ObjectID, "{" + guid + "}"}, {ResourceID, identityID + "/"}} {
		if err := id.Check("field"); err != nil {
			t.Errorf("%v: %v", id, err)
		}
	}
}

// TestKey: spellings of one ID have one key, and two IDs never do.
func TestKey(t *testing.T) {
	t.Parallel()
	keys := map[string]ID{}
	for _, same := range [][]ID{
		{{}},
		{{ClientID, "ab"}, {ClientID, "AB"}},
		{{ObjectID, "ab"}},
		{{ResourceID, "/a/b"}, {ResourceID, "/A/b/"}},
		{{ResourceID, "/a/\u212a"}}, // the sign of Kelvin, which folds into a k
		{{ResourceID, "/a/k"}},
	} {
		key := same[0].Key()
		if other, ok := keys[key]; ok {
			t.Errorf("%v and %v have the key %q", other, same[0], key)
		}
		keys[key] = same[0]
		for _, id := range same {
			if got := id.Key(); got != key {
				t.Errorf("%v has the key %q, %v has %q", id, got, same[0], key)
			}
		}
	}
}

func TestParameter(t *testing.T) {
	t.Parallel()
	for want, id := range map[string]ID{"=": {}, "c=x": {ClientID, "x"}, "o=x": {ObjectID, "x"},
		"r=/x": {ResourceID, "/x"}} {
		if name, value := id.Parameter("c", "o", "r"); name+"="+value != want {
			t.Errorf("%v: got %s=%s, want %s", id, name, value, want)
		}
	}
}

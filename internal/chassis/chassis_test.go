package chassis

import (
	"strings"
	"testing"
)

// structure is one of SMBIOS: its formatted part, and its strings.
func structure(kind byte, formatted []byte, texts ...string) []byte {
	s := append([]byte{kind, byte(4 + len(formatted)), 0, 1}, formatted...)
	if len(texts) == 0 {
		return append(s, 0, 0)
	}
	return append(s, strings.Join(texts, "\x00")+"\x00\x00"...)
}

func TestTagOf(t *testing.T) {
	t.Parallel()
	bios := structure(0, make([]byte, 20), "American Megatrends Inc.", "090008")
	bare := structure(32, make([]byte, 7))
	end := structure(127, nil)
	chassis := func(number byte, texts ...string) []byte {
		return structure(3, []byte{1, 3, 2, 3, number, 3, 3, 3, 3}, texts...)
	}
	join := func(parts ...[]byte) []byte {
		var all []byte
		for _, p := range parts {
			all = append(all, p...)
		}
		return all
	}
	for _, tt := range []struct {
		name   string
		tables []byte
		want   string
	}{
		{"Azure's", join(bios, bare, chassis(4, "Microsoft Corporation", "7.0", "0000-1", Azure), end), Azure},
		{"with blanks", join(chassis(1, " "+Azure+" ")), Azure},
		{"none", join(bios, chassis(0, "Microsoft Corporation"), end), ""},
		{"a string that isn't there", join(chassis(5, "a", "b")), ""},
		{"no chassis", join(bios, end), ""},
		{"too short for a tag", join(structure(3, []byte{1, 3, 2, 3})), ""},
		{"nothing", nil, ""},
		{"a length of nothing", []byte{3, 0, 0, 0, 0, 0}, ""},
		{"a length beyond the end", []byte{3, 200, 0, 0, 0, 0}, ""},
		{"no end of the strings", []byte{3, 4, 0, 0, 'a', 'b'}, ""},
	} {
		if got := tagOf(tt.tables); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
		for i := range tt.tables { // wherever they are cut
			_ = tagOf(tt.tables[:i])
		}
	}
}

// TestChassisIsReadUntilKnown: that it can't be read for a moment says nothing of the machine.
func TestChassisIsReadUntilKnown(t *testing.T) {
	t.Parallel()
	reads := 0
	tag := onceKnown{read: func() (string, bool) {
		if reads++; reads < 3 {
			return "", false
		}
		return Azure, true
	}}
	for i, want := range []string{"", "", Azure, Azure} {
		if got := tag.get(); got != want {
			t.Errorf("read %d: got %q, want %q", i+1, got, want)
		}
	}
	if reads != 3 {
		t.Errorf("it was read %d times, want 3", reads)
	}
}

func FuzzTagOf(f *testing.F) {
	f.Add(structure(3, []byte{1, 3, 2, 3, 1}, Azure))
	f.Fuzz(func(t *testing.T, tables []byte) {
		if tag := tagOf(tables); tag != strings.TrimSpace(tag) {
			t.Errorf("%q has white space around it", tag)
		}
	})
}

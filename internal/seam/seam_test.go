package seam

import "testing"

func TestRegister(t *testing.T) {
	t.Parallel()
	unregister := Register("0a1b2c3d", Place{KeyDirectory: "/keys"})
	for path, want := range map[string]bool{
		"/0a1b2c3d/metadata/identity/oauth2/token": true, "/0a1b2c3d/": true, "/0a1b2c3d": true,
		"/metadata/identity/oauth2/token": false, "/0a1b2c3/x": false, "/x/0a1b2c3d": false, "/": false,
		"": false,
	} {
		if p, ok := Lookup(path); ok != want || (p.KeyDirectory == "/keys") != want {
			t.Errorf("Lookup(%q): got %+v, %v, want %v", path, p, ok, want)
		}
	}
	unregister()
	if _, ok := Lookup("/0a1b2c3d/x"); ok {
		t.Error("still there after it was unregistered")
	}
}

package identitytest

import (
	"testing"
)

func TestCloudShellTokenIsOfTheUser(t *testing.T) {
	t.Parallel()
	e := NewCloudShell(&Options{Identities: []Identity{{ObjectID: "me", TenantID: "home",
		ResourceID: "/mine"}, {System: true}}})
	raw := tokenOf(t, do(t, e, shellRequest(t, inMemory(e), "resource="+vault)))
	c := members(t, string(segment(t, raw, 1)))
	for name, want := range map[string]any{
		"aud": vault, "oid": "me", "sub": "me", "tid": "home", "iss": "https://sts.windows.net/home/",
		"ver":   "1.0",
		"appid": "b677c290-cf4b-4a8e-a60e-91ba650a4abe", "idtyp": "user", "appidacr": nil,
		"xms_mirid": nil, "xms_az_rid": nil,
	} {
		if c[name] != want {
			t.Errorf("%s: got %v, want %v", name, c[name], want)
		}
	}
}

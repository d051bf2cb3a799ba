package commandline

import (
	"strings"
	"testing"
)

// TestFederation: each kind of assertion makes a credential, and what is none is refused, with the
// flag's name.
func TestFederation(t *testing.T) {
	t.Setenv("ACTIONS_ID_TOKEN_REQUEST_URL", "https://github.example/")
	t.Setenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "a-secret-of-the-job")
	t.Setenv("SYSTEM_OIDCREQUESTURI", "https://ado.example/")
	t.Setenv("SYSTEM_ACCESSTOKEN", "a-secret-of-the-job")
	t.Setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", "http://127.0.0.1:1")
	for _, tt := range []struct {
		args string
		want string // the error, or where the assertion comes from; "" for no application
		ok   bool
	}{
		{"", "", true},
		{"-application a", "the token of this machine's identity", true},
		{"-application a -assertion identity", "the token of this machine's identity", true},
		{"-application a -assertion file:/t:1", "the token in /t:1", true},
		{"-application a -assertion github", "GitHub's token for this job", true},
		{"-application a -assertion pipelines:1", "Azure Pipelines' token for the service connection 1",
			true},
		{"-application= -assertion github", "-application is empty", false},
		{"-assertion github", "-assertion is for -application", false},
		{"-application a -assertion=", `-assertion "": want identity, file:PATH, github`, false},
		{"-application a -assertion gitlab", `-assertion "gitlab": want`, false},
		{"-application a -assertion file", `-assertion "file": want`, false},
		{"-application a -assertion pipelines:", `-assertion "pipelines:": want`, false},
		{"-application a -assertion github:1", `-assertion "github:1": want`, false},
	} {
		flags := New("test")
		f := Federation{}
		f.AddTo(flags)
		if err := Parse(flags, strings.Fields(tt.args)); err != nil {
			t.Fatal(err)
		}
		err := f.Read(flags)
		switch {
		case !tt.ok:
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%s: got %v, want an error with %q", tt.args, err, tt.want)
			}
		case err != nil || f.Asked() != (tt.want != ""):
			t.Errorf("%s: got %v, an application: %t", tt.args, err, f.Asked())
		case f.Asked():
			if c, err := f.Credential("contoso.example", nil, nil); err != nil || c == nil ||
				f.String() != tt.want {
				t.Errorf("%s: got %v, %v from %s, want it from %s", tt.args, c, err, &f, tt.want)
			}
		}
	}
}

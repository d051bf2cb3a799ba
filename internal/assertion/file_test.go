package assertion

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/keyless-go/identity/internal/failure"
)

const jwt = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJzdWJqZWN0In0.c2lnbmF0dXJl"

// checkError compares an error with a text and a verdict, and looks for what it may not have.
func checkError(t *testing.T, err error, want string, verdict failure.Verdict, secrets ...string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Fatalf("got error %v, want one with %q", err, want)
	}
	got := failure.Never
	if passing, ok := errors.AsType[*failure.Passing](err); ok {
		got = passing.Verdict
	}
	if got != verdict {
		t.Errorf("%v: got verdict %d, want %d", err, got, verdict)
	}
	for _, secret := range append(secrets, "eyJ", "\n", "identity: ") {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("%v: has %q in it", err, secret)
		}
	}
}

func TestFile(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		content string
		mode    os.FileMode
		want    string // "" for a token
		verdict failure.Verdict
	}{
		{"a token", jwt, 0o600, "", 0},
		{"a token in a line", "  " + jwt + "\r\n", 0o600, "", 0},
		{"nothing yet", "", 0o600, "is empty: is the directory mounted", failure.Later},
		{"blanks", " \n", 0o600, "is empty", failure.Later},
		{"two tokens", jwt + "\n" + jwt, 0o600, "contains characters that no token has", failure.Never},
		{"a token of another alphabet", jwt + "é", 0o600, "contains characters", failure.Never},
		{"a book", strings.Repeat("a", maxToken+1), 0o600, "is larger than 65536 bytes", failure.Never},
		{"no permission", jwt, 0, "permission denied: may this process read it?", failure.Never},
		{"no file", "", os.ModeIrregular, "no such file or directory: is the directory", failure.Later},
		{"a directory", "", os.ModeDir, "is not a file", failure.Never},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if runtime.GOOS != "linux" || tt.mode == 0 && os.Getuid() == 0 {
				t.Skip("the words are Linux's, and root may read everything")
			}
			path := filepath.Join(t.TempDir(), "token")
			switch {
			case tt.mode == os.ModeDir:
				path = filepath.Dir(path)
			case tt.mode.IsRegular():
				if err := os.WriteFile(path, []byte(tt.content), tt.mode); err != nil {
					t.Fatal(err)
				}
			}
			f, err := NewFile(path)
			if err != nil {
				t.Fatal(err)
			}
			got, err := f.Get(t.Context(), Request{})
			if tt.want == "" {
				if got != jwt || err != nil {
					t.Errorf("got %q, %v", got, err)
				}
				return
			}
			checkError(t, err, `FileAssertion: "`+path+`": `, tt.verdict)
			checkError(t, err, tt.want, tt.verdict)
		})
	}
}

// TestPaths: what can't be a path is refused when the credential is made, under the name that it
// came by. A token in its place is not repeated.
func TestPaths(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ path, want string }{
		{"", "is empty"},
		{jwt, "is a token, not the path of a file that has one"},
		{"/token\n", `"/token\n" begins or ends with white space`},
		{"/token", ""},
	} {
		for named, make := range map[string]func(string) (*File, error){
			"FileAssertion": NewFile, "AZURE_FEDERATED_TOKEN_FILE": NewProjectedFile,
		} {
			f, err := make(tt.path)
			switch {
			case tt.want == "":
				if err != nil || f.Proof() != "/token" || f.Name() != `the token in "/token"` {
					t.Errorf("%q: got %+v, %v", tt.path, f, err)
				}
			case err == nil || !strings.HasPrefix(err.Error(), named+": "+tt.want) ||
				strings.Contains(err.Error(), "eyJ"):
				t.Errorf("%q: got %v, want %q", tt.path, err, tt.want)
			}
		}
	}
}

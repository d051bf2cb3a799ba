package identitytest

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/keyless-go/identity/internal/seam"
)

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	list := make([]string, len(entries))
	for i, entry := range entries {
		list[i] = entry.Name()
	}
	return list
}

func TestArcChallenge(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	e := NewArc(&Options{Dir: dir})
	got := do(t, e, arcRequest(t, inMemory(e), "", ""))
	checkFlat(t, got, refusal{status: 401, code: "access_denied", text: "Unauthorized"})
	file := keyFile(t, got)
	want := http.Header{"Content-Type": {"application/json; charset=utf-8"},
		"Www-Authenticate": {"Basic realm=" + file}}
	if diff := cmp.Diff(want, got.Header); diff != "" {
		t.Errorf("header (-want +got):\n%s", diff)
	}

	if filepath.Dir(file) != dir || !guidPattern.MatchString(strings.TrimSuffix(filepath.Base(file),
		".key")) {
		t.Errorf("got key file %q, want GUID.key in %q", file, dir)
	}
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if mode := info.Mode(); runtime.GOOS != "windows" && mode != 0o600 {
		t.Errorf("got mode %v, want one for nobody but the owner", mode)
	}
	if key := readKey(t, got); !regexp.MustCompile(`^[A-Za-z0-9+/]{43}=$`).MatchString(key) {
		t.Errorf("got key %q, want 32 bytes in base64, and no end of line", key)
	}
	if other := keyFile(t, do(t, e, arcRequest(t, inMemory(e), "", ""))); other == file {
		t.Error("got the same file twice")
	}
}

func TestArcKeysAreForOneRequest(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	e := NewArc(&Options{Dir: dir, HostCache: true}) // a cached token has its challenge, too
	env := inMemory(e)
	first, second := do(t, e, arcRequest(t, env, "", "")), do(t, e, arcRequest(t, env, "", ""))
	key := readKey(t, first)
	tokenOf(t, do(t, e, arcRequest(t, env, "", key)))
	if _, err := os.Stat(keyFile(t, first)); !os.IsNotExist(err) {
		t.Errorf("got %v, want the file of a used key gone", err)
	}
	again := do(t, e, arcRequest(t, env, "", key))
	if keyFile(t, again) == keyFile(t, first) {
		t.Error("a used key: got its file again, want another")
	}
	tokenOf(t, do(t, e, arcRequest(t, env, "", readKey(t, again))))
	tokenOf(t, do(t, e, arcRequest(t, env, "", readKey(t, second)))) // the order doesn't matter
	if files := names(t, dir); len(files) != 0 {
		t.Errorf("got files %q, want none: all keys are used", files)
	}
}

func TestArcWrongKeys(t *testing.T) {
	t.Parallel()
	e := NewArc(&Options{Dir: t.TempDir()})
	env := inMemory(e)
	key := readKey(t, do(t, e, arcRequest(t, env, "", "")))
	other := NewArc(&Options{Dir: t.TempDir()})
	stranger := readKey(t, do(t, other, arcRequest(t, inMemory(other), "", "")))
	for _, authorization := range []string{
		"", "Basic", "Basic ", "Basic wrong", "Basic " + stranger, key, "Bearer " + key, "basic " + key,
		"Basic  " + key,
		"Basic " + key + "\n", "Basic " + key + " ", "Basic " + key[:len(key)-1],
	} {
		r := arcRequest(t, env, "", "")
		r.Header.Set("Authorization", authorization)
		readKey(t, do(t, e, r)) // is a challenge
	}
	tokenOf(t, do(t, e, arcRequest(t, env, "", key))) // which none of the wrong ones has used up
}

func TestArcRotateSecret(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	e := NewArc(&Options{Dir: dir})
	env := inMemory(e)
	var keys []string
	for range 3 {
		keys = append(keys, readKey(t, do(t, e, arcRequest(t, env, "", ""))))
	}
	if err := os.WriteFile(filepath.Join(dir, "other.key"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	e.RotateSecret()
	if diff := cmp.Diff([]string{"other.key"}, names(t, dir)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	for _, key := range keys {
		readKey(t, do(t, e, arcRequest(t, env, "", key)))
	}
}

func TestArcWithoutDirectory(t *testing.T) {
	t.Parallel()
	for name, options := range map[string]*Options{"nil": nil, "empty": {}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mustPanic(t, "NewArc: Options.Dir is empty: set it to t.TempDir()", func() { NewArc(options) })
			mustPanic(t, "NewWorkloadIdentity: Options.Dir is empty: set it to t.TempDir()", func() {
				NewWorkloadIdentity(options)
			})
		})
	}
	e := NewArc(&Options{Dir: filepath.Join(t.TempDir(), "missing")})
	got := do(t, e, arcRequest(t, inMemory(e), "", ""))
	checkFlat(t, got, refusal{status: 500, code: "server_error", text: "Internal Server Error"})
	if challenge := got.Header.Get("WWW-Authenticate"); challenge != "" {
		t.Errorf("got a challenge %q without a file", challenge)
	}
}

func TestDirectoryIsMadeAbsolute(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	dir, err := os.Getwd() // which may have another name for it
	if err != nil {
		t.Fatal(err)
	}
	e, pod := NewArc(&Options{Dir: "."}), NewWorkloadIdentity(&Options{Dir: "./."})
	t.Chdir(t.TempDir())
	if file := keyFile(t, do(t, e, arcRequest(t, inMemory(e), "", ""))); filepath.Dir(file) != dir {
		t.Errorf("got key file %q, want it in %q", file, dir)
	}
	if file := inMemory(pod)("AZURE_FEDERATED_TOKEN_FILE"); file != filepath.Join(dir,
		"azure-identity-token") {
		t.Errorf("got token file %q, want it in %q", file, dir)
	}
}

// Whoever asks the endpoint by its URL learns where its keys are, and nobody else.
func TestArcStandsIn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	e, other := NewArc(&Options{Dir: dir}), NewArc(&Options{Dir: t.TempDir()})
	u, err := url.Parse(inMemory(e)("IDENTITY_ENDPOINT"))
	if err != nil {
		t.Fatal(err)
	}
	place, ok := seam.Lookup(u.Path)
	if !ok || place.KeyDirectory != dir || place.RootCAs != nil {
		t.Errorf("got %+v, %t for %s; want %s", place, ok, u.Path, dir)
	}
	for _, path := range []string{"/metadata/identity/oauth2/token", "", "/", "/" + NewIMDS(nil).nonce + "/metadata/identity/oauth2/token"} {
		if place, ok := seam.Lookup(path); ok {
			t.Errorf("got %+v for %q, want nothing", place, path)
		}
	}
	runtime.KeepAlive(e)
	runtime.KeepAlive(other)
}

// A scripted answer doesn't look at the request, and one of 401 is a challenge.
func TestArcScript(t *testing.T) {
	t.Parallel()
	e := NewArc(&Options{Dir: t.TempDir()})
	env := inMemory(e)
	key := readKey(t, do(t, e, arcRequest(t, env, "", "")))
	e.Enqueue(Response{Status: 500})
	checkFlat(t, do(t, e, arcRequest(t, env, "", key)), refusal{status: 500, code: "server_error"})
	e.Enqueue(Response{Status: 401})
	next := readKey(t, do(t, e, arcRequest(t, env, "", key)))
	tokenOf(t, do(t, e, arcRequest(t, env, "", next)))
	tokenOf(t, do(t, e, arcRequest(t, env, "", key)))
}

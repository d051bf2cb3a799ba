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
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keyless-go/identity/internal/seam"
)

func checkFlat(t *testing.T, got reply, want refusal) {
	t.Helper()
	body := fields(t, got.Body)
	if got.Status != want.status || body["error"] != want.code ||
		!strings.Contains(body["error_description"], want.text) || len(body) != 2 {
		t.Errorf("got %d %s, want %d %s with %q", got.Status, got.Body, want.status, want.code, want.text)
	}
}

func TestArcRefuses(t *testing.T) {
	t.Parallel()
	for _, test := range []refusal{
		{"other path", path("/metadata/instance"), 404, "not_found", "Not Found"},
		{"path of App Service", path("/msi/token"), 404, "not_found", "Not Found"},
		{"post", method("POST"), 405, "method_not_allowed", "Method Not Allowed"},
		{"no metadata header", header("Metadata"), 400, "invalid_request",
			"Required metadata header not specified"},
		{"metadata True", header("Metadata", "True"), 400, "invalid_request",
			"Required metadata header not specified"},
		{"metadata twice", header("Metadata", "true", "true"), 400, "invalid_request",
			"Required metadata header not specified"},
		{"forwarded", header("X-Forwarded-For", "10.0.0.1"), 400, "invalid_request", "X-Forwarded-For"},
		{"no api-version", query("api-version"), 400, "invalid_request", "'api-version' is missing"},
		{"api-version of IMDS", query("api-version", "2018-02-01"), 400, "invalid_request",
			"'api-version' is not supported"},
		{"no resource", query("resource"), 400, "invalid_request", "'resource' is missing"},
		{"empty resource", query("resource", ""), 400, "invalid_request", "'resource' is missing"},
		{"two resources", query("resource", "a", "b"), 400, "invalid_request",
			`"resource" is given more than once`},
		{"malformed query", rawQuery("&x=%zz"), 400, "invalid_request", "Malformed query"},
		{"two selectors", rawQuery("&client_id=a&object_id=b"), 400, "invalid_request", "At most one"},
		{"principal_id", rawQuery("&principal_id=a"), 400, "invalid_request",
			`"principal_id" is not supported`},
		{"clientid", rawQuery("&clientid=a"), 400, "invalid_request", `"clientid" is not supported`},
		{"mi_res_id twice", rawQuery("&mi_res_id=a&mi_res_id=a"), 400, "invalid_request",
			`"mi_res_id" is given more than once`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			e := NewArc(&Options{Dir: dir})
			key := readKey(t, do(t, e, arcRequest(t, inMemory(e), "", "")))
			for _, given := range []string{"", key} {
				r := arcRequest(t, inMemory(e), "", given)
				test.spoil(r)
				got := do(t, e, r)
				checkFlat(t, got, test)
				if challenge := got.Header.Get("WWW-Authenticate"); challenge != "" {
					t.Errorf("got a challenge %q with a refusal", challenge)
				}
			}
			if files := names(t, dir); len(files) != 1 {
				t.Errorf("got files %q, want the one of the first request: what is refused hands out no key, and spends none", files)
			}
			tokenOf(t, do(t, e, arcRequest(t, inMemory(e), "", key)))
		})
	}
}

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

func TestArcSelects(t *testing.T) {
	t.Parallel()
	system, user := Identity{System: true},
		Identity{ClientID: "AbC", ObjectID: "Def", ResourceID: "/Sub/1"}
	for _, test := range []struct {
		name       string
		identities []Identity
		selector   string
		want       int // the index in identities, -1 for a refusal
		echo       string
	}{
		{"default", []Identity{user, system}, "", 1, ""},
		{"the only user-assigned one is no default", []Identity{user}, "", -1, ""},
		{"client ID", []Identity{system, user}, "client_id=aBC", 1, "client_id"},
		{"object ID", []Identity{system, user}, "object_id=dEF", 1, "object_id"},
		{"resource ID", []Identity{system, user}, "msi_res_id=/sub/1", 1, "msi_res_id"},
		{"mi_res_id", []Identity{system, user}, "mi_res_id=/sub/1", 0, ""},
		{"mi_res_id beside another", []Identity{system, user}, "mi_res_id=/sub/2&client_id=abc", 1,
			"client_id"},
		{"mi_res_id without a system-assigned one", []Identity{user}, "mi_res_id=/sub/1", -1, ""},
		{"client ID of the system-assigned one", []Identity{{System: true, ClientID: "Own"}, user},
			"client_id=own", -1, ""},
		{"unknown client ID", []Identity{system, user}, "client_id=x", -1, ""},
		{"empty client ID", []Identity{system, user}, "client_id=", -1, ""},
		{"unknown object ID", []Identity{system, user}, "object_id=AbC", -1, ""},
		{"unknown resource ID", []Identity{system, user}, "msi_res_id=/sub/2", -1, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			e := NewArc(&Options{Dir: t.TempDir(), Identities: test.identities})
			got := do(t, e, arcRequest(t, inMemory(e), "&"+test.selector, ""))
			if test.want < 0 {
				for range 2 { // as MSAL for JavaScript repeats it, with the key that it has
					checkFlat(t, got, refusal{status: 404, code: "identity_not_found"})
					got = do(t, e, arcRequest(t, inMemory(e), "&"+test.selector, "key"))
				}
				return
			}
			got = do(t, e, arcRequest(t, inMemory(e), "&"+test.selector, readKey(t, got)))
			if c := readClaims(t, tokenOf(t, got)); c.AppID != e.Identities()[test.want].ClientID {
				t.Errorf("got a token of %s, want one of %s", c.AppID, e.Identities()[test.want].ClientID)
			}
			asked, err := url.ParseQuery(test.selector)
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{"client_id", "object_id", "msi_res_id", "mi_res_id"} {
				want := ""
				if name == test.echo {
					want = asked.Get(name)
				}
				if echo := fields(t, got.Body)[name]; echo != want {
					t.Errorf("echo of %s: got %q, want %q", name, echo, want)
				}
			}
		})
	}
}

func TestArcSuccess(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		e := NewArc(&Options{Dir: dir, Lifetime: time.Hour})
		key := readKey(t, do(t, e, arcRequest(t, inMemory(e), "", "")))
		r := arcRequest(t, inMemory(e), "", key)
		query("api-version", "2019-11-01")(r)
		got := do(t, e, r)
		body := fields(t, got.Body)
		const machine = "/providers/Microsoft.HybridCompute/machines/machine-test"
		if c := readClaims(t, body["access_token"]); c.ResourceID != resourceGroupID+machine ||
			c.ResourceID != e.Identities()[0].ResourceID {
			t.Errorf("got xms_mirid %q, want that of the machine", c.ResourceID)
		}
		delete(body, "access_token")
		want := map[string]string{
			"expires_in":     "3600",
			"expires_on":     "946688400",
			"ext_expires_in": "3600",
			"not_before":     "946684500",
			"refresh_token":  "",
			"resource":       vault,
			"token_type":     "Bearer",
		}
		if diff := cmp.Diff(want, body); diff != "" {
			t.Errorf("body (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(http.Header{"Content-Type": {"application/json; charset=utf-8"}},
			got.Header); diff != "" {
			t.Errorf("header (-want +got):\n%s", diff)
		}
	})
}

func TestArcFailures(t *testing.T) {
	t.Parallel()
	e := NewArc(&Options{Dir: t.TempDir()})
	env := inMemory(e)
	key := readKey(t, do(t, e, arcRequest(t, env, "", "")))
	for status, code := range map[int]string{400: "invalid_request", 404: "identity_not_found", 429: "too_many_requests", 500: "server_error"} {
		e.Enqueue(Response{Status: status})
		checkFlat(t, do(t, e, arcRequest(t, env, "", key)), refusal{status: status, code: code})
	}
	e.Enqueue(Response{Status: 401})
	next := readKey(t, do(t, e, arcRequest(t, env, "", key))) // is a challenge
	tokenOf(t, do(t, e, arcRequest(t, env, "", next)))
	tokenOf(t, do(t, e, arcRequest(t, env, "", key))) // a scripted answer doesn't look at the request
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

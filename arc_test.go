package identity

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	azlog "github.com/Azure/azure-sdk-for-go/sdk/azcore/log"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/tracing"
	"github.com/google/go-cmp/cmp"
	"github.com/keyless-go/identity/identitytest"
	"github.com/keyless-go/identity/internal/acquire"
	"github.com/keyless-go/identity/internal/arckey"
	"github.com/keyless-go/identity/internal/seam"
	"github.com/keyless-go/identity/internal/token"
)

const arcBase = "http://127.0.0.1:40342"

// onArc is the environment of the fake agent. On Windows the test's directory has Windows' kind of
// path.
func onArc(ep *identitytest.Endpoint) environment { return nativeArcPaths(environmentAt(ep, arcBase)) }

func nativeArcPaths(env environment) environment {
	if runtime.GOOS != "windows" {
		return env
	}
	variables := env.getenv
	env.goos = "windows"
	env.getenv = func(name string) string {
		if name == "ProgramData" {
			return `C:\ProgramData`
		}
		return variables(name)
	}
	return env
}

// arcDirectory is a directory for keys whose name is not the test's, so that only the tests of odd
// names depend on those.
func arcDirectory(tb testing.TB) string {
	tb.Helper()
	dir, err := os.MkdirTemp("", "arc")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func newArcFake(tb testing.TB, adjust ...func(*identitytest.Options)) *identitytest.Endpoint {
	tb.Helper()
	options := &identitytest.Options{Dir: arcDirectory(tb)}
	for _, f := range adjust {
		f(options)
	}
	return identitytest.NewArc(options)
}

// arcAgent is an agent whose two steps a test scripts, with its keys in a directory of the test. By
// itself it challenges whoever brings no key, with a new key each time, and gives a token to
// whoever brings one.
type arcAgent struct {
	dir, nonce string
	// in place of the nth challenge, from 1; nil for the agent's own
	challenge func(n int) (*http.Response, error)
	grant     func(n int, key string) (*http.Response, error) // in place of the nth answer to a key
	content   func(n int) string                              // of the nth key file

	mu                 sync.Mutex
	sent               []*http.Request
	challenges, grants int
}

func newArcAgent(tb testing.TB) *arcAgent {
	tb.Helper()
	a := &arcAgent{dir: arcDirectory(tb), nonce: rand.Text()}
	tb.Cleanup(seam.Register(a.nonce, seam.Place{KeyDirectory: a.dir}))
	a.content = func(n int) string { return fmt.Sprint("key-", n) }
	return a
}

func (a *arcAgent) env() environment {
	return nativeArcPaths(environmentOf(map[string]string{
		"IDENTITY_ENDPOINT": "http://localhost:40342/" + a.nonce + "/metadata/identity/oauth2/token",
		"IMDS_ENDPOINT":     "http://localhost:40342",
	}))
}

// write makes a key file, and returns the path that a challenge names.
func (a *arcAgent) write(n int) string {
	file := filepath.Join(a.dir, fmt.Sprintf("%d.key", n))
	if err := os.WriteFile(file, []byte(a.content(n)), 0o600); err != nil {
		panic(err)
	}
	return file
}

func challengeWith(file string) *http.Response {
	return respond(401, `{"error":"access_denied"}`, "WWW-Authenticate", "Basic realm="+file)
}

func (a *arcAgent) Do(r *http.Request) (*http.Response, error) {
	key, presented := strings.CutPrefix(r.Header.Get("Authorization"), "Basic ")
	a.mu.Lock()
	a.sent = append(a.sent, r)
	n := &a.challenges
	if presented {
		n = &a.grants
	}
	*n++
	nth := *n
	a.mu.Unlock()
	switch {
	case presented && a.grant != nil:
		return a.grant(nth, key)
	case presented:
		return respond(200, grantBody(fmt.Sprint("token-", nth), 24*time.Hour)), nil
	case a.challenge != nil:
		return a.challenge(nth)
	}
	return challengeWith(a.write(nth)), nil
}

func (a *arcAgent) requests() []*http.Request {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.sent)
}

// authorizations are the Authorization headers of requests, "" for none.
func authorizations(requests []*http.Request) []string {
	var all []string
	for _, r := range requests {
		all = append(all, strings.Join(r.Header["Authorization"], " and "))
	}
	return all
}

// arcBody is a success body with the fields by which the answer names an identity.
func arcBody(token string, echo ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, `{"access_token":%q,"expires_in":"86400","token_type":"Bearer"`, token)
	for i := 0; i+1 < len(echo); i += 2 {
		fmt.Fprintf(&b, `,%q:%s`, echo[i], echo[i+1])
	}
	return b.String() + "}"
}

func tryOnce(o *CredentialOptions) { o.Retry.MaxRetries = -1 }

// --- the requests ---

func TestArcRequests(t *testing.T) {
	t.Parallel()
	const vault = "https://vault.azure.net"
	for _, tt := range []struct {
		name, echo string
		id         ID
		want       url.Values // by hand: what the golden file says must be this
	}{
		{"system", "", nil, url.Values{"api-version": {"2020-06-01"}, "resource": {vault}}},
		{"client-id", "client_id", ClientID(guid),
			url.Values{"api-version": {"2020-06-01"}, "resource": {vault}, "client_id": {guid}}},
		{"object-id", "object_id", ObjectID(guid),
			url.Values{"api-version": {"2020-06-01"}, "resource": {vault}, "object_id": {guid}}},
		{"resource-id", "msi_res_id", ResourceID(identityID),
			url.Values{"api-version": {"2020-06-01"}, "resource": {vault}, "msi_res_id": {identityID}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			const key = " pa55word+/== " // the content as it is
			agent := newArcAgent(t)
			agent.content = func(int) string { return key }
			agent.grant = func(int, string) (*http.Response, error) {
				if tt.id == nil {
					return respond(200, arcBody("opaque")), nil
				}
				return respond(200, arcBody("opaque", tt.echo, `"`+tt.id.String()+`"`)), nil
			}
			mustToken(t, credentialAt(t, agent.env(), agent, func(o *CredentialOptions) { o.ID = tt.id }))
			sent := agent.requests()
			if diff := cmp.Diff([]string{"", "Basic " + key}, authorizations(sent)); diff != "" {
				t.Fatalf("Authorization of the requests (-want +got):\n%s", diff)
			}
			var golden []string
			for _, r := range sent {
				checkQuery(t, r, tt.want)
				if at := r.URL.Scheme + "://" + r.URL.Host + r.URL.Path; r.Method != "GET" ||
					at != "http://localhost:40342/"+agent.nonce+"/metadata/identity/oauth2/token" {
					t.Errorf("request is %s %s", r.Method, r.URL)
				}
				if r.Host != "" && r.Host != r.URL.Host {
					t.Errorf("the request's Host is %q, its URL's %q", r.Host, r.URL.Host)
				}
				if diff := cmp.Diff([]string{"true"}, r.Header["Metadata"]); diff != "" {
					t.Errorf("Metadata header (-want +got):\n%s", diff)
				}
				if r.Header.Get("X-Forwarded-For") != "" {
					t.Error("the agent refuses X-Forwarded-For")
				}
				if r.Body != nil && r.Body != http.NoBody || r.ContentLength > 0 {
					t.Error("the request has a body")
				}
				if strings.Contains(r.URL.String(), "pa55word") || strings.Contains(r.UserAgent(), "pa55word") {
					t.Error("the key is elsewhere in the request, too")
				}
				text := strings.ReplaceAll(wireFormat(r, ""), key, "REDACTED")
				golden = append(golden, strings.Replace(text, "/"+agent.nonce, "", 1))
			}
			got := strings.Join(golden, "\n")
			if strings.Contains(got, "pa55word") ||
				strings.Count(got, "Authorization: Basic REDACTED\n") != 1 {
				t.Errorf("golden text is off:\n%s", got)
			}
			compareGolden(t, "arc/"+tt.name+".golden", got)
		})
	}
}

// firstArcRequest is where a credential's first request goes, and nothing is sent after it.
func firstArcRequest(
	tb testing.TB, env environment, adjust ...func(*CredentialOptions),
) (string, *Credential) {
	tb.Helper()
	var sent []*http.Request
	cred := credentialAt(tb, env, transportFunc(func(r *http.Request) (*http.Response, error) {
		sent = append(sent, r)
		return respond(403, `{"error":"access_denied"}`), nil
	}), append(adjust, tryOnce)...)
	mustFail(tb, cred)
	if len(sent) != 1 {
		tb.Fatalf("%d requests, want 1", len(sent))
	}
	return sent[0].URL.String(), cred
}

func TestArcEndpoint(t *testing.T) {
	t.Parallel()
	const (
		query   = "?api-version=2020-06-01&resource=https%3A%2F%2Fvault.azure.net"
		program = "/opt/azcmagent/bin/himds"
		fixed   = "http://127.0.0.1:40342/metadata/identity/oauth2/token"
	)
	for _, tt := range []struct {
		name, goos string
		variables  map[string]string
		file       string
		host       Host
		want       string
	}{
		{"variables", "linux",
			map[string]string{"IDENTITY_ENDPOINT": "http://localhost:40342/metadata/identity/oauth2/token",
				"IMDS_ENDPOINT": "http://localhost:40342"}, "", "", "http://localhost:40342/metadata/identity/oauth2/token" + query},
		{"variables and program", "linux", map[string]string{"IDENTITY_ENDPOINT": "http://localhost:1/x",
			"IMDS_ENDPOINT": "y"}, program, "", "http://localhost:1/x" + query},
		{"a selector and another version in the variable", "linux",
			map[string]string{"IDENTITY_ENDPOINT": "http://localhost:1/x?client_id=a&msi_res_id=b&mi_res_id=c&object_id=d&api-version=1&keep=e", "IMDS_ENDPOINT": "y"}, "", "", "http://localhost:1/x?api-version=2020-06-01&keep=e&resource=https%3A%2F%2Fvault.azure.net"},
		{"variables on Windows", "windows",
			map[string]string{"IDENTITY_ENDPOINT": "http://localhost:40342/t",
				"IMDS_ENDPOINT": "http://localhost:40342", "ProgramData": `C:\ProgramData`}, "", "", "http://localhost:40342/t" + query},
		{"program on Linux", "linux", nil, program, "", fixed + query},
		{"program on Linux, and one variable of two", "linux",
			map[string]string{"IDENTITY_ENDPOINT": "http://localhost:1/x"}, program, "", fixed + query},
		{"program on Linux, and the other variable", "linux",
			map[string]string{"IMDS_ENDPOINT": "http://localhost:1"}, program, "", fixed + query},
		{"program on Windows", "windows", map[string]string{"ProgramFiles": `C:\Program Files`,
			"ProgramData": `C:\ProgramData`}, `C:\Program Files\AzureConnectedMachineAgent\himds.exe`, "", fixed + query},
		{"program on Windows where MSAL for Go looks", "windows",
			map[string]string{"ProgramFiles": `C:\Program Files`,
				"ProgramData": `C:\ProgramData`}, `C:\ProgramData\AzureConnectedMachineAgent\himds.exe`, "", fixed + query},
		{"demanded", "linux", nil, "", HostArc, fixed + query},
		{"demanded, and empty variables", "linux",
			map[string]string{"IDENTITY_ENDPOINT": "", "IMDS_ENDPOINT": ""}, "", HostArc, fixed + query},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			env := environmentOf(tt.variables)
			env.goos = tt.goos
			env.exists = func(path string) bool { return path == tt.file && tt.file != "" }
			got, cred := firstArcRequest(t, env, func(o *CredentialOptions) { o.Host = tt.host })
			if got != tt.want {
				t.Errorf("the request goes to %s, want %s", got, tt.want)
			}
			if cred.Host() != HostArc {
				t.Errorf("Host() is %q", cred.Host())
			}
			if want, _, _ := strings.Cut(tt.want, "?"); cred.hosted.host.Endpoint() != want {
				t.Errorf("endpoint() is %s, want %s: it is the cache's key", cred.hosted.host.Endpoint(), want)
			}
		})
	}
}

func TestArcConstructorRefuses(t *testing.T) {
	t.Parallel()
	const good = "http://localhost:40342/metadata/identity/oauth2/token"
	for _, tt := range []struct {
		name, goos string
		variables  map[string]string
		want       []string
	}{
		{"macOS", "darwin", map[string]string{"IDENTITY_ENDPOINT": good, "IMDS_ENDPOINT": "x"},
			[]string{"Linux and Windows", "darwin"}},
		{"FreeBSD", "freebsd", map[string]string{"IDENTITY_ENDPOINT": good, "IMDS_ENDPOINT": "x"},
			[]string{"Linux and Windows", "freebsd"}},
		{"Windows without ProgramData", "windows",
			map[string]string{"IDENTITY_ENDPOINT": good,
				"IMDS_ENDPOINT": "x"}, []string{"identity: ProgramData: "}},
		{"ProgramData with a line's end", "windows",
			map[string]string{"IDENTITY_ENDPOINT": good, "IMDS_ENDPOINT": "x",
				"ProgramData": "C:\\ProgramData\r\n"}, []string{`identity: ProgramData: "C:\\ProgramData\r\n" begins or ends with white space`}},
		{"user info", "linux", map[string]string{"IDENTITY_ENDPOINT": "http://user:pa55word@localhost/",
			"IMDS_ENDPOINT": "x"}, []string{"identity: IDENTITY_ENDPOINT: ", "user info"}},
		{"other scheme", "linux", map[string]string{"IDENTITY_ENDPOINT": "unix:///pa55word",
			"IMDS_ENDPOINT": "x"}, []string{"identity: IDENTITY_ENDPOINT: ", "neither http nor https", arcEndpoint}},
		{"a word", "linux", map[string]string{"IDENTITY_ENDPOINT": "dummy_required_value",
			"IMDS_ENDPOINT": "dummy_required_value"}, []string{"identity: IDENTITY_ENDPOINT: "}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			env := environmentOf(tt.variables)
			env.goos = tt.goos
			_, err := newCredential(nil, env)
			wantErrorText(t, err, tt.want...)
			if err != nil && strings.Contains(err.Error(), "pa55word") {
				t.Errorf("error repeats a secret: %v", err)
			}
		})
	}
}

// TestArcFakeOnEverySystem: a developer's tests run on a Mac, too. The fake's directory stands in
// for the agent's there as well, so that what system it is doesn't matter.
func TestArcFakeOnEverySystem(t *testing.T) {
	t.Parallel()
	for _, goos := range []string{"linux", "darwin", "freebsd"} {
		t.Run(goos, func(t *testing.T) {
			t.Parallel()
			if runtime.GOOS == "windows" {
				t.Skip("the test's directory is Windows'")
			}
			ep := newArcFake(t)
			env := onArc(ep)
			env.goos = goos
			cred, err := newCredential(&CredentialOptions{ClientOptions: optionsWith(ep)}, env)
			if err != nil {
				t.Fatalf("a test with identitytest.NewArc fails on %s: %v", goos, err)
			}
			mustToken(t, cred)
		})
	}
}

// TestArcFakeInAnyDirectory: t.TempDir has the test's name in it, on Windows the user's as well,
// and neither is quoted in the challenge.
func TestArcFakeInAnyDirectory(t *testing.T) {
	for _, name := range []string{"plain", "a blank", "a, comma", "a,comma", "equals=sign", "Jane's", "dots..dots", "umläut", "x.key"} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				dir := filepath.Join(arcDirectory(t), name)
				if err := os.Mkdir(dir, 0o700); err != nil {
					t.Fatal(err)
				}
				ep := newArcFake(t, func(o *identitytest.Options) { o.Dir = dir })
				mustToken(t, credentialAt(t, onArc(ep), ep))
			})
		})
	}
}

// TestArcStaysAtItsEndpoint: tokens are kept by the endpoint of construction. When the variables
// are gone, as when a program clears its environment, what another endpoint grants must not be kept
// under that name.
func TestArcStaysAtItsEndpoint(t *testing.T) {
	bubble(t, func(t *testing.T) {
		agent := newArcAgent(t)
		var cleared atomic.Bool
		env := agent.env()
		variables := env.getenv
		env.getenv = func(name string) string {
			if cleared.Load() && name != "ProgramData" {
				return ""
			}
			return variables(name)
		}
		cred := credentialAt(t, env, agent, tryOnce)
		mustToken(t, cred)
		cleared.Store(true)
		err := anotherToken(cred)
		for _, r := range agent.requests() {
			if r.URL.Host != "localhost:40342" || !strings.HasPrefix(r.URL.Path, "/"+agent.nonce+"/") {
				t.Errorf("a request went to %s, which nobody named (error: %v)", r.URL, err)
			}
		}
	})
}

func TestArcRequestIsPure(t *testing.T) {
	t.Parallel()
	agent := newArcAgent(t)
	src, err := newArc(agent.env(), settingsOf(&CredentialOptions{ID: ClientID(guid)}))
	if err != nil {
		t.Fatal(err)
	}
	next, again, err := src.(acquire.Follows).Follow(acquire.Request{Resource: "https://a"},
		acquire.Answer{Status: 401, Header: challengeWith(agent.write(1)).Header})
	if err != nil || !again {
		t.Fatalf("follow: again %v, error %v", again, err)
	}
	if next.Header.Get("Authorization") != "Basic key-1" || next.Secret != "key-1" {
		t.Errorf("the second request has %v, secret %q", next.Header, next.Secret)
	}
	after, err := src.Call(acquire.Request{Resource: "https://b"})
	if err != nil {
		t.Fatal(err)
	}
	if after.Header.Get("Authorization") != "" || after.Secret != "" ||
		after.URL.Query().Get("resource") != "https://b" {
		t.Errorf("a key is in the next request, too: %v %s", after.Header, after.URL)
	}
}

// FuzzArcChallenge: whatever header arrives, only a challenge is followed, and only one that names
// a key of the agent's. internal/arckey tests which those are.
func FuzzArcChallenge(f *testing.F) {
	for _, realm := range []string{"/x.key", "/var/opt/azcmagent/tokens/../x.key", "", "x\x01", `C:\x.key`} {
		f.Add("Basic realm="+realm, "")
		f.Add(`basic realm="`+realm+`", charset="UTF-8"`, "Bearer")
		f.Add("Negotiate, Basic realm="+realm, realm)
	}
	agents := map[string]*arc{}
	for _, goos := range []string{"linux", "windows"} {
		env := environmentOf(map[string]string{"ProgramData": `C:\ProgramData`})
		env.goos = goos
		source, err := newArc(env, settingsOf(&CredentialOptions{}))
		if err != nil {
			f.Fatal(err)
		}
		agents[goos] = source.(*arc)
	}
	f.Fuzz(func(t *testing.T, first, second string) {
		header := http.Header{"Www-Authenticate": {first, second}}
		realm, _ := arckey.Realm(header)
		r := acquire.Request{Resource: "r"}
		for goos, s := range agents {
			for _, status := range []int{http.StatusOK, http.StatusNotFound} {
				_, again, err := s.Follow(r, acquire.Answer{Status: status, Header: header})
				if again || (err == nil) != (status == http.StatusNotFound) {
					t.Errorf("on %s a %d is followed: %v, %v", goos, status, again, err)
				}
			}
			if strings.HasSuffix(realm, ".key") { // it may be the machine's own, should there be an agent
				continue
			}
			challenged := acquire.Answer{Status: http.StatusUnauthorized, Header: header}
			next, again, err := s.Follow(r, challenged)
			if again || err == nil || next.Header != nil {
				t.Fatalf("on %s %q is followed", goos, header)
			}
			text := err.Error()
			if !strings.HasPrefix(text, "a challenge without ") &&
				!strings.HasPrefix(text, "the challenge names a file that is no key ") {
				t.Errorf("on %s the refusal of %q is none of the texts: %q", goos, header, text)
			}
		}
	})
}

// TestArcKeyWithoutPermission: at tryOnce, tryOnce, and with what to do.
func TestArcKeyWithoutPermission(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("here everybody may read a file without permissions")
	}
	if os.Geteuid() == 0 { // who may read everything
		asNobody(t)
		return
	}
	for _, tt := range []struct {
		name string
		deny func(agent *arcAgent, file string) (string, fs.FileMode)
	}{
		{"the file", func(_ *arcAgent, file string) (string, fs.FileMode) { return file, 0 }},
		{"the directory", func(agent *arcAgent, _ string) (string, fs.FileMode) { return agent.dir, 0 }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				agent := newArcAgent(t)
				t.Cleanup(func() { _ = os.Chmod(agent.dir, 0o700) })
				agent.challenge = func(n int) (*http.Response, error) {
					file := agent.write(n)
					path, mode := tt.deny(agent, file)
					if err := os.Chmod(path, mode); err != nil {
						t.Error(err)
					}
					return challengeWith(file), nil
				}
				cred := credentialAt(t, agent.env(), agent)
				e, took := mustFail(t, cred)
				wantErrorText(t, e, "401", "1.key", "permission denied", "group himds")
				if took != 0 || len(agent.requests()) != 1 || e.StatusCode != 401 {
					t.Errorf("%d requests in %v, status %d: waiting gives no permission", len(agent.requests()),
						took, e.StatusCode)
				}
				start := time.Now()
				if err := cred.Ready(t.Context(), vaultScope); err == nil || time.Since(start) > 0 {
					t.Errorf("Ready returned %v after %v, want the error at once", err, time.Since(start))
				}
			})
		})
	}
}

// TestArcChallengesThatAreRefused: behind each of these paths is a file, and its content may not be
// sent.
func TestArcChallengesThatAreRefused(t *testing.T) {
	const secret = "pa55word"
	for _, tt := range []struct {
		name  string
		realm func(t *testing.T, dir, outside string) string
		want  string
	}{
		{"another directory", func(_ *testing.T, _, outside string) string {
			return outside
		}, "it is not in "},
		{"dot-dot", func(_ *testing.T, dir, outside string) string {
			return dir + "/../" + filepath.Base(filepath.Dir(outside)) + "/x.key"
		}, "it is not in "},
		{"dot-dot and back", func(_ *testing.T, dir, _ string) string {
			return dir + "/../" + filepath.Base(dir) + "/x.key"
		}, "it is not in "},
		{"a directory below", func(_ *testing.T, dir, _ string) string {
			return dir + "/below/x.key"
		}, "it is not in "},
		{"another extension", func(_ *testing.T, dir, _ string) string {
			return dir + "/x.txt"
		}, "does not end in .key"},
		{".key alone", func(_ *testing.T, dir, _ string) string {
			return dir + "/.key"
		}, "does not end in .key"},
		{"link out of it", func(_ *testing.T, dir, _ string) string {
			return filepath.Join(dir, "out.key")
		}, "not a regular file"},
		{"link within it", func(_ *testing.T, dir, _ string) string {
			return filepath.Join(dir, "in.key")
		}, "not a regular file"},
		{"too large", func(_ *testing.T, dir, _ string) string {
			return filepath.Join(dir, "large.key")
		}, "larger than 4096 bytes"},
		{"lines", func(_ *testing.T, dir, _ string) string {
			return filepath.Join(dir, "lines.key")
		}, "control character"},
		{"NUL", func(_ *testing.T, dir, _ string) string {
			return filepath.Join(dir, "x.txt\x00.key")
		}, "control character"},
		{"a name without an end", func(_ *testing.T, dir, _ string) string {
			return filepath.Join(dir, strings.Repeat("a", 60_000)+".key")
		}, "can't read Azure Arc's key"},
		{"the agent's real directory, whose keys are not this endpoint's",
			func(*testing.T, string, string) string {
				return "/var/opt/azcmagent/tokens" + "/x.key"
			}, "it is not in "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				agent := newArcAgent(t)
				outside := filepath.Join(t.TempDir(), "x.key")
				for _, file := range []string{outside, filepath.Join(agent.dir, "x.key"), filepath.Join(agent.dir, "below", "x.key"), filepath.Join(agent.dir, "x.txt"), filepath.Join(agent.dir, ".key")} {
					if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700),
						os.WriteFile(file, []byte(secret), 0o600)); err != nil {
						t.Fatal(err)
					}
				}
				for name, content := range map[string]string{"large.key": strings.Repeat(secret, 1000), "lines.key": secret + "\r\nX-Evil: 1"} {
					if err := os.WriteFile(filepath.Join(agent.dir, name), []byte(content), 0o600); err != nil {
						t.Fatal(err)
					}
				}
				for name, target := range map[string]string{"out.key": outside, "in.key": "x.key"} {
					if err := os.Symlink(target, filepath.Join(agent.dir, name)); err != nil {
						t.Skip(err)
					}
				}
				agent.challenge = func(int) (*http.Response, error) {
					return challengeWith(tt.realm(t, agent.dir, outside)), nil
				}
				cred := credentialAt(t, agent.env(), agent)
				e, took := mustFail(t, cred)
				wantErrorText(t, e, "identity: Azure Arc: 401: ", tt.want)
				if diff := cmp.Diff([]string{""}, authorizations(agent.requests())); diff != "" || took != 0 ||
					e.Attempts != 1 {
					t.Errorf("%d attempts in %v, want one request without a key: (-want +got)\n%s", e.Attempts,
						took, diff)
				}
				if strings.Contains(e.Error(), secret) || len(e.Error()) > 1000 {
					t.Errorf("error of %d bytes shows what it should not: %.500s", len(e.Error()), e.Error())
				}
				for _, sentinel := range []error{ErrUnavailable, ErrIdentityNotFound, ErrIdentityMismatch, ErrThrottled} {
					if errors.Is(e, sentinel) {
						t.Errorf("error is %q", sentinel)
					}
				}
			})
		})
	}
}

func TestArcChallengeWithoutRealm(t *testing.T) {
	for _, tt := range []struct {
		name   string
		header []string
	}{
		{"no header", nil},
		{"another scheme", []string{"WWW-Authenticate",
			`Bearer authorization="https://login.microsoftonline.com/x"`}},
		{"no realm", []string{"WWW-Authenticate", "Basic"}},
		{"empty realm", []string{"WWW-Authenticate", "Basic realm="}},
		{"the name of another header", []string{"Proxy-Authenticate",
			"Basic realm=/var/opt/azcmagent/tokens/x.key"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				agent := newArcAgent(t)
				agent.challenge = func(int) (*http.Response, error) {
					return respond(401, "<html>Unauthorized</html>", tt.header...), nil
				}
				e, took := mustFail(t, credentialAt(t, agent.env(), agent))
				wantErrorText(t, e, "401", "WWW-Authenticate", "not Azure Arc's agent")
				if len(agent.requests()) != 1 || took != 0 {
					t.Errorf("%d requests in %v, want 1", len(agent.requests()), took)
				}
			})
		})
	}
	for _, status := range []int{400, 402, 403, 404, 407, 302, 500} {
		t.Run(fmt.Sprint("a challenge with status ", status), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				agent := newArcAgent(t)
				agent.challenge = func(n int) (*http.Response, error) {
					header := "Basic realm=" + agent.write(n)
					return respond(status, `{"error":"access_denied"}`, "WWW-Authenticate", header,
						"Proxy-Authenticate", header), nil
				}
				mustFail(t, credentialAt(t, agent.env(), agent, tryOnce))
				if diff := cmp.Diff([]string{""}, authorizations(agent.requests())); diff != "" {
					t.Errorf("requests (-want +got):\n%s", diff)
				}
			})
		})
	}
	t.Run("several headers", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			agent := newArcAgent(t)
			agent.challenge = func(n int) (*http.Response, error) {
				return respond(401, "", "WWW-Authenticate", "Negotiate", "WWW-Authenticate",
					`basic Realm="`+agent.write(n)+`", charset="UTF-8"`), nil
			}
			mustToken(t, credentialAt(t, agent.env(), agent))
		})
	})
}

// TestArcKeyThatIsNotThereYet: keys are short-lived, and files are written in more than one step.
// Another challenge brings another.
func TestArcKeyThatIsNotThereYet(t *testing.T) {
	for _, tt := range []struct {
		name string
		make func(agent *arcAgent, n int) string
	}{
		{"missing", func(agent *arcAgent, n int) string {
			return filepath.Join(agent.dir, fmt.Sprintf("gone-%d.key", n))
		}},
		{"empty", func(agent *arcAgent, n int) string {
			file := filepath.Join(agent.dir, fmt.Sprintf("empty-%d.key", n))
			if err := os.WriteFile(file, nil, 0o600); err != nil {
				panic(err)
			}
			return file
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				agent := newArcAgent(t)
				agent.challenge = func(n int) (*http.Response, error) {
					if n <= 2 {
						return challengeWith(tt.make(agent, n)), nil
					}
					return challengeWith(agent.write(n)), nil
				}
				mustToken(t, credentialAt(t, agent.env(), agent))
				if diff := cmp.Diff([]string{"", "", "", "Basic key-3"},
					authorizations(agent.requests())); diff != "" {
					t.Errorf("requests (-want +got):\n%s", diff)
				}
			})
		})
		t.Run(tt.name+" for ever", func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				agent := newArcAgent(t)
				agent.challenge = func(n int) (*http.Response, error) {
					return challengeWith(tt.make(agent, n)), nil
				}
				e, took := mustFail(t, credentialAt(t, agent.env(), agent))
				wantErrorText(t, e, "401", "Azure Arc's key")
				if n := len(agent.requests()); n < 6 || e.Attempts != n || took < 20*time.Second ||
					took > 30*time.Second {
					t.Errorf("%d requests, %d attempts in %v, want many in 20 s to 30 s", n, e.Attempts, took)
				}
			})
		})
		t.Run(tt.name+", a single try", func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				agent := newArcAgent(t)
				agent.challenge = func(n int) (*http.Response, error) {
					return challengeWith(tt.make(agent, n)), nil
				}
				_, took := mustFail(t, credentialAt(t, agent.env(), agent, tryOnce))
				if n := len(agent.requests()); n != 1 || took != 0 {
					t.Errorf("%d requests in %v, want 1", n, took)
				}
			})
		})
	}
	t.Run("Ready waits for it", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			agent := newArcAgent(t)
			start := time.Now()
			agent.challenge = func(n int) (*http.Response, error) {
				if time.Since(start) < 10*time.Minute {
					return challengeWith(filepath.Join(agent.dir, "gone.key")), nil
				}
				return challengeWith(agent.write(n)), nil
			}
			if err := credentialAt(t, agent.env(), agent).Ready(t.Context(), vaultScope); err != nil {
				t.Error(err)
			}
			if took := time.Since(start); took < 10*time.Minute || took > 11*time.Minute {
				t.Errorf("ready after %v, want soon after 10 min", took)
			}
		})
	})
}

// --- against the fake ---

func TestArcSelectors(t *testing.T) {
	mine := identitytest.Identity{ClientID: guid, ObjectID: "aaaaaaaa-2222-3333-4444-555555555555",
		ResourceID: identityID}
	for _, tt := range []struct {
		name string
		id   ID
		want string // the appid of the token
	}{
		{"system-assigned", nil, "the system's"},
		{"client ID", ClientID(mine.ClientID), mine.ClientID},
		{"object ID", ObjectID(mine.ObjectID), mine.ClientID},
		{"resource ID", ResourceID(mine.ResourceID), mine.ClientID},
		{"client ID in upper case", ClientID(strings.ToUpper(mine.ClientID)), mine.ClientID},
		{"object ID in upper case", ObjectID(strings.ToUpper(mine.ObjectID)), mine.ClientID},
		{"resource ID in upper case", ResourceID(strings.ToUpper(mine.ResourceID)), mine.ClientID},
	} {
		both := func(o *identitytest.Options) {
			o.Identities = []identitytest.Identity{{ClientID: "the system's", System: true}, mine}
		}
		check := func(t *testing.T, ep *identitytest.Endpoint, cred *Credential) {
			t.Helper()
			if cred.Host() != HostArc {
				t.Fatalf("Host() is %q", cred.Host())
			}
			tk, _ := mustToken(t, cred)
			if got := string(token.ClaimsOf(tk.Token).AppID); got != tt.want {
				t.Errorf("got the token of %s, want that of %s", got, tt.want)
			}
			requests := ep.Requests()
			if len(requests) != 2 || requests[0].Header.Get("Authorization") != "" ||
				!strings.HasPrefix(requests[1].Header.Get("Authorization"), "Basic ") {
				t.Errorf("requests have the Authorization %q, want none and then a key",
					authorizations(requests))
			}
			mustToken(t, cred)
			if n := len(ep.Requests()); n != 2 {
				t.Errorf("%d requests, want 2: the second token is held", n)
			}
		}
		choose := func(o *CredentialOptions) { o.ID = tt.id }
		t.Run(tt.name+" in memory", func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				ep := newArcFake(t, both)
				check(t, ep, credentialAt(t, onArc(ep), ep, choose))
			})
		})
		t.Run(tt.name+" by a client", func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				ep := newArcFake(t, both)
				check(t, ep, credentialAt(t, onArc(ep), ep.Client(), choose))
			})
		})
		t.Run(tt.name+" over loopback", func(t *testing.T) {
			t.Parallel()
			ep := newArcFake(t, both)
			check(t, ep, credentialAt(t, nativeArcPaths(served(t, ep)), nil, choose))
		})
	}
}

// TestArcStart is the code under test of somebody who changed nothing.
func TestArcStart(t *testing.T) { // not parallel: the variables are the process's
	ep := newArcFake(t, func(o *identitytest.Options) {
		o.Identities = []identitytest.Identity{{System: true}, {ClientID: guid}}
	})
	ep.Start(t)
	for _, id := range []ID{nil, ClientID(guid)} {
		cred, err := NewCredential(&CredentialOptions{ID: id})
		if err != nil {
			t.Fatal(err)
		}
		if cred.Host() != HostArc {
			t.Fatalf("Host() is %q", cred.Host())
		}
		mustToken(t, cred)
	}
	if got := authorizations(ep.Requests()); len(got) != 4 || got[0] != "" || got[2] != "" ||
		got[1] == got[3] {
		t.Errorf("requests have the Authorization %q", got)
	}
	for _, r := range ep.Requests() {
		if !r.Close {
			t.Error("the connection would be kept")
		}
	}
}

func TestArcIdentityThatIsNotThere(t *testing.T) {
	for _, tt := range []struct {
		name string
		id   ID
		want string
	}{
		{"client ID", ClientID(guid),
			"is client ID " + guid +
				" assigned to this Arc-enabled server? For its system-assigned one leave ID nil"},
		{"object ID", ObjectID(guid),
			"is object ID " + guid +
				" assigned to this Arc-enabled server? For its system-assigned one leave ID nil"},
		{"resource ID", ResourceID(identityID),
			"is resource ID " + identityID +
				" assigned to this Arc-enabled server? For its system-assigned one leave ID nil"},
		{"system-assigned", nil,
			"is this server connected (azcmagent show), and its system-assigned identity there?"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				ep := newArcFake(t, func(o *identitytest.Options) {
					o.Identities = []identitytest.Identity{{System: tt.id != nil}}
				})
				e, took := mustFail(t, credentialAt(t, onArc(ep), ep, func(o *CredentialOptions) {
					o.ID = tt.id
				}))
				wantErrorText(t, e, "identity: Azure Arc: 404 identity_not_found", tt.want)
				if !errors.Is(e, ErrIdentityNotFound) || took != 0 || e.Attempts != 1 ||
					len(ep.Requests()) != 1 {
					t.Errorf("%d attempts, %d requests in %v, want ErrIdentityNotFound in place of a challenge: %v",
						e.Attempts, len(ep.Requests()), took, e)
				}
			})
		})
	}
}

// TestArcKeysAreNeverKept: two acquisitions read two keys, a renewal a third.
func TestArcKeysAreNeverKept(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var dir string
		ep := newArcFake(t, func(o *identitytest.Options) { dir = o.Dir })
		cred := credentialAt(t, onArc(ep), ep)
		mustToken(t, cred)
		if err := anotherToken(cred); err != nil {
			t.Fatal(err)
		}
		time.Sleep(14 * time.Hour)
		mustToken(t, cred) // and the renewal goes on behind its back
		synctest.Wait()
		got := authorizations(ep.Requests())
		if len(got) != 6 {
			t.Fatalf("%d requests, want 6: %q", len(got), got)
		}
		keys := map[string]bool{}
		for i, a := range got {
			if (i%2 == 0) != (a == "") {
				t.Errorf("request %d has the Authorization %q, want a key in every second one", i, a)
			}
			if a != "" {
				keys[a] = true
			}
		}
		if len(keys) != 3 {
			t.Errorf("%d different keys, want 3: %q", len(keys), got)
		}
		left, err := os.ReadDir(dir)
		if err != nil || len(left) != 0 {
			t.Errorf("%d key files are left (%v): each should have been presented", len(left), err)
		}
	})
}

func TestArcKeyRotation(t *testing.T) {
	t.Run("between the challenge and the reading", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			ep := newArcFake(t)
			rotate := sync.OnceFunc(ep.RotateSecret)
			mustToken(t, credentialAt(t, onArc(ep),
				transportFunc(func(r *http.Request) (*http.Response, error) {
					resp, err := ep.Do(r)
					rotate()
					return resp, err
				})))
			if got := authorizations(ep.Requests()); len(got) != 3 || got[0] != "" || got[1] != "" ||
				got[2] == "" {
				t.Errorf("requests have the Authorization %q, want a second challenge and then a key", got)
			}
		})
	})
	t.Run("between the reading and the second request", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			ep := newArcFake(t)
			rotate := sync.OnceFunc(ep.RotateSecret)
			cred := credentialAt(t, onArc(ep), transportFunc(func(r *http.Request) (*http.Response, error) {
				if r.Header.Get("Authorization") != "" {
					rotate()
				}
				return ep.Do(r)
			}))
			start := time.Now()
			if err := func() error { _, err := getToken(t.Context(), cred); return err }(); err != nil {
				wantErrorText(t, err, "401", "refused the key")
				time.Sleep(2 * time.Second) // the cool-down of a first failure is at most 1 s
			}
			mustToken(t, cred)
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("a token after %v", took)
			}
		})
	})
}

func TestArcTokenWithoutAChallenge(t *testing.T) {
	for _, status := range []int{200, 202} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				agent := newArcAgent(t)
				agent.challenge = func(int) (*http.Response, error) {
					return respond(status, grantBody(canary, time.Hour)), nil
				}
				cred := credentialAt(t, agent.env(), agent)
				for range 2 {
					e, took := mustFail(t, cred)
					wantErrorText(t, e, fmt.Sprint(status), "a token without a challenge", "not Azure Arc's agent")
					if took != 0 || len(agent.requests()) != 1 ||
						strings.Contains(fmt.Sprintf("%v %+v", e, *e), canary) {
						t.Errorf("%d requests in %v: %+v", len(agent.requests()), took, *e)
					}
				}
			})
		})
	}
	t.Run("after an outage of the real one", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			agent := newArcAgent(t)
			cred := credentialAt(t, agent.env(), agent)
			first, _ := mustToken(t, cred)
			agent.challenge = func(int) (*http.Response, error) {
				return respond(200, grantBody("forged", 48*time.Hour)), nil
			}
			time.Sleep(14 * time.Hour)
			for range 3 {
				if tk, _ := mustToken(t, cred); tk.Token != first.Token {
					t.Errorf("got %q, want the token that is held", tk.Token)
				}
				time.Sleep(time.Hour)
			}
		})
	})
}

func TestArcRefusesTheKey(t *testing.T) {
	bubble(t, func(t *testing.T) {
		agent := newArcAgent(t)
		agent.grant = func(n int, _ string) (*http.Response, error) {
			return challengeWith(agent.write(100 + n)), nil
		}
		e, took := mustFail(t, credentialAt(t, agent.env(), agent, tryOnce))
		wantErrorText(t, e, "identity: Azure Arc: 401 access_denied", "refused the key", "2 attempts")
		if diff := cmp.Diff([]string{"", "Basic key-1"}, authorizations(agent.requests())); diff != "" ||
			took != 0 || e.Attempts != 2 {
			t.Errorf("%d attempts in %v, requests (-want +got):\n%s", e.Attempts, took, diff)
		}
		if errors.Is(e, ErrIdentityNotFound) || errors.Is(e, ErrUnavailable) {
			t.Errorf("the key's refusal is no missing identity and no missing agent: %v", e)
		}
	})
}

// --- refusals and retries ---

// arcSteps are the two places in which an answer can come.
var arcSteps = []struct {
	name     string
	requests int // of one try
	answer   func(agent *arcAgent, reply func() (*http.Response, error))
}{
	{"challenge", 1, func(agent *arcAgent, reply func() (*http.Response, error)) {
		agent.challenge = func(int) (*http.Response, error) { return reply() }
	}},
	{"token", 2, func(agent *arcAgent, reply func() (*http.Response, error)) {
		agent.grant = func(int, string) (*http.Response, error) { return reply() }
	}},
}

func TestArcRetryPerStatus(t *testing.T) {
	const body = `{"error":"some_error","error_description":"some text"}`
	retried := []int{408, 429, 500, 501, 502, 503, 504, 505, 599, 600, 999, 0}
	final := []int{400, 402, 403, 404, 405, 409, 410, 418, 451, 301, 302, 307, 100}
	for _, step := range arcSteps {
		for _, status := range retried {
			t.Run(fmt.Sprint(step.name, " retries ", status), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					agent := newArcAgent(t)
					step.answer(agent, func() (*http.Response, error) { return respond(status, body), nil })
					e, took := mustFail(t, credentialAt(t, agent.env(), agent))
					if e.Attempts < 6*step.requests || e.Attempts%step.requests != 0 || took < 20*time.Second ||
						took > 30*time.Second {
						t.Errorf("%d attempts in %v, want many in 20 s to 30 s: %v", e.Attempts, took, e)
					}
					if n := len(agent.requests()); n != e.Attempts {
						t.Errorf("%d attempts, but %d requests", e.Attempts, n)
					}
					if e.StatusCode != status || e.Code != "some_error" || e.Elapsed != took ||
						errors.Is(e, ErrThrottled) != (status == 429) || errors.Is(e, ErrUnavailable) {
						t.Errorf("error is off: %+v", *e)
					}
				})
			})
			t.Run(fmt.Sprint(step.name, " recovers from ", status), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					agent := newArcAgent(t)
					own := []func() (*http.Response, error){}
					for range 2 {
						own = append(own, func() (*http.Response, error) { return respond(status, body), nil })
					}
					agent.challenge = func(n int) (*http.Response, error) {
						if step.requests == 1 && n <= len(own) {
							return own[n-1]()
						}
						return challengeWith(agent.write(n)), nil
					}
					agent.grant = func(n int, key string) (*http.Response, error) {
						if step.requests == 2 && n <= len(own) {
							return own[n-1]()
						}
						return respond(200, grantBody("t-"+key, time.Hour)), nil
					}
					tk, took := mustToken(t, credentialAt(t, agent.env(), agent))
					if n := len(agent.requests()); n != 2*step.requests+2 || tk.Token != "t-key-3" ||
						took > 4*time.Second {
						t.Errorf("%q after %d requests in %v, want the third key's after %d", tk.Token, n, took,
							2*step.requests+2)
					}
				})
			})
		}
		for _, status := range final {
			t.Run(fmt.Sprint(step.name, " doesn't retry ", status), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					agent := newArcAgent(t)
					step.answer(agent, func() (*http.Response, error) { return respond(status, body), nil })
					e, took := mustFail(t, credentialAt(t, agent.env(), agent))
					if e.Attempts != step.requests || len(agent.requests()) != step.requests || took != 0 ||
						e.StatusCode != status {
						t.Errorf("%d attempts, %d requests in %v, want %d: %v", e.Attempts, len(agent.requests()),
							took, step.requests, e)
					}
					if errors.Is(e, ErrIdentityNotFound) || errors.Is(e, ErrUnavailable) {
						t.Errorf("error is off: %v", e)
					}
				})
			})
		}
		t.Run(step.name+" never retries identity_not_found", func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				agent := newArcAgent(t)
				step.answer(agent, func() (*http.Response, error) {
					return respond(404, sampleOf(t, "arc/identity-not-found.json")), nil
				})
				cred := credentialAt(t, agent.env(), agent, func(o *CredentialOptions) {
					o.ID = ClientID(guid)
				})
				e, took := mustFail(t, cred)
				if !errors.Is(e, ErrIdentityNotFound) || e.Attempts != step.requests ||
					len(agent.requests()) != step.requests || took != 0 {
					t.Errorf("%d attempts in %v, want %d: %v", e.Attempts, took, step.requests, e)
				}
				start := time.Now()
				if err := cred.Ready(t.Context(), vaultScope); !errors.Is(err, ErrIdentityNotFound) ||
					time.Since(start) > 0 {
					t.Errorf("Ready returned %v after %v, want the refusal at once", err, time.Since(start))
				}
			})
		})
		t.Run(step.name+" retries a connection that fails", func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				agent := newArcAgent(t)
				step.answer(agent, func() (*http.Response, error) { return nil, syscall.ECONNREFUSED })
				e, took := mustFail(t, credentialAt(t, agent.env(), agent))
				if e.Attempts < 6*step.requests || took < 20*time.Second || took > 30*time.Second ||
					!errors.Is(e, syscall.ECONNREFUSED) || errors.Is(e, ErrUnavailable) {
					t.Errorf("%d attempts in %v: %v", e.Attempts, took, e)
				}
				wantErrorText(t, e, "no answer from http://localhost:40342/")
				if step.requests == 1 {
					wantErrorText(t, e, "is Azure Arc's agent running (azcmagent show)")
				}
			})
		})
	}
}

func TestArcRetryAfter(t *testing.T) {
	const body = `{"error":"too_many_requests","error_description":"slow down"}`
	for _, step := range arcSteps {
		for _, status := range []int{429, 503} {
			t.Run(fmt.Sprint(step.name, " ", status), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					agent := newArcAgent(t)
					refuse := func(n int) *http.Response {
						if n == 1 {
							return respond(status, body, "Retry-After", "7")
						}
						return nil
					}
					agent.challenge = func(n int) (*http.Response, error) {
						if r := refuse(n); step.requests == 1 && r != nil {
							return r, nil
						}
						return challengeWith(agent.write(n)), nil
					}
					agent.grant = func(n int, _ string) (*http.Response, error) {
						if r := refuse(n); step.requests == 2 && r != nil {
							return r, nil
						}
						return respond(200, grantBody("t", time.Hour)), nil
					}
					when := &arrivals{next: agent}
					mustToken(t, credentialAt(t, agent.env(), when))
					at := when.times()
					if len(at) != step.requests+2 {
						t.Fatalf("%d requests, want %d", len(at), step.requests+2)
					}
					// The next try begins after 7 s and the first wait of at most 500 ms, and its two requests
					// follow at once.
					if wait := at[step.requests].Sub(at[step.requests-1]); wait < 7*time.Second ||
						wait > 7500*time.Millisecond {
						t.Errorf("waited %v, want 7 s to 7.5 s", wait)
					}
					if wait := at[step.requests+1].Sub(at[step.requests]); wait != 0 {
						t.Errorf("the key waited %v", wait)
					}
				})
			})
			t.Run(fmt.Sprint(step.name, " ", status, " beyond the budget"), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					agent := newArcAgent(t)
					step.answer(agent, func() (*http.Response, error) {
						return respond(status, body, "Retry-After", "60"), nil
					})
					cred := credentialAt(t, agent.env(), agent)
					e, took := mustFail(t, cred)
					if took != 0 || e.Attempts != step.requests || errors.Is(e, ErrThrottled) != (status == 429) {
						t.Errorf("%d attempts in %v, want %d at once: %v", e.Attempts, took, step.requests, e)
					}
					time.Sleep(59 * time.Second)
					mustFail(t, cred)
					if n := len(agent.requests()); n != step.requests {
						t.Errorf("%d requests within the Retry-After, want %d", n, step.requests)
					}
				})
			})
		}
	}
}

func TestArcRefusals(t *testing.T) {
	t.Parallel()
	const (
		rest = " (token for https://vault.azure.net, ATTEMPTS, 0s)"
		cor  = "0a1b2c3d-1111-4222-8333-944455556666"
	)
	for _, tt := range []refusal{
		{"client ID not assigned", 404, "arc/identity-not-found.json", nil, ClientID(guid),
			`identity: Azure Arc: 404 identity_not_found "Identity not found"` + rest + ": is client ID " +
				guid + " assigned to this Arc-enabled server? For its system-assigned one leave ID nil", ErrIdentityNotFound, "identity_not_found", "Identity not found", ""},
		{"object ID not assigned", 404, "arc/identity-not-found.json", nil, ObjectID(guid),
			`identity: Azure Arc: 404 identity_not_found "Identity not found"` + rest + ": is object ID " +
				guid + " assigned to this Arc-enabled server? For its system-assigned one leave ID nil", ErrIdentityNotFound, "identity_not_found", "Identity not found", ""},
		{"resource ID not assigned", 404, "arc/identity-not-found.json", nil, ResourceID(identityID),
			`identity: Azure Arc: 404 identity_not_found "Identity not found"` + rest + ": is resource ID " +
				identityID + " assigned to this Arc-enabled server? For its system-assigned one leave ID nil", ErrIdentityNotFound, "identity_not_found", "Identity not found", ""},
		{"no system-assigned identity", 404, "arc/identity-not-found.json", nil, nil,
			`identity: Azure Arc: 404 identity_not_found "Identity not found"` + rest +
				": is this server connected (azcmagent show), and its system-assigned identity there?", ErrIdentityNotFound, "identity_not_found", "Identity not found", ""},
		{"a header is missing", 400, "arc/metadata-missing.json", nil, ClientID(guid),
			`identity: Azure Arc: 400 invalid_request "Required metadata header not specified"` + rest +
				": the request came without the header Metadata that it was made with: did a policy or the Transport in CredentialOptions remove it?", nil, "invalid_request", "Required metadata header not specified", ""},
		{"another 404", 404, `{"error":"not_found","error_description":"no such path"}`, nil,
			ClientID(guid),
			`identity: Azure Arc: 404 not_found "no such path"` +
				rest, nil, "not_found", "no such path", ""},
		{"Entra's refusal", 400,
			`{"error":"invalid_resource","error_description":"AADSTS500011: x","error_codes":[500011],"correlation_id":"` + cor + `"}`, nil, nil,
			`identity: Azure Arc: 400 invalid_resource "AADSTS500011: x" (token for https://vault.azure.net, ATTEMPTS, 0s, correlation ID ` + cor + `): Entra refused: is the scope a resource of this tenant and cloud?`, nil, "invalid_resource", "AADSTS500011: x", cor},
		{"throttled", 429, `{"error":"too_many_requests","error_description":"Too many requests"}`, nil,
			nil,
			`identity: Azure Arc: 429 too_many_requests "Too many requests"` +
				rest, ErrThrottled, "too_many_requests", "Too many requests", ""},
		{"server error", 500, `{"error":"server_error","error_description":"Failed to retrieve a token"}`,
			nil, nil,
			`identity: Azure Arc: 500 server_error "Failed to retrieve a token"` + rest +
				": is this server connected (azcmagent show)? One that was offline for months has to be connected anew", nil, "server_error", "Failed to retrieve a token", ""},
	} {
		for _, step := range arcSteps {
			t.Run(tt.name+" at the "+step.name, func(t *testing.T) {
				tt := tt
				attempts := "1 attempt"
				if step.requests != 1 {
					attempts = fmt.Sprint(step.requests, " attempts")
				}
				tt.text = strings.Replace(tt.text, "ATTEMPTS", attempts, 1)
				if step.requests == 1 {
					tt.run(t, environmentOf(map[string]string{"IDENTITY_ENDPOINT": "http://localhost:40342/x",
						"IMDS_ENDPOINT": "y"}))
					return
				}
				bubble(t, func(t *testing.T) {
					agent := newArcAgent(t)
					body := tt.body
					if strings.HasSuffix(body, ".json") {
						body = sampleOf(t, body)
					}
					step.answer(agent, func() (*http.Response, error) {
						return respond(tt.status, body, tt.header...), nil
					})
					e, _ := mustFail(t, credentialAt(t, agent.env(), agent, tryOnce, func(o *CredentialOptions) {
						o.ID = tt.id
					}))
					if diff := cmp.Diff(tt.text, e.Error()); diff != "" {
						t.Errorf("error (-want +got):\n%s", diff)
					}
					for _, sentinel := range []error{ErrUnavailable, ErrIdentityNotFound, ErrIdentityMismatch, ErrThrottled} {
						if got, want := errors.Is(e, sentinel), sentinel == tt.sentinel; got != want {
							t.Errorf("errors.Is(%q) is %v, want %v", sentinel, got, want)
						}
					}
				})
			})
		}
	}
}

// --- which identity came back ---

func TestArcMustEcho(t *testing.T) {
	const other = "99999999-2222-3333-4444-555555555555"
	const otherID = "/subscriptions/s/resourcegroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/other"
	quote := func(s string) string { return `"` + s + `"` }
	mine := jwtOf(`{"appid":"` + guid + `","oid":"` + guid + `","xms_mirid":"` + identityID + `"}`)
	theirs := jwtOf(`{"appid":"` + other + `","oid":"` + other + `","xms_mirid":"` + otherID + `"}`)
	for _, tt := range []struct {
		name  string
		id    ID
		token string
		echo  []string
		want  string // in the error; "" accepts the token
	}{
		{"client ID", ClientID(guid), "opaque", []string{"client_id", quote(guid)}, ""},
		{"client ID, other case", ClientID("AAAAAAAA-2222-3333-4444-555555555555"), "opaque",
			[]string{"client_id", quote("aaaaaaaa-2222-3333-4444-555555555555")}, ""},
		{"client ID, and the token agrees", ClientID(guid), mine, []string{"client_id", quote(guid)}, ""},
		{"object ID", ObjectID(guid), "opaque", []string{"object_id", quote(guid)}, ""},
		{"object ID, other case", ObjectID("aaaaaaaa-2222-3333-4444-555555555555"),
			jwtWith("oid", "AAAAAAAA-2222-3333-4444-555555555555"), []string{"object_id",
				quote("AAAAAAAA-2222-3333-4444-555555555555")}, ""},
		{"resource ID", ResourceID(identityID), "opaque", []string{"msi_res_id", quote(identityID)}, ""},
		{"resource ID as mi_res_id", ResourceID(identityID), "opaque",
			[]string{"mi_res_id", quote(identityID)}, ""},
		{"resource ID, other case", ResourceID(identityID), mine,
			[]string{"msi_res_id", quote(strings.ToUpper(identityID))}, ""},
		{"resource ID as mi_res_id, other case", ResourceID(identityID), "opaque",
			[]string{"mi_res_id", quote(strings.ToUpper(identityID))}, ""},
		{"resource ID with a slash behind it", ResourceID(identityID), "opaque",
			[]string{"msi_res_id", quote(identityID + "/")}, ""},
		{"system-assigned, opaque, no echo", nil, "opaque", nil, ""},
		{"system-assigned, whatever the token says", nil, theirs, nil, ""},
		{"system-assigned, whatever is echoed", nil, theirs, []string{"client_id", quote(other)}, ""},

		{"no echo, opaque", ClientID(guid), "opaque", nil, "doesn't name"},
		{"no echo, object ID", ObjectID(guid), "opaque", nil, "doesn't name"},
		{"no echo, resource ID", ResourceID(identityID), "opaque", nil, "doesn't name"},
		{"no echo, although the token agrees", ClientID(guid), mine, nil, "doesn't name"},
		{"no echo, the machine's own token", ClientID(guid), theirs, nil, "doesn't name"},
		{"empty echo", ClientID(guid), "opaque", []string{"client_id", `""`}, "doesn't name"},
		{"blank echo", ClientID(guid), "opaque", []string{"client_id", `"  "`}, "doesn't name"},
		{"null echo", ClientID(guid), "opaque", []string{"client_id", `null`}, "doesn't name"},
		{"an object as the echo", ClientID(guid), "opaque",
			[]string{"client_id", `{"value":` + quote(guid) + `}`}, "doesn't name"},
		{"an array as the echo", ClientID(guid), "opaque", []string{"client_id", `[` + quote(guid) + `]`},
			"doesn't name"},
		{"another name for it", ClientID(guid), "opaque", []string{"clientId", quote(guid)},
			"doesn't name"},
		{"the echo of another kind", ClientID(guid), "opaque", []string{"object_id", quote(guid)},
			"doesn't name"},
		{"the echo of a client for a resource", ResourceID(identityID), mine,
			[]string{"client_id", quote(guid)}, "doesn't name"},
		{"wrong client ID", ClientID(guid), "opaque", []string{"client_id", quote(other)}, other},
		{"wrong client ID, although the token agrees", ClientID(guid), mine,
			[]string{"client_id", quote(other)}, other},
		{"wrong object ID", ObjectID(guid), "opaque", []string{"object_id", quote(other)}, other},
		{"wrong resource ID", ResourceID(identityID), "opaque", []string{"msi_res_id", quote(otherID)},
			"userAssignedIdentities/other"},
		{"wrong resource ID as mi_res_id", ResourceID(identityID), "opaque",
			[]string{"mi_res_id", quote(otherID)}, "userAssignedIdentities/other"},
		{"right echo, but the token is another's", ClientID(guid), theirs,
			[]string{"client_id", quote(guid)}, other},
		{"right echo, but the token is another object's", ObjectID(guid), theirs,
			[]string{"object_id", quote(guid)}, other},
		{"right echo, but the token is another resource's", ResourceID(identityID), theirs,
			[]string{"msi_res_id", quote(identityID)}, "userAssignedIdentities/other"},
		{"a piece of the ID", ClientID(guid), "opaque", []string{"client_id", quote(guid[:8])}, guid[:8]},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				agent := newArcAgent(t)
				agent.grant = func(int, string) (*http.Response, error) {
					return respond(200, arcBody(tt.token, tt.echo...)), nil
				}
				cred := credentialAt(t, agent.env(), agent, func(o *CredentialOptions) { o.ID = tt.id })
				if tt.want == "" {
					if tk, _ := mustToken(t, cred); tk.Token != tt.token {
						t.Errorf("got %q, want %q", tk.Token, tt.token)
					}
					return
				}
				e, took := mustFail(t, cred)
				wantErrorText(t, e, "200", "asked for "+describeID(tt.id), tt.want,
					"does this host support selecting one?")
				if !errors.Is(e, ErrIdentityMismatch) || took != 0 || len(agent.requests()) != 2 ||
					e.Attempts != 2 {
					t.Errorf("%d requests in %v, want ErrIdentityMismatch after 2: %v", len(agent.requests()),
						took, e)
				}
				if strings.Contains(e.Error(), tt.token) {
					t.Errorf("error repeats the token: %v", e)
				}
				time.Sleep(time.Minute)
				mustFail(t, cred)
				if n := len(agent.requests()); n != 4 {
					t.Errorf("%d requests, want 4: nothing may have been kept", n)
				}
			})
		})
	}
}

func jwtWith(claim, value string) string { return jwtOf(fmt.Sprintf(`{%q:%q}`, claim, value)) }

// TestArcOldAgent: it ignores what it doesn't know, and gives the machine's token to whoever asks.
func TestArcOldAgent(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ep := newArcFake(t)
		old := transportFunc(func(r *http.Request) (*http.Response, error) {
			r = r.Clone(r.Context())
			query := r.URL.Query()
			for _, name := range selectorNames {
				query.Del(name)
			}
			r.URL.RawQuery = query.Encode()
			return ep.Do(r)
		})
		for _, id := range []ID{ClientID(guid), ObjectID(guid), ResourceID(identityID)} {
			e, _ := mustFail(t, credentialAt(t, onArc(ep), old, func(o *CredentialOptions) { o.ID = id }))
			if !errors.Is(e, ErrIdentityMismatch) {
				t.Errorf("%s: got %v, want ErrIdentityMismatch", idKind(id), e)
			}
		}
		mustToken(t, credentialAt(t, onArc(ep), old))
	})
}

// --- secrets ---

// secretsSeenIn runs a credential's acquisition with everything listening that can, and returns all
// that a person could see afterwards. It is for tests that are not parallel, because azcore's log
// is the process's.
func secretsSeenIn(
	t *testing.T, env environment, transport policy.Transporter, adjust ...func(*CredentialOptions),
) (texts map[string]string, err error) {
	t.Helper()
	var mu sync.Mutex
	var azcoreLog, spans, log bytes.Buffer
	azlog.SetListener(func(event azlog.Event, text string) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintln(&azcoreLog, event, text)
	})
	defer azlog.SetListener(nil)
	note := func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintf(&spans, format+"\n", args...)
	}
	provider := tracing.NewProvider(func(string, string) tracing.Tracer {
		return tracing.NewTracer(func(ctx context.Context, name string,
			o *tracing.SpanOptions) (context.Context, tracing.Span) {
			note("%s %+v", name, o)
			return ctx, tracing.NewSpan(tracing.SpanImpl{
				SetStatus:     func(_ tracing.SpanStatus, text string) { note("%s", text) },
				SetAttributes: func(a ...tracing.Attribute) { note("%+v", a) },
				AddEvent:      func(name string, a ...tracing.Attribute) { note("%s %+v", name, a) },
			})
		}, nil)
	}, nil)
	cred := credentialAt(t, env, transport,
		append([]func(*CredentialOptions){func(o *CredentialOptions) {
			o.Retry.MaxRetries = -1
			o.Logger = slog.New(slog.NewJSONHandler(&log,
				&slog.HandlerOptions{Level: slog.LevelDebug, AddSource: true}))
			o.TracingProvider = provider
			o.Logging = policy.LogOptions{IncludeBody: true,
				AllowedHeaders: []string{"Authorization", " authorization ", "Metadata"}}
		}}, adjust...)...)
	_, err = getToken(t.Context(), cred)
	synctest.Wait() // for the log
	texts = map[string]string{
		"azcore's log": azcoreLog.String(), "trace": spans.String(), "slog": log.String(),
		"error": fmt.Sprint(err), "error by %+v": fmt.Sprintf("%+v", err),
		"error by %#v": fmt.Sprintf("%#v", err),
		"credential":   fmt.Sprintf("%v %+v %#v", cred, cred, cred),
		"source":       fmt.Sprintf("%+v %#v", cred.hosted.host, cred.hosted.host),
	}
	for name, text := range texts {
		if text == "" {
			t.Errorf("%s is empty: this test would see nothing", name)
		}
	}
	var unwrap func(e error)
	unwrap = func(e error) {
		texts["wrapped "+fmt.Sprintf("%T %d", e, len(texts))] = fmt.Sprintf("%v %+v", e, e)
		switch x := e.(type) {
		case interface{ Unwrap() error }:
			if x.Unwrap() != nil {
				unwrap(x.Unwrap())
			}
		case interface{ Unwrap() []error }:
			for _, inner := range x.Unwrap() {
				unwrap(inner)
			}
		}
	}
	if err == nil {
		return texts, nil
	}
	unwrap(err)
	if ae, ok := errors.AsType[*AuthenticationError](err); ok {
		texts["fields"] = fmt.Sprintf("%+v", *ae)
		if raw := ae.RawResponse; raw != nil {
			body, _ := io.ReadAll(raw.Body)
			texts["RawResponse"] = fmt.Sprintf("%+v %+v %s", raw, raw.Header, body)
			if raw.Request != nil {
				texts["RawResponse's Request"] = fmt.Sprintf("%+v %s", raw.Request, raw.Request.URL)
				if len(raw.Request.Header) != 0 {
					t.Errorf("RawResponse has its Request's headers, and with them the key: %v",
						raw.Request.Header)
				}
			}
		}
	}
	return texts, err
}

// TestArcKeyOfTheTryBefore is in nothing that is printed, either: the endpoint has a memory.
func TestArcKeyOfTheTryBefore(t *testing.T) { // not parallel: see secretsSeenIn
	const key = canary + "+a/b="
	says := func(text string) string {
		return `{"error":"access_denied","error_description":"you sent ` + text + `"}`
	}
	synctestRun(t, "in the next challenge's place", func(t *testing.T) {
		agent := newArcAgent(t)
		agent.content = func(int) string { return key }
		agent.challenge = func(n int) (*http.Response, error) {
			if n == 1 {
				return challengeWith(agent.write(n)), nil
			}
			return respond(400, says(key)), nil
		}
		agent.grant = func(int, string) (*http.Response, error) { return respond(503, says("it")), nil }
		texts, _ := secretsSeenIn(t, agent.env(), agent, func(o *CredentialOptions) {
			o.Retry.MaxRetries = 1
		})
		for where, text := range texts {
			if strings.Contains(text, canary) {
				t.Errorf("%s shows the key of the try before: %.2000s", where, text)
			}
		}
		time.Sleep(2 * time.Minute)
	})
}

// TestArcRedirectsAreNotFollowed: on the second step it would carry the key.
func TestArcRedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	for _, step := range arcSteps {
		for _, status := range []int{301, 302, 303, 307, 308} {
			t.Run(fmt.Sprint(step.name, " ", status), func(t *testing.T) {
				t.Parallel()
				var followed atomic.Int64
				elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					followed.Add(1)
					_, _ = io.WriteString(w, grantBody("stolen", time.Hour))
				}))
				t.Cleanup(elsewhere.Close)
				agent := newArcAgent(t)
				server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if step.requests == 2 && r.Header.Get("Authorization") == "" {
						w.Header().Set("WWW-Authenticate", "Basic realm="+agent.write(1))
						w.WriteHeader(401)
						return
					}
					http.Redirect(w, r, elsewhere.URL+"/?k="+url.QueryEscape(r.Header.Get("Authorization")),
						status)
				}))
				t.Cleanup(server.Close)
				env := nativeArcPaths(environmentOf(map[string]string{"IDENTITY_ENDPOINT": server.URL + "/" +
					agent.nonce + "/token", "IMDS_ENDPOINT": server.URL}))
				for name, transport := range map[string]policy.Transporter{"default": nil, "a client of the user's": &http.Client{}, "http.DefaultClient": http.DefaultClient} {
					e, _ := mustFail(t, credentialAt(t, env, transport, tryOnce))
					if followed.Load() != 0 {
						t.Fatalf("%s: the redirect was followed", name)
					}
					wantErrorText(t, e, fmt.Sprint(status), "a redirect, which is not followed")
					if e.Attempts != step.requests {
						t.Errorf("%s: %d attempts, want %d", name, e.Attempts, step.requests)
					}
					if shown := fmt.Sprintf("%+v %+v", *e, e.RawResponse); strings.Contains(shown, "key-1") {
						t.Errorf("%s: the key is in the error: %s", name, shown)
					}
				}
			})
		}
	}
}

// --- many callers ---

func TestArcColdCallersShareOneChallenge(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ep := newArcFake(t)
		ep.Enqueue(identitytest.Response{Delay: time.Second}, identitytest.Response{Delay: time.Second})
		cred := credentialAt(t, onArc(ep), ep)
		tokens := make([]string, 100)
		var callers sync.WaitGroup
		for i := range tokens {
			callers.Go(func() {
				tk, err := getToken(t.Context(), cred)
				if err != nil {
					t.Error(err)
				}
				tokens[i] = tk.Token
			})
		}
		callers.Wait()
		if got := authorizations(ep.Requests()); len(got) != 2 || got[0] != "" || got[1] == "" {
			t.Errorf("requests have the Authorization %q, want one challenge and one key", got)
		}
		for _, tk := range tokens {
			if tk != tokens[0] {
				t.Fatal("two callers have different tokens")
			}
		}
	})
}

// TestArcManyResourcesAtOnce: both requests of an acquisition hold one place, so that the agent
// never sees more than 5.
func TestArcManyResourcesAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ep := newArcFake(t)
		for range 80 {
			ep.Enqueue(identitytest.Response{Delay: 100 * time.Millisecond})
		}
		var now, most atomic.Int64
		cred := credentialAt(t, onArc(ep), transportFunc(func(r *http.Request) (*http.Response, error) {
			most.Store(max(most.Load(), now.Add(1)))
			defer now.Add(-1)
			return ep.Do(r)
		}))
		var callers sync.WaitGroup
		for i := range 40 {
			callers.Go(func() {
				scope := fmt.Sprintf("https://r%d.example/.default", i)
				if _, err := cred.GetToken(t.Context(),
					policy.TokenRequestOptions{Scopes: []string{scope}}); err != nil {
					t.Errorf("%s: %v", scope, err)
				}
			})
		}
		callers.Wait()
		got := authorizations(ep.Requests())
		keys := map[string]bool{}
		for _, a := range got {
			keys[a] = true
		}
		if len(got) != 80 || len(keys) != 41 || most.Load() > 5 {
			t.Errorf("%d requests with %d different Authorizations, at most %d at tryOnce, want 80, 41 and 5", len(got), len(keys), most.Load())
		}
	})
}

func TestArcRateLimit(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ep := newArcFake(t, func(o *identitytest.Options) { o.RateLimit = true })
		cred := credentialAt(t, onArc(ep), ep)
		start := time.Now()
		var callers sync.WaitGroup
		for i := range 40 {
			callers.Go(func() {
				scope := fmt.Sprintf("https://r%d.example/.default", i)
				if _, err := cred.GetToken(t.Context(),
					policy.TokenRequestOptions{Scopes: []string{scope}}); err != nil {
					t.Errorf("%s: %v", scope, err)
				}
			})
		}
		callers.Wait()
		// 80 requests at 20 a second need 3 s at least.
		if took := time.Since(start); took < 3*time.Second || took > 15*time.Second {
			t.Errorf("40 tokens in %v, want 3 s to 15 s", took)
		}
	})
}

// TestArcSurvivesItsAgent: an update of the agent takes minutes, and nobody waits for it.
func TestArcSurvivesItsAgent(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ep := newArcFake(t)
		cred := credentialAt(t, onArc(ep), ep)
		mustToken(t, cred)
		time.Sleep(10 * time.Hour)
		ep.Enqueue(identitytest.Response{Err: syscall.ECONNREFUSED, For: 10 * time.Hour})
		for range 40 {
			time.Sleep(15 * time.Minute)
			if _, took := mustToken(t, cred); took != 0 {
				t.Errorf("a caller waited %v for a token that is held", took)
			}
		}
		time.Sleep(30 * time.Minute)
		mustToken(t, cred)
		time.Sleep(time.Minute)
		if tk, _ := mustToken(t, cred); time.Until(tk.ExpiresOn) < 23*time.Hour {
			t.Errorf("the token ends in %v: no renewal after the outage", time.Until(tk.ExpiresOn))
		}
	})
}

// TestArcWithoutTheAgentsDirectory: in a container without the mount another challenge would bring
// nothing, so that the error comes at once and says what to do.
func TestArcWithoutTheAgentsDirectory(t *testing.T) {
	bubble(t, func(t *testing.T) {
		agent := newArcAgent(t)
		if err := os.RemoveAll(agent.dir); err != nil {
			t.Fatal(err)
		}
		agent.challenge = func(int) (*http.Response, error) {
			return challengeWith(filepath.Join(agent.dir, "1.key")), nil
		}
		e, took := mustFail(t, credentialAt(t, agent.env(), agent))
		wantErrorText(t, e, "401", "no directory "+agent.dir, "container")
		if took != 0 || len(agent.requests()) != 1 {
			t.Errorf("%d requests in %v, want 1 at once", len(agent.requests()), took)
		}
	})
}

// TestArcDirectoryThatLeadsElsewhere: any user of Windows can make a directory below ProgramData.
func TestArcDirectoryThatLeadsElsewhere(t *testing.T) {
	bubble(t, func(t *testing.T) {
		agent := newArcAgent(t)
		key := agent.write(1)
		agent.challenge = func(int) (*http.Response, error) { return challengeWith(key), nil }
		moved := filepath.Join(t.TempDir(), "moved")
		if err := os.Rename(agent.dir, moved); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(moved, agent.dir); err != nil {
			t.Skip(err)
		}
		env := agent.env()
		env.goos = "windows"
		e, _ := mustFail(t, credentialAt(t, env, agent))
		wantErrorText(t, e, "is a link or no directory")
		if n := len(agent.requests()); n != 1 {
			t.Errorf("%d requests, want 1: the key was sent", n)
		}
	})
}

// TestArcEchoIsTheSelector: the object ID's echo is object_id, and not what App Service calls it.
func TestArcEchoIsTheSelector(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{`{"object_id":"o"}`: "", `{"principal_id":"o"}`: "an identity that the answer doesn't name"} {
		body = strings.TrimSuffix(body, "}") + `,"access_token":"opaque","expires_in":3600}`
		g, err := token.Parse([]byte(body), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if got := mismatch(ObjectID("o"), g, true); got != want {
			t.Errorf("%s: got %q, want %q", body, got, want)
		}
	}
}

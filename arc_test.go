package identity

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
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

// withAgent runs a subtest with an agent of its own.
func withAgent(t *testing.T, name string, f func(t *testing.T, agent *arcAgent)) {
	t.Run(name, func(t *testing.T) { bubble(t, func(t *testing.T) { f(t, newArcAgent(t)) }) })
}

func (a *arcAgent) credential(tb testing.TB, adjust ...func(*CredentialOptions)) *Credential {
	tb.Helper()
	return credentialAt(tb, a.env(), a, adjust...)
}

// checkSent compares the keys of the requests.
func (a *arcAgent) checkSent(tb testing.TB, want ...string) {
	tb.Helper()
	if diff := cmp.Diff(want, authorizations(a.requests())); diff != "" {
		tb.Errorf("Authorization of the requests (-want +got):\n%s", diff)
	}
}

func TestArcRequests(t *testing.T) {
	for name, id := range map[string]ID{"system": nil, "client-id": ClientID(guid),
		"object-id": ObjectID(guid), "resource-id": ResourceID(identityID)} {
		withAgent(t, name, func(t *testing.T, agent *arcAgent) {
			const key = " pa55word+/== " // the content as it is
			agent.content = func(int) string { return key }
			agent.grant = func(int, string) (*http.Response, error) {
				return respond(200, grantOf(assigned, true, "client_id", guid, "object_id", guid,
					"msi_res_id", identityID)), nil
			}
			mustToken(t, agent.credential(t, withID(id)))
			var golden []string
			for _, r := range agent.requests() {
				text := strings.ReplaceAll(wireFormat(r, ""), key, "REDACTED")
				golden = append(golden, strings.Replace(text, "/"+agent.nonce, "", 1))
				if strings.Contains(text+r.UserAgent(), "pa55word") || r.ContentLength > 0 {
					t.Errorf("the key is elsewhere in the request, too, or there is a body: %s", text)
				}
			}
			compareGolden(t, "arc/"+name+".golden", strings.Join(golden, "\n"))
		})
	}
}

func TestArcEndpoint(t *testing.T) {
	t.Parallel()
	const (
		program    = "/opt/azcmagent/bin/himds"
		inWindows  = `C:\Program Files\AzureConnectedMachineAgent\himds.exe`
		whereMSAL  = `C:\ProgramData\AzureConnectedMachineAgent\himds.exe`
		endpoint   = "http://localhost:1/x"
		parameters = "?api-version=2020-06-01&resource=https%3A%2F%2Fvault.azure.net"
	)
	both := map[string]string{envEndpoint: endpoint, envIMDS: "y"}
	folders := map[string]string{"ProgramFiles": `C:\Program Files`, "ProgramData": `C:\ProgramData`}
	for _, tt := range []struct {
		name, goos string
		variables  map[string]string
		file       string
		host       Host
		want       string // "" for the fixed endpoint
	}{
		{name: "variables", variables: both, want: endpoint},
		{name: "variables and program", variables: both, file: program, want: endpoint},
		{name: "another version in the variable", want: endpoint,
			variables: and(both, envEndpoint, endpoint+"?client_id=a&mi_res_id=c&api-version=1")},
		{name: "variables on Windows", goos: "windows", want: endpoint,
			variables: and(both, "ProgramData", `C:\ProgramData`)},
		{name: "program", file: program},
		{name: "program, and one variable of two", file: program,
			variables: map[string]string{envEndpoint: endpoint}},
		{name: "program, and the other variable", file: program,
			variables: map[string]string{envIMDS: endpoint}},
		{name: "program on Windows", goos: "windows", variables: folders, file: inWindows},
		{name: "program where MSAL for Go looks", goos: "windows", variables: folders,
			file: whereMSAL},
		{name: "demanded", host: HostArc},
		{name: "demanded, and empty variables", host: HostArc,
			variables: map[string]string{envEndpoint: "", envIMDS: ""}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			env := environmentOf(tt.variables)
			if tt.goos != "" {
				env.goos = tt.goos
			}
			env.exists = func(path string) bool { return path == tt.file && tt.file != "" }
			want := tt.want
			if want == "" {
				want = "http://127.0.0.1:40342/metadata/identity/oauth2/token"
			}
			host, _, err := newSource(env, settingsOf(&CredentialOptions{Host: tt.host}))
			if err != nil {
				t.Fatal(err)
			}
			r, err := host.Call(t.Context(), acquire.Request{Resource: "https://vault.azure.net"})
			if err != nil || r.URL.String() != want+parameters {
				t.Errorf("the request goes to %s (%v), want %s", r.URL, err, want+parameters)
			}
			if host.host() != HostArc || host.Endpoint() != want {
				t.Errorf("%s at %s, want %s: it is the cache's key", host.host(), host.Endpoint(), want)
			}
		})
	}
}

// TestArcConstructorRefuses a system without an agent. internal/arckey tests its directories.
func TestArcConstructorRefuses(t *testing.T) {
	t.Parallel()
	for goos, want := range map[string]string{"darwin": "Linux and Windows, not on darwin",
		"freebsd": "not on freebsd", "windows": "identity: ProgramData: "} {
		env := environmentOf(map[string]string{envEndpoint: "http://localhost:1/x", envIMDS: "y"})
		env.goos = goos
		_, err := newCredential(nil, env)
		wantErrorText(t, err, want)
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
		cred := credentialAt(t, env, agent, once)
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
	next, again, err := src.(acquire.Follows).Follow(t.Context(), acquire.Request{Resource: "https://a"},
		acquire.Answer{Status: 401, Header: challengeWith(agent.write(1)).Header})
	if err != nil || !again {
		t.Fatalf("follow: again %v, error %v", again, err)
	}
	if next.Header.Get("Authorization") != "Basic key-1" || next.Secret != "key-1" {
		t.Errorf("the second request has %v, secret %q", next.Header, next.Secret)
	}
	after, err := src.Call(t.Context(), acquire.Request{Resource: "https://b"})
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
				_, again, err := s.Follow(t.Context(), r, acquire.Answer{Status: status, Header: header})
				if again || (err == nil) != (status == http.StatusNotFound) {
					t.Errorf("on %s a %d is followed: %v, %v", goos, status, again, err)
				}
			}
			if strings.HasSuffix(realm, ".key") { // it may be the machine's own, should there be an agent
				continue
			}
			challenged := acquire.Answer{Status: http.StatusUnauthorized, Header: header}
			next, again, err := s.Follow(t.Context(), r, challenged)
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

// TestArcKeyWithoutPermission: one try, at once, and with what to do.
func TestArcKeyWithoutPermission(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("here everybody may read a file without permissions")
	}
	if os.Geteuid() == 0 { // who may read everything
		asNobody(t)
		return
	}
	for _, what := range []string{"the file", "the directory"} {
		withAgent(t, what, func(t *testing.T, agent *arcAgent) {
			t.Cleanup(func() { _ = os.Chmod(agent.dir, 0o700) })
			agent.challenge = func(n int) (*http.Response, error) {
				file := agent.write(n)
				denied := file
				if what == "the directory" {
					denied = agent.dir
				}
				if err := os.Chmod(denied, 0); err != nil {
					t.Error(err)
				}
				return challengeWith(file), nil
			}
			cred := agent.credential(t)
			e, took := mustFail(t, cred)
			wantErrorText(t, e, "401", "1.key", "permission denied", "group himds")
			agent.checkSent(t, "")
			start := time.Now()
			if err := cred.Ready(t.Context(), vaultScope); err == nil || took+time.Since(start) > 0 {
				t.Errorf("Ready returned %v after %v, want the error at once", err, time.Since(start))
			}
		})
	}
}

// TestArcChallengesThatAreRefused: behind each of these paths is a file, and its content may not be
// sent.
func TestArcChallengesThatAreRefused(t *testing.T) {
	const secret = "pa55word"
	for _, tt := range []struct{ name, realm, want string }{
		{"another directory", "OUTSIDE/x.key", "it is not in "},
		{"dot-dot", "DIR/../BASEOUT/x.key", "it is not in "},
		{"dot-dot and back", "DIR/../BASE/x.key", "it is not in "},
		{"a directory below", "DIR/below/x.key", "it is not in "},
		{"another extension", "DIR/x.txt", "does not end in .key"},
		{".key alone", "DIR/.key", "does not end in .key"},
		{"link out of it", "DIR/out.key", "not a regular file"},
		{"link within it", "DIR/in.key", "not a regular file"},
		{"too large", "DIR/large.key", "larger than 4096 bytes"},
		{"lines", "DIR/lines.key", "control character"},
		{"NUL", "DIR/x.txt\x00.key", "control character"},
		{"a name without an end", "DIR/" + strings.Repeat("a", 60_000) + ".key",
			"can't read Azure Arc's key"},
		{"the agent's real directory", "/var/opt/azcmagent/tokens/x.key", "it is not in "},
	} {
		withAgent(t, tt.name, func(t *testing.T, agent *arcAgent) {
			outside := arcDirectory(t)
			for file, content := range map[string]string{outside + "/x.key": secret,
				agent.dir + "/x.key": secret, agent.dir + "/below/x.key": secret,
				agent.dir + "/x.txt": secret, agent.dir + "/.key": secret,
				agent.dir + "/large.key": strings.Repeat(secret, 1000),
				agent.dir + "/lines.key": secret + "\r\nX-Evil: 1"} {
				if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700),
					os.WriteFile(file, []byte(content), 0o600)); err != nil {
					t.Fatal(err)
				}
			}
			if err := errors.Join(os.Symlink(outside+"/x.key", agent.dir+"/out.key"),
				os.Symlink("x.key", agent.dir+"/in.key")); err != nil {
				t.Skip(err)
			}
			agent.challenge = func(int) (*http.Response, error) {
				return challengeWith(strings.NewReplacer("DIR", agent.dir, "OUTSIDE", outside,
					"BASEOUT", filepath.Base(outside), "BASE", filepath.Base(agent.dir)).Replace(tt.realm)), nil
			}
			e, took := mustFail(t, agent.credential(t))
			wantErrorText(t, e, "identity: Azure Arc: 401: ", tt.want)
			agent.checkSent(t, "")
			if took != 0 || e.Attempts != 1 {
				t.Errorf("%d attempts in %v, want one at once", e.Attempts, took)
			}
			if strings.Contains(e.Error(), secret) || len(e.Error()) > 1000 {
				t.Errorf("error of %d bytes shows what it should not: %.500s", len(e.Error()), e.Error())
			}
			for _, sentinel := range sentinels {
				if errors.Is(e, sentinel) {
					t.Errorf("error is %q", sentinel)
				}
			}
		})
	}
}

func TestArcChallengeWithoutRealm(t *testing.T) {
	for name, header := range map[string][]string{
		"no header":             nil,
		"another scheme":        {"WWW-Authenticate", `Bearer authorization="https://login.example/x"`},
		"no realm":              {"WWW-Authenticate", "Basic"},
		"empty realm":           {"WWW-Authenticate", "Basic realm="},
		"another header's name": {"Proxy-Authenticate", "Basic realm=/var/opt/azcmagent/tokens/x.key"},
	} {
		withAgent(t, name, func(t *testing.T, agent *arcAgent) {
			agent.challenge = func(int) (*http.Response, error) {
				return respond(401, "<html>Unauthorized</html>", header...), nil
			}
			e, took := mustFail(t, agent.credential(t))
			wantErrorText(t, e, "401", "WWW-Authenticate", "not Azure Arc's agent")
			if len(agent.requests()) != 1 || took != 0 {
				t.Errorf("%d requests in %v, want 1", len(agent.requests()), took)
			}
		})
	}
	for _, status := range []int{400, 402, 403, 404, 407, 302, 500} {
		withAgent(t, fmt.Sprint(status), func(t *testing.T, agent *arcAgent) {
			agent.challenge = func(n int) (*http.Response, error) {
				header := "Basic realm=" + agent.write(n)
				return respond(status, `{"error":"access_denied"}`, "WWW-Authenticate", header,
					"Proxy-Authenticate", header), nil
			}
			mustFail(t, agent.credential(t, once))
			agent.checkSent(t, "")
		})
	}
	withAgent(t, "several headers", func(t *testing.T, agent *arcAgent) {
		agent.challenge = func(n int) (*http.Response, error) {
			return respond(401, "", "WWW-Authenticate", "Negotiate", "WWW-Authenticate",
				`basic Realm="`+agent.write(n)+`", charset="UTF-8"`), nil
		}
		mustToken(t, agent.credential(t))
	})
}

// TestArcKeyThatIsNotThereYet: keys are short-lived, and files are written in more than one step.
// Another challenge brings another.
func TestArcKeyThatIsNotThereYet(t *testing.T) {
	// until makes an agent whose first keys aren't there, or are empty.
	until := func(agent *arcAgent, empty bool, ready func(n int) bool) {
		agent.challenge = func(n int) (*http.Response, error) {
			if ready(n) {
				return challengeWith(agent.write(n)), nil
			}
			file := filepath.Join(agent.dir, fmt.Sprintf("%d-too-early.key", n))
			if empty {
				if err := os.WriteFile(file, nil, 0o600); err != nil {
					return nil, err
				}
			}
			return challengeWith(file), nil
		}
	}
	for name, empty := range map[string]bool{"missing": false, "empty": true} {
		withAgent(t, name, func(t *testing.T, agent *arcAgent) {
			until(agent, empty, func(n int) bool { return n > 2 })
			mustToken(t, agent.credential(t))
			agent.checkSent(t, "", "", "", "Basic key-3")
		})
		withAgent(t, name+" for ever", func(t *testing.T, agent *arcAgent) {
			until(agent, empty, func(int) bool { return false })
			e, took := mustFail(t, agent.credential(t))
			wantErrorText(t, e, "401", "Azure Arc's key")
			if n := len(agent.requests()); n < 6 || e.Attempts != n || took < 20*time.Second ||
				took > 30*time.Second {
				t.Errorf("%d requests, %d attempts in %v, want many in 20 s to 30 s", n, e.Attempts, took)
			}
			agent.sent = nil
			if _, took := mustFail(t, agent.credential(t, once)); took != 0 {
				t.Errorf("a single try took %v", took)
			}
			agent.checkSent(t, "")
		})
	}
	withAgent(t, "Ready waits for it", func(t *testing.T, agent *arcAgent) {
		start := time.Now()
		until(agent, false, func(int) bool { return time.Since(start) >= 10*time.Minute })
		if err := agent.credential(t).Ready(t.Context(), vaultScope); err != nil {
			t.Error(err)
		}
		if took := time.Since(start); took < 10*time.Minute || took > 11*time.Minute {
			t.Errorf("ready after %v, want soon after 10 min", took)
		}
	})
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
		withAgent(t, fmt.Sprint(status), func(t *testing.T, agent *arcAgent) {
			cred := agent.credential(t)
			agent.challenge = func(int) (*http.Response, error) {
				return respond(status, grantBody(canary, time.Hour)), nil
			}
			e, took := mustFail(t, cred)
			wantErrorText(t, e, fmt.Sprint(status), "a token without a challenge",
				"not Azure Arc's agent")
			if took != 0 || len(agent.requests()) != 1 ||
				strings.Contains(fmt.Sprintf("%v %+v", e, *e), canary) {
				t.Errorf("%d requests in %v: %+v", len(agent.requests()), took, *e)
			}
		})
	}
	withAgent(t, "at a renewal", func(t *testing.T, agent *arcAgent) {
		cred := agent.credential(t)
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
}

// TestArcRefusesTheKey: with another challenge, which is not followed.
func TestArcRefusesTheKey(t *testing.T) {
	withAgent(t, "once", func(t *testing.T, agent *arcAgent) {
		agent.grant = func(n int, _ string) (*http.Response, error) {
			return challengeWith(agent.write(100 + n)), nil
		}
		e, took := mustFail(t, agent.credential(t, once))
		wantErrorText(t, e, "identity: Azure Arc: 401 access_denied", "refused the key", "2 attempts")
		agent.checkSent(t, "", "Basic key-1")
		if took != 0 || errors.Is(e, ErrIdentityNotFound) || errors.Is(e, ErrUnavailable) {
			t.Errorf("it is no missing identity and no missing agent: after %v: %v", took, e)
		}
	})
}

// TestArcMustEcho: an agent that doesn't know selectors ignores them, so that its answer has to
// name the identity, by the selector's name. TestMismatch has what else an answer may say.
func TestArcMustEcho(t *testing.T) {
	t.Parallel()
	quoted := fmt.Sprintf("%q", guid)
	const unnamed = "an identity that the answer doesn't name"
	for _, tt := range []struct {
		id         ID
		name, echo string // in JSON
		want       string // "" accepts the token
	}{
		{id: ClientID(guid), name: "client_id", echo: quoted},
		{id: ObjectID(guid), name: "object_id", echo: quoted},
		{id: ResourceID(identityID), name: "msi_res_id", echo: fmt.Sprintf("%q", identityID)},
		{id: ResourceID(identityID), name: "mi_res_id",
			echo: fmt.Sprintf("%q", strings.ToUpper(identityID)+"/")},
		{name: "client_id", echo: quoted},
		{id: ClientID(guid), name: "client_id", echo: `""`, want: unnamed},
		{id: ClientID(guid), name: "client_id", echo: `"  "`, want: unnamed},
		{id: ClientID(guid), name: "client_id", echo: "null", want: unnamed},
		{id: ClientID(guid), name: "client_id", echo: `{"value":` + quoted + "}", want: unnamed},
		{id: ClientID(guid), name: "client_id", echo: "[" + quoted + "]", want: unnamed},
		{id: ClientID(guid), name: "clientId", echo: quoted, want: unnamed},
		{id: ClientID(guid), name: "object_id", echo: quoted, want: unnamed},
		{id: ObjectID(guid), name: "principal_id", echo: quoted, want: unnamed}, // App Service's
		{id: ResourceID(identityID), name: "client_id", echo: quoted, want: unnamed},
		{id: ClientID(guid), name: "client_id", echo: fmt.Sprintf("%q", guid[:8]), want: guid[:8]},
		{id: ClientID(guid), name: "client_id", echo: fmt.Sprintf("%q", otherGUID), want: otherGUID},
	} {
		for _, value := range []string{"opaque", v1Token} { // the token agrees, but doesn't help
			body := fmt.Sprintf(`{"access_token":%q,"expires_in":3600,%q:%s}`, value, tt.name, tt.echo)
			g, err := token.Parse([]byte(body), time.Now())
			if err != nil {
				t.Fatal(err)
			}
			if got := mismatch(tt.id, g, true); got != tt.want {
				t.Errorf("%v, %s: got %q, want %q", tt.id, body, got, tt.want)
			}
		}
	}
}

// TestArcKeyOfTheTryBefore is in nothing that is printed, either: the endpoint has a memory.
func TestArcKeyOfTheTryBefore(t *testing.T) { // not parallel: see watch
	const key = canary + "+a/b="
	says := func(text string) string {
		return `{"error":"access_denied","error_description":"you sent ` + text + `"}`
	}
	w, stop := watch(map[string]bool{})
	defer stop()
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
		cred := agent.credential(t, func(o *CredentialOptions) {
			w.loud(&o.ClientOptions)
			o.Retry.MaxRetries, o.Logger = 1, w.logger
		})
		_, err := getToken(t.Context(), cred)
		synctest.Wait() // for the log
		w.showError(err)
		w.print(cred)
		texts := append(w.shown, w.azcore.String(), w.spans.String(), w.text.String(), w.json.String())
		if len(agent.requests()) != 3 || w.azcore.Len() == 0 || w.spans.Len() == 0 {
			t.Errorf("%d requests, want 3, and logs: this test sees nothing", len(agent.requests()))
		}
		for _, text := range texts {
			if strings.Contains(text, canary) {
				t.Errorf("the key of the try before is shown: %.2000s", text)
			}
		}
		time.Sleep(2 * time.Minute)
	})
}

// TestArcManyResourcesAtOnce: both requests of an acquisition hold one place, so that the agent
// never sees more than 5, and its limit of 20 a second costs time and no token.
func TestArcManyResourcesAtOnce(t *testing.T) {
	for name, limited := range map[string]bool{"at once": false, "in a second": true} {
		bubbleIn(t, name, func(t *testing.T) {
			ep := newArcFake(t, func(o *identitytest.Options) { o.RateLimit = limited })
			for range 80 {
				if !limited {
					ep.Enqueue(identitytest.Response{Delay: 100 * time.Millisecond})
				}
			}
			var now, most atomic.Int64
			cred := credentialAt(t, onArc(ep), transportFunc(func(r *http.Request) (*http.Response, error) {
				most.Store(max(most.Load(), now.Add(1)))
				defer now.Add(-1)
				return ep.Do(r)
			}))
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
			took, keys := time.Since(start), map[string]bool{}
			sent := authorizations(ep.Requests())
			for _, a := range sent {
				keys[a] = true
			}
			switch {
			case limited && (took < 3*time.Second || took > 15*time.Second):
				t.Errorf("40 tokens in %v, want 3 s to 15 s: 80 requests at 20 a second", took)
			case !limited && (len(sent) != 80 || len(keys) != 41) || most.Load() > 5:
				t.Errorf("%d requests with %d different Authorizations, at most %d at once, want 80, 41 and 5",
					len(sent), len(keys), most.Load())
			}
		})
	}
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

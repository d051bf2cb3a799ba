package identity

import (
	"context"
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

	"github.com/google/go-cmp/cmp"
	"github.com/keyless-go/identity/identitytest"
	"github.com/keyless-go/identity/internal/acquire"
	"github.com/keyless-go/identity/internal/arckey"
	"github.com/keyless-go/identity/internal/seam"
)

const arcBase = "http://127.0.0.1:40342"

// onArc is the environment of the fake agent. On Windows the test's directory has Windows' kind of
// path.
func onArc(ep *identitytest.Endpoint) environment {
	return nativeArcPaths(environmentAt(ep, arcBase))
}

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
	bubbleIn(t, name, func(t *testing.T) { f(t, newArcAgent(t)) })
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

// TestArcEndpoint: it is the variables', or else the fixed one; and the cache's key.
func TestArcEndpoint(t *testing.T) {
	t.Parallel()
	const endpoint, program = "http://localhost:1/x", "/opt/azcmagent/bin/himds"
	for _, tt := range []struct {
		name      string
		variables map[string]string
		file      string
		host      Host
		want      string // "" for the fixed endpoint
	}{
		{name: "variables and program", file: program, want: endpoint,
			variables: map[string]string{envEndpoint: endpoint, envIMDS: "y"}},
		{name: "program", file: program},
		{name: "and one variable of two", file: program,
			variables: map[string]string{envEndpoint: endpoint}},
		{name: "and the other variable", file: program, variables: map[string]string{envIMDS: endpoint}},
		{name: "demanded, and empty variables", host: HostArc,
			variables: map[string]string{envEndpoint: "", envIMDS: ""}},
	} {
		env := environmentOf(tt.variables)
		env.exists = func(path string) bool { return path == tt.file && tt.file != "" }
		want := tt.want
		if want == "" {
			want = "http://127.0.0.1:40342/metadata/identity/oauth2/token"
		}
		host, _, err := newSource(env, settingsOf(&CredentialOptions{Host: tt.host}))
		if err != nil {
			t.Fatal(err)
		}
		r, err := host.Call(t.Context(), acquire.Request{Resource: "r"})
		if err != nil || r.URL.String() != want+"?api-version=2020-06-01&resource=r" ||
			host.host() != HostArc || host.Endpoint() != want {
			t.Errorf("%s: %s at %s is asked by %s (%v), want %s", tt.name, host.host(),
				host.Endpoint(), r.URL, err, want)
		}
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
	for _, name := range []string{"plain", "a blank", "a, comma", "a,comma", "equals=sign", "Jane's",
		"dots..dots", "umläut", "x.key"} {
		bubbleIn(t, name, func(t *testing.T) {
			dir := filepath.Join(arcDirectory(t), name)
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			ep := newArcFake(t, func(o *identitytest.Options) { o.Dir = dir })
			mustToken(t, credentialAt(t, onArc(ep), ep))
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

// FuzzArcChallenge: whatever header arrives, only a challenge is followed, and only one that names
// a key of the agent's. internal/arckey tests which those are.
func FuzzArcChallenge(f *testing.F) {
	for _, realm := range []string{"/x.key", "/var/opt/azcmagent/tokens/../x.key", "", "x\x01",
		`C:\x.key`} {
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

// arcRefusals are answers that are no challenge of the agent's, or name no key of its own.
var arcRefusals = []struct {
	name   string
	status int      // 0 for 401
	header []string // DIR, and OUTSIDE it, are directories with keys
	body   string
	change func(dir string) error // is made to the agent's directory
	want   []string
}{
	{name: "another directory", header: realmOf("OUTSIDE/x.key"), want: []string{"it is not in "}},
	{name: "dot-dot", header: realmOf("DIR/../OUTSIDE/x.key"), want: []string{"it is not in "}},
	{name: "the agent's real directory", header: realmOf("/var/opt/azcmagent/tokens/x.key"),
		want: []string{"it is not in "}},
	{name: "another extension", header: realmOf("DIR/x.txt"), want: []string{"not end in .key"}},
	{name: "NUL", header: realmOf("DIR/x.txt\x00.key"), want: []string{"control character"}},
	{name: "too large", header: realmOf("DIR/large.key"), want: []string{"larger than 4096 bytes"}},
	{name: "lines", header: realmOf("DIR/lines.key"), want: []string{"control character"}},
	{name: "a name without an end", header: realmOf("DIR/" + strings.Repeat("a", 60_000) + ".key"),
		want: []string{"can't read Azure Arc's key"}},
	{name: "a link", header: realmOf("DIR/link.key"), want: []string{"not a regular file"},
		change: func(dir string) error { return os.Symlink("x.key", dir+"/link.key") }},
	{name: "no directory", header: realmOf("DIR/x.key"), change: os.RemoveAll,
		want: []string{"no directory DIR", "container"}},

	{name: "no header", want: []string{"WWW-Authenticate", "not Azure Arc's agent"}},
	{name: "another scheme", header: []string{"WWW-Authenticate", "Bearer authorization=x"},
		want: []string{"WWW-Authenticate", "not Azure Arc's agent"}},
	{name: "another header's name", header: []string{"Proxy-Authenticate", "Basic realm=DIR/x.key"},
		want: []string{"WWW-Authenticate", "not Azure Arc's agent"}},
	{name: "a token", status: 200, header: realmOf("DIR/x.key"), body: grantBody(canary, time.Hour),
		want: []string{"a token without a challenge", "not Azure Arc's agent"}},
	{name: "a token, 202", status: 202, body: grantBody(canary, time.Hour),
		want: []string{"a token without a challenge", "not Azure Arc's agent"}},
	{name: "400", status: 400, header: realmOf("DIR/x.key")},
	{name: "402", status: 402, header: realmOf("DIR/x.key")},
	{name: "403", status: 403, header: realmOf("DIR/x.key")},
	{name: "404", status: 404, header: realmOf("DIR/x.key")},
	{name: "407", status: 407, header: append(realmOf("DIR/x.key"), "Proxy-Authenticate", "Basic")},
}

// realmOf is the header of a challenge.
func realmOf(path string) []string { return []string{"WWW-Authenticate", "Basic realm=" + path} }

// TestArcRefusals: one request, and an error at once that shows nothing of a key. Behind each path
// is a file, and its content may not be sent.
func TestArcRefusals(t *testing.T) {
	const secret = "pa55word"
	for _, tt := range arcRefusals {
		withAgent(t, tt.name, func(t *testing.T, agent *arcAgent) {
			outside := arcDirectory(t)
			for file, content := range map[string]string{
				outside + "/x.key": secret, agent.dir + "/x.key": secret, agent.dir + "/x.txt": secret,
				agent.dir + "/large.key": strings.Repeat(secret, 1000),
				agent.dir + "/lines.key": secret + "\r\nX-Evil: 1",
			} {
				if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if tt.change != nil {
				if err := tt.change(agent.dir); err != nil {
					t.Skip(err)
				}
			}
			status := max(tt.status, 401*(1-min(tt.status, 1)))
			named := strings.NewReplacer("DIR/../OUTSIDE", agent.dir+"/../"+filepath.Base(outside),
				"DIR", agent.dir, "OUTSIDE", outside)
			agent.challenge = func(int) (*http.Response, error) {
				var header []string
				for _, text := range tt.header {
					header = append(header, named.Replace(text))
				}
				return respond(status, tt.body, header...), nil
			}
			cred, start := agent.credential(t), time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			e, _ := mustFail(t, cred)
			wantErrorText(t, e, fmt.Sprintf("identity: Azure Arc: %d", status))
			for _, want := range tt.want {
				wantErrorText(t, e, named.Replace(want))
			}
			agent.checkSent(t, "")
			if err := cred.Ready(ctx, vaultScope); err == nil || e.Attempts != 1 ||
				time.Since(start) != 0 {
				t.Errorf("%d attempts, and Ready returned %v after %v, want one attempt, and the error at once",
					e.Attempts, err, time.Since(start))
			}
			if text := fmt.Sprintf("%v %+v", e, *e); strings.Contains(text, secret) ||
				strings.Contains(text, canary) || len(e.Error()) > 1000 {
				t.Errorf("error of %d bytes shows what it should not: %.500s", len(e.Error()), text)
			}
			for _, sentinel := range sentinels {
				if errors.Is(e, sentinel) {
					t.Errorf("error is %q", sentinel)
				}
			}
		})
	}
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
	withAgent(t, "the directory", func(t *testing.T, agent *arcAgent) {
		t.Cleanup(func() { _ = os.Chmod(agent.dir, 0o700) })
		agent.challenge = func(n int) (*http.Response, error) {
			file := agent.write(n)
			return challengeWith(file), os.Chmod(agent.dir, 0)
		}
		e, took := mustFail(t, agent.credential(t))
		wantErrorText(t, e, "401", "1.key", "permission denied", "group himds")
		if agent.checkSent(t, ""); took != 0 {
			t.Errorf("it took %v", took)
		}
	})
}

func TestArcSeveralHeaders(t *testing.T) {
	bubble(t, func(t *testing.T) {
		agent := newArcAgent(t)
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
	bubbleIn(t, "between the challenge and the reading", func(t *testing.T) {
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
	bubbleIn(t, "between the reading and the second request", func(t *testing.T) {
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

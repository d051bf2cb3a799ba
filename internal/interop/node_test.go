package interop

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity"
	"github.com/keyless-go/identity/identitytest"
)

// inJavaScript is what every request differs in.
var inJavaScript = []difference{
	{"header User-Agent", `azsdk-js-identity/4\.13\.1 .+`, `azsdk-go-identity/v\d+\.\d+\.\d+ \(.+\)`,
		"each names itself, as its azcore does it"},
	{"header Accept-Encoding", "gzip,deflate", none, ownTransport[1].why},
	{"header Connection", "keep-alive", "close", ownTransport[0].why},
	{"header Content-Type", "application/x-www-form-urlencoded;charset=utf-8", none,
		"a GET has no content"},
	{"header X-Ms-Client-Request-Id", guid, none, "not documented"},
}

// inJavaScriptIMDS is what differs on IMDS besides.
var inJavaScriptIMDS = []difference{
	{"path", `/[0-9a-f]+/metadata/identity/oauth2/token/`, `/[0-9a-f]+/metadata/identity/oauth2/token`,
		"the documented path ends in no slash; MSAL adds one where a variable has the address"},
	{"header X-Client-Sku", `msal\.js\.node`, none,
		"tells Microsoft who asks, as User-Agent does; not documented"},
	{"header X-Client-Ver", `\d+\.\d+\.\d+`, none, "as above"},
}

// TestJavaScript: @azure/identity for JavaScript, which unlike azidentity can be told where IMDS
// is, and we, over loopback.
func TestJavaScript(t *testing.T) {
	script := install(t)
	selectors := []struct {
		selector
		option func(identitytest.Identity) map[string]string
	}{
		{noSelector, func(identitytest.Identity) map[string]string { return map[string]string{} }},
		{byClientID, func(i identitytest.Identity) map[string]string {
			return map[string]string{"clientId": i.ClientID}
		}},
		{byObjectID, func(i identitytest.Identity) map[string]string {
			return map[string]string{"objectId": i.ObjectID}
		}},
		{byResourceID, func(i identitytest.Identity) map[string]string {
			return map[string]string{"resourceId": i.ResourceID}
		}},
	}
	for _, host := range []struct {
		name       string
		make       func(*identitytest.Options) *identitytest.Endpoint
		meant      []difference
		byObjectID []difference
	}{
		{"IMDS", identitytest.NewIMDS, inJavaScriptIMDS, nil},
		{"App Service", identitytest.NewAppService, []difference{metadataToo}, principalID},
	} {
		t.Run(host.name, func(t *testing.T) {
			withoutAgent(t)
			ep := host.make(&identitytest.Options{Identities: three, HostCache: true})
			paths := behindSlashes(t, ep)
			type test struct {
				name    string
				ours    identity.ID
				meant   []difference
				refused bool
			}
			var tests []test
			var asks []asked
			for _, s := range selectors {
				meant := slices.Concat(inJavaScript, host.meant)
				if s.name == byObjectID.name {
					meant = append(meant, host.byObjectID...)
				}
				tests = append(tests, test{s.name, s.ours(ep.Identities()[1]), meant, false})
				asks = append(asks, asked{newScope(), s.option(ep.Identities()[1])})
				if s.name != noSelector.name {
					tests = append(tests, test{s.name + " of a stranger", s.ours(nobody), meant, true})
					asks = append(asks, asked{newScope(), s.option(nobody)})
				}
			}
			answers := script(t, asks)
			requests := ep.Requests()
			if len(answers) != len(tests) || len(requests) != len(tests) {
				t.Fatalf("the peer sent %d requests and has %d answers, want %d\n%s", len(requests),
					len(answers), len(tests), list(requests))
			}
			for i, path := range paths() {
				requests[i].URL.Path = path
			}
			for i, test := range tests {
				t.Run(test.name, func(t *testing.T) {
					ours, err := identity.NewCredential(&identity.CredentialOptions{ID: test.ours})
					if err != nil {
						t.Fatal(err)
					}
					own := ask(t, ep, ours, policy.TokenRequestOptions{Scopes: []string{asks[i].Scope}})
					compare(t, requests[i:i+1], own.requests, test.meant)
					if test.refused {
						if answers[i].Error == "" || own.err == nil {
							t.Errorf("got errors: the peer %q; we %v", answers[i].Error, own.err)
						}
						return
					}
					if answers[i].Error != "" {
						t.Fatalf("got an error of the peer: %s", answers[i].Error)
					}
					theirs := exchange{token: azcore.AccessToken{Token: answers[i].Token,
						ExpiresOn: own.token.ExpiresOn}}
					sameToken(t, theirs, own)
					// The peer makes a duration of the time and adds that to its own whole seconds.
					if d := own.token.ExpiresOn.Sub(time.UnixMilli(answers[i].Expires)).Abs(); d > 2*time.Second {
						t.Errorf("got a token until %v, the peer until %v", own.token.ExpiresOn,
							time.UnixMilli(answers[i].Expires))
					}
				})
			}
		})
	}
}

// behindSlashes serves the endpoint, and sets the variables by which it is found. It knows no path
// that ends in a slash, so the last one is taken away; paths returns those that were asked for.
func behindSlashes(t *testing.T, ep *identitytest.Endpoint) (paths func() []string) {
	t.Helper()
	var mu sync.Mutex
	var asked []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		asked = append(asked, r.URL.Path)
		mu.Unlock()
		r.URL.Path = strings.TrimSuffix(r.URL.Path, "/")
		ep.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	for _, line := range ep.Env(server.URL) {
		name, value, _ := strings.Cut(line, "=")
		t.Setenv(name, value)
	}
	return func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(asked)
	}
}

// asked is what the script in node is to ask for, and answered what it prints.
type (
	asked struct {
		Scope   string            `json:"scope"`
		Options map[string]string `json:"options"`
	}
	answered struct {
		Token   string `json:"token"`
		Expires int64  `json:"expiresOnTimestamp"` // in milliseconds
		Error   string `json:"error"`
	}
)

// install gets the peer and returns the script that asks it.
func install(t *testing.T) func(*testing.T, []asked) []answered {
	t.Helper()
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("there is no node on PATH")
	}
	if _, err := exec.LookPath("npm"); err != nil {
		t.Skip("there is no npm on PATH")
	}
	dir, err := installed()
	if err != nil {
		t.Fatal(err)
	}

	return func(t *testing.T, asks []asked) (answers []answered) {
		t.Helper()
		argument, err := json.Marshal(asks)
		if err != nil {
			t.Fatal(err)
		}
		// Without the variables that the fake has set to nothing: the peer takes an empty
		// AZURE_AUTHORITY_HOST for a wrong one. TestMain has taken the proxies away.
		environment := slices.DeleteFunc(os.Environ(), func(line string) bool {
			return strings.HasSuffix(line, "=")
		})
		out := run(t, time.Minute, dir, append(environment, "NO_PROXY=*"), node, "token.js",
			string(argument))
		for line := range bytes.Lines(out) {
			var a answered
			if err := json.Unmarshal(line, &a); err != nil {
				t.Fatalf("%v in %q", err, line)
			}
			answers = append(answers, a)
		}
		return answers
	}
}

// peerDir is where the peer is, once a test has asked for it. TestMain removes it.
var peerDir string

// installed gets the peer, once for all tests.
var installed = sync.OnceValues(func() (dir string, err error) {
	if peerDir, err = os.MkdirTemp("", "interop-"); err != nil {
		return "", err
	}
	for _, name := range []string{"package.json", "package-lock.json", "token.js"} {
		content, err := os.ReadFile(filepath.Join("node", name))
		if err != nil {
			return "", err
		}
		if err := os.WriteFile(filepath.Join(peerDir, name), content, 0o600); err != nil {
			return "", err
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	_, err = execute(ctx, peerDir, inherited, "npm", "ci", "--ignore-scripts", "--no-audit",
		"--no-fund", "--no-update-notifier")
	return peerDir, err
})

// run runs a program to its end, for which it has limit.
func run(
	t *testing.T, limit time.Duration, dir string, environment []string, program string,
	arguments ...string,
) (stdout []byte) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	stdout, err := execute(ctx, dir, environment, program, arguments...)
	if err != nil {
		t.Fatal(err)
	}
	return stdout
}

func execute(
	ctx context.Context, dir string, environment []string, program string, arguments ...string,
) (stdout []byte, err error) {
	command := exec.CommandContext(ctx, program, arguments...)
	command.Dir, command.Env = dir, environment
	command.WaitDelay = 5 * time.Second // its own children may hold the pipes
	var stderr bytes.Buffer
	command.Stderr = &stderr
	if stdout, err = command.Output(); err != nil {
		return nil, fmt.Errorf("%s %v: %w\n%s%s", program, arguments, err, stdout, stderr.Bytes())
	}
	return stdout, nil
}

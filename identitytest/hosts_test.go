package identitytest

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// environ is where a client learns of its host.
type environ func(name string) string

// inMemory is the environment of a client whose transport is e.
func inMemory(e *Endpoint) environ {
	base := "http://localhost:4141"
	if e.certificate != nil {
		base = "https://localhost:2377"
	}
	env := environment(e, base)
	return func(name string) string { return env[name] }
}

// transport sends a request that is right unless a test has spoiled it.
type transport func(*testing.T, *http.Request) reply

func throughDo(e *Endpoint) transport {
	return func(t *testing.T, r *http.Request) reply { t.Helper(); return do(t, e, r) }
}

func throughClient(c *http.Client) transport {
	return func(t *testing.T, r *http.Request) reply {
		t.Helper()
		response, err := c.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		return read(t, response)
	}
}

// all are the hosts, and how a client asks each for a token of vault.
var all = []hostTest{
	{name: "IMDS", new: NewIMDS, check: checkIMDS, echoes: "asked",
		request: func(t *testing.T, env environ, more string) *http.Request {
			r := request(t, "GET", env("AZURE_POD_IDENTITY_AUTHORITY_HOST")+
				"/metadata/identity/oauth2/token?api-version=2018-02-01&resource="+vault+more, "")
			r.Header.Set("Metadata", "true")
			return r
		}, refused: []string{"error", "error_description"}},
	{name: "AppService", new: NewAppService, check: checkAppService, echoes: "client",
		request: func(t *testing.T, env environ, more string) *http.Request {
			r := request(t, "GET", env("IDENTITY_ENDPOINT")+appQuery+more, "")
			r.Header.Set("X-IDENTITY-HEADER", env("IDENTITY_HEADER"))
			return r
		}, wrongSecret: 403, refused: []string{"correlationId", "message", "statusCode"}},
	{name: "AppService2017", new: NewAppService2017, check: checkAppService, request: request2017,
		wrongSecret: 403, refused: []string{"correlationId", "message", "statusCode"}},
	{name: "AzureML", new: NewAzureML, check: checkCoded, request: request2017, echoes: "client",
		wrongSecret: 401, refused: []string{"error"}},
	{name: "ServiceFabric", new: NewServiceFabric, check: checkFabric, request: fabricRequest,
		wrongSecret: 404, refused: []string{"error"}},
	{name: "ContainerInstances", new: NewContainerInstances, check: checkGroup, request: groupRequest,
		wrongSecret: 404, refused: []string{"error"}},
	{name: "CloudShell", new: NewCloudShell, check: checkCoded,
		request: func(t *testing.T, env environ, more string) *http.Request {
			return shellRequest(t, env, "resource="+vault+more)
		}, refused: []string{"error"}},
	{name: "Arc", new: NewArc, check: checkFlat, echoes: "asked",
		request: func(t *testing.T, env environ, more string) *http.Request {
			return arcRequest(t, env, more, "")
		}, wrongSecret: 401, refused: []string{"error", "error_description"}},
	{name: "WorkloadIdentity", new: NewWorkloadIdentity,
		request: func(t *testing.T, env environ, _ string) *http.Request {
			return workloadRequest(t, env, nil)
		}, wrongSecret: 401, refused: []string{"correlation_id", "error", "error_codes",
			"error_description", "error_uri", "timestamp", "trace_id"}},
}

// hostTest is what the tests of every host have to know of one.
type hostTest struct {
	name string
	new  func(*Options) *Endpoint
	// request is a right one, with more behind its query, or its form.
	request func(t *testing.T, env environ, more string) *http.Request
	// check compares a refusal with what is wanted, and its form with the host's.
	check func(t *testing.T, got reply, want refusal)
	// echoes says which ID an answer repeats: the "asked" one, or the token's "client" ID.
	echoes string
	// wrongSecret is the status of the answer to a secret that is none any more; 0 if the host has no
	// secret.
	wrongSecret int
	// refused has the members of the host's own answer of status 400.
	refused []string
}

// ask asks for a token. On Azure Arc that takes two requests.
func (h hostTest) ask(t *testing.T, env environ, send transport, more ...string) reply {
	t.Helper()
	right := func() *http.Request { return h.request(t, env, strings.Join(more, "")) }
	r := right()
	if h.name == "Arc" {
		r.Header.Set("Authorization", "Basic "+readKey(t, send(t, right())))
	}
	return send(t, r)
}

// fresh is an endpoint with the default options.
func (h hostTest) fresh(t *testing.T) *Endpoint {
	t.Helper()
	return h.new(&Options{Dir: t.TempDir()})
}

// onAll runs a test on each of the hosts.
func onAll(t *testing.T, f func(t *testing.T, host hostTest)) {
	for _, host := range all {
		t.Run(host.name, func(t *testing.T) { f(t, host) })
	}
}

// inBubbles does so in parallel and on virtual time. The directory is for the host's files.
func inBubbles(t *testing.T, f func(t *testing.T, host hostTest, dir string)) {
	t.Parallel()
	onAll(t, func(t *testing.T, host hostTest) {
		t.Parallel()
		dir := t.TempDir()
		synctest.Test(t, func(t *testing.T) { f(t, host, dir) })
	})
}

func request2017(t *testing.T, env environ, more string) *http.Request {
	t.Helper()
	r := request(t, "GET", env("MSI_ENDPOINT")+"?api-version=2017-09-01&resource="+vault+more, "")
	r.Header.Set("secret", env("MSI_SECRET"))
	return r
}

func fabricRequest(t *testing.T, env environ, more string) *http.Request {
	t.Helper()
	r := request(t, "GET", env("IDENTITY_ENDPOINT")+"?api-version="+env("IDENTITY_API_VERSION")+
		"&resource="+vault+more, "")
	r.Header.Set("Secret", env("IDENTITY_HEADER"))
	return r
}

func groupRequest(t *testing.T, env environ, more string) *http.Request {
	t.Helper()
	r := request(t, "GET", env("IDENTITY_ENDPOINT")+"&resource="+vault+more, "")
	r.Header.Set("Secret", env("IDENTITY_HEADER"))
	return r
}

func shellRequest(t *testing.T, env environ, form string) *http.Request {
	t.Helper()
	r := request(t, "POST", env("MSI_ENDPOINT"), form)
	r.Header.Set("Metadata", "true")
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r
}

func arcRequest(t *testing.T, env environ, more, key string) *http.Request {
	t.Helper()
	r := request(t, "GET", env("IDENTITY_ENDPOINT")+"?api-version=2020-06-01&resource="+vault+more, "")
	r.Header.Set("Metadata", "true")
	if key != "" {
		r.Header.Set("Authorization", "Basic "+key)
	}
	return r
}

// readKey returns the content of the key file that a challenge names.
func readKey(t *testing.T, challenge reply) string {
	t.Helper()
	key, err := os.ReadFile(keyFile(t, challenge))
	if err != nil {
		t.Fatal(err)
	}
	return string(key)
}

func keyFile(t *testing.T, challenge reply) string {
	t.Helper()
	file, ok := strings.CutPrefix(challenge.Header.Get("WWW-Authenticate"), "Basic realm=")
	if challenge.Status != 401 || !ok {
		t.Fatalf("got status %d with WWW-Authenticate %q, want a challenge", challenge.Status,
			challenge.Header.Get("WWW-Authenticate"))
	}
	return file
}

// workloadRequest is a right request, but for what change does to it.
func workloadRequest(t *testing.T, env environ, change url.Values) *http.Request {
	t.Helper()
	assertion, err := os.ReadFile(env("AZURE_FEDERATED_TOKEN_FILE"))
	if err != nil {
		t.Fatal(err)
	}
	form := url.Values{
		"grant_type":            {"client_credentials"},
		"client_id":             {env("AZURE_CLIENT_ID")},
		"scope":                 {vault + "/.default"},
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
		"client_assertion":      {string(assertion)},
		"client_info":           {"1"}, // of MSAL's
	}
	maps.Copy(form, change)
	r := request(t, "POST", env("AZURE_AUTHORITY_HOST")+env("AZURE_TENANT_ID")+"/oauth2/v2.0/token",
		form.Encode())
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	return r
}

// members are those of a JSON object, with numbers as they are written.
func members(t *testing.T, body string) map[string]any {
	t.Helper()
	var m map[string]any
	decoder := json.NewDecoder(strings.NewReader(body))
	decoder.UseNumber()
	if err := decoder.Decode(&m); err != nil {
		t.Fatalf("body %q: %v", body, err)
	}
	return m
}

// tokenOf is the token of a successful answer of any host.
func tokenOf(t *testing.T, got reply) string {
	t.Helper()
	if got.Status != http.StatusOK {
		t.Fatalf("got status %d %s, want a token", got.Status, got.Body)
	}
	if kind := got.Header.Get("Content-Type"); kind != "application/json; charset=utf-8" {
		t.Errorf("got Content-Type %q", kind)
	}
	raw, _ := members(t, got.Body)["access_token"].(string)
	return raw
}

// Over connections in memory, TLS included, and with no goroutine left at the end of the bubble.
func TestHostsAnswer(t *testing.T) {
	inBubbles(t, func(t *testing.T, host hostTest, dir string) {
		e := host.new(&Options{Dir: dir})
		life := 24 * time.Hour
		if host.name == "WorkloadIdentity" {
			life = time.Hour
		}
		for _, send := range []transport{throughDo(e), throughClient(e.Client())} {
			c := readClaims(t, tokenOf(t, host.ask(t, inMemory(e), send)))
			if want := e.Identities()[0]; c.Audience != vault || c.ObjectID != want.ObjectID ||
				c.TenantID != want.TenantID {
				t.Errorf("got aud %q, oid %q, tid %q; want %q, %q, %q", c.Audience, c.ObjectID, c.TenantID,
					vault, want.ObjectID, want.TenantID)
			}
			if c.Capabilities != nil {
				t.Errorf("got xms_cc %q, want none: nobody asked for it", c.Capabilities)
			}
			if left := time.Until(time.Unix(c.Expires, 0)); left != life {
				t.Errorf("the token ends in %v, want %v, and no time to have passed", left, life)
			}
		}
	})
}

// As a process does it that knows only its environment.
func TestHostsAnswerStarted(t *testing.T) {
	onAll(t, func(t *testing.T, host hostTest) {
		e := host.fresh(t)
		e.Start(t)
		scheme, plain := "http", &http.Transport{DisableKeepAlives: true}
		if config := e.TLSConfig(); config != nil {
			scheme, plain.TLSClientConfig = "https", &tls.Config{RootCAs: x509.NewCertPool()}
			plain.TLSClientConfig.RootCAs.AddCert(config.Certificates[0].Leaf)
		}
		tokenOf(t, host.ask(t, os.Getenv, throughClient(&http.Client{Transport: plain})))
		for _, r := range e.Requests() {
			if r.URL.Scheme != scheme || !strings.HasPrefix(r.URL.Host, "127.0.0.1:") {
				t.Errorf("got a request for %s, want %s://127.0.0.1", r.URL, scheme)
			}
		}
	})
}

// After a rotation, what was right before is refused, and what the environment has then is right.
func TestRotateSecret(t *testing.T) {
	onAll(t, func(t *testing.T, host hostTest) {
		e := host.fresh(t)
		if host.wrongSecret == 0 {
			mustPanic(t, "RotateSecret: only App Service", e.RotateSecret)
			return
		}
		var last *http.Request // the one that is answered with a token
		var recorded transport = func(t *testing.T, r *http.Request) reply {
			last = r.Clone(t.Context())
			if r.GetBody != nil {
				last.Body, _ = r.GetBody()
			}
			return do(t, e, r)
		}

		env := inMemory(e)
		if host.name == "Arc" {
			last = arcRequest(t, env, "", readKey(t, do(t, e, arcRequest(t, env, "", ""))))
		} else {
			tokenOf(t, host.ask(t, env, recorded))
		}
		e.RotateSecret()
		if got := do(t, e, last); got.Status != host.wrongSecret {
			t.Errorf("after a rotation: got status %d for the old secret, want %d", got.Status,
				host.wrongSecret)
		}
		tokenOf(t, host.ask(t, inMemory(e), recorded))

		e.Start(t)
		e.RotateSecret()
		e.RotateSecret()
		tokenOf(t, host.ask(t, os.Getenv, recorded))
	})
}

func TestRotateSecretLeavesTheEnvironmentAlone(t *testing.T) {
	for _, name := range []string{"IDENTITY_HEADER", "MSI_SECRET"} {
		t.Setenv(name, "as before")
	}
	for _, host := range all {
		if host.wrongSecret != 0 {
			host.fresh(t).RotateSecret()
		}
	}
	for _, name := range []string{"IDENTITY_HEADER", "MSI_SECRET"} {
		if got := os.Getenv(name); got != "as before" {
			t.Errorf("%s: got %q, want it left alone: no endpoint is started", name, got)
		}
	}
}

func TestHostCacheOfEachHost(t *testing.T) {
	inBubbles(t, func(t *testing.T, host hostTest, dir string) {
		for _, cache := range []bool{false, true} {
			e := host.new(&Options{Dir: dir, HostCache: cache})
			get := func() string { return tokenOf(t, host.ask(t, inMemory(e), throughDo(e))) }
			first, second := get(), get()
			if same := first == second; same != (cache && host.name != "WorkloadIdentity") {
				t.Errorf("HostCache %t: got the same token twice: %t", cache, same)
			}
		}
	})
}

// askingFor makes a right request one for another resource.
func askingFor(t *testing.T, resource string, send transport) transport {
	return func(_ *testing.T, r *http.Request) reply {
		t.Helper()
		if r.Method == http.MethodGet {
			query("resource", resource)(r)
			return send(t, r)
		}
		if err := r.ParseForm(); err != nil {
			t.Fatal(err)
		}
		if r.PostForm.Has("scope") {
			r.PostForm.Set("scope", resource+"/.default")
		} else {
			r.PostForm.Set("resource", resource)
		}
		body := r.PostForm.Encode()
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
		return send(t, r)
	}
}

// What Entra can't know is no resource, whatever the host. The commonest mistake is a scope in a
// resource's place.
func TestUnknownResources(t *testing.T) {
	t.Parallel()
	const entra = "AADSTS500011: The resource principal named "
	const invalid = `"error":"invalid_resource","error_description":"` + entra
	refused := map[string]struct {
		status int
		text   string // within the body
	}{
		"IMDS": {400, invalid}, "Arc": {400, invalid}, "WorkloadIdentity": {400, invalid},
		"AppService":     {500, `"An unexpected error occured while fetching the AAD Token."`},
		"AppService2017": {400, `"ExceptionMessage":"` + entra}, "AzureML": {400, entra},
		"ServiceFabric":      {500, `"code":"InternalServerError"`},
		"ContainerInstances": {500, `"code":"InternalServerError"`},
		"CloudShell":         {400, `"code":"AudienceNotSupported"`},
	}
	onAll(t, func(t *testing.T, host hostTest) {
		t.Parallel()
		e := host.fresh(t)
		ask := func(resource string) reply {
			return host.ask(t, inMemory(e), askingFor(t, resource, throughDo(e)))
		}
		unknown := []string{
			"nonsense", "vault.azure.net", "vault.azure.net:443", "localhost:8080", vault + "/.default",
			vault + "/.DEFAULT", vault + "/.default/", vault + "//.default", "https://",
			"https:vault.azure.net", "api:", "/subscriptions/x", "0949bc77-831b-4ab2-bad5-28598868c45",
			"%",
		}
		if host.name != "WorkloadIdentity" { // which has refused two scopes before
			unknown = append(unknown, vault+" "+vault, vault+"/ ", " "+vault, vault+"/\n")
		}
		want := refused[host.name]
		for _, resource := range unknown {
			if got := ask(resource); got.Status != want.status ||
				!strings.Contains(got.Body, want.text) || strings.Contains(got.Body, "access_token") {
				t.Errorf("%s: got %d %s, want %d with %s", resource, got.Status, got.Body, want.status,
					want.text)
			}
		}
		for _, resource := range []string{
			vault, vault + "/", "https://other.example/path?a=b", "api://my-app",
			"api://0949bc77-831b-4ab2-bad5-28598868c453/x", "0949BC77-831b-4ab2-bad5-28598868c453",
			"urn:my:app", "spn:0949bc77-831b-4ab2-bad5-28598868c453",
		} {
			if c := readClaims(t, tokenOf(t, ask(resource))); c.Audience != resource {
				t.Errorf("%s: got a token for %s", resource, c.Audience)
			}
		}
	})
}

func TestRateLimitOfEachHost(t *testing.T) {
	inBubbles(t, func(t *testing.T, host hostTest, dir string) {
		e := host.new(&Options{Dir: dir, RateLimit: true})
		for range 20 {
			do(t, e, request(t, "GET", "https://localhost/", ""))
		}
		got := do(t, e, request(t, "GET", "https://localhost/", ""))
		if got.Status != 429 {
			t.Errorf("got status %d, want 429", got.Status)
		}
		if host.name == "ServiceFabric" {
			return // its body is text
		}
		if diff := cmp.Diff(host.refused, slices.Sorted(maps.Keys(members(t, got.Body)))); diff != "" {
			t.Errorf("members (-want +got):\n%s", diff)
		}
	})
}

// Whatever comes, the answer is a refusal: no panic, no token.
func TestNonsense(t *testing.T) {
	t.Parallel()
	paths := []string{"", "/", "//", "/oauth2/v2.0/token", "/common/oauth2/v2.0/token",
		"/metadata/identity/oauth2/token"}
	queries := []string{"", "?", "?%zz", "?resource=" + vault, "?resource=a&resource=b", "?;"}
	bodies := []string{"", "%zz", "null", `{"resource":"r"}`, "resource=" + vault,
		strings.Repeat("x", 5_000)}
	onAll(t, func(t *testing.T, host hostTest) {
		t.Parallel()
		e := host.fresh(t)
		env := inMemory(e)
		target := env("AZURE_POD_IDENTITY_AUTHORITY_HOST") + env("IDENTITY_ENDPOINT") +
			env("MSI_ENDPOINT") + env("AZURE_AUTHORITY_HOST")
		for _, method := range []string{"GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS"} {
			for i := range len(paths) * len(queries) * len(bodies) {
				path, query := paths[i%len(paths)], queries[i/len(paths)%len(queries)]
				body := bodies[i/len(paths)/len(queries)]
				r := request(t, method, target+path+query, body)
				r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
				got := do(t, e, r)
				if got.Status < 400 || got.Status >= 500 || strings.Contains(got.Body, "access_token") {
					t.Errorf("%s %s with %.20q: got %d %s", method, r.URL, body, got.Status, got.Body)
				}
			}
		}
	})
}

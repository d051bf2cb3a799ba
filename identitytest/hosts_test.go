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
var all = []struct {
	name string
	new  func(*Options) *Endpoint
	ask  func(*testing.T, environ, transport) reply
	// wrongSecret is the status of the answer to a secret that is none any more; 0 if the host has no
	// secret.
	wrongSecret int
	// refused has the members of the host's own answer of status 400.
	refused []string
}{
	{"IMDS", NewIMDS, func(t *testing.T, env environ, send transport) reply {
		r := request(t, "GET", env("AZURE_POD_IDENTITY_AUTHORITY_HOST")+
			"/metadata/identity/oauth2/token?api-version=2018-02-01&resource="+vault, "")
		r.Header.Set("Metadata", "true")
		return send(t, r)
	}, 0, []string{"error", "error_description"}},
	{"AppService", NewAppService, func(t *testing.T, env environ, send transport) reply {
		r := request(t, "GET", env("IDENTITY_ENDPOINT")+appQuery, "")
		r.Header.Set("X-IDENTITY-HEADER", env("IDENTITY_HEADER"))
		return send(t, r)
	}, 403, []string{"correlationId", "message", "statusCode"}},
	{"AppService2017", NewAppService2017, ask2017, 403,
		[]string{"correlationId", "message", "statusCode"}},
	{"AzureML", NewAzureML, ask2017, 401, []string{"error"}},
	{"ServiceFabric", NewServiceFabric, func(t *testing.T, env environ, send transport) reply {
		return send(t, fabricRequest(t, env, ""))
	}, 404, []string{"error"}},
	{"ContainerInstances", NewContainerInstances,
		func(t *testing.T, env environ, send transport) reply {
			return send(t, groupRequest(t, env, ""))
		}, 404, []string{"error"}},
	{"CloudShell", NewCloudShell, func(t *testing.T, env environ, send transport) reply {
		return send(t, shellRequest(t, env, "resource="+vault))
	}, 0, []string{"error"}},
	{"Arc", NewArc, func(t *testing.T, env environ, send transport) reply {
		return askArc(t, env, send, "")
	}, 401, []string{"error", "error_description"}},
	{"WorkloadIdentity", NewWorkloadIdentity, func(t *testing.T, env environ, send transport) reply {
		return send(t, workloadRequest(t, env, nil))
	}, 401, []string{"correlation_id", "error", "error_codes", "error_description", "error_uri", "timestamp", "trace_id"}},
}

func ask2017(t *testing.T, env environ, send transport) reply {
	t.Helper()
	return send(t, request2017(t, env, ""))
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

func askArc(t *testing.T, env environ, send transport, more string) reply {
	t.Helper()
	key := readKey(t, send(t, arcRequest(t, env, more, "")))
	return send(t, arcRequest(t, env, more, key))
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

func TestHostsAnswer(t *testing.T) {
	t.Parallel()
	for _, host := range all {
		t.Run(host.name, func(t *testing.T) {
			t.Parallel()
			e := host.new(&Options{Dir: t.TempDir()})
			c := readClaims(t, tokenOf(t, host.ask(t, inMemory(e), throughDo(e))))
			if want := e.Identities()[0]; c.Audience != vault || c.ObjectID != want.ObjectID ||
				c.TenantID != want.TenantID {
				t.Errorf("got aud %q, oid %q, tid %q; want %q, %q, %q", c.Audience, c.ObjectID, c.TenantID,
					vault, want.ObjectID, want.TenantID)
			}
			if c.Capabilities != nil {
				t.Errorf("got xms_cc %q, want none: nobody asked for it", c.Capabilities)
			}
		})
	}
}

// Over connections in memory, TLS included, and with no goroutine left at the end of the bubble.
func TestHostsAnswerTheirClient(t *testing.T) {
	t.Parallel()
	for _, host := range all {
		t.Run(host.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				e := host.new(&Options{Dir: dir, Lifetime: time.Hour})
				begin := time.Now()
				c := readClaims(t, tokenOf(t, host.ask(t, inMemory(e), throughClient(e.Client()))))
				if took := time.Since(begin); took != 0 {
					t.Errorf("took %v, want no time at all", took)
				}
				if want := time.Now().Add(time.Hour).Unix(); c.Audience != vault || c.Expires != want {
					t.Errorf("got aud %q, exp %d; want %q, %d", c.Audience, c.Expires, vault, want)
				}
			})
		})
	}
}

// As a process does it that knows only its environment.
func TestHostsAnswerStarted(t *testing.T) {
	for _, host := range all {
		t.Run(host.name, func(t *testing.T) {
			e := host.new(&Options{Dir: t.TempDir()})
			e.Start(t)
			client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
			if config := e.TLSConfig(); config != nil {
				pool := x509.NewCertPool()
				pool.AddCert(config.Certificates[0].Leaf)
				client.Transport.(*http.Transport).TLSClientConfig = &tls.Config{RootCAs: pool}
			}
			tokenOf(t, host.ask(t, os.Getenv, throughClient(client)))
			for _, r := range e.Requests() {
				if want := map[bool]string{true: "https", false: "http"}[e.certificate != nil]; r.URL.Scheme != want || !strings.HasPrefix(r.URL.Host, "127.0.0.1:") {
					t.Errorf("got a request for %s, want %s://127.0.0.1", r.URL, want)
				}
			}
		})
	}
}

// After a rotation, what was right before is refused, and what the environment has then is right.
func TestRotateSecret(t *testing.T) {
	for _, host := range all {
		t.Run(host.name, func(t *testing.T) {
			e := host.new(&Options{Dir: t.TempDir()})
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
}

func TestRotateSecretLeavesTheEnvironmentAlone(t *testing.T) {
	for _, name := range []string{"IDENTITY_HEADER", "MSI_SECRET"} {
		t.Setenv(name, "as before")
	}
	for _, e := range []*Endpoint{NewAppService(nil), NewAppService2017(nil), NewAzureML(nil),
		NewServiceFabric(nil), NewContainerInstances(nil)} {
		e.RotateSecret()
	}
	for _, name := range []string{"IDENTITY_HEADER", "MSI_SECRET"} {
		if got := os.Getenv(name); got != "as before" {
			t.Errorf("%s: got %q, want it left alone: no endpoint is started", name, got)
		}
	}
}

func TestHostCacheOfEachHost(t *testing.T) {
	t.Parallel()
	for _, host := range all {
		t.Run(host.name, func(t *testing.T) {
			t.Parallel()
			for _, cache := range []bool{false, true} {
				e := host.new(&Options{Dir: t.TempDir(), HostCache: cache})
				first, second := tokenOf(t, host.ask(t, inMemory(e), throughDo(e))),
					tokenOf(t, host.ask(t, inMemory(e), throughDo(e)))
				if want := cache && host.name != "WorkloadIdentity"; (first == second) != want {
					t.Errorf("HostCache %t: got the same token twice %t, want %t", cache, first == second, want)
				}
			}
		})
	}
}

func TestDefaultLifetimes(t *testing.T) {
	t.Parallel()
	for _, host := range all {
		t.Run(host.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				e := host.new(&Options{Dir: dir})
				want := 24 * time.Hour
				if host.name == "WorkloadIdentity" {
					want = time.Hour
				}
				c := readClaims(t, tokenOf(t, host.ask(t, inMemory(e), throughDo(e))))
				if got := time.Until(time.Unix(c.Expires, 0)); got != want {
					t.Errorf("got %v, want %v", got, want)
				}
			})
		})
	}
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
	refused := map[string]struct {
		status int
		text   string // within the body
	}{
		"IMDS": {400, `"error":"invalid_resource","error_description":"` + entra},
		"Arc":  {400, `"error":"invalid_resource","error_description":"` + entra},
		"AppService": {500,
			`"message":"An unexpected error occured while fetching the AAD Token."`},
		"AppService2017":     {400, `"ExceptionMessage":"` + entra},
		"AzureML":            {400, entra},
		"ServiceFabric":      {500, `"code":"InternalServerError"`},
		"ContainerInstances": {500, `"code":"InternalServerError"`},
		"CloudShell":         {400, `"code":"AudienceNotSupported"`},
		"WorkloadIdentity":   {400, `"error":"invalid_resource","error_description":"` + entra},
	}
	for _, host := range all {
		t.Run(host.name, func(t *testing.T) {
			t.Parallel()
			e := host.new(&Options{Dir: t.TempDir()})
			unknown := []string{
				"nonsense", "vault.azure.net", "vault.azure.net:443", "localhost:8080", vault + "/.default",
				vault + "/.DEFAULT", vault + "/.default/", vault + "//.default", "https://",
				"https:vault.azure.net",
				"api:", "/subscriptions/x", "0949bc77-831b-4ab2-bad5-28598868c45", "%",
			}
			if host.name != "WorkloadIdentity" { // which has refused two scopes before
				unknown = append(unknown, vault+" "+vault, vault+"/ ", " "+vault, vault+"/\n")
			}
			for _, resource := range unknown {
				got := host.ask(t, inMemory(e), askingFor(t, resource, throughDo(e)))
				if want := refused[host.name]; got.Status != want.status ||
					!strings.Contains(got.Body, want.text) ||
					strings.Contains(got.Body, "access_token") {
					t.Errorf("%s: got %d %s, want %d with %s", resource, got.Status, got.Body,
						want.status, want.text)
				}
			}
			for _, resource := range []string{
				vault, vault + "/", "https://other.example/path?a=b", "api://my-app",
				"api://0949bc77-831b-4ab2-bad5-28598868c453/x",
				"0949BC77-831b-4ab2-bad5-28598868c453", "urn:my:app",
				"spn:0949bc77-831b-4ab2-bad5-28598868c453",
			} {
				if c := readClaims(t, tokenOf(t,
					host.ask(t, inMemory(e),
						askingFor(t, resource, throughDo(e))))); c.Audience != resource {
					t.Errorf("%s: got a token for %s", resource, c.Audience)
				}
			}
		})
	}
}

// The host's own answers are JSON objects of one shape, with the status that was asked for.
func TestFailuresOfEachHost(t *testing.T) {
	t.Parallel()
	for _, host := range all {
		t.Run(host.name, func(t *testing.T) {
			t.Parallel()
			e := host.new(&Options{Dir: t.TempDir()})
			for _, status := range []int{400, 401, 404, 405, 408, 410, 429, 500, 502, 503, 504, 599, 999} {
				if host.name == "WorkloadIdentity" && status == 404 || host.name == "ServiceFabric" &&
					status == 429 {
					continue // the one has no body, the other's is text
				}
				got := e.host.failure(status)
				if names := slices.Sorted(maps.Keys(members(t, got.body))); got.status != status ||
					!slices.Equal(names, host.refused) {
					t.Errorf("got %d with %v, want %d with %v", got.status, names, status, host.refused)
				}
				if kind := got.header.Get("Content-Type"); kind != "application/json; charset=utf-8" {
					t.Errorf("%d: got Content-Type %q", status, kind)
				}
			}
			for _, status := range []int{103, 204, 302} {
				if got := e.host.failure(status); got.status != status || got.body != "" || got.header == nil ||
					got.header.Get("Content-Type") != "" {
					t.Errorf("%d: got %+v, want no body", status, got)
				}
			}
		})
	}
}

func TestRateLimitOfEachHost(t *testing.T) {
	t.Parallel()
	for _, host := range all {
		t.Run(host.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
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
		})
	}
}

// Whatever comes, the answer is a refusal: no panic, no token.
func TestNonsense(t *testing.T) {
	t.Parallel()
	for _, host := range all {
		t.Run(host.name, func(t *testing.T) {
			t.Parallel()
			e := host.new(&Options{Dir: t.TempDir()})
			env := inMemory(e)
			target := env("AZURE_POD_IDENTITY_AUTHORITY_HOST") + env("IDENTITY_ENDPOINT") +
				env("MSI_ENDPOINT") + env("AZURE_AUTHORITY_HOST")
			for _, method := range []string{"GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS"} {
				for _, path := range []string{"", "/", "//", "/oauth2/v2.0/token", "/common/oauth2/v2.0/token", "/metadata/identity/oauth2/token"} {
					for _, query := range []string{"", "?", "?%zz", "?resource=" + vault, "?resource=a&resource=b", "?;"} {
						for _, body := range []string{"", "%zz", "null", `{"resource":"r"}`, "resource=" + vault, strings.Repeat("x", 5_000)} {
							r := request(t, method, target+path+query, body)
							r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
							got := do(t, e, r)
							if got.Status < 400 || got.Status >= 500 || strings.Contains(got.Body, "access_token") {
								t.Errorf("%s %s with %.20q: got %d %s", method, r.URL, body, got.Status, got.Body)
							}
						}
					}
				}
			}
		})
	}
}

// refusal is one wrong request and what is wrong with it in the host's words. The zero fields of
// the answer aren't looked at.
type refusal struct {
	name   string
	spoil  func(*http.Request)
	status int
	code   string
	text   string // within the message
}

// Spoilers, which take one thing from a right request or put one into it.

func method(m string) func(*http.Request) { return func(r *http.Request) { r.Method = m } }

func path(p string) func(*http.Request) { return func(r *http.Request) { r.URL.Path = p } }

// header sets a header, or removes it if there is no value.
func header(name string, values ...string) func(*http.Request) {
	return func(r *http.Request) {
		r.Header.Del(name)
		for _, value := range values {
			r.Header.Add(name, value)
		}
	}
}

// query sets a parameter, or removes it if there is no value.
func query(name string, values ...string) func(*http.Request) {
	return func(r *http.Request) {
		q := r.URL.Query()
		q[name] = values
		r.URL.RawQuery = q.Encode()
	}
}

func rawQuery(more string) func(*http.Request) {
	return func(r *http.Request) { r.URL.RawQuery += more }
}

// checkCoded checks an error of the form {"error": {"code", "message"}}, and returns its
// correlation ID.
func checkCoded(t *testing.T, got reply, want refusal) string {
	t.Helper()
	var body struct {
		Error struct{ CorrelationID, Code, Message string }
	}
	if err := json.Unmarshal([]byte(got.Body), &body); err != nil {
		t.Fatalf("body %q: %v", got.Body, err)
	}
	if got.Status != want.status || body.Error.Code != want.code ||
		!strings.Contains(body.Error.Message, want.text) {
		t.Errorf("got %d %s, want %d %s with %q", got.Status, got.Body, want.status, want.code, want.text)
	}
	if diff := cmp.Diff(http.Header{"Content-Type": {"application/json; charset=utf-8"}},
		got.Header); diff != "" {
		t.Errorf("header (-want +got):\n%s", diff)
	}
	return body.Error.CorrelationID
}

package identity

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/google/go-cmp/cmp"
	"github.com/keyless-go/identity/identitytest"
	"github.com/keyless-go/identity/internal/token"
)

// place is one host, by all that the tests of every host have to know of it. What goes over the
// wire is written by hand.
type place struct {
	name       string
	host       Host
	fake       func(*identitytest.Options) *identitytest.Endpoint
	base       string                  // where it is, if only in memory
	identities []identitytest.Identity // of the fake
	// the credential checks the certificate by itself: only connections will do
	pinned bool
	steps  int // requests for one token
	// how long nobody answers until there is an error, at least and at most
	silence [2]time.Duration
	budget  [2]time.Duration // the same for a host that keeps failing

	method, path string
	header       http.Header // SECRET stands for it
	// for the vault and the default identity; CLIENT and so on stand for the identity's
	parameters url.Values
	posts      bool   // the parameters are a form
	client     string // the parameter that selects by client ID, "" for none
	object     string
	resource   string

	secret string // the variable that has it, "" for none
	// what the error says when nobody answers: a variable or a command that a person can look at
	check string

	// what answers of the host are recognised by, beside the body
	server  http.Header
	problem func(code, message string) string // the body of a failure
	absent  identitytest.Response             // says that the identity isn't assigned
}

// Bodies of failures, in the hosts' four shapes.
func oauthProblem(code, message string) string {
	return fmt.Sprintf(`{"error":%q,"error_description":%q}`, code, message)
}

func appServiceProblem(code, message string) string {
	return fmt.Sprintf(`{"statusCode":0,"message":%q,"correlationId":"c0ffee"}`, message)
}

func codedProblem(code, message string) string {
	return fmt.Sprintf(`{"error":{"correlationId":"c0ffee","code":%q,"message":%q}}`, code, message)
}

func entraProblem(code, message string) string {
	return fmt.Sprintf(`{"error":%q,"error_description":%q,"error_codes":[90000],"timestamp":"2026",`+
		`"trace_id":"t","correlation_id":"c0ffee"}`, code, "AADSTS90000: "+message)
}

var (
	systemAndOne = []identitytest.Identity{{System: true}, {}}
	onNode       = [2]time.Duration{20 * time.Second, 30 * time.Second}
)

const fakeTenant = "77777777-2222-4333-8444-555555555555"

// places are all hosts there are.
var places = []place{
	{name: "IMDS", host: HostIMDS, fake: identitytest.NewIMDS, base: "http://127.0.0.1:8080",
		identities: systemAndOne, steps: 1, silence: onNode,
		budget: [2]time.Duration{65 * time.Second, 75 * time.Second}, method: "GET",
		path: "/metadata/identity/oauth2/token", header: http.Header{"Metadata": {"true"}},
		parameters: url.Values{"api-version": {"2018-02-01"}, "resource": {"https://vault.azure.net"}},
		client:     "client_id", object: "object_id", resource: "msi_res_id",
		check:  "AZURE_POD_IDENTITY_AUTHORITY_HOST",
		server: http.Header{"Server": {"IMDS/150.870.65.1854"}}, problem: oauthProblem,
		absent: identitytest.Response{Status: 400,
			Body: `{"error":"invalid_request","error_description":"Identity not found"}`}},
	{name: "App Service", host: HostAppService, fake: identitytest.NewAppService,
		base: "http://localhost:4141", identities: systemAndOne, steps: 1, silence: onNode,
		budget: onNode, method: "GET", path: "/msi/token",
		header:     http.Header{"X-Identity-Header": {"SECRET"}, "Metadata": {"true"}},
		parameters: url.Values{"api-version": {"2019-08-01"}, "resource": {"https://vault.azure.net"}},
		client:     "client_id", object: "principal_id", resource: "mi_res_id", secret: "IDENTITY_HEADER",
		check: "IDENTITY_ENDPOINT", problem: appServiceProblem,
		absent: identitytest.Response{Status: 400,
			Body: `{"statusCode":400,"message":"Unable to load the proper Managed Identity."}`}},
	{name: "Service Fabric", host: HostServiceFabric, fake: identitytest.NewServiceFabric,
		base: "https://localhost:2377", identities: systemAndOne, pinned: true, steps: 1, silence: onNode,
		budget: onNode, method: "GET", path: "/metadata/identity/oauth2/token",
		header: http.Header{"Secret": {"SECRET"}},
		parameters: url.Values{"api-version": {"2019-07-01-preview"},
			"resource": {"https://vault.azure.net"}}, secret: "IDENTITY_HEADER", check: "IDENTITY_ENDPOINT",
		problem: codedProblem,
		absent: identitytest.Response{Status: 404,
			Body: `{"error":{"code":"ManagedIdentityNotFound","message":"Managed identity not found"}}`}},
	{
		name: "Windows containers", host: HostContainerInstances,
		fake: identitytest.NewContainerInstances, base: "http://10.0.0.2:2377",
		identities: systemAndOne, steps: 1,
		silence: onNode, budget: onNode,
		method: "GET", path: "/metadata/identity/oauth2/token",
		header:     http.Header{"Secret": {"SECRET"}},
		parameters: url.Values{"api-version": {"1.0"}, "resource": {"https://vault.azure.net"}},
		object:     "principalId",
		secret:     "IDENTITY_HEADER", check: "IDENTITY_ENDPOINT", problem: codedProblem,
		absent: identitytest.Response{Status: 404,
			Body: `{"error":{"code":"DefaultIdentityNotDefined","message":"x","details":[]}}`},
	},
	{name: "Azure ML", host: HostAzureML, fake: identitytest.NewAzureML,
		base: "http://localhost:46808", identities: systemAndOne, steps: 1, silence: onNode,
		budget: onNode, method: "GET", path: "/msi/token",
		header: http.Header{"Secret": {"SECRET"}, "Metadata": {"true"}},
		parameters: url.Values{"api-version": {"2017-09-01"}, "resource": {"https://vault.azure.net"},
			"clientid": {"CLIENT"}}, client: "clientid", secret: "MSI_SECRET", check: "MSI_ENDPOINT",
		problem: codedProblem,
		absent: identitytest.Response{Status: 400,
			Body: `{"error":{"code":"IdentityNotFound","message":"none"}}`}},
	{name: "legacy App Service", host: HostAzureML, fake: identitytest.NewAppService2017,
		base: "http://localhost:41001", identities: systemAndOne, steps: 1, silence: onNode,
		budget: onNode, method: "GET", path: "/msi/token",
		header:     http.Header{"Secret": {"SECRET"}, "Metadata": {"true"}},
		parameters: url.Values{"api-version": {"2017-09-01"}, "resource": {"https://vault.azure.net"}},
		client:     "clientid", secret: "MSI_SECRET", check: "MSI_ENDPOINT", problem: appServiceProblem,
		absent: identitytest.Response{Status: 400,
			Body: `{"statusCode":400,"message":"Unable to load the proper Managed Identity."}`}},
	{name: "Cloud Shell", host: HostCloudShell, fake: identitytest.NewCloudShell,
		base: "http://localhost:50342", identities: systemAndOne, steps: 1, silence: onNode,
		budget: onNode, method: "POST", path: "/oauth2/token", posts: true,
		header: http.Header{"Metadata": {"true"}, "Content-Type": {"application/x-www-form-urlencoded"},
			"Content-Length": {"38"}}, parameters: url.Values{"resource": {"https://vault.azure.net"}},
		check: "MSI_ENDPOINT", problem: codedProblem},
	{name: "Azure Arc", host: HostArc, fake: identitytest.NewArc, base: "http://localhost:40342",
		identities: systemAndOne, steps: 2, silence: onNode, budget: onNode, method: "GET",
		path:       "/metadata/identity/oauth2/token",
		header:     http.Header{"Metadata": {"true"}, "Authorization": {"Basic SECRET"}},
		parameters: url.Values{"api-version": {"2020-06-01"}, "resource": {"https://vault.azure.net"}},
		client:     "client_id", object: "object_id", resource: "msi_res_id", check: "azcmagent show",
		problem: oauthProblem,
		absent: identitytest.Response{Status: 404,
			Body: `{"error":"identity_not_found","error_description":"Identity not found"}`}},
	{
		name: "workload identity", host: HostWorkloadIdentity, fake: identitytest.NewWorkloadIdentity,
		base: "https://login.microsoftonline.com", steps: 1,
		identities: []identitytest.Identity{{TenantID: fakeTenant}, {TenantID: fakeTenant}},
		silence:    onNode, budget: onNode,
		method: "POST", path: "/" + fakeTenant + "/oauth2/v2.0/token", posts: true,
		header: http.Header{"Accept": {"application/json"},
			"Content-Type": {"application/x-www-form-urlencoded"}, "Content-Length": {"LENGTH"}},
		parameters: url.Values{
			"grant_type": {"client_credentials"}, "client_id": {"CLIENT"},
			"scope":                 {"https://vault.azure.net/.default"},
			"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
			"client_assertion":      {"SECRET"},
		},
		client: "client_id",
		check:  "AZURE_AUTHORITY_HOST", problem: entraProblem,
		absent: identitytest.Response{Status: 400,
			Body: `{"error":"unauthorized_client","error_codes":[700016],` +
				`"error_description":"AADSTS700016: Application with identifier 'x' was not found"}`},
	},
}

// everywhere runs a test at each of the places, on virtual time.
func everywhere(t *testing.T, f func(t *testing.T, p place)) {
	for _, p := range places {
		bubbleIn(t, p.name, func(t *testing.T) { f(t, p) })
	}
}

// everywhereNamed is everywhere in a subtest.
func everywhereNamed(t *testing.T, name string, f func(t *testing.T, p place)) {
	t.Run(name, func(t *testing.T) { everywhere(t, f) })
}

// site is a place at which a test has opened a fake. It counts the requests that come, by whatever
// way, and can be taken off the network.
type site struct {
	place
	ep  *identitytest.Endpoint
	dir string // of the files
	env environment

	down atomic.Bool // connections are refused
	mu   sync.Mutex  // guards the rest
	at   []time.Time // when a request was sent, a refused connection included
	late []late      // answers of Arc's second step
}

type late struct {
	identitytest.Response
	until time.Time // zero for one request
}

func (p place) open(tb testing.TB, adjust ...func(*identitytest.Options)) *site {
	tb.Helper()
	s := &site{place: p, dir: tb.TempDir()}
	options := &identitytest.Options{Identities: p.identities, Lifetime: 24 * time.Hour, Dir: s.dir}
	for _, f := range adjust {
		f(options)
	}
	s.ep = p.fake(options)
	s.env = environmentAt(s.ep, p.base)
	return s
}

func (s *site) note() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at = append(s.at, time.Now())
}

// sent is how many requests there were.
func (s *site) sent() int { return len(s.times()) }

func (s *site) times() []time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.at)
}

// refused is what a system says when nobody listens.
func refused() error {
	return &net.OpError{Op: "dial", Net: "tcp",
		Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
}

// Do implements policy.Transporter.
func (s *site) Do(r *http.Request) (*http.Response, error) {
	s.note()
	if s.down.Load() {
		if r.Body != nil {
			_ = r.Body.Close()
		}
		return nil, refused()
	}
	if s.host == HostArc && r.Header.Get("Authorization") != "" {
		if answer, ok := s.take(); ok {
			once := identitytest.NewIMDS(nil)
			once.Enqueue(answer)
			return once.Do(r)
		}
	}
	return s.ep.Do(r)
}

// take is the next answer of Arc's second step that a test has asked for.
func (s *site) take() (identitytest.Response, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.late) > 0 && !s.late[0].until.IsZero() && !time.Now().Before(s.late[0].until) {
		s.late = s.late[1:]
	}
	if len(s.late) == 0 {
		return identitytest.Response{}, false
	}
	first := s.late[0]
	if first.until.IsZero() {
		s.late = s.late[1:]
	}
	first.For = 0
	return first.Response, true
}

// namesItsDefault reports whether the platform says which identity is the default, and so is asked
// for.
func (s *site) namesItsDefault() bool {
	return s.host == HostWorkloadIdentity || s.env.getenv("DEFAULT_IDENTITY_CLIENT_ID") != ""
}

// transport leads to the fake. Where the certificate is pinned that is a connection in memory.
func (s *site) transport() policy.Transporter {
	if !s.pinned {
		return s
	}
	client := s.ep.Client()
	transport := client.Transport.(*http.Transport)
	dial := transport.DialContext
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		s.note()
		if s.down.Load() {
			return nil, refused()
		}
		return dial(ctx, network, address)
	}
	return client
}

func (s *site) credential(tb testing.TB, adjust ...func(*CredentialOptions)) *Credential {
	tb.Helper()
	return credentialAt(tb, s.env, s.transport(), adjust...)
}

// answer makes the host answer so, in place of a token: on Arc at the second step.
func (s *site) answer(responses ...identitytest.Response) {
	if s.host != HostArc {
		s.ep.Enqueue(responses...)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range responses {
		l := late{Response: r}
		if r.For > 0 {
			l.until = time.Now().Add(r.For)
		}
		s.late = append(s.late, l)
	}
}

// own is an answer that is recognised as the host's.
func (p place) own(status int, body string, header ...string) identitytest.Response {
	h := http.Header{"Content-Type": {"application/json; charset=utf-8"}}
	maps.Copy(h, p.server)
	for i := 0; i+1 < len(header); i += 2 {
		h.Add(header[i], header[i+1])
	}
	return identitytest.Response{Status: status, Body: body, Header: h}
}

// endpoint is the URL by which messages name the host.
func (s *site) endpoint() string {
	variable := s.check
	if s.host == HostArc {
		variable = envEndpoint
	}
	value, _, _ := strings.Cut(s.env.getenv(variable), "?")
	if s.host == HostIMDS || s.host == HostWorkloadIdentity {
		return strings.TrimRight(value, "/") + s.path
	}
	return value
}

// selection is one way to ask for an identity.
type selection struct {
	name string
	id   ID                    // nil for the default
	want identitytest.Identity // whose token comes back
}

// selection asks by the kind of ID with a name, "default" for none.
func (s *site) selection(name string) selection {
	all := s.ep.Identities()
	switch id := all[1]; name {
	case "client ID":
		return selection{name, ClientID(id.ClientID), id}
	case "object ID":
		return selection{name, ObjectID(id.ObjectID), id}
	case "resource ID":
		return selection{name, ResourceID(id.ResourceID), id}
	}
	return selection{name: name, want: all[0]}
}

// atSelections runs a test at each of the places with each of the ways to ask for an identity.
func atSelections(t *testing.T, f func(t *testing.T, p place, name string)) {
	for _, p := range places {
		for name, taken := range map[string]bool{"default": true, "client ID": p.client != "",
			"object ID": p.object != "", "resource ID": p.resource != ""} {
			if taken {
				bubbleIn(t, p.name+"/"+name, func(t *testing.T) { f(t, p, name) })
			}
		}
	}
}

func withID(id ID) func(*CredentialOptions) { return func(o *CredentialOptions) { o.ID = id } }

func once(o *CredentialOptions) { o.Retry.MaxRetries = -1 }

// TestHostTokens: a token of the right identity, and a request as the host's page has it.
func TestHostTokens(t *testing.T) {
	atSelections(t, func(t *testing.T, p place, name string) {
		s := p.open(t)
		sel := s.selection(name)
		cred := s.credential(t, withID(sel.id))
		tk, took := mustToken(t, cred)
		if took != 0 {
			t.Errorf("took %v", took)
		}
		if got := string(token.ClaimsOf(tk.Token).OID); got != sel.want.ObjectID {
			t.Errorf("the token is that of object ID %s, want %s", got, sel.want.ObjectID)
		}
		if got := time.Until(tk.ExpiresOn); got > 24*time.Hour || got < 24*time.Hour-time.Second {
			t.Errorf("the token ends in %v, want 24h", got)
		}
		if got := time.Until(tk.RefreshOn); got < 10*time.Hour || got > 14*time.Hour {
			t.Errorf("the token is renewed in %v, want at half of its life", got)
		}
		mustToken(t, cred) // a hit
		requests := s.ep.Requests()
		if len(requests) != s.steps || s.sent() != s.steps {
			t.Fatalf("%d requests arrived, %d were sent, want %d", len(requests), s.sent(), s.steps)
		}
		s.checkRequests(t, requests, sel)
	})
}

// TestHostDefaultPath is the whole of it as a user's test has it: the fake is started, and the
// program knows nothing. Not parallel: Start sets the process's variables.
func TestHostDefaultPath(t *testing.T) {
	for _, p := range places {
		passed := t.Run(p.name, func(t *testing.T) {
			ep := p.fake(&identitytest.Options{Identities: p.identities, Dir: t.TempDir()})
			ep.Start(t)
			fresh := func() *Credential {
				cred, err := NewCredential(nil)
				if err != nil || cred.Host() != p.host {
					t.Fatalf("host is %v, error %v", cred.Host(), err)
				}
				return cred
			}
			for range 50 {
				mustToken(t, fresh()) // they share it
			}
			requests := ep.Requests()
			if len(requests) != p.steps {
				t.Fatalf("%d requests by 50 credentials, want %d", len(requests), p.steps)
			}
			s := &site{place: p, ep: ep, env: environment{getenv: os.Getenv}}
			s.base = requests[0].URL.Scheme + "://" + requests[0].URL.Host
			s.checkRequests(t, requests, s.selection("default"))
			for _, r := range requests {
				packed := p.host != HostWorkloadIdentity && r.Header.Get("Accept-Encoding") != ""
				if !r.Close || r.ProtoMajor != 1 || packed {
					t.Errorf("the request is of %s, kept %v (a pooled connection poisons a later call), "+
						"with %v", r.Proto, !r.Close, r.Header)
				}
			}
			if p.secret != "" || p.steps > 1 || p.host == HostWorkloadIdentity {
				ep.RotateSecret()
			}
			if err := anotherToken(fresh()); err != nil {
				t.Errorf("after the secret was rotated: %v", err)
			}
		})
		if !passed {
			return // a server waits for connections that are kept
		}
	}
}

// secretNow is what stands for SECRET in the requests of this moment. Azure Arc's comes with the
// challenge.
func (s *site) secretNow(tb testing.TB) string {
	tb.Helper()
	if s.host != HostWorkloadIdentity {
		return s.env.getenv(s.secret)
	}
	content, err := os.ReadFile(s.env.getenv("AZURE_FEDERATED_TOKEN_FILE"))
	if err != nil {
		tb.Fatal(err)
	}
	return string(content)
}

// checkRequests compares requests for the vault's token with the host's page. Of two steps, every
// second one has the key.
func (s *site) checkRequests(t *testing.T, requests []*http.Request, sel selection) {
	t.Helper()
	parameters, secret := url.Values{}, s.secretNow(t)
	for name, values := range s.parameters {
		for _, value := range values {
			parameters.Add(name, strings.NewReplacer("CLIENT", sel.want.ClientID, "SECRET",
				secret).Replace(value))
		}
	}
	switch sel.name {
	case "client ID":
		parameters.Set(s.client, sel.want.ClientID)
	case "object ID":
		parameters.Set(s.object, sel.want.ObjectID)
	case "resource ID":
		parameters.Set(s.resource, sel.want.ResourceID)
	}
	for step, r := range requests {
		header := s.header.Clone()
		if (step+1)%s.steps != 0 {
			header.Del("Authorization") // Arc's first request
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		query, form := parameters, ""
		if s.posts {
			query, form = url.Values{}, parameters.Encode()
		}
		if string(body) != form {
			t.Errorf("step %d: body is %q, want %q", step+1, body, form)
		}
		checkQuery(t, r, query)
		if r.Method != s.method || r.URL.Scheme+"://"+r.URL.Host+r.URL.Path != s.endpoint() {
			t.Errorf("step %d: request is %s %s, want %s %s", step+1, r.Method, r.URL, s.method,
				s.endpoint())
		}
		if !strings.HasPrefix(r.URL.String(), s.base+"/") || !strings.HasSuffix(r.URL.Path, s.path) {
			t.Errorf("step %d: request went to %s", step+1, r.URL)
		}
		for _, values := range header {
			if values[0] == "Basic SECRET" {
				// the fake has checked it
				if key, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Basic "); ok &&
					len(key) >= 32 {
					secret = key
				}
			}
			values[0] = strings.NewReplacer("SECRET", secret, "LENGTH",
				fmt.Sprint(len(form))).Replace(values[0])
		}
		got := r.Header.Clone()
		for _, name := range []string{"User-Agent", "Accept-Encoding", "Connection"} { // of net/http
			got.Del(name)
		}
		if diff := cmp.Diff(header, got); diff != "" {
			t.Errorf("step %d: header (-want +got):\n%s", step+1, diff)
		}
	}
}

// retryTable says after which status a host is asked again: "+" yes, "-" no. From each host's page
// and, where that says nothing, from what all SDKs agree on: 408, 429 and 5xx pass, other refusals
// don't. IMDS says 404 and 410 while it is being updated; Service Fabric forbids to repeat a 404.
//
//	https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token#retry-guidance
//	https://learn.microsoft.com/azure/service-fabric/how-to-managed-identity-service-fabric-app-code#error-handling
var retryTable = map[string]string{
	//                    400 401 403 404 405 408 410 418 429 500 502 503 504 599
	"IMDS":               "-   -   -   +   -   +   +   -   +   +   +   +   +   +",
	"App Service":        "-   -   -   -   -   +   -   -   +   +   +   +   +   +",
	"Service Fabric":     "-   -   -   -   -   +   -   -   +   +   +   +   +   +",
	"Windows containers": "-   -   -   -   -   +   -   -   +   +   +   +   +   +",
	"Azure ML":           "-   -   -   -   -   +   -   -   +   +   +   +   +   +",
	"legacy App Service": "-   -   -   -   -   +   -   -   +   +   +   +   +   +",
	"Cloud Shell":        "-   -   -   -   -   +   -   -   +   +   +   +   +   +",
	"Azure Arc":          "-   -   -   -   -   +   -   -   +   +   +   +   +   +",
	"workload identity":  "-   -   -   -   -   +   -   -   +   +   +   +   +   +",
}

var retryStatuses = []int{400, 401, 403, 404, 405, 408, 410, 418, 429, 500, 502, 503, 504, 599}

func TestHostRetriesPerStatus(t *testing.T) {
	for _, p := range places {
		row := strings.Fields(retryTable[p.name])
		if len(row) != len(retryStatuses) {
			t.Fatalf("%s: %d columns, want %d", p.name, len(row), len(retryStatuses))
		}
		steps := []string{""}
		if p.steps > 1 {
			steps = []string{"", " in place of the challenge"}
		}
		for i, status := range retryStatuses {
			for _, step := range steps {
				bubbleIn(t, fmt.Sprint(p.name, " ", status, step), func(t *testing.T) {
					s := p.open(t)
					answer := s.own(status, s.problem("some_error", "some text"))
					answer.For = time.Hour
					perTry := s.steps
					if step == "" {
						s.answer(answer)
					} else { // a 401 without WWW-Authenticate is no challenge either
						s.ep.Enqueue(answer)
						perTry = 1
					}
					cred := s.credential(t)
					e, took := mustFail(t, cred)
					if e.StatusCode != status {
						t.Errorf("StatusCode is %d: %v", e.StatusCode, e)
					}
					if row[i] == "-" {
						if s.sent() != perTry || took != 0 {
							t.Errorf("%d requests in %v, want %d at once: %v", s.sent(), took, perTry, e)
						}
					} else if s.sent() < 4*perTry || took < s.budget[0] || took > s.budget[1] {
						t.Errorf("%d requests in %v, want many in %v to %v: %v", s.sent(), took, s.budget[0],
							s.budget[1], e)
					}
					if e.Attempts != s.sent() || e.Elapsed != took {
						t.Errorf("the error says %d attempts in %v, it were %d in %v", e.Attempts, e.Elapsed,
							s.sent(), took)
					}
					if got, want := errors.Is(e, ErrThrottled), status == 429; got != want {
						t.Errorf("errors.Is(ErrThrottled) is %v, want %v", got, want)
					}
					if errors.Is(e, ErrUnavailable) || errors.Is(e, ErrIdentityMismatch) {
						t.Errorf("sentinels are off: %v", e)
					}
					// During the cool-down nobody asks: everybody gets that error.
					before := s.sent()
					if again, took := mustFail(t, cred); took != 0 || s.sent() != before ||
						again.StatusCode != status {
						t.Errorf("a second caller took %v and sent %d requests: %v", took, s.sent()-before, again)
					}
				})
			}
		}
	}
}

// TestHostRecovers: the retries are for something, and each is the whole request again. IMDS is
// waited for through an update. A right federation is refused now and then.
func TestHostRecovers(t *testing.T) {
	everywhere(t, func(t *testing.T, p place) {
		statuses, down := []int{408, 429, 500, 502, 503, 504}, 10*time.Second
		if p.host == HostIMDS {
			statuses, down = append(statuses, 404, 410), 69*time.Second
		}
		answers := []identitytest.Response{p.numbered(401, 700213),
			p.own(400, oauthProblem("temporarily_unavailable", "some text"))}
		for _, status := range statuses {
			answers = append(answers, p.own(status, p.problem("some_error", "some text")))
		}
		for _, answer := range answers {
			s := p.open(t)
			answer.For = down
			s.answer(answer)
			if _, took := mustToken(t, s.credential(t)); took < down || took > s.budget[1] {
				t.Errorf("%d %s for %v: a token after %v", answer.Status, answer.Body, down, took)
			}
			if s.steps == 1 {
				s.checkRequests(t, s.ep.Requests(), s.selection("default"))
			}
		}
	})
	everywhereNamed(t, "hangs once", func(t *testing.T, p place) {
		s := p.open(t)
		s.answer(identitytest.Response{Delay: time.Hour})
		mustToken(t, s.credential(t))
	})
}

// TestHostRetryAfter: how it is read, internal/retry tests.
func TestHostRetryAfter(t *testing.T) {
	for _, status := range []int{408, 429, 500, 503} {
		everywhereNamed(t, fmt.Sprint(status), func(t *testing.T, p place) {
			for step := range p.steps { // on Arc, in place of the challenge, or of the token
				s := p.open(t)
				for range step {
					s.ep.Enqueue(identitytest.Response{})
				}
				s.ep.Enqueue(s.own(status, s.problem("some_error", "some text"), "Retry-After", "9"))
				_, took := mustToken(t, s.credential(t))
				if took < 9*time.Second || took > 12*time.Second || s.sent() != step+1+s.steps {
					t.Errorf("a token after %v and %d requests, want 9 s and a little, and %d", took, s.sent(),
						step+1+s.steps)
				}
			}
		})
	}
}

// TestHostRetryAfterTheBudget: who is told to come back in five minutes doesn't wait for it, and
// nobody asks before.
func TestHostRetryAfterTheBudget(t *testing.T) {
	everywhere(t, func(t *testing.T, p place) {
		s := p.open(t)
		s.answer(s.own(429, s.problem("some_error", "some text"), "Retry-After", "250"))
		cred := s.credential(t)
		e, took := mustFail(t, cred)
		if !errors.Is(e, ErrThrottled) || took != 0 || s.sent() != s.steps {
			t.Errorf("got %v after %v and %d requests, want ErrThrottled at once", e, took, s.sent())
		}
		start := time.Now()
		for time.Since(start) < 245*time.Second {
			if e, took := mustFail(t, cred); !errors.Is(e, ErrThrottled) || took != 0 {
				t.Fatalf("%v later: got %v after %v", time.Since(start), e, took)
			}
			time.Sleep(7 * time.Second)
		}
		if s.sent() != s.steps {
			t.Errorf("%d requests although the host asked for silence, want %d", s.sent(), s.steps)
		}
		time.Sleep(20 * time.Second)
		mustToken(t, cred)
	})
}

// TestHostRefusesConnections: from the start, it may not be that host at all; afterwards it is an
// outage.
func TestHostRefusesConnections(t *testing.T) {
	everywhereNamed(t, "from the start", func(t *testing.T, p place) {
		s := p.open(t)
		s.down.Store(true)
		e, took := mustFail(t, s.credential(t))
		if took < s.silence[0] || took > s.silence[1] || s.sent() < 3 {
			t.Errorf("error after %v and %d tries, want many in %v to %v", took, s.sent(), s.silence[0],
				s.silence[1])
		}
		if errors.Is(e, ErrUnavailable) { // a variable names the endpoint, IMDS's, too
			t.Errorf("errors.Is(ErrUnavailable): %v", e)
		}
		wantErrorText(t, e, "identity: "+s.host.String()+": ", s.endpoint(), syscall.ECONNREFUSED.Error(),
			s.check, " attempts, ")
		if !errors.Is(e, syscall.ECONNREFUSED) {
			t.Errorf("the cause can't be found: %v", e)
		}
		if e.StatusCode != 0 || e.RawResponse != nil || e.Attempts != s.sent() {
			t.Errorf("fields are off: %+v", e)
		}
	})
	everywhereNamed(t, "after a success", func(t *testing.T, p place) {
		s := p.open(t)
		cred := s.credential(t)
		if err := anotherToken(cred); err != nil {
			t.Fatal(err)
		}
		s.down.Store(true)
		e, took := mustFail(t, cred)
		if took < s.budget[0] || took > s.budget[1] || errors.Is(e, ErrUnavailable) {
			t.Errorf("got %v after %v, want it retried like a 5xx for %v to %v, and not ErrUnavailable", e,
				took, s.budget[0], s.budget[1])
		}
		wantErrorText(t, e, "identity: "+s.host.String()+": ", s.endpoint(), syscall.ECONNREFUSED.Error())
		if err := anotherToken(cred); err != nil {
			t.Errorf("the token of another resource is lost: %v", err)
		}
		s.down.Store(false)
		time.Sleep(time.Minute)
		mustToken(t, cred)
	})
	everywhereNamed(t, "for a while", func(t *testing.T, p place) {
		s := p.open(t)
		s.down.Store(true)
		const until = 18 * time.Second
		time.AfterFunc(until, func() { s.down.Store(false) })
		if _, took := mustToken(t, s.credential(t)); took < until || took > s.silence[1] {
			t.Errorf("a token after %v", took)
		}
	})
}

// grantOf is a token of an identity, in no host's shape and every host's.
func grantOf(id identitytest.Identity, opaque bool, echo ...string) string {
	fields := map[string]string{"expires_in": "86400", "token_type": "Bearer"}
	fields["access_token"] = "TOPSECRET-opaque"
	if !opaque {
		fields["access_token"] = jwtOf(fmt.Sprintf(
			`{"appid":%q,"oid":%q,"sub":%[2]q,"xms_mirid":%q,"jti":"TOPSECRET"}`,
			id.ClientID, id.ObjectID, id.ResourceID))
	}
	for i := 0; i+1 < len(echo); i += 2 {
		fields[echo[i]] = echo[i+1]
	}
	body, err := json.Marshal(fields)
	if err != nil {
		panic(err)
	}
	return string(body)
}

// TestHostReturnsAnotherIdentity: for every way to ask for one. The default identity is whatever
// the host says it is, save with workload identity, where the pod says it.
func TestHostReturnsAnotherIdentity(t *testing.T) {
	atSelections(t, func(t *testing.T, p place, name string) {
		another := identitytest.Identity{
			ClientID:   "99999999-2222-4333-8444-555555555555",
			ObjectID:   "88888888-2222-4333-8444-555555555555",
			ResourceID: "/subscriptions/s/resourcegroups/g/providers/x/y/another",
		}
		s := p.open(t)
		sel := s.selection(name)
		echo := func(id identitytest.Identity) []string {
			return []string{"client_id", id.ClientID, "object_id", id.ObjectID, "msi_res_id", id.ResourceID}
		}
		// Arc has to repeat what selects, or it hasn't understood.
		repeat := []string(nil)
		if s.host == HostArc {
			repeat = echo(sel.want)
		}
		asked := sel.id
		if asked == nil && s.namesItsDefault() {
			asked = ClientID(sel.want.ClientID)
		}
		two := s.ep.Identities()
		cases := map[string]string{
			"token of another": grantOf(another, false, repeat...),
			"token of the other one here": grantOf(two[1-slices.Index(two, sel.want)], false,
				repeat...),
			"opaque token, another named beside":   grantOf(another, true, echo(another)...),
			"the right token, but another beside":  grantOf(sel.want, false, echo(another)...),
			"another token, the right name beside": grantOf(another, false, echo(sel.want)...),
		}
		if s.host == HostArc && sel.id != nil {
			cases["the right token, and nothing beside"] = grantOf(sel.want, false)
			cases["opaque token, nothing beside"] = grantOf(sel.want, true)
		}
		for what, body := range cases {
			s := p.open(t) // the certificate, the secret and the directory of its own
			s.answer(s.own(200, body))
			cred := s.credential(t, withID(sel.id))
			if asked == nil {
				if _, err := getToken(t.Context(), cred); err != nil {
					t.Errorf("%s: %v, but nobody asked for an identity", what, err)
				}
				continue
			}
			e, took := mustFail(t, cred)
			if !errors.Is(e, ErrIdentityMismatch) || errors.Is(e, ErrIdentityNotFound) ||
				errors.Is(e, ErrUnavailable) {
				t.Errorf("%s: got %v, want ErrIdentityMismatch", what, e)
			}
			if took != 0 || s.sent() != s.steps {
				t.Errorf("%s: %d requests in %v, want %d at once", what, s.sent(), took, s.steps)
			}
			if e.ID != asked || e.RawResponse != nil || e.StatusCode != 200 {
				t.Errorf("%s: fields are off: %+v", what, e)
			}
			wantErrorText(t, e, inWords(asked))
			if strings.Contains(fmt.Sprintf("%v %+v", e, *e), "TOPSECRET") ||
				strings.Contains(e.Error(), "eyJ") {
				t.Errorf("%s: the token is shown: %v", what, e)
			}
			if _, took := mustFail(t, cred); took != 0 {
				t.Errorf("%s: the next caller took %v", what, took)
			}
			time.Sleep(time.Minute)
			tk, _ := mustToken(t, cred) // of the fake itself
			if got := string(token.ClaimsOf(tk.Token).OID); got != sel.want.ObjectID ||
				s.sent() != 2*s.steps {
				t.Errorf("%s: later got the token of %s after %d requests, want that of %s after %d", what,
					got, s.sent(), sel.want.ObjectID, 2*s.steps)
			}
		}
	})
}

// TestHostRenewsWithAnotherIdentity: the held token stays.
func TestHostRenewsWithAnotherIdentity(t *testing.T) {
	atSelections(t, func(t *testing.T, p place, name string) {
		s := p.open(t)
		if name == "default" && !s.namesItsDefault() {
			t.Skip("nobody asked for an identity")
		}
		sel := s.selection(name)
		cred := s.credential(t, withID(sel.id))
		first, _ := mustToken(t, cred)
		other := s.own(200, grantOf(identitytest.Identity{ClientID: "x", ObjectID: "y", ResourceID: "/z"},
			false))
		other.For = 48 * time.Hour
		s.answer(other)
		time.Sleep(14 * time.Hour)
		for range 50 {
			if tk, took := mustToken(t, cred); tk.Token != first.Token || took != 0 {
				t.Fatalf("another identity's token was handed out, or a caller waited %v", took)
			}
			time.Sleep(10 * time.Second)
		}
		if s.sent() == s.steps {
			t.Fatal("no renewal was tried: this test sees nothing")
		}
		time.Sleep(11 * time.Hour)
		if e, _ := mustFail(t, cred); !errors.Is(e, ErrIdentityMismatch) {
			t.Errorf("after the end of the held token: got %v", e)
		}
	})
}

// TestHostRedirects: one that was followed would carry the secret elsewhere. Over a connection,
// since it is net/http that follows.
func TestHostRedirects(t *testing.T) {
	for _, status := range []int{301, 302, 303, 307, 308} {
		for _, what := range []string{"", "an object"} {
			everywhereNamed(t, fmt.Sprint(status, " ", what), func(t *testing.T, p place) {
				for step := range p.steps { // on Arc, in place of the challenge, or of the token
					s, body := p.open(t), ""
					if what != "" {
						body = s.problem("some_error", "some text")
					}
					for range step {
						s.ep.Enqueue(identitytest.Response{})
					}
					s.ep.Enqueue(s.own(status, body, "Location", s.base+"/stolen?secret=TOPSECRET"))
					e, took := mustFail(t, credentialAt(t, s.env, s.ep.Client(), once))
					if e.StatusCode != status || took != 0 {
						t.Errorf("got %v after %v, want an error with the status %d", e, took, status)
					}
					wantErrorText(t, e, "redirect", "not followed")
					if strings.Contains(e.Error(), "TOPSECRET") {
						t.Errorf("error repeats the address, which may have a secret: %v", e)
					}
					if requests := s.ep.Requests(); len(requests) != step+1 {
						t.Errorf("%d requests, want %d: the redirect was followed, with %v", len(requests),
							step+1, requests[len(requests)-1].Header)
					}
				}
			})
		}
	}
}

// wrongContents are answers with a status of success that have no token in them.
var wrongContents = []struct {
	name   string
	status int // 0 for 200
	body   string
	header http.Header
	err    error // that cuts the body short
	again  bool  // it may be gone at the next try
}{
	{name: "an HTML page", body: "<!doctype html><title>Sign in</title>", again: true,
		header: http.Header{"Content-Type": {"text/html"}}},
	{name: "nothing", status: 200, header: http.Header{}, again: true},
	{name: "half an object", body: `{"access_token":"TOPSECRET-and-mo`, again: true},
	{name: "cut after the token", body: strings.TrimSuffix(secretToken, "}"), again: true},
	{name: "cut short on its way", body: secretToken, err: io.ErrUnexpectedEOF, again: true},
	{name: "an array", body: "[" + secretToken + "]", again: true},
	{name: "a string", body: `"TOPSECRET"`, again: true},
	{name: "two objects", body: secretToken + "{}", again: true},
	{name: "a token of 2 MiB",
		body: strings.Replace(secretToken, "TOPSECRET", "TOPSECRET"+strings.Repeat("x", 2<<20), 1)},
	{name: "an empty token", body: `{"access_token":"","expires_in":"3600"}`},
	{name: "a blank token", body: `{"access_token":" \t","expires_in":"3600"}`},
	{name: "of two lines", body: `{"access_token":"TOPSECRET\r\nX-Evil: 1","expires_in":"3600"}`},
	{name: "a token that is a number", body: `{"access_token":42,"expires_in":"3600"}`},
	{name: "a token without an end", body: `{"access_token":"TOPSECRET"}`},
	{name: "has ended", body: `{"access_token":"TOPSECRET","expires_on":"946684800"}`},
	{name: "a token that ends now", body: `{"access_token":"TOPSECRET","expires_in":"0"}`},
	{name: "a token of another type",
		body: strings.Replace(secretToken, "{", `{"token_type":"pop",`, 1)},
	{name: "an error with status 200", body: `{"error":"some_error","error_description":"some text"}`},
	{name: "status 204", status: 204, header: http.Header{"X-Any": {"1"}}},
	{name: "a token with status 201", status: 201, body: secretToken},
	{name: "a token with status 500", status: 500, body: secretToken, again: true},
	{name: "a token with status 403", status: 403, body: secretToken},
}

const secretToken = `{"access_token":"TOPSECRET","expires_in":"3600"}`

// TestHostSendsSomethingElse: it is no token, nothing of it is shown, and a proxy's hiccup is over
// at the next try.
func TestHostSendsSomethingElse(t *testing.T) {
	for _, tt := range wrongContents {
		reply := identitytest.Response{Status: tt.status, Body: tt.body, Header: tt.header, Err: tt.err}
		everywhereNamed(t, tt.name, func(t *testing.T, p place) {
			s := p.open(t)
			for range 50 {
				s.answer(reply)
			}
			e, _ := mustFail(t, s.credential(t, once))
			shown := fmt.Sprintf("%v %+v", e, *e)
			if e.RawResponse != nil {
				body, err := io.ReadAll(e.RawResponse.Body)
				if err != nil {
					t.Fatal(err)
				}
				shown += string(body)
			}
			if strings.Contains(shown, "TOPSECRET") {
				t.Errorf("the token is shown: %s", shown)
			}
			if len(e.Error()) > 1500 {
				t.Errorf("an error of %d bytes", len(e.Error()))
			}
			if s.sent() != s.steps {
				t.Errorf("%d requests, want %d", s.sent(), s.steps)
			}
		})
		if !tt.again {
			continue
		}
		everywhereNamed(t, tt.name+" once", func(t *testing.T, p place) {
			s := p.open(t)
			s.answer(reply)
			tk, _ := mustToken(t, s.credential(t))
			if strings.Contains(tk.Token, "TOPSECRET") || s.sent() != 2*s.steps {
				t.Errorf("%d requests, want %d; the token is the wrong one: %v", s.sent(), 2*s.steps,
					strings.Contains(tk.Token, "TOPSECRET"))
			}
		})
	}
}

// TestHostReady: what passes is waited for on each host. TestReady has the rest.
func TestHostReady(t *testing.T) {
	everywhereNamed(t, "waits through start-up", func(t *testing.T, p place) {
		s := p.open(t)
		s.down.Store(true)
		time.AfterFunc(5*time.Minute, func() { s.down.Store(false) })
		start := time.Now()
		if err := s.credential(t).Ready(t.Context(), vaultScope); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took < 5*time.Minute || took > 5*time.Minute+25*time.Second {
			t.Errorf("ready after %v, want soon after 5 minutes", took)
		}
	})
	everywhereNamed(t, "ends with the context", func(t *testing.T, p place) {
		s := p.open(t)
		s.down.Store(true)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Second)
		defer cancel()
		err := s.credential(t).Ready(ctx, vaultScope)
		if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrUnavailable) {
			t.Errorf("got %v", err)
		}
		wantErrorText(t, err, s.endpoint(), "connection refused")
	})
	everywhereNamed(t, "returns a refusal at once", func(t *testing.T, p place) {
		s := p.open(t)
		bad, want := s.absent, ErrIdentityNotFound
		if bad.Status == 0 { // Cloud Shell has no identities
			bad, want = s.own(400, s.problem("AudienceNotSupported", "some text")), nil
		}
		bad.For = time.Hour
		s.answer(bad)
		start := time.Now()
		err := s.credential(t).Ready(t.Context(), vaultScope)
		if err == nil || want != nil && !errors.Is(err, want) || time.Since(start) != 0 {
			t.Errorf("got %v after %v, want %v at once", err, time.Since(start), want)
		}
	})
}

// TestHostNamesItself: Host, Detect and errors agree on who is asked where.
func TestHostNamesItself(t *testing.T) {
	everywhere(t, func(t *testing.T, p place) {
		s := p.open(t)
		d := detectIn(s.env)
		if d.Host != s.host || d.Endpoint != s.endpoint() {
			t.Errorf("detected %s at %s, want %s at %s", d.Host, d.Endpoint, s.host, s.endpoint())
		}
		if s.secret != "" && strings.Contains(fmt.Sprint(d), s.env.getenv(s.secret)) {
			t.Errorf("detection shows the secret: %+v", d)
		}
		cred := s.credential(t)
		if got := cred.Host(); got != s.host {
			t.Errorf("Host() is %q, want %q", got, s.host)
		}
		s.answer(s.own(403, s.problem("some_error", "some text")))
		refusal, _ := mustFail(t, cred)
		time.Sleep(time.Minute)
		s.down.Store(true)
		silence, _ := mustFail(t, cred)
		s.down.Store(false)
		time.Sleep(time.Minute)
		s.answer(s.own(200, `{"access_token":"t"}`))
		noToken, _ := mustFail(t, cred)
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := cred.GetToken(ended, policy.TokenRequestOptions{Scopes: []string{vaultScope}})
		var left *AuthenticationError
		if !errors.As(err, &left) || !errors.Is(err, context.Canceled) {
			t.Fatalf("with an ended context: %v", err)
		}
		for what, e := range map[string]*AuthenticationError{
			"refusal": refusal, "silence": silence, "no token": noToken, "left": left,
		} {
			if e.Host != s.host || e.Endpoint != d.Endpoint || e.Resource != "https://vault.azure.net" {
				t.Errorf("%s: error is of %s at %s for %s, want %s at %s", what, e.Host, e.Endpoint, e.Resource,
					s.host, d.Endpoint)
			}
		}
		// The same host when it is demanded instead of detected.
		if got := s.credential(t, func(o *CredentialOptions) { o.Host = s.host }).Host(); got != s.host {
			t.Errorf("demanded %q, got %q", s.host, got)
		}
	})
}

// TestLostHeaders: a policy that takes out what a host wants is named, and the identity isn't
// blamed. Most hosts don't say in a code of theirs what they miss, so that it is noticed on the way
// out.
func TestLostHeaders(t *testing.T) {
	for _, p := range places {
		for name := range p.header {
			if name == "Accept" || strings.HasPrefix(name, "Content-") ||
				name == "Metadata" && p.header.Get("Metadata") != "" && p.secret != "" {
				continue // no host wants these
			}
			for how, spoil := range map[string]func(http.Header){
				"removed": func(h http.Header) { h.Del(name) },
				"changed": func(h http.Header) { h.Set(name, "another") },
			} {
				bubbleIn(t, p.name+"/"+name+" "+how, func(t *testing.T) {
					s := p.open(t)
					e, _ := mustFail(t, s.credential(t, once, func(o *CredentialOptions) {
						o.PerRetryPolicies = append(o.PerRetryPolicies,
							policyFunc(func(r *policy.Request) (*http.Response, error) {
								if r.Raw().Header.Get(name) != "" {
									spoil(r.Raw().Header)
								}
								return r.Next()
							}))
					}))
					wantErrorText(t, e,
						"the request came without the header "+name+" that it was made with",
						"a policy or the Transport in CredentialOptions")
					if errors.Is(e, ErrIdentityNotFound) || errors.Is(e, ErrUnavailable) {
						t.Errorf("it blames the identity or the host: %v", e)
					}
				})
			}
		}
	}
}

package identity

import (
	"context"
	"fmt"
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
	"github.com/keyless-go/identity/identitytest"
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

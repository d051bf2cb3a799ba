package interop

import (
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/keyless-go/identity"
	"github.com/keyless-go/identity/identitytest"
)

// authority is Entra's own, or MSAL would take the first element of the path for the tenant.
// Nothing is sent there: every connection of [identitytest.Endpoint.Client] leads to the fake.
const authority = "https://login.microsoftonline.com"

// entra is the fake behind a transport that also has the documents that MSAL reads before it asks
// for a token.
type entra struct {
	next policy.Transporter

	mu        sync.Mutex
	documents []string // the URLs of those that were read, without query
}

func (e *entra) Do(r *http.Request) (*http.Response, error) {
	document, ok := documentAt(r.URL, "https://"+r.URL.Host)
	if !ok {
		return e.next.Do(r)
	}
	e.mu.Lock()
	e.documents = append(e.documents, "https://"+r.URL.Host+r.URL.Path)
	e.mu.Unlock()
	return &http.Response{
		StatusCode: http.StatusOK,
		Header:     http.Header{"Content-Type": {"application/json"}},
		Body:       io.NopCloser(strings.NewReader(document)),
		Request:    r,
	}, nil
}

// read returns what was read since it was called last.
func (e *entra) read() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	read := e.documents
	e.documents = nil
	return read
}

const (
	instanceDiscovery   = "/common/discovery/instance"
	openIDConfiguration = "/v2.0/.well-known/openid-configuration"
)

// documentAt is the document that a GET of url has, where Entra is at base.
func documentAt(url *url.URL, base string) (document string, ok bool) {
	if tenant, ok := strings.CutSuffix(url.Path, openIDConfiguration); ok {
		tenant = base + tenant
		return fmt.Sprintf(`{"issuer": "%s/v2.0", "authorization_endpoint": "%s/oauth2/v2.0/authorize", "token_endpoint": "%s/oauth2/v2.0/token"}`,
			tenant, tenant, tenant), true
	}
	asked := strings.TrimSuffix(url.Query().Get("authorization_endpoint"), "/oauth2/v2.0/authorize")
	return fmt.Sprintf(`{"tenant_discovery_endpoint": "%s", "api-version": "1.1", "metadata": []}`,
		asked+openIDConfiguration), url.Path == instanceDiscovery
}

// exchanges are what differs in every request for a token of scope. What MSAL reads before isn't
// there: TestDocuments.
func exchanges(scope string, more ...difference) []difference {
	return exchangesOf(scope, scope, more...)
}

// exchangesOf is where the peer and we ask for unlike scopes.
func exchangesOf(peer, ours string, more ...difference) []difference {
	return append(more,
		userAgent,
		difference{"form client_info", "1", none, "asks for a field about the user, and there is none"},
		difference{"form scope", regexp.QuoteMeta(peer) + " openid offline_access profile",
			regexp.QuoteMeta(ours),
			"the others are for the sign-in of a user, and Entra ignores them without one"},
		difference{"header Accept", none, "application/json",
			"what stands in between might answer with a page of HTML otherwise"},
		difference{"header Client-Request-Id", guid, none,
			"Entra makes an ID where there is none, which is in its answer and in our error"},
		difference{"header Content-Length", `\d+`, `\d+`, "follows from the form"},
		difference{"header Content-Type", "application/x-www-form-urlencoded; charset=utf-8",
			"application/x-www-form-urlencoded",
			"the type has no such parameter"},
		difference{"header Return-Client-Request-Id", "false", none,
			"belongs to Client-Request-Id, and asks for nothing"},
		difference{"header X-Client-Cpu", `\w+`, none, "tells Microsoft about the machine"},
		difference{"header X-Client-Os", `\w+`, none, "as above"},
		difference{"header X-Client-Sku", `MSAL\.Go`, none,
			"tells Microsoft who asks, as User-Agent does"},
		difference{"header X-Client-Ver", `\d+\.\d+\.\d+`, none, "as above"},
	)
}

// pod is where workload identity is.
type pod struct {
	*identitytest.Endpoint
	entra *entra
}

func newPod(t *testing.T, identities ...identitytest.Identity) pod {
	t.Helper()
	ep := identitytest.NewWorkloadIdentity(&identitytest.Options{Identities: identities,
		Dir: t.TempDir()})
	for _, line := range ep.Env(authority) {
		name, value, _ := strings.Cut(line, "=")
		t.Setenv(name, value)
	}
	t.Setenv("AZURE_AUTHORITY_HOST", authority+"/")
	return pod{ep, &entra{next: ep.Client()}}
}

// credentials are made as the peer's options and ours say, but for the transport.
func (p pod) credentials(
	t *testing.T, peer azidentity.WorkloadIdentityCredentialOptions, ours identity.CredentialOptions,
) (azcore.TokenCredential, azcore.TokenCredential) {
	t.Helper()
	peer.Transport, ours.Transport = p.entra, p.entra
	theirs, err := azidentity.NewWorkloadIdentityCredential(&peer)
	if err != nil {
		t.Fatal(err)
	}
	own, err := identity.NewCredential(&ours)
	if err != nil {
		t.Fatal(err)
	}
	if own.Host() != identity.HostWorkloadIdentity {
		t.Fatalf("got host %v, want %v", own.Host(), identity.HostWorkloadIdentity)
	}
	return theirs, own
}

// identities of two tenants.
var (
	mine = identitytest.Identity{ClientID: "aaaaaaaa-1111-4111-8111-111111111111",
		TenantID: "bbbbbbbb-1111-4111-8111-111111111111"}
	second = identitytest.Identity{ClientID: "aaaaaaaa-2222-4222-8222-222222222222",
		TenantID: mine.TenantID}
	elsewhere = identitytest.Identity{ClientID: "aaaaaaaa-3333-4333-8333-333333333333",
		TenantID: "bbbbbbbb-3333-4333-8333-333333333333"}
)

// TestWorkloadIdentity: a token of Entra for a pod's, as WorkloadIdentityCredential and we ask for
// it.
func TestWorkloadIdentity(t *testing.T) {
	type (
		peerOptions = azidentity.WorkloadIdentityCredentialOptions
		ourOptions  = identity.CredentialOptions
		request     = policy.TokenRequestOptions
	)
	const stranger = "11111111-2222-4333-8444-555555555555"
	anyTenant := []string{"*"}
	for _, test := range []struct {
		name    string
		peer    peerOptions
		ours    ourOptions
		request request
		meant   []difference
		refused int // by Entra, both: with that status
		is      error
	}{
		{name: "variables"},
		{name: "client ID", peer: peerOptions{ClientID: second.ClientID},
			ours: ourOptions{ID: identity.ClientID(second.ClientID)}},
		{
			name: "client ID of a stranger", peer: peerOptions{ClientID: stranger},
			ours:    ourOptions{ID: identity.ClientID(stranger)},
			refused: http.StatusBadRequest, is: identity.ErrIdentityNotFound,
		},
		{
			name: "identity of another tenant", peer: peerOptions{ClientID: elsewhere.ClientID},
			ours:    ourOptions{ID: identity.ClientID(elsewhere.ClientID)},
			refused: http.StatusBadRequest, is: identity.ErrIdentityNotFound,
		},
		{name: "own tenant", request: request{TenantID: mine.TenantID}},
		{
			name: "allowed tenant", request: request{TenantID: elsewhere.TenantID},
			peer: peerOptions{AdditionallyAllowedTenants: anyTenant},
			ours: ourOptions{AdditionallyAllowedTenants: anyTenant},
			// a fake's identity is in one tenant
			refused: http.StatusBadRequest, is: identity.ErrIdentityNotFound,
		},
		{
			name: "unknown tenant", request: request{TenantID: "nobody.example"},
			peer:    peerOptions{AdditionallyAllowedTenants: []string{"other.example", "nobody.example"}},
			ours:    ourOptions{AdditionallyAllowedTenants: []string{"other.example", "nobody.example"}},
			refused: http.StatusBadRequest,
		},
		{name: "CAE", request: request{EnableCAE: true}},
		{name: "claims", request: request{EnableCAE: true, Claims: challenged}},
		{name: "claims without CAE", request: request{Claims: challenged}},
		{name: "claims of two tokens", request: request{EnableCAE: true,
			Claims: `{"userinfo":{"a":null,"b":{"values":["<&>"]}},"access_token":{"c":{"essential":false}}}`}},
		{name: "claims of another token", request: request{EnableCAE: true,
			Claims: `{"id_token":{"auth_time":{"essential":true}}}`}},
		{name: "trailing slash",
			request: request{Scopes: []string{"https://entra-slash.example//.default"}}},
		{name: "suffix twice",
			request: request{Scopes: []string{"https://entra-twice.example/.default/.default"}}, refused: http.StatusBadRequest},
		{name: "application ID",
			request: request{Scopes: []string{"api://00000000-1111-4222-8333-444444444444/.default"}}},
		{name: "characters with a meaning",
			request: request{Scopes: []string{"https://entra-a.example/b?c=d&e=f+g%20h;i#jü/.default"}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			pod := newPod(t, mine, second, elsewhere)
			test.peer.DisableInstanceDiscovery = true
			peer, ours := pod.credentials(t, test.peer, test.ours)
			if len(test.request.Scopes) == 0 {
				test.request.Scopes = []string{newScope()}
			}
			theirs, own := ask(t, pod.Endpoint, peer, test.request), ask(t, pod.Endpoint, ours, test.request)
			compare(t, theirs.requests, own.requests, exchanges(test.request.Scopes[0], test.meant...))
			if test.refused != 0 {
				sameRefusal(t, theirs, own, test.refused, test.is)
			} else {
				sameIdentity(t, theirs, own)
			}
		})
	}
}

// TestWorkloadIdentityUnlike: what the peer doesn't send or Entra refuses it, and we get a token
// for, or the other way round.
func TestWorkloadIdentityUnlike(t *testing.T) {
	scope := func(s string) policy.TokenRequestOptions {
		return policy.TokenRequestOptions{Scopes: []string{s}}
	}
	for _, test := range []struct {
		name       string
		request    policy.TokenRequestOptions
		sent       [2]int // requests, by the peer and by us
		peer, ours string // what the error says; none for a token
		why        string
	}{
		{
			"own tenant in other letters",
			policy.TokenRequestOptions{TenantID: strings.ToUpper(mine.TenantID)}, [2]int{0, 1},
			"isn't configured to acquire tokens for tenant", none, "it is the same tenant",
		},
		{
			"unlisted tenant", policy.TokenRequestOptions{TenantID: elsewhere.TenantID}, [2]int{0, 0},
			"isn't configured to acquire tokens for tenant", "AdditionallyAllowedTenants", "alike",
		},
		{
			"capabilities in a challenge", policy.TokenRequestOptions{EnableCAE: true,
				Claims: `{"access_token":{"xms_cc":{"values":["CP2"]}}}`}, [2]int{0, 1},
			"challenge claims conflict with client capabilities", none,
			"a client's capabilities are its own: the challenge has no say in them",
		},
		{
			"claims that are no JSON", policy.TokenRequestOptions{EnableCAE: true,
				Claims: `{"access_token":`}, [2]int{0, 0},
			"JSON", "is no JSON object", "alike",
		},
		{
			"claims that are no object", policy.TokenRequestOptions{EnableCAE: true, Claims: `["a"]`},
			[2]int{0, 0},
			"JSON", "is no JSON object", "alike",
		},
		{
			"scope without suffix", scope("https://entra-bare.example"), [2]int{1, 1},
			"AADSTS1002012", none,
			"a managed identity's scope may lack it on every other host, and one credential is for all hosts",
		},
		{
			"empty scope", scope(""), [2]int{1, 0},
			"AADSTS", "empty scope", "nothing is worth sending",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			pod := newPod(t, mine, second, elsewhere)
			peer, ours := pod.credentials(t,
				undiscovered, identity.CredentialOptions{})
			if len(test.request.Scopes) == 0 {
				test.request.Scopes = []string{newScope()}
			}
			theirs, own := ask(t, pod.Endpoint, peer, test.request), ask(t, pod.Endpoint, ours, test.request)
			if got := [2]int{len(theirs.requests), len(own.requests)}; got != test.sent {
				t.Errorf("the peer and we sent %d requests, want %d (%s)", got, test.sent, test.why)
			}
			if test.sent == [2]int{1, 1} {
				scope := test.request.Scopes[0]
				compare(t, theirs.requests, own.requests, exchangesOf(scope, scope+"/.default"))
			}
			says(t, "the peer's", theirs.err, test.peer)
			says(t, "our", own.err, test.ours)
		})
	}
}

// says: want is none for no error.
func says(t *testing.T, whose string, err error, want string) {
	t.Helper()
	switch {
	case want == none && err != nil:
		t.Errorf("%s error is %v, want none", whose, err)
	case want != none && (err == nil || !strings.Contains(err.Error(), want)):
		t.Errorf("%s error is %v, want one that says %q", whose, err, want)
	}
}

// undiscovered spares the peer a document.
var undiscovered = azidentity.WorkloadIdentityCredentialOptions{DisableInstanceDiscovery: true}

// TestAssertions: azidentity keeps what it has read for 10 minutes and sends it as it is. We read
// the file for each request, without the blank space around, and a second time if Entra says that
// the assertion has expired.
func TestAssertions(t *testing.T) {
	nothing := func(pod) {}
	const jwt = `ey[\w-]+\.[\w-]+\.[\w-]+`
	for _, test := range []struct {
		name    string
		between func(pod) // two tokens
		before  func(pod) // the request of each for the second
		meant   []difference
		peer    string // what its error says
		ours    int    // requests
	}{
		{name: "nothing new", peer: none, ours: 1},
		{
			name: "replaced", between: func(p pod) { p.RotateSecret() },
			meant: []difference{{"form client_assertion", jwt, jwt, "the kubelet has replaced the peer's"}},
			peer:  "AADSTS700024", ours: 1,
		},
		{
			name: "refused as expired", before: func(p pod) {
				p.Enqueue(identitytest.Response{Status: http.StatusUnauthorized})
			},
			peer: "AADSTS700024", ours: 2,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			pod := newPod(t, mine)
			peer, ours := pod.credentials(t,
				undiscovered, identity.CredentialOptions{})
			options := anew()
			sameIdentity(t, ask(t, pod.Endpoint, peer, options), ask(t, pod.Endpoint, ours, options))
			if test.between != nil {
				test.between(pod)
			}
			if test.before == nil {
				test.before = nothing
			}
			options = anew()
			test.before(pod)
			theirs := ask(t, pod.Endpoint, peer, options)
			test.before(pod)
			own := ask(t, pod.Endpoint, ours, options)
			if len(own.requests) != test.ours {
				t.Fatalf("got %d requests, want %d", len(own.requests), test.ours)
			}
			for _, request := range own.requests { // one of them is a repetition, if there are two
				compare(t, theirs.requests, []*http.Request{request},
					exchanges(options.Scopes[0], test.meant...))
			}
			says(t, "the peer's", theirs.err, test.peer)
			says(t, "our", own.err, none)
		})
	}

	t.Run("with a line's end", func(t *testing.T) {
		pod := newPod(t, mine)
		file := os.Getenv("AZURE_FEDERATED_TOKEN_FILE")
		assertion, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, append(assertion, '\n'), 0o600); err != nil {
			t.Fatal(err)
		}
		peer, ours := pod.credentials(t,
			undiscovered, identity.CredentialOptions{})
		options := anew()
		theirs, own := ask(t, pod.Endpoint, peer, options), ask(t, pod.Endpoint, ours, options)
		compare(t, theirs.requests, own.requests, exchanges(options.Scopes[0],
			difference{"form client_assertion", jwt + `\\n`, jwt,
				"the line's end is the file's, not the token's"}))
		says(t, "the peer's", theirs.err, "AADSTS")
		says(t, "our", own.err, none)
	})
}

// TestHintNamesTheTenantAsked: where another tenant than the pod's was asked, that is where to
// look.
func TestHintNamesTheTenantAsked(t *testing.T) {
	for _, test := range []struct{ name, tenant, says, not string }{
		{"identity that isn't there", elsewhere.TenantID, "AADSTS700016", mine.TenantID},
		{"tenant that isn't there", "nobody.example", "AADSTS90002", "AZURE_TENANT_ID"},
	} {
		t.Run(test.name, func(t *testing.T) {
			pod := newPod(t, mine, elsewhere)
			_, ours := pod.credentials(t, azidentity.WorkloadIdentityCredentialOptions{},
				identity.CredentialOptions{AdditionallyAllowedTenants: []string{"*"}})
			own := ask(t, pod.Endpoint, ours, policy.TokenRequestOptions{Scopes: []string{newScope()},
				TenantID: test.tenant})
			says(t, "our", own.err, test.says)
			if own.err != nil && strings.Contains(own.err.Error(), test.not) {
				t.Errorf("got error %v, want one about %s, not %s", own.err, test.tenant, test.not)
			}
		})
	}
}

// TestDocuments: MSAL reads two documents before it asks for a token, and about an authority that
// it doesn't know it asks the public cloud. We read none: the endpoint's path is documented, and
// each document is one more thing that can fail, and somebody else who could move the endpoint.
// DisableInstanceDiscovery spares the peer the first of them.
func TestDocuments(t *testing.T) {
	for _, disabled := range []bool{false, true} {
		t.Run(fmt.Sprintf("DisableInstanceDiscovery=%v", disabled), func(t *testing.T) {
			pod := newPod(t, mine)
			// MSAL would remember one that it has read about
			base := fmt.Sprintf("https://127.0.0.1:%d", resources.Add(1))
			t.Setenv("AZURE_AUTHORITY_HOST", base)
			peer, ours := pod.credentials(t,
				azidentity.WorkloadIdentityCredentialOptions{DisableInstanceDiscovery: disabled}, identity.CredentialOptions{})
			options := anew()

			theirs := ask(t, pod.Endpoint, peer, options)
			want := []string{authority + instanceDiscovery, base + "/" + mine.TenantID + openIDConfiguration}
			if disabled {
				want = want[1:]
			}
			// the first it reads twice
			if read := slices.Compact(pod.entra.read()); !slices.Equal(read, want) {
				t.Errorf("the peer read %v, want %v", read, want)
			}
			own := ask(t, pod.Endpoint, ours, options)
			if read := pod.entra.read(); len(read) != 0 {
				t.Errorf("read %v, want nothing", read)
			}
			compare(t, theirs.requests, own.requests, exchanges(options.Scopes[0]))
			sameIdentity(t, theirs, own)
		})
	}
}

// TestIdentityBinding: with the variables of AKS's proxy, both ask that instead of Entra. The peer
// has to be told.
func TestIdentityBinding(t *testing.T) {
	for _, path := range []string{"", "/", "/proxy"} {
		t.Run("proxy "+path, func(t *testing.T) {
			pod := newPod(t, mine)
			var reads atomic.Int64
			var authority string
			handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if document, ok := documentAt(r.URL, authority); ok {
					reads.Add(1)
					_, _ = io.WriteString(w, document)
					return
				}
				pod.ServeHTTP(w, r)
			})
			server := httptest.NewUnstartedServer(http.StripPrefix(strings.TrimSuffix(path, "/"), handler))
			server.TLS = pod.TLSConfig()
			server.StartTLS()
			t.Cleanup(server.Close)
			// nothing is sent by this name
			authority = strings.Replace(server.URL, "127.0.0.1", "localhost", 1)
			t.Setenv("AZURE_AUTHORITY_HOST", authority)
			t.Setenv("AZURE_KUBERNETES_TOKEN_PROXY", server.URL+path)
			t.Setenv("AZURE_KUBERNETES_SNI_NAME", "localhost")
			t.Setenv("AZURE_KUBERNETES_CA_DATA",
				string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE",
					Bytes: server.TLS.Certificates[0].Certificate[0]})))

			peer, err := azidentity.NewWorkloadIdentityCredential(&azidentity.WorkloadIdentityCredentialOptions{EnableAzureProxy: true, DisableInstanceDiscovery: true})
			if err != nil {
				t.Fatal(err)
			}
			ours, err := identity.NewCredential(nil)
			if err != nil {
				t.Fatal(err)
			}
			options := anew()
			theirs := ask(t, pod.Endpoint, peer, options)
			if n := reads.Swap(0); n != 1 {
				t.Errorf("the peer read %d documents, want 1", n)
			}
			own := ask(t, pod.Endpoint, ours, options)
			if n := reads.Swap(0); n != 0 {
				t.Errorf("read %d documents, want none", n)
			}
			compare(t, theirs.requests, own.requests, exchanges(options.Scopes[0],
				difference{"host", `localhost:\d+`, `127\.0\.0\.1:\d+`,
					"the proxy is found by its address and its name in TLS; the peer leaves Entra's here, and " +
						"Microsoft's example with curl has the name in TLS"},
				difference{"header Connection", none, "close", "there is one request in hours"},
			))
			sameIdentity(t, theirs, own)
		})
	}
}

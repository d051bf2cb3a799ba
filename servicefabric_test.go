package identity

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	azruntime "github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/google/go-cmp/cmp"
	"github.com/keyless-go/identity/identitytest"
)

// fabricBase is where a node's token service listens. The connections of these tests go there in name only.
const fabricBase = "https://localhost:2377"

// onServiceFabric is a credential whose host is a fake that is asked over TLS, in memory.
func onServiceFabric(tb testing.TB, ep *identitytest.Endpoint, adjust ...func(*CredentialOptions)) *Credential {
	tb.Helper()
	return credentialAt(tb, environmentAt(ep, fabricBase), ep.Client(), adjust...)
}

// fabricVariables are a node's variables that never change, with the thumbprint of a fake. The fake refuses this secret,
// so that its answers have to be scripted.
func fabricVariables(ep *identitytest.Endpoint) map[string]string {
	return map[string]string{
		"IDENTITY_ENDPOINT":          fabricBase + "/metadata/identity/oauth2/token",
		"IDENTITY_HEADER":            "the-secret",
		"IDENTITY_SERVER_THUMBPRINT": environmentAt(ep, fabricBase).getenv("IDENTITY_SERVER_THUMBPRINT"),
	}
}

// outbox keeps what goes to the host, as a policy directly above the transport sees it.
type outbox struct {
	mu   sync.Mutex
	sent []*http.Request
	at   []time.Time
}

func (b *outbox) Do(req *policy.Request) (*http.Response, error) {
	b.mu.Lock()
	b.sent = append(b.sent, req.Raw().Clone(context.Background()))
	b.at = append(b.at, time.Now())
	b.mu.Unlock()
	return req.Next()
}

func (b *outbox) watch(o *CredentialOptions) { o.PerRetryPolicies = []policy.Policy{b} }

func (b *outbox) requests() []*http.Request {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]*http.Request(nil), b.sent...)
}

func (b *outbox) times() []time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]time.Time(nil), b.at...)
}

// capable asks for the vault's token as Azure SDK clients do.
func capable(ctx context.Context, cred azcore.TokenCredential) (azcore.AccessToken, error) {
	return cred.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{vaultScope}, EnableCAE: true})
}

func TestServiceFabricRequests(t *testing.T) {
	t.Parallel()
	const (
		vault = "https://vault.azure.net"
		// SHA-256 of "test_token", the example of MSAL .NET's specification:
		// https://github.com/AzureAD/microsoft-authentication-library-for-dotnet/blob/main/docs/msiv1_token_revocation.md
		testTokenHash = "cc0af97287543b65da2c7e1476426021826cab166f1e063ed012b855ff819656"
		claims        = `{"access_token":{"nbf":{"essential":true,"value":"1702682181"}}}`
	)
	for _, tt := range []struct {
		name      string
		version   string // IDENTITY_API_VERSION
		cae       bool
		held      string // a token that is held already
		challenge string
		want      url.Values // by hand: what the golden file says must be this
	}{
		{"plain", "", false, "", "", url.Values{"api-version": {"2019-07-01-preview"}, "resource": {vault}}},
		{"cae", "", true, "", "", url.Values{"api-version": {"2019-07-01-preview"}, "resource": {vault}, "xms_cc": {"cp1"}}},
		{"claims", "", true, "test_token", claims, url.Values{"api-version": {"2019-07-01-preview"}, "resource": {vault}, "xms_cc": {"cp1"}, "token_sha256_to_refresh": {testTokenHash}}},
		{"claims-nothing-held", "", true, "", claims, url.Values{"api-version": {"2019-07-01-preview"}, "resource": {vault}, "xms_cc": {"cp1"}}},
		{"claims-without-cae", "", false, "test_token", claims, url.Values{"api-version": {"2019-07-01-preview"}, "resource": {vault}, "token_sha256_to_refresh": {testTokenHash}}},
		{"api-version", "2020-05-01", false, "", "", url.Values{"api-version": {"2020-05-01"}, "resource": {vault}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ep := identitytest.NewServiceFabric(nil)
			variables := fabricVariables(ep)
			variables["IDENTITY_API_VERSION"] = tt.version
			var box outbox
			cred := credentialAt(t, environmentOf(variables), ep.Client(), box.watch)
			if tt.held != "" {
				ep.Enqueue(identitytest.Response{Body: grantBody(tt.held, 24*time.Hour)})
				if _, err := cred.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{vaultScope}, EnableCAE: tt.cae}); err != nil {
					t.Fatal(err)
				}
			}
			ep.Enqueue(identitytest.Response{Body: grantBody("another_token", 24*time.Hour)})
			tk, err := cred.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{vaultScope}, EnableCAE: tt.cae, Claims: tt.challenge, TenantID: "ignored"})
			if err != nil || tk.Token != "another_token" {
				t.Fatalf("got %q, error %v", tk.Token, err)
			}
			sent := box.requests()
			if want := 1 + min(len(tt.held), 1); len(sent) != want || len(ep.Requests()) != want {
				t.Fatalf("%d requests were sent and %d arrived, want %d", len(sent), len(ep.Requests()), want)
			}
			r := sent[len(sent)-1]
			checkQuery(t, r, tt.want)
			if r.Method != "GET" || r.URL.Scheme+"://"+r.URL.Host+r.URL.Path != "https://localhost:2377/metadata/identity/oauth2/token" {
				t.Errorf("request is %s %s", r.Method, r.URL)
			}
			if r.Body != nil && r.Body != http.NoBody || r.ContentLength > 0 {
				t.Error("the request has a body")
			}
			if diff := cmp.Diff([]string{"the-secret"}, r.Header["Secret"]); diff != "" {
				t.Errorf("Secret header (-want +got):\n%s", diff)
			}
			if strings.Contains(r.URL.String(), "the-secret") || strings.Contains(r.UserAgent(), "the-secret") {
				t.Error("the secret is elsewhere in the request, too")
			}
			got := wireFormat(r, "the-secret")
			if strings.Contains(got, "the-secret") || !strings.Contains(got, "Secret: REDACTED\n") {
				t.Errorf("golden text is off:\n%s", got)
			}
			compareGolden(t, "servicefabric/"+tt.name+".golden", got)

			// What came out of the TLS connection is the same, but for what the connection itself needs.
			arrived := ep.Requests()[len(sent)-1]
			checkQuery(t, arrived, tt.want)
			if arrived.Host != "localhost:2377" || arrived.Header.Get("Secret") != "the-secret" || arrived.Header.Get("X-Forwarded-For") != "" {
				t.Errorf("what arrived is for %s and has the headers %v", arrived.Host, arrived.Header)
			}
		})
	}
}

// TestServiceFabricEndpointForms: nothing of the variable is lost, and it selects no identity.
func TestServiceFabricEndpointForms(t *testing.T) {
	t.Parallel()
	const query = "api-version=2019-07-01-preview&resource=https%3A%2F%2Fvault.azure.net"
	for _, tt := range []struct{ name, endpoint, want string }{
		{"documented", "https://localhost:2377/metadata/identity/oauth2/token", "https://localhost:2377/metadata/identity/oauth2/token?" + query},
		{"IP address", "https://10.0.0.4:2377/metadata/identity/oauth2/token", "https://10.0.0.4:2377/metadata/identity/oauth2/token?" + query},
		{"IPv6", "https://[::1]:2377/metadata/identity/oauth2/token", "https://[::1]:2377/metadata/identity/oauth2/token?" + query},
		{"scheme in capitals", "HTTPS://localhost:2377/token", "https://localhost:2377/token?" + query},
		{"no path", "https://localhost:2377", "https://localhost:2377?" + query},
		{"its own query", "https://localhost/token?app=1", "https://localhost/token?api-version=2019-07-01-preview&app=1&resource=https%3A%2F%2Fvault.azure.net"},
		{"its own api-version", "https://localhost/token?api-version=2017-09-01", "https://localhost/token?" + query},
		{"its own selectors", "https://localhost/token?principalId=a&client_id=b&object_id=c&msi_res_id=d", "https://localhost/token?" + query},
		{"its own capabilities", "https://localhost/token?xms_cc=cp1&token_sha256_to_refresh=00", "https://localhost/token?" + query},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ep := identitytest.NewServiceFabric(nil)
			ep.Enqueue(identitytest.Response{Body: grantBody("t", time.Hour)})
			variables := fabricVariables(ep)
			variables["IDENTITY_ENDPOINT"] = tt.endpoint
			var box outbox
			mustToken(t, credentialAt(t, environmentOf(variables), ep.Client(), box.watch))
			if got := box.requests()[0].URL.String(); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestServiceFabricConstructor(t *testing.T) {
	t.Parallel()
	const (
		digits40 = "0123456789ABCDEF0123456789abcdef01234567"
		endpoint = "https://localhost:2377/metadata/identity/oauth2/token"
		reason   = "the application's manifest assigns the identity, so leave ID nil"
	)
	for _, tt := range []struct {
		name      string
		variable  string // the one that is not as it should be
		value     string
		id        ID
		wantError []string
	}{
		{"as it should be", "", "", nil, nil},

		{"http", "IDENTITY_ENDPOINT", "http://localhost:2377/metadata/identity/oauth2/token", nil, []string{"IDENTITY_ENDPOINT", "is not https", "https://localhost:2377/"}},
		{"no host", "IDENTITY_ENDPOINT", "https:///metadata/identity/oauth2/token", nil, []string{"IDENTITY_ENDPOINT", "has no host"}},
		{"a port and no host", "IDENTITY_ENDPOINT", "https://:2377/metadata/identity/oauth2/token", nil, []string{"IDENTITY_ENDPOINT", "has no host"}},
		{"no scheme", "IDENTITY_ENDPOINT", "localhost:2377/metadata/identity/oauth2/token", nil, []string{"IDENTITY_ENDPOINT"}},
		{"another scheme", "IDENTITY_ENDPOINT", "wss://localhost:2377/", nil, []string{"IDENTITY_ENDPOINT"}},
		{"user info", "IDENTITY_ENDPOINT", "https://user:pa55word@localhost:2377/", nil, []string{"IDENTITY_ENDPOINT", "user info"}},
		{"fragment", "IDENTITY_ENDPOINT", "https://localhost:2377/#x", nil, []string{"IDENTITY_ENDPOINT", "fragment"}},
		{"port out of range", "IDENTITY_ENDPOINT", "https://localhost:70000/", nil, []string{"IDENTITY_ENDPOINT", "port"}},
		{"line break", "IDENTITY_ENDPOINT", "https://localhost:2377/\r\nx", nil, []string{"IDENTITY_ENDPOINT"}},

		{"header with a line break", "IDENTITY_HEADER", "pa55word\r\nX: y", nil, []string{"IDENTITY_HEADER", "control character"}},

		{"40 digits", "IDENTITY_SERVER_THUMBPRINT", digits40, nil, nil},
		{"upper case", "IDENTITY_SERVER_THUMBPRINT", strings.ToUpper(digits40), nil, nil},
		{"lower case", "IDENTITY_SERVER_THUMBPRINT", strings.ToLower(digits40), nil, nil},
		{"colons", "IDENTITY_SERVER_THUMBPRINT", "01:23:45:67:89:AB:CD:EF:01:23:45:67:89:ab:cd:ef:01:23:45:67", nil, nil},
		{"blanks", "IDENTITY_SERVER_THUMBPRINT", "01 23 45 67 89 AB CD EF 01 23 45 67 89 ab cd ef 01 23 45 67", nil, nil},
		{"white space around", "IDENTITY_SERVER_THUMBPRINT", " \t\r\n" + digits40 + "\u00a0\n", nil, nil},
		{"colons and white space", "IDENTITY_SERVER_THUMBPRINT", "::01: 23" + digits40[4:] + " :", nil, nil},
		{"39 digits", "IDENTITY_SERVER_THUMBPRINT", digits40[:39], nil, []string{"IDENTITY_SERVER_THUMBPRINT", "40 hexadecimal digits"}},
		{"38 digits", "IDENTITY_SERVER_THUMBPRINT", digits40[:38], nil, []string{"IDENTITY_SERVER_THUMBPRINT", "40 hexadecimal digits"}},
		{"41 digits", "IDENTITY_SERVER_THUMBPRINT", digits40 + "0", nil, []string{"IDENTITY_SERVER_THUMBPRINT", "40 hexadecimal digits"}},
		{"42 digits", "IDENTITY_SERVER_THUMBPRINT", digits40 + "00", nil, []string{"IDENTITY_SERVER_THUMBPRINT", "40 hexadecimal digits"}},
		{"a SHA-256", "IDENTITY_SERVER_THUMBPRINT", digits40 + digits40[:24], nil, []string{"IDENTITY_SERVER_THUMBPRINT", "40 hexadecimal digits"}},
		{"a letter that is no digit", "IDENTITY_SERVER_THUMBPRINT", "g" + digits40[1:], nil, []string{"IDENTITY_SERVER_THUMBPRINT", "40 hexadecimal digits"}},
		{"40 letters", "IDENTITY_SERVER_THUMBPRINT", strings.Repeat("x", 40), nil, []string{"IDENTITY_SERVER_THUMBPRINT"}},
		{"0x", "IDENTITY_SERVER_THUMBPRINT", "0x" + digits40, nil, []string{"IDENTITY_SERVER_THUMBPRINT"}},
		{"0x within 40", "IDENTITY_SERVER_THUMBPRINT", "0x" + digits40[2:], nil, []string{"IDENTITY_SERVER_THUMBPRINT"}},
		{"dashes", "IDENTITY_SERVER_THUMBPRINT", "01-23" + digits40[4:], nil, []string{"IDENTITY_SERVER_THUMBPRINT"}},
		{"full-width digits", "IDENTITY_SERVER_THUMBPRINT", "\uff10" + digits40[1:], nil, []string{"IDENTITY_SERVER_THUMBPRINT"}},
		{"Windows' invisible mark", "IDENTITY_SERVER_THUMBPRINT", "\u200e" + digits40, nil, []string{"IDENTITY_SERVER_THUMBPRINT"}},
		{"a zero byte", "IDENTITY_SERVER_THUMBPRINT", digits40 + "\x00", nil, []string{"IDENTITY_SERVER_THUMBPRINT"}},
		{"blank", "IDENTITY_SERVER_THUMBPRINT", " ", nil, []string{"IDENTITY_SERVER_THUMBPRINT", "40 hexadecimal digits"}},
		{"colons only", "IDENTITY_SERVER_THUMBPRINT", ": : :", nil, []string{"IDENTITY_SERVER_THUMBPRINT", "40 hexadecimal digits"}},
		{"two thumbprints", "IDENTITY_SERVER_THUMBPRINT", digits40 + "," + digits40, nil, []string{"IDENTITY_SERVER_THUMBPRINT"}},

		{"client ID", "", "", ClientID(guid), []string{"CredentialOptions.ID", "Service Fabric", "client ID", reason}},
		{"object ID", "", "", ObjectID(guid), []string{"CredentialOptions.ID", "Service Fabric", "object ID", reason}},
		{"resource ID", "", "", ResourceID(identityID), []string{"CredentialOptions.ID", "Service Fabric", "resource ID", reason}},

		{"a later version", "IDENTITY_API_VERSION", "2030-01-01-preview", nil, nil},
		{"version with a blank", "IDENTITY_API_VERSION", "2020-05-01 ", nil, []string{"IDENTITY_API_VERSION", "blank"}},
		{"version of a blank", "IDENTITY_API_VERSION", " ", nil, []string{"IDENTITY_API_VERSION", "blank"}},
		{"version with a line break", "IDENTITY_API_VERSION", "2020-05-01\r\nX: y", nil, []string{"IDENTITY_API_VERSION"}},
		{"version that is not UTF-8", "IDENTITY_API_VERSION", "\xff", nil, []string{"IDENTITY_API_VERSION"}},
		{"endless version", "IDENTITY_API_VERSION", strings.Repeat("2", 5000), nil, []string{"IDENTITY_API_VERSION", "5000 characters"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			variables := map[string]string{"IDENTITY_ENDPOINT": endpoint, "IDENTITY_HEADER": "pa55word", "IDENTITY_SERVER_THUMBPRINT": digits40}
			if tt.variable != "" {
				variables[tt.variable] = tt.value
			}
			for _, host := range []Host{"", HostServiceFabric} {
				if strings.HasPrefix(variables["IDENTITY_ENDPOINT"], "http://") && host == "" {
					continue // it is Container Instances' on Windows
				}
				cred, err := newCredential(&CredentialOptions{ID: tt.id, Host: host}, environmentOf(variables))
				if tt.wantError != nil {
					wantErrorText(t, err, tt.wantError...)
					if err != nil && strings.Contains(err.Error(), "pa55word") {
						t.Errorf("error repeats a secret: %v", err)
					}
					continue
				}
				if err != nil {
					t.Errorf("Host %q: %v", host, err)
				} else if got := cred.Host(); got != "servicefabric" {
					t.Errorf("Host %q: detected %q", host, got)
				}
			}
		})
	}
}

// TestServiceFabricAdvisesAnEndpointOfItsOwn: who follows the advice of one error must not get the next one.
func TestServiceFabricAdvisesAnEndpointOfItsOwn(t *testing.T) {
	t.Parallel()
	_, err := newCredential(nil, environmentOf(map[string]string{
		"IDENTITY_ENDPOINT": "https:///token", "IDENTITY_HEADER": "s", "IDENTITY_SERVER_THUMBPRINT": strings.Repeat("0", 40),
	}))
	if err == nil || strings.Contains(err.Error(), "http://") {
		t.Errorf("got %v, which advises an endpoint that Service Fabric's is not: want no http:// in it", err)
	}
}

func TestServiceFabricReadsItsVariablesAtEveryTry(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ep := identitytest.NewServiceFabric(nil)
		v := &variables{values: fabricVariables(ep)}
		ep.Enqueue(identitytest.Response{Status: 503}, identitytest.Response{Status: 503}, identitytest.Response{Body: grantBody("t", time.Hour)})
		var box outbox
		cred := credentialAt(t, v.environment(), ep.Client(), box.watch, func(o *CredentialOptions) {
			n := 0
			o.PerRetryPolicies = append(o.PerRetryPolicies, policyFunc(func(req *policy.Request) (*http.Response, error) {
				switch n++; n {
				case 1:
					v.set("IDENTITY_HEADER", "second")
					v.set("IDENTITY_API_VERSION", "2020-05-01")
				case 2:
					v.set("IDENTITY_ENDPOINT", "https://localhost:9999/moved")
				}
				return req.Next()
			}))
		})
		mustToken(t, cred)
		var got []string
		for _, r := range box.requests() {
			got = append(got, r.URL.Host+r.URL.Path+" "+r.URL.Query().Get("api-version")+" "+r.Header.Get("Secret"))
		}
		want := []string{
			"localhost:2377/metadata/identity/oauth2/token 2019-07-01-preview the-secret",
			"localhost:2377/metadata/identity/oauth2/token 2020-05-01 second",
			"localhost:9999/moved 2020-05-01 second",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("tries (-want +got):\n%s", diff)
		}
	})
}

func TestServiceFabricVariablesThatGoBad(t *testing.T) {
	for _, tt := range []struct{ name, variable, value string }{
		{"endpoint becomes http", "IDENTITY_ENDPOINT", "http://localhost:2377/metadata/identity/oauth2/token"},
		{"endpoint vanishes", "IDENTITY_ENDPOINT", ""},
		{"header vanishes", "IDENTITY_HEADER", ""},
		{"version becomes two words", "IDENTITY_API_VERSION", "a b"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				ep := identitytest.NewServiceFabric(nil)
				v := &variables{values: fabricVariables(ep)}
				ep.Enqueue(identitytest.Response{Body: grantBody("t", 24*time.Hour)})
				cred := credentialAt(t, v.environment(), ep.Client())
				mustToken(t, cred)
				v.set(tt.variable, tt.value)
				start := time.Now()
				wantErrorText(t, anotherToken(cred), tt.variable+": ", "https://another.example")
				if took := time.Since(start); took != 0 || len(ep.Requests()) != 1 {
					t.Errorf("%d requests, error after %v, want the first alone, and at once", len(ep.Requests()), took)
				}
				mustToken(t, cred) // the one that is held
			})
		})
	}
}

func TestServiceFabricSecretRotates(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ep := identitytest.NewServiceFabric(nil)
		env := environmentAt(ep, fabricBase)
		env.getenv = func(name string) string { return environmentAt(ep, fabricBase).getenv(name) }
		cred, stale := credentialAt(t, env, ep.Client()), onServiceFabric(t, ep)
		mustToken(t, cred)
		ep.RotateSecret()
		if err := anotherToken(cred); err != nil {
			t.Errorf("after a rotation: %v", err)
		}
		if e, _ := mustFail(t, stale); !errors.Is(e, ErrIdentityNotFound) || e.Attempts != 1 {
			t.Errorf("with the old secret: got %v, want ErrIdentityNotFound after one attempt", e)
		}
	})
}

// TestServiceFabricRefusals has all that Microsoft documents, and what else was seen.
func TestServiceFabricRefusals(t *testing.T) {
	t.Parallel()
	const (
		cor       = "7f30f4d3-0f3a-41e0-a417-527f21b3848f"
		rest      = " (token for https://vault.azure.net, 1 attempt, 0s)"
		restCor   = " (token for https://vault.azure.net, 1 attempt, 0s, correlation ID " + cor + ")"
		at        = "https://localhost:2377/metadata/identity/oauth2/token"
		throttled = "The request was throttled locally; the service allows 30 requests per 10s; retry after 4s."
		manifest  = ": does the application's manifest assign a managed identity to this service, and is IDENTITY_HEADER this process's own?"
		removed   = ": the request came without the header Secret that it was made with: did a policy or the Transport in CredentialOptions remove it?"
		wrong     = ": Service Fabric says this of a wrong resource, too: is the scope right, down to a slash at its end?"
		others    = ": what else of this application asks for tokens?"
		noSecret  = "Secret is not found in the request headers."
		nobody    = "Managed identity not found for the specified application host."
		empty     = "The parameter 'resource' should not be null or empty string."
		version   = "The api-version '2018-02-01' is not supported. Supported version is '2019-07-01-preview'."
		aadsts    = "AADSTS500011: The resource principal named https://nope.example was not found in the tenant named Contoso."
	)
	for _, tt := range []refusal{
		{"no secret", 400, "servicefabric/secret-header-not-found.json", nil, nil,
			`identity: Service Fabric: 400 SecretHeaderNotFound "` + noSecret + `"` + restCor + removed, nil, "SecretHeaderNotFound", noSecret, cor},
		{"no identity", 404, "servicefabric/managed-identity-not-found.json", nil, nil,
			`identity: Service Fabric: 404 ManagedIdentityNotFound "` + nobody + `"` + restCor + manifest, ErrIdentityNotFound, "ManagedIdentityNotFound", nobody, cor},
		{"the same code with another status", 403, "servicefabric/managed-identity-not-found.json", nil, nil,
			`identity: Service Fabric: 403 ManagedIdentityNotFound "` + nobody + `"` + restCor, nil, "ManagedIdentityNotFound", nobody, cor},
		{"no resource", 400, "servicefabric/argument-null-or-empty.json", nil, nil,
			`identity: Service Fabric: 400 ArgumentNullOrEmpty "` + empty + `"` + restCor, nil, "ArgumentNullOrEmpty", empty, cor},
		{"api-version", 400, "servicefabric/invalid-api-version.json", nil, nil,
			`identity: Service Fabric: 400 InvalidApiVersion "` + version + `"` + restCor + ": IDENTITY_API_VERSION chooses the version: unset it to ask for 2019-07-01-preview", nil, "InvalidApiVersion", version, cor},
		{"server error", 500, "servicefabric/internal-server-error.json", nil, nil,
			`identity: Service Fabric: 500 InternalServerError "An error occurred."` + restCor + wrong, nil, "InternalServerError", "An error occurred.", cor},
		{"throttled, as text", 429, throttled, nil, nil,
			`identity: Service Fabric: 429 "` + throttled + `"` + rest + others, ErrThrottled, "", throttled, ""},
		{"throttled, without a word", 429, "", nil, nil,
			`identity: Service Fabric: 429: without a word, from ` + at + rest + others, ErrThrottled, "", "", ""},
		{"resource unknown to Entra", 400, `{"error":{"correlationId":"` + cor + `","code":"invalid_resource","message":"` + aadsts + `\r\nTrace ID: x"}}`, nil, nil,
			`identity: Service Fabric: 400 invalid_resource "` + aadsts + `"` + restCor + ": Entra refused: is the scope a resource of this tenant and cloud?", nil, "invalid_resource", aadsts, cor},
		{"404 of something else", 404, `{"error":{"code":"NotFound","message":"no such path"}}`, nil, nil,
			`identity: Service Fabric: 404 NotFound "no such path"` + rest, nil, "NotFound", "no such path", ""},
		{"404, without a word", 404, "", nil, nil,
			`identity: Service Fabric: 404: without a word, from ` + at + rest, nil, "", "", ""},
		{"a page that mentions the code", 404, "<html>ManagedIdentityNotFound</html>", nil, nil,
			`identity: Service Fabric: 404 "<html>ManagedIdentityNotFound</html>"` + rest, nil, "", "<html>ManagedIdentityNotFound</html>", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				body := tt.body
				if strings.HasSuffix(body, ".json") {
					body = sampleOf(t, body)
				}
				ep := identitytest.NewServiceFabric(nil)
				ep.Enqueue(identitytest.Response{Status: tt.status, Header: http.Header{}, Body: body, For: time.Hour})
				cred := credentialAt(t, environmentOf(fabricVariables(ep)), ep.Client(), func(o *CredentialOptions) { o.Retry.MaxRetries = -1 })
				e, _ := mustFail(t, cred)
				if diff := cmp.Diff(tt.text, e.Error()); diff != "" {
					t.Errorf("error (-want +got):\n%s", diff)
				}
				for _, sentinel := range []error{ErrUnavailable, ErrIdentityNotFound, ErrIdentityMismatch, ErrThrottled} {
					if got, want := errors.Is(e, sentinel), sentinel == tt.sentinel; got != want {
						t.Errorf("errors.Is(%q) is %v, want %v", sentinel, got, want)
					}
				}
				type fields struct {
					Host                 Host
					Endpoint             string
					Status, Attempts     int
					Code, Message, CorID string
					ID                   ID
				}
				want := fields{"servicefabric", at, tt.status, 1, tt.code, tt.message, tt.id2, nil}
				if diff := cmp.Diff(want, fields{e.Host, e.Endpoint, e.StatusCode, e.Attempts, e.Code, e.Message, e.CorrelationID, e.ID}); diff != "" {
					t.Errorf("fields (-want +got):\n%s", diff)
				}
				if e.RawResponse == nil || e.RawResponse.StatusCode != tt.status {
					t.Fatalf("RawResponse is %+v", e.RawResponse)
				}
				if got, err := io.ReadAll(e.RawResponse.Body); err != nil || string(got) != body {
					t.Errorf("RawResponse has the body %q, error %v, want %q", got, err, body)
				}
			})
		})
	}
}

// TestServiceFabricFakeRefuses: the fake's own refusals are understood, too.
func TestServiceFabricFakeRefuses(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ep := identitytest.NewServiceFabric(nil)
		env := environmentAt(ep, fabricBase)
		old := env.getenv
		env.getenv = func(name string) string {
			switch name {
			case "IDENTITY_API_VERSION":
				return "2018-02-01"
			}
			return old(name)
		}
		if e, _ := mustFail(t, credentialAt(t, env, ep.Client())); e.Code != "InvalidApiVersion" || e.StatusCode != 400 || e.Attempts != 1 || e.CorrelationID == "" {
			t.Errorf("got %v, want InvalidApiVersion after one attempt", e)
		}
	})
}

func TestServiceFabricRetryPerStatus(t *testing.T) {
	const body = `{"error":{"correlationId":"c0ffee","code":"Some","message":"some text"}}`
	run := func(t *testing.T, status int, body string) (*AuthenticationError, time.Duration) {
		t.Helper()
		ep := identitytest.NewServiceFabric(nil)
		ep.Enqueue(identitytest.Response{Status: status, Header: http.Header{}, Body: body, For: time.Hour})
		e, took := mustFail(t, onServiceFabric(t, ep))
		if e.Attempts != len(ep.Requests()) || e.StatusCode != status {
			t.Errorf("error says %d attempts, status %d, but %d requests arrived: %v", e.Attempts, e.StatusCode, len(ep.Requests()), e)
		}
		return e, took
	}
	for _, status := range []int{408, 429, 500, 501, 502, 503, 504, 599, 600, 999} {
		t.Run(fmt.Sprint("retries ", status), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				e, took := run(t, status, body)
				if e.Attempts < 4 || took < 20*time.Second || took > 30*time.Second {
					t.Errorf("%d attempts in %v, want several in 20 to 30 s: %v", e.Attempts, took, e)
				}
				if got, want := errors.Is(e, ErrThrottled), status == 429; got != want || errors.Is(e, ErrUnavailable) {
					t.Errorf("errors.Is(ErrThrottled) is %v, want %v: %v", got, want, e)
				}
			})
		})
	}
	for _, status := range []int{201, 204, 302, 307, 400, 401, 403, 404, 405, 409, 410, 418, 422, 451} {
		t.Run(fmt.Sprint("does not retry ", status), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				b := body
				if status == 204 {
					b = ""
				}
				if e, took := run(t, status, b); e.Attempts != 1 || took != 0 {
					t.Errorf("%d attempts in %v, want 1 at once: %v", e.Attempts, took, e)
				}
			})
		})
	}
	for name, body := range map[string]string{
		"of an identity":  sampleOf(t, "servicefabric/managed-identity-not-found.json"),
		"of nothing":      "",
		"of a page":       "<html>",
		"that asks to":    `{"error":{"code":"NotFound","message":"not yet; retry after 1s"}}`,
		"as IMDS says it": `{"error":"not_found","error_description":"IMDS is being updated"}`,
	} {
		t.Run("never retries a 404 "+name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				if e, took := run(t, 404, body); e.Attempts != 1 || took != 0 {
					t.Errorf("%d attempts in %v, want 1 at once: %v", e.Attempts, took, e)
				}
			})
		})
	}
	t.Run("a definite refusal ends Ready", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			ep := identitytest.NewServiceFabric(nil)
			ep.Enqueue(identitytest.Response{Status: 404, For: time.Hour})
			start := time.Now()
			if err := onServiceFabric(t, ep).Ready(t.Context(), vaultScope); !errors.Is(err, ErrIdentityNotFound) || time.Since(start) != 0 {
				t.Errorf("got %v after %v, want ErrIdentityNotFound at once", err, time.Since(start))
			}
		})
	})
	t.Run("comes up late", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			ep := identitytest.NewServiceFabric(nil)
			ep.Enqueue(identitytest.Response{Err: errors.New("reset"), For: 22 * time.Second})
			mustToken(t, onServiceFabric(t, ep))
		})
	})
	t.Run("half an answer", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			ep := identitytest.NewServiceFabric(nil)
			ep.Enqueue(identitytest.Response{Status: 200, Err: io.ErrUnexpectedEOF}, identitytest.Response{Status: 200, Err: io.ErrUnexpectedEOF})
			mustToken(t, onServiceFabric(t, ep))
		})
	})
}

// TestServiceFabricRedirectIsNamed: "302 without a word" would send nobody to what stands in the service's place.
func TestServiceFabricRedirectIsNamed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ep := identitytest.NewServiceFabric(nil)
		ep.Enqueue(identitytest.Response{Status: 307, Header: http.Header{"Location": {"https://elsewhere.example/"}}})
		e, _ := mustFail(t, onServiceFabric(t, ep))
		if len(ep.Requests()) != 1 || e.StatusCode != 307 {
			t.Errorf("%d requests, status %d, want the redirect itself", len(ep.Requests()), e.StatusCode)
		}
		wantErrorText(t, e, "redirect")
	})
}

// TestServiceFabricBackoff: waits of up to 1, 2, 4, 8 and 16 s, as Microsoft's page has it, random below that.
func TestServiceFabricBackoff(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const runs = 50
		limits := []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 16 * time.Second}
		var sums [4]time.Duration // of the fifth too many are cut to the budget
		for range runs {
			ep := identitytest.NewServiceFabric(nil)
			ep.Enqueue(identitytest.Response{Status: 503, For: time.Hour})
			var box outbox
			_, _ = mustFail(t, onServiceFabric(t, ep, box.watch))
			at := box.times()
			for i := 1; i < len(at); i++ {
				gap := at[i].Sub(at[i-1])
				if limit := limits[min(i, len(limits))-1]; gap > limit {
					t.Errorf("wait %d was %v, want at most %v", i, gap, limit)
				}
				if i <= len(sums) {
					sums[i-1] += gap
				}
			}
		}
		for i, sum := range sums {
			if mean, want := sum/runs, limits[i]/2; mean < want*3/5 || mean > want*3/2 {
				t.Errorf("mean wait %d is %v, want about %v", i+1, mean, want)
			}
		}
	})
}

const throttledLocally = "The request was throttled locally; the service allows 30 requests per 10s; retry after 4s."

// TestServiceFabricPatience: what the body of a 429 asks for.
func TestServiceFabricPatience(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, body string
		want       time.Duration
	}{
		{"as seen", throttledLocally, 4 * time.Second},
		{"in JSON", `{"error":{"correlationId":"x","code":"TooManyRequests","message":"Request was throttled. Retry after 3 seconds."}}`, 3 * time.Second},
		{"as a header would be", "Retry-After: 3", 3 * time.Second},
		{"as a header of this protocol", "429 Too Many Requests\r\nRetry-After: 7\r\n", 7 * time.Second},
		{"as a header before others", "Retry-After: 7\r\nServer: Kestrel\r\n", 7 * time.Second},
		{"without unit", "retry after 4", 4 * time.Second},
		{"without unit, with a dot", "retry after 4.", 4 * time.Second},
		{"capitals", "RETRY AFTER 5 SECONDS", 5 * time.Second},
		{"one second", "retry after 1 second", time.Second},
		{"sec", "retry after 6 sec", 6 * time.Second},
		{"ms", "retry after 1500ms", 1500 * time.Millisecond},
		{"milliseconds", "retry after 1500 milliseconds.", 1500 * time.Millisecond},
		{"millisecond", "retry after 1 millisecond", time.Millisecond},
		{"minutes", "retry after 2 minutes", 2 * time.Minute},
		{"one minute", "Retry after 1 minute.", time.Minute},
		{"min", "retry after 2 min", 2 * time.Minute},
		{"m", "retry after 2m", 2 * time.Minute},
		{"colon", "retry after: 4s", 4 * time.Second},
		{"over a line break", "retry\u00a0after; retry after\n4s", 4 * time.Second},
		{"the most", "retry after 5 minutes", 5 * time.Minute},
		{"more than the most", "retry after 6 minutes", 5 * time.Minute},
		{"many seconds", "retry after 999999999s", 5 * time.Minute},
		{"many milliseconds", "retry after 999999999ms", 5 * time.Minute},
		{"zero", "retry after 0s", 0},
		{"negative", "retry after -4s", 0},
		{"no number", "retry after a while", 0},
		{"the limit alone", "the service allows 30 requests per 10s", 0},
		{"another word before", "noretry after 4s", 0},
		{"an unknown unit that sticks to the number", "retry after 4x", 0},
		{"empty", "", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := &serviceFabric{}
			if got := s.Patience(429, tt.body); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
			for _, status := range []int{0, 200, 400, 404, 408, 500, 503} {
				if got := s.Patience(status, tt.body); got != 0 {
					t.Errorf("status %d: got %v, want 0: only a 429 says for how long", status, got)
				}
			}
		})
	}
}

// TestServiceFabricPatienceIsBounded: a wait of less than nothing is a flood of requests, and one of years a dead service.
func TestServiceFabricPatienceIsBounded(t *testing.T) {
	t.Parallel()
	lengths := []int{100, 308, 309, 310, 400, 1000} // around the end of what a float64 can be
	for digits := range 31 {
		lengths = append(lengths, digits)
	}
	for _, digits := range lengths {
		for first := range 10 {
			for _, unit := range []string{"", "s", "ms", " minutes", "m", "h", " hours", " fortnights", ".5", ".5s"} {
				body := "retry after " + fmt.Sprint(first) + strings.Repeat("7", digits) + unit
				if got := (&serviceFabric{}).Patience(429, body); got < 0 || got > 5*time.Minute {
					t.Errorf("%.30s… of %d digits with the unit %q: got %v, want 0 to 5m", body, digits+1, unit, got)
				}
			}
		}
	}
}

// TestServiceFabricPatienceOfHugeNumbers: as with the header, more than can be read is the most that is granted.
func TestServiceFabricPatienceOfHugeNumbers(t *testing.T) {
	t.Parallel()
	for _, body := range []string{"retry after 9999999999s", "retry after 99999999999999999999999999", "retry after 12345678901 ms", "retry after 200000000 minutes"} {
		if got := (&serviceFabric{}).Patience(429, body); got != 5*time.Minute {
			t.Errorf("%s: got %v, want 5m, as of a header", body, got)
		}
	}
}

// TestServiceFabricPatienceIsNeverCutShort: what isn't understood wholly must not become a shorter wait than was asked for.
// 0 leaves it to the back-off.
func TestServiceFabricPatienceIsNeverCutShort(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		body  string
		least time.Duration
	}{
		{"retry after 2 mins", 2 * time.Minute},
		{"retry after 1.5s", 1500 * time.Millisecond},
		{"retry after 1m30s", 90 * time.Second},
		{"retry after 2 fortnights", time.Hour},
		{"retry after 1 hour", time.Hour},
		{"retry after 00:00:04", 4 * time.Second},
	} {
		if got := (&serviceFabric{}).Patience(429, tt.body); got != 0 && got < min(tt.least, 5*time.Minute) {
			t.Errorf("%s: got %v, want 0 or at least %v", tt.body, got, tt.least)
		}
	}
}

func TestServiceFabricThrottling(t *testing.T) {
	plain := func(status int, body string, header ...string) identitytest.Response {
		h := http.Header{"Content-Type": {"text/plain"}}
		for i := 0; i+1 < len(header); i += 2 {
			h.Set(header[i], header[i+1])
		}
		return identitytest.Response{Status: status, Header: h, Body: body}
	}
	const first = time.Second // the jitter of the first wait, at most, goes on top
	for _, tt := range []struct {
		name     string
		response identitytest.Response
		low      time.Duration
	}{
		{"text", plain(429, throttledLocally), 4 * time.Second},
		{"the fake's own", identitytest.Response{Status: 429}, 4 * time.Second},
		{"milliseconds", plain(429, "retry after 2500ms"), 2500 * time.Millisecond},
		{"a header wins, shorter", plain(429, throttledLocally, "Retry-After", "2"), 2 * time.Second},
		{"a header wins, longer", plain(429, throttledLocally, "Retry-After", "9"), 9 * time.Second},
		{"a header in ms wins", plain(429, throttledLocally, "Retry-After-Ms", "1500"), 1500 * time.Millisecond},
		{"a header that says nothing", plain(429, throttledLocally, "Retry-After", "0"), 4 * time.Second},
		{"a header that is none", plain(429, throttledLocally, "Retry-After", "soon"), 4 * time.Second},
		{"no text", plain(429, ""), 0},
		{"a 503 with the text", plain(503, throttledLocally), 0},
		{"a 500 with the text", plain(500, throttledLocally), 0},
		{"a 503 with the header", plain(503, "", "Retry-After", "3"), 3 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				for range 20 { // the waits are random
					ep := identitytest.NewServiceFabric(nil)
					ep.Enqueue(tt.response)
					if _, took := mustToken(t, onServiceFabric(t, ep)); took < tt.low || took > tt.low+first {
						t.Fatalf("a token after %v, want %v to %v", took, tt.low, tt.low+first)
					}
				}
			})
		})
	}
	t.Run("each time", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			ep := identitytest.NewServiceFabric(nil)
			r := plain(429, throttledLocally)
			r.For = 11 * time.Second
			ep.Enqueue(r)
			var box outbox
			mustToken(t, onServiceFabric(t, ep, box.watch))
			at := box.times()
			if len(at) < 3 {
				t.Fatalf("%d tries, want at least 3", len(at))
			}
			for i := 1; i < len(at); i++ {
				if gap := at[i].Sub(at[i-1]); gap < 4*time.Second {
					t.Errorf("wait %d was %v, want at least 4s", i, gap)
				}
			}
		})
	})
	t.Run("beyond the budget", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			ep := identitytest.NewServiceFabric(nil)
			ep.Enqueue(plain(429, "retry after 2 minutes"))
			cred := onServiceFabric(t, ep)
			if e, took := mustFail(t, cred); !errors.Is(e, ErrThrottled) || e.Attempts != 1 || took != 0 {
				t.Errorf("got %v after %v, want ErrThrottled at once: waiting can't help", e, took)
			}
			time.Sleep(119 * time.Second)
			if e, _ := mustFail(t, cred); !errors.Is(e, ErrThrottled) || len(ep.Requests()) != 1 {
				t.Errorf("got %v and %d requests within the two minutes, want ErrThrottled and 1", e, len(ep.Requests()))
			}
			time.Sleep(2 * time.Second)
			mustToken(t, cred)
		})
	})
	t.Run("beyond the user's MaxRetryDelay", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			ep := identitytest.NewServiceFabric(nil)
			ep.Enqueue(plain(429, throttledLocally))
			e, took := mustFail(t, onServiceFabric(t, ep, func(o *CredentialOptions) { o.Retry.MaxRetryDelay = 3 * time.Second }))
			if !errors.Is(e, ErrThrottled) || e.Attempts != 1 || took != 0 {
				t.Errorf("got %v after %v, want ErrThrottled at once", e, took)
			}
		})
	})
}

// TestServiceFabricExpiry: documented as a number, seen as a string, and of an opaque token as well.
func TestServiceFabricExpiry(t *testing.T) {
	for _, tt := range []struct{ name, body string }{
		{"number", `{"token_type":"Bearer","access_token":"eyJ0eXAiO","expires_on":946771200,"resource":"https://vault.azure.net"}`},
		{"string", `{"token_type":"Bearer","access_token":"opaque","expires_on":"946771200","resource":"https://vault.azure.net"}`},
		{"fraction", `{"token_type":"bearer","access_token":"opaque","expires_on":946771200.0}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				ep := identitytest.NewServiceFabric(nil)
				ep.Enqueue(identitytest.Response{Body: tt.body})
				tk, _ := mustToken(t, onServiceFabric(t, ep))
				if want := time.Date(2000, 1, 2, 0, 0, 0, 0, time.UTC); !tk.ExpiresOn.Equal(want) {
					t.Errorf("expires on %v, want %v", tk.ExpiresOn, want)
				}
				if tk.RefreshOn.Before(time.Now().Add(10*time.Hour)) || tk.RefreshOn.After(time.Now().Add(14*time.Hour)) {
					t.Errorf("is renewed at %v, want about half of a day from now", tk.RefreshOn)
				}
			})
		})
	}
}

// hashOf is the hash by which Service Fabric is told of a token.
func hashOf(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// hashes are the token_sha256_to_refresh of the requests that an endpoint got, "" where absent.
func hashes(ep *identitytest.Endpoint) (got []string) {
	for _, r := range ep.Requests() {
		got = append(got, r.URL.Query().Get("token_sha256_to_refresh"))
	}
	return got
}

// challengedWorld is a node of Service Fabric with one credential, whose tokens a resource rejects.
type challengedWorld struct {
	t    *testing.T
	ep   *identitytest.Endpoint
	cred *Credential
	log  *bytes.Buffer
}

func (w challengedWorld) must(tk azcore.AccessToken, err error) string {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
	return tk.Token
}

func (w challengedWorld) get() string {
	w.t.Helper()
	return w.must(capable(w.t.Context(), w.cred))
}

func (w challengedWorld) challenge() string {
	w.t.Helper()
	return w.must(challenged(w.t.Context(), w.cred))
}

// serviceFabricClaims return the hashes of rejected tokens that the requests must have had.
var serviceFabricClaims = []struct {
	name    string
	caching bool // the host repeats its tokens
	run     func(t *testing.T, w challengedWorld) []string
}{
	{name: "get past the host's cache", caching: true, run: func(t *testing.T, w challengedWorld) []string {
		first := w.get()
		// The host does repeat itself: another credential gets the same token.
		if got := w.must(capable(t.Context(), onServiceFabric(t, w.ep))); got != first {
			t.Fatal("the fake has no cache: this test would see nothing")
		}
		second := w.challenge()
		if second == first {
			t.Error("a challenge got the rejected token again")
		}
		if got := w.get(); got != second {
			t.Error("the new token is not the one that is held now")
		}
		return []string{"", "", hashOf(first)}
	}},
	{name: "at most once in 30 s", caching: true, run: func(t *testing.T, w challengedWorld) []string {
		first := w.get()
		second := w.challenge()
		for range 100 { // one client after the other is rejected with the first token
			if got := w.challenge(); got != second {
				t.Fatal("within 30 s: another token, though the second one has been rejected by nobody")
			}
			time.Sleep(290 * time.Millisecond)
		}
		time.Sleep(2 * time.Second)
		third := w.challenge()
		if third == second {
			t.Error("after 30 s: the rejected token again")
		}
		return []string{"", hashOf(first), hashOf(second)}
	}},
	{name: "of two callers at once", caching: true, run: func(t *testing.T, w challengedWorld) []string {
		first := w.get()
		w.ep.Enqueue(identitytest.Response{Delay: 5 * time.Second})
		var tokens [2]string
		var wg sync.WaitGroup
		for i := range tokens {
			wg.Go(func() {
				tk, err := challenged(t.Context(), w.cred)
				if err != nil {
					t.Error(err)
				}
				tokens[i] = tk.Token
			})
			time.Sleep(time.Second)
		}
		wg.Wait()
		if tokens[0] != tokens[1] || tokens[0] == first || tokens[0] == "" {
			t.Errorf("two callers got different tokens (%v), or the rejected one (%v)",
				tokens[0] != tokens[1], tokens[0] == first)
		}
		return []string{"", hashOf(first)}
	}},
	{name: "a renewal has no hash", run: func(t *testing.T, w challengedWorld) []string {
		first := w.get()
		time.Sleep(14 * time.Hour)
		w.get() // starts it
		synctest.Wait()
		if got := w.get(); got == first {
			t.Fatal("no renewal")
		}
		time.Sleep(30 * time.Hour)
		w.get() // after the end of the token
		return []string{"", "", ""}
	}},
	{name: "during a renewal", run: func(t *testing.T, w challengedWorld) []string {
		first := w.get()
		time.Sleep(14 * time.Hour)
		w.ep.Enqueue(identitytest.Response{Delay: 5 * time.Second}, identitytest.Response{Delay: 5 * time.Second})
		w.get() // starts the renewal
		time.Sleep(time.Second)
		var tokens [3]string
		var wg sync.WaitGroup
		for i := range tokens {
			wg.Go(func() {
				start := time.Now()
				tk, err := challenged(t.Context(), w.cred)
				if took := time.Since(start); err != nil || took != 9*time.Second {
					t.Errorf("error %v after %v, want a token after the 4 s of the renewal and 5 s of its own", err, took)
				}
				tokens[i] = tk.Token
			})
		}
		wg.Wait()
		if tokens[0] == first || tokens[1] != tokens[0] || tokens[2] != tokens[0] {
			t.Errorf("got the rejected token (%v), or not all the same", tokens[0] == first)
		}
		// What the renewal brought meanwhile is not what was rejected.
		return []string{"", "", hashOf(first)}
	}},
	{name: "with a token that has ended", caching: true, run: func(t *testing.T, w challengedWorld) []string {
		w.get()
		time.Sleep(25 * time.Hour)
		w.challenge()
		return []string{"", ""}
	}},
	{name: "are retried with the same hash", caching: true, run: func(t *testing.T, w challengedWorld) []string {
		first := w.get()
		w.ep.Enqueue(identitytest.Response{Status: 503}, identitytest.Response{Status: 429})
		if w.challenge() == first {
			t.Error("the rejected token again")
		}
		return []string{"", hashOf(first), hashOf(first), hashOf(first)}
	}},
	{name: "that fail keep the token for others", caching: true, run: func(t *testing.T, w challengedWorld) []string {
		first := w.get()
		w.ep.Enqueue(identitytest.Response{Status: 404})
		if _, err := challenged(t.Context(), w.cred); !errors.Is(err, ErrIdentityNotFound) {
			t.Errorf("got %v, want ErrIdentityNotFound", err)
		}
		if got := w.get(); got != first {
			t.Error("the held token was lost")
		}
		time.Sleep(31 * time.Second)
		if w.challenge() == first {
			t.Error("after the host's recovery: the rejected token again")
		}
		return []string{"", hashOf(first), hashOf(first)}
	}},
	{name: "are logged as heeded", caching: true, run: func(t *testing.T, w challengedWorld) []string {
		first := w.get()
		synctest.Wait()
		w.log.Reset()
		w.challenge()
		synctest.Wait()
		got := w.log.String()
		for _, want := range []string{"level=INFO", "after a claims challenge", "changed=true", "host=servicefabric"} {
			if !strings.Contains(got, want) {
				t.Errorf("log is %q, want %q in it", got, want)
			}
		}
		if strings.Contains(got, "takes no claims") || strings.Contains(got, first) {
			t.Errorf("log is %q", got)
		}
		return []string{"", hashOf(first)}
	}},
}

func TestServiceFabricClaims(t *testing.T) {
	for _, tt := range serviceFabricClaims {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := challengedWorld{t: t, log: &bytes.Buffer{}}
				w.ep = identitytest.NewServiceFabric(&identitytest.Options{HostCache: tt.caching})
				w.cred = onServiceFabric(t, w.ep, func(o *CredentialOptions) {
					debug := &slog.HandlerOptions{Level: slog.LevelDebug}
					o.Logger = slog.New(slog.NewTextHandler(w.log, debug))
				})
				if diff := cmp.Diff(tt.run(t, w), hashes(w.ep)); diff != "" {
					t.Errorf("hashes (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// TestServiceFabricRevokedToken is the whole way: a resource that has revoked a token, and azcore's policy above the
// credential.
func TestServiceFabricRevokedToken(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ep := identitytest.NewServiceFabric(&identitytest.Options{HostCache: true})
		cred := onServiceFabric(t, ep)
		revoked := map[string]bool{}
		challenge := base64.StdEncoding.EncodeToString([]byte(`{"access_token":{"nbf":{"essential":true,"value":"1"}}}`))
		var seen []string
		resource := transportFunc(func(r *http.Request) (*http.Response, error) {
			bearer := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
			seen = append(seen, bearer)
			resp := respond(200, "")
			if revoked[bearer] {
				resp = respond(401, "", "WWW-Authenticate", `Bearer realm="", error="insufficient_claims", claims="`+challenge+`"`)
			}
			resp.Request = r
			return resp, nil
		})
		pipeline := azruntime.NewPipeline("m", "v1.0.0", azruntime.PipelineOptions{
			PerRetry: []policy.Policy{azruntime.NewBearerTokenPolicy(cred, []string{vaultScope}, nil)},
		}, &policy.ClientOptions{Transport: resource, Retry: policy.RetryOptions{MaxRetries: -1}})
		get := func() int {
			t.Helper()
			req, err := azruntime.NewRequest(t.Context(), http.MethodGet, "https://vault.example/")
			if err != nil {
				t.Fatal(err)
			}
			resp, err := pipeline.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			return resp.StatusCode
		}
		if got := get(); got != 200 {
			t.Fatalf("got %d, want 200", got)
		}
		revoked[seen[0]] = true
		if got := get(); got != 200 {
			t.Errorf("after the revocation: got %d, want 200", got)
		}
		if diff := cmp.Diff([]string{"", hashOf(seen[0])}, hashes(ep)); diff != "" {
			t.Errorf("hashes (-want +got):\n%s", diff)
		}
		for _, r := range ep.Requests() {
			if got := r.URL.Query()["xms_cc"]; len(got) != 1 || got[0] != "cp1" {
				t.Errorf("xms_cc is %q, want cp1: azcore's clients understand challenges", got)
			}
		}
	})
}

// TestServiceFabricReadyWarmsWhatClientsUse: a token without cp1 would leave the first request of a client cold.
func TestServiceFabricReadyWarmsWhatClientsUse(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ep := identitytest.NewServiceFabric(nil)
		cred := onServiceFabric(t, ep)
		if err := cred.Ready(t.Context(), vaultScope); err != nil {
			t.Fatal(err)
		}
		for _, tenant := range []string{"", guid} { // Key Vault's clients name a tenant
			if _, err := cred.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{vaultScope}, EnableCAE: true, TenantID: tenant}); err != nil {
				t.Fatal(err)
			}
		}
		if err := cred.Ready(t.Context(), vaultScope); err != nil {
			t.Fatal(err)
		}
		if got := ep.Requests(); len(got) != 1 || got[0].URL.Query().Get("xms_cc") != "cp1" {
			t.Errorf("%d requests, want 1, with cp1", len(got))
		}
	})
}

// FuzzThumbprint: a thumbprint is 40 hexadecimal digits in any of the tools' spellings, and no other value is one.
func FuzzThumbprint(f *testing.F) {
	const thumbprint = "0123456789ABCDEF0123456789abcdef01234567"
	for _, value := range []string{
		thumbprint, strings.ToLower(thumbprint), strings.ToUpper(thumbprint), thumbprint[:39], thumbprint + "0", thumbprint + thumbprint[:24], "", " ", ":",
		"01:23:45:67:89:AB:CD:EF:01:23:45:67:89:AB:CD:EF:01:23:45:67", "01 23 45 67 89 ab cd ef 01 23 45 67 89 ab cd ef 01 23 45 67", " " + thumbprint + "\r\n", "01\u00a02" + thumbprint[3:],
		"\u200e" + thumbprint, "0x" + thumbprint[2:], strings.Replace(thumbprint, "0", "O", 1), strings.Replace(thumbprint, "1", "١", 1), thumbprint[:38] + "\xff\xff", strings.ReplaceAll(thumbprint, "0", "-"),
	} {
		f.Add(value)
	}
	f.Fuzz(func(t *testing.T, value string) {
		var want []byte
		isOne, high := value != "", true
		for _, r := range value {
			if r == ':' || unicode.IsSpace(r) {
				continue
			}
			digit := strings.IndexRune("0123456789abcdef", unicode.ToLower(r))
			if digit < 0 || r > unicode.MaxASCII {
				isOne = false
				break
			}
			if high {
				want = append(want, byte(digit)<<4)
			} else {
				want[len(want)-1] |= byte(digit)
			}
			high = !high
		}
		isOne = isOne && high && len(want) == 20
		got, err := parseThumbprint(value)
		if isOne != (err == nil) || isOne && !bytes.Equal(got, want) {
			t.Fatalf("%q is %x, %v, want %x, %v", value, got, err, want, isOne)
		}
		if err != nil {
			wantErrorText(t, err, "IDENTITY_SERVER_THUMBPRINT: is ", ": want 40 hexadecimal digits")
			if len(err.Error()) > 120 || len(value) > 8 && strings.Contains(err.Error(), value) {
				t.Errorf("the error repeats the value: %q", err)
			}
		}
		var digits string // what tools show of these bytes
		for i := range 20 {
			digits += string("0123456789abcdef"[(len(value)+i)%16])
		}
		digits += digits
		for _, spelling := range []string{
			digits, strings.ToUpper(digits), digits + " ", digits[:2] + ":" + digits[2:],
		} {
			sum, err := parseThumbprint(spelling)
			if err != nil || fmt.Sprintf("%x", sum) != digits {
				t.Errorf("%q is read as %x, %v", spelling, sum, err)
			}
		}
	})
}

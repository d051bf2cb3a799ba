package identity

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/google/go-cmp/cmp"
	"github.com/keyless-go/identity/internal/acquire"
)

func TestAppServiceRequests(t *testing.T) {
	t.Parallel()
	const vault = "https://vault.azure.net"
	for _, tt := range []struct {
		name string
		id   ID
		want url.Values // by hand: what the golden file says must be this
	}{
		{"system", nil, url.Values{"api-version": {"2019-08-01"}, "resource": {vault}}},
		{"client-id", ClientID(guid), url.Values{"api-version": {"2019-08-01"}, "resource": {vault}, "client_id": {guid}}},
		{"object-id", ObjectID(guid), url.Values{"api-version": {"2019-08-01"}, "resource": {vault}, "principal_id": {guid}}},
		{"resource-id", ResourceID(identityID), url.Values{"api-version": {"2019-08-01"}, "resource": {vault}, "mi_res_id": {identityID}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := sentBy(t, appServiceAt(), tt.id)
			checkQuery(t, r, tt.want)
			if r.Method != "GET" || r.URL.Scheme+"://"+r.URL.Host+r.URL.Path != "http://localhost:4141/msi/token" {
				t.Errorf("request is %s %s", r.Method, r.URL)
			}
			if diff := cmp.Diff([]string{"the-secret"}, r.Header["X-Identity-Header"]); diff != "" {
				t.Errorf("secret header (-want +got):\n%s", diff)
			}
			if strings.Contains(r.URL.String(), "the-secret") || strings.Contains(r.UserAgent(), "the-secret") {
				t.Error("the secret is elsewhere in the request, too")
			}
			got := wireFormat(r, "the-secret")
			if strings.Contains(got, "the-secret") || !strings.Contains(got, "X-Identity-Header: REDACTED\n") {
				t.Errorf("golden text is off:\n%s", got)
			}
			compareGolden(t, "appservice/"+tt.name+".golden", got)
		})
	}
}

// TestAppServiceEndpointForms: the endpoint differs per app, and nothing of it may be lost.
func TestAppServiceEndpointForms(t *testing.T) {
	t.Parallel()
	const query = "api-version=2019-08-01&resource=https%3A%2F%2Fvault.azure.net"
	for _, tt := range []struct{ name, endpoint, want string }{
		{"Windows", "http://127.0.0.1:41564/msi/token", "http://127.0.0.1:41564/msi/token?" + query},
		{"Linux", "http://172.16.1.2:8081/msi/token", "http://172.16.1.2:8081/msi/token?" + query},
		{"Container Apps", "http://localhost:42356/msi/token", "http://localhost:42356/msi/token?" + query},
		{"capitals", "http://localhost:4141/MSI/token", "http://localhost:4141/MSI/token?" + query},
		{"trailing slash", "http://localhost:4141/msi/token/", "http://localhost:4141/msi/token/?" + query},
		{"no path", "http://localhost:4141", "http://localhost:4141?" + query},
		{"IPv6", "http://[::1]:4141/msi/token", "http://[::1]:4141/msi/token?" + query},
		{"https", "https://localhost/msi/token", "https://localhost/msi/token?" + query},
		{"Automation", "http://127.0.0.1:20072/oauth2/token", "http://127.0.0.1:20072/oauth2/token?" + query},
		{"Automation, by IMDS's path", "http://localhost/metadata/identity/oauth2/token", "http://localhost/metadata/identity/oauth2/token?" + query},
		{"escaped path", "http://localhost/a%2Fb/token", "http://localhost/a%2Fb/token?" + query},
		{"its own query", "http://localhost/token?app=1", "http://localhost/token?" + "api-version=2019-08-01&app=1&resource=https%3A%2F%2Fvault.azure.net"},
		{"its own api-version", "http://localhost/token?api-version=2017-09-01", "http://localhost/token?" + query},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := sentBy(t, environmentOf(map[string]string{"IDENTITY_ENDPOINT": tt.endpoint, "IDENTITY_HEADER": "s"}), nil)
			if got := r.URL.String(); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

// variables are an environment that changes under the credential, as App Service's does.
type variables struct {
	mu     sync.Mutex
	values map[string]string
}

func (v *variables) set(name, value string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.values[name] = value
}

func (v *variables) environment() environment {
	env := nowhere()
	env.getenv = func(name string) string {
		v.mu.Lock()
		defer v.mu.Unlock()
		return v.values[name]
	}
	return env
}

func newVariables() *variables {
	return &variables{values: map[string]string{"IDENTITY_ENDPOINT": "http://localhost:1111/msi/token", "IDENTITY_HEADER": "first"}}
}

// asked is what a request said of the endpoint and the secret.
type asked struct{ URLHost, Host, Secret string }

// recording notes where requests went, then asks reply.
type recording struct {
	mu    sync.Mutex
	asked []asked
	reply func(n int) *http.Response // n is 1 for the first request
}

func (r *recording) Do(req *http.Request) (*http.Response, error) {
	r.mu.Lock()
	host := req.Host
	if host == "" {
		host = req.URL.Host
	}
	r.asked = append(r.asked, asked{req.URL.Host, host, strings.Join(req.Header["X-Identity-Header"], ",")})
	n := len(r.asked)
	r.mu.Unlock()
	return r.reply(n), nil
}

func (r *recording) seen() []asked {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]asked(nil), r.asked...)
}

func anotherToken(cred *Credential) error {
	_, err := cred.GetToken(context.Background(), policy.TokenRequestOptions{Scopes: []string{"https://another.example/.default"}})
	return err
}

func TestAppServiceReadsItsVariablesAtEveryRequest(t *testing.T) {
	bubble(t, func(t *testing.T) {
		v := newVariables()
		host := &recording{reply: func(int) *http.Response { return respond(200, grantBody("t", 24*time.Hour)) }}
		cred := credentialAt(t, v.environment(), host)
		mustToken(t, cred)
		v.set("IDENTITY_HEADER", "second")
		if err := anotherToken(cred); err != nil {
			t.Fatal(err)
		}
		v.set("IDENTITY_ENDPOINT", "http://localhost:2222/msi/token")
		v.set("IDENTITY_HEADER", "third")
		time.Sleep(25 * time.Hour)
		mustToken(t, cred)
		want := []asked{{"localhost:1111", "localhost:1111", "first"}, {"localhost:1111", "localhost:1111", "second"}, {"localhost:2222", "localhost:2222", "third"}}
		if diff := cmp.Diff(want, host.seen()); diff != "" {
			t.Errorf("requests (-want +got):\n%s", diff)
		}
	})
}

func TestAppServiceReadsItsVariablesAtEveryTry(t *testing.T) {
	bubble(t, func(t *testing.T) {
		v := newVariables()
		host := &recording{}
		host.reply = func(n int) *http.Response {
			switch n {
			case 1:
				v.set("IDENTITY_HEADER", "second")
				return respond(503, appServiceError)
			case 2:
				v.set("IDENTITY_ENDPOINT", "http://localhost:2222/other/token")
				v.set("IDENTITY_HEADER", "third")
				return respond(503, appServiceError)
			}
			return respond(200, grantBody("t", time.Hour))
		}
		mustToken(t, credentialAt(t, v.environment(), host))
		want := []asked{{"localhost:1111", "localhost:1111", "first"}, {"localhost:1111", "localhost:1111", "second"}, {"localhost:2222", "localhost:2222", "third"}}
		if diff := cmp.Diff(want, host.seen()); diff != "" {
			t.Errorf("tries (-want +got):\n%s", diff)
		}
	})
}

// TestErrorNamesTheEndpointThatWasAsked: after the platform moved it, the old address would send a person astray.
func TestErrorNamesTheEndpointThatWasAsked(t *testing.T) {
	bubble(t, func(t *testing.T) {
		v := newVariables()
		cred := credentialAt(t, v.environment(), always(403, ""))
		v.set("IDENTITY_ENDPOINT", "http://localhost:2222/msi/token")
		e, _ := mustFail(t, cred)
		if want := "http://localhost:2222/msi/token"; e.Endpoint != want {
			t.Errorf("Endpoint is %s, but %s was asked", e.Endpoint, want)
		}
	})
}

func TestAppServiceVariablesThatVanish(t *testing.T) {
	for _, tt := range []struct{ name, variable, value string }{
		{"header vanishes", "IDENTITY_HEADER", ""},
		{"header with a control character", "IDENTITY_HEADER", "pa55word\n"},
		{"endpoint vanishes", "IDENTITY_ENDPOINT", ""},
		{"endpoint is a word", "IDENTITY_ENDPOINT", "pa55word"},
		{"endpoint with a password", "IDENTITY_ENDPOINT", "http://user:pa55word@localhost/"},
		{"endpoint of another scheme", "IDENTITY_ENDPOINT", "ftp://localhost/pa55word"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				v := newVariables()
				good := maps.Clone(v.values)
				host := &recording{reply: func(int) *http.Response { return respond(200, grantBody("t", 24*time.Hour)) }}
				cred := credentialAt(t, v.environment(), host)
				start := time.Now()
				mustToken(t, cred)
				v.set(tt.variable, tt.value)
				err := anotherToken(cred)
				wantErrorText(t, err, tt.variable+": ", "https://another.example")
				if err != nil && (strings.Contains(err.Error(), "pa55word") || strings.Contains(err.Error(), "first")) {
					t.Errorf("error repeats a secret: %v", err)
				}
				for time.Since(start) < 24*time.Hour-time.Second { // fresh, stale, expiring
					if _, took := mustToken(t, cred); took > 0 {
						t.Errorf("%v after the start a caller waited %v for a token that was held", time.Since(start), took)
					}
					time.Sleep(time.Second + time.Duration(24*time.Hour-time.Since(start))/20)
				}
				time.Sleep(2 * time.Minute)
				e, took := mustFail(t, cred)
				wantErrorText(t, e, tt.variable+": ")
				if took > 0 || len(host.seen()) != 1 {
					t.Errorf("%d requests, error after %v", len(host.seen()), took)
				}
				v.set(tt.variable, good[tt.variable])
				time.Sleep(time.Minute)
				mustToken(t, cred)
			})
		})
	}
}

func TestAppServiceVariableVanishesBetweenTries(t *testing.T) {
	bubble(t, func(t *testing.T) {
		v := newVariables()
		host := &recording{reply: func(int) *http.Response {
			v.set("IDENTITY_HEADER", "")
			return respond(503, appServiceError)
		}}
		e, _ := mustFail(t, credentialAt(t, v.environment(), host))
		wantErrorText(t, e, "IDENTITY_HEADER: ")
		if e.Attempts != 1 || len(host.seen()) != 1 {
			t.Errorf("%d attempts, %d requests, want 1: %v", e.Attempts, len(host.seen()), e)
		}
	})
}

func TestAppServiceRecognises(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, server, body string
		status             int
		want               bool
	}{
		{"a token", "Kestrel", `{"access_token":"t"}`, 200, true},
		{"a token without the header", "", `{"access_token":"t"}`, 200, true},
		{"an object behind blanks", "", "\r\n\t{}", 200, true},
		{"Container Apps' 403", "", "", 403, true},
		{"a 400 of text", "", "Bad Request", 400, true},
		{"a 404 page", "", "<html>", 404, true},
		{"a 499", "", "", 499, true},
		{"its 500", "Kestrel", "", 500, true},
		{"a 500 object", "", `{"statusCode":500}`, 500, true},
		{"a broken object", "", `{"statusCo`, 500, true},
		{"a proxy's 502", "squid", "<html>Bad Gateway</html>", 502, false},
		{"an empty 500", "", "", 500, false},
		{"an HTML 200", "", "<html>Sign in</html>", 200, false},
		{"an empty 200", "", "", 200, false},
		{"a redirect", "", "", 302, false},
		{"an array", "", "[]", 200, false},
		{"status 0", "", "", 0, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a := acquire.Answer{Status: tt.status, Header: http.Header{}, Body: []byte(tt.body)}
			if tt.server != "" {
				a.Header.Set("Server", tt.server)
			}
			if got := (&appService{}).Recognises(a); got != tt.want {
				t.Errorf("recognised: %v, want %v", got, tt.want)
			}
		})
	}
}

func TestAppServiceRefusals(t *testing.T) {
	t.Parallel()
	const (
		cor     = "0a1b2c3d-1111-4222-8333-944455556666"
		rest    = " (token for https://vault.azure.net, 1 attempt, 0s)"
		restCor = " (token for https://vault.azure.net, 1 attempt, 0s, correlation ID " + cor + ")"
		none    = "No User Assigned or Delegated Managed Identity found for specified ClientId/ResourceId/PrincipalId."
		aadsts  = "AADSTS500011: The resource principal named https://nope.example was not found in the tenant named Contoso."
		header  = ": the endpoint refused IDENTITY_HEADER: was the variable changed or inherited from another app?"
	)
	kestrel := []string{"Server", "Kestrel", "Content-Type", "application/json; charset=utf-8", "X-CORRELATION-ID", cor}
	for _, tt := range []refusal{
		{"system-assigned identity off", 400, "appservice/no-identity.json", kestrel, nil,
			`identity: App Service: 400 "Unable to load the proper Managed Identity."` + restCor + ": is the system-assigned identity of this app switched on (on Container Apps: and not withheld by identitySettings)? Set CredentialOptions.ID to choose a user-assigned one", ErrIdentityNotFound, "", "Unable to load the proper Managed Identity.", cor},
		{"client ID not assigned", 400, "appservice/not-assigned.json", nil, ClientID(guid),
			`identity: App Service: 400 "` + none + `"` + restCor + ": is client ID " + guid + " assigned to this app (on Container Apps: and not withheld by identitySettings)?", ErrIdentityNotFound, "", none, cor},
		{"object ID not assigned", 400, "appservice/not-assigned.json", nil, ObjectID(guid),
			`identity: App Service: 400 "` + none + `"` + restCor + ": is object ID " + guid + " assigned to this app (on Container Apps: and not withheld by identitySettings)?", ErrIdentityNotFound, "", none, cor},
		{"resource ID not assigned", 400, "appservice/requested-identity.json", kestrel, ResourceID(identityID),
			`identity: App Service: 400 "Unable to load requested managed identity."` + restCor + ": is resource ID " + identityID + " assigned to this app (on Container Apps: and not withheld by identitySettings)?", ErrIdentityNotFound, "", "Unable to load requested managed identity.", cor},
		{"nested error", 400, "appservice/nested-error.json", nil, ClientID(guid),
			`identity: App Service: 400 BadRequest "Unable to load requested managed identity."` + rest + ": is client ID " + guid + " assigned to this app (on Container Apps: and not withheld by identitySettings)?", ErrIdentityNotFound, "BadRequest", "Unable to load requested managed identity.", ""},
		{"nested error, correlation ID in the header", 400, "appservice/nested-error.json", kestrel, ClientID(guid),
			`identity: App Service: 400 BadRequest "Unable to load requested managed identity."` + restCor + ": is client ID " + guid + " assigned to this app (on Container Apps: and not withheld by identitySettings)?", ErrIdentityNotFound, "BadRequest", "Unable to load requested managed identity.", cor},
		{"resource unknown", 400, "appservice/resource-unknown.json", kestrel, ClientID(guid),
			`identity: App Service: 400 "` + aadsts + `"` + restCor + ": Entra refused: is the scope a resource of this tenant and cloud?", nil, "", aadsts, cor},
		{"server error", 500, "appservice/server-error.json", kestrel, nil,
			`identity: App Service: 500 "An unexpected error occured while fetching the AAD Token."` + restCor + ": App Service says this of a wrong resource, too: is the scope right, down to a slash at its end?", nil, "", "An unexpected error occured while fetching the AAD Token.", cor},
		{"Container Apps refuses the header", 403, "", nil, nil,
			`identity: App Service: 403: without a word, from http://localhost:4141/msi/token` + rest + header, nil, "", "", ""},
		{"401", 401, `{"statusCode":401,"message":"Unauthorized","correlationId":"` + cor + `"}`, nil, nil,
			`identity: App Service: 401 "Unauthorized"` + restCor + header, nil, "", "Unauthorized", cor},
		{"POST refused", 405, "", nil, nil,
			`identity: App Service: 405: without a word, from http://localhost:4141/msi/token` + rest + ": does IDENTITY_ENDPOINT name this app's token endpoint?", nil, "", "", ""},
		{"throttled", 429, `{"statusCode":429,"message":"slow down"}`, kestrel, nil,
			`identity: App Service: 429 "slow down"` + restCor, ErrThrottled, "", "slow down", cor},
	} {
		t.Run(tt.name, func(t *testing.T) { tt.run(t, appServiceAt()) })
	}
}

func TestAppServicePageWith400IsNoMissingIdentity(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e, _ := mustFail(t, credentialAt(t, appServiceAt(), always(400, "<html>Bad Request</html>")))
		if errors.Is(e, ErrIdentityNotFound) {
			t.Errorf("a proxy's page blames the identity: %v", e)
		}
	})
}

package identity

import (
	"context"
	"math"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity/identitytest"
)

const (
	guid       = "11111111-2222-3333-4444-555555555555"
	identityID = "/subscriptions/" + guid + "/resourcegroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/n"
)

// optionsWith are client options with a Transport.
func optionsWith(transport policy.Transporter) azcore.ClientOptions {
	return azcore.ClientOptions{Transport: transport}
}

func TestValidIDs(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		id   ID
	}{
		{"nil", nil},
		{"client ID", ClientID(guid)},
		{"client ID in capitals", ClientID(strings.ToUpper("abcdef11-2222-3333-4444-555555555555"))},
		{"client ID in braces", ClientID("{" + guid + "}")},
		{"object ID", ObjectID(guid)},
		{"resource ID", ResourceID(identityID)},
		{"resource ID in another case", ResourceID(strings.ToUpper(identityID))},
		{"resource ID with a trailing slash", ResourceID(identityID + "/")},
		{"resource ID beyond ASCII", ResourceID("/subscriptions/x/resourcegroups/größe/providers/Microsoft.ManagedIdentity/userAssignedIdentities/ж")},
		{"longest", ClientID(strings.Repeat("a", 1024))},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for name, env := range map[string]environment{"IMDS": nowhere(), "App Service": appServiceAt()} {
				if _, err := newCredential(&CredentialOptions{ID: tt.id}, env); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
		})
	}
}

// embeddedID has the methods of an ID without being one of the three.
type embeddedID struct{ ClientID }

func TestRefusedIDs(t *testing.T) {
	t.Parallel()
	const system = "leave ID nil to ask for the system-assigned identity"
	clientID, noClientID := ClientID(guid), (*ClientID)(nil)
	for _, tt := range []struct {
		name string
		id   ID
		want []string
	}{
		{"empty client ID", ClientID(""), []string{"empty ClientID", system}},
		{"empty object ID", ObjectID(""), []string{"empty ObjectID", system}},
		{"empty resource ID", ResourceID(""), []string{"empty ResourceID", system}},
		{"blank client ID", ClientID("  "), []string{"ClientID", system}},
		{"blank object ID", ObjectID("\t"), []string{"ObjectID", system}},
		{"blank resource ID", ResourceID("\r\n"), []string{"ResourceID", system}},
		{"blank beyond ASCII", ClientID("\u00a0\u2003"), []string{"ClientID", system}},
		{"control character", ClientID("a\x00b"), []string{"ClientID", "control character"}},
		{"line feed", ObjectID("a\nb"), []string{"ObjectID", "control character"}},
		{"C1 control character", ClientID("a\u009bb"), []string{"ClientID", "control character"}},
		{"line separator", ClientID("a\u2028b"), []string{"ClientID"}},
		{"injection", ResourceID("/a\r\nX-Evil: 1"), []string{"ResourceID", "control character"}},
		{"not UTF-8", ClientID("a\xffb"), []string{"ClientID", "UTF-8"}},
		{"replacement character", ClientID("a\ufffdb"), []string{"ClientID", "UTF-8"}},
		{"leading blank", ClientID(" " + guid), []string{"ClientID", "white space"}},
		{"trailing blank", ObjectID(guid + " "), []string{"ObjectID", "white space"}},
		{"trailing line feed, as of a file", ClientID(guid + "\n"), []string{"ClientID"}},
		{"trailing blank of a resource ID", ResourceID(identityID + " "), []string{"ResourceID", "white space"}},
		{"resource ID as client ID", ClientID(identityID), []string{"ClientID", "use ResourceID"}},
		{"resource ID as object ID", ObjectID(identityID), []string{"ObjectID", "use ResourceID"}},
		{"GUID as resource ID", ResourceID(guid), []string{"ResourceID", "/subscriptions/"}},
		{"too long", ClientID(strings.Repeat("a", 1025)), []string{"ClientID", "1025", "1024"}},
		{"far too long", ResourceID("/" + strings.Repeat("a", 1<<20)), []string{"ResourceID", "1024"}},
		{"pointer", &clientID, []string{"*identity.ClientID", "by value"}},
		{"nil pointer", noClientID, []string{"*identity.ClientID", "by value"}},
		{"embedded", embeddedID{ClientID(guid)}, []string{"embeddedID", "by value"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, env := range []environment{nowhere(), appServiceAt()} {
				_, err := newCredential(&CredentialOptions{ID: tt.id}, env)
				wantErrorText(t, err, append(tt.want, "identity: CredentialOptions.ID: ")...)
				if err != nil && len(err.Error()) > 2000 {
					t.Errorf("error has %d bytes", len(err.Error()))
				}
			}
		})
	}
}

func TestIDString(t *testing.T) {
	t.Parallel()
	for want, id := range map[string]ID{"c": ClientID("c"), "o": ObjectID("o"), "/r": ResourceID("/r")} {
		if got := id.String(); got != want {
			t.Errorf("%T.String() is %q, want %q", id, got, want)
		}
	}
}

func TestRefusedRetryOptions(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		retry policy.RetryOptions
		want  string
	}{
		{"negative TryTimeout", policy.RetryOptions{TryTimeout: -1}, "CredentialOptions.Retry.TryTimeout"},
		{"status 0", policy.RetryOptions{StatusCodes: []int{0}}, "CredentialOptions.Retry.StatusCodes"},
		{"status 99", policy.RetryOptions{StatusCodes: []int{99}}, "CredentialOptions.Retry.StatusCodes"},
		{"status 1000", policy.RetryOptions{StatusCodes: []int{429, 1000}}, "CredentialOptions.Retry.StatusCodes"},
		{"negative status", policy.RetryOptions{StatusCodes: []int{-429}}, "CredentialOptions.Retry.StatusCodes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, env := range []environment{nowhere(), appServiceAt()} {
				_, err := newCredential(&CredentialOptions{ClientOptions: azcore.ClientOptions{Retry: tt.retry}}, env)
				wantErrorText(t, err, tt.want)
			}
		})
	}
}

func TestExtremeRetryOptions(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		retry policy.RetryOptions
	}{
		{"most retries", policy.RetryOptions{MaxRetries: math.MaxInt32}},
		{"longest times", policy.RetryOptions{MaxRetries: math.MaxInt32, TryTimeout: math.MaxInt64, RetryDelay: math.MaxInt64, MaxRetryDelay: math.MaxInt64}},
		{"least", policy.RetryOptions{MaxRetries: math.MinInt32, RetryDelay: math.MinInt64, MaxRetryDelay: math.MinInt64}},
		{"longest delay, no limit", policy.RetryOptions{MaxRetries: 3, RetryDelay: math.MaxInt64, MaxRetryDelay: -1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			cred, err := newCredential(&CredentialOptions{ClientOptions: azcore.ClientOptions{Retry: tt.retry}}, nowhere())
			if err != nil {
				t.Fatal(err)
			}
			if r := cred.hosted.client.Rules(); r.Budget <= 0 || r.Budget > time.Hour || r.TryTimeout <= 0 || r.Delay < 0 || r.MaxDelay < 0 {
				t.Errorf("rules are off: %+v", r)
			}
		})
	}
}

// TestOptionsAreCopied: what the user does to the options afterwards has no effect.
func TestOptionsAreCopied(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var before, after atomic.Int64
		counting := func(n *atomic.Int64) policy.Policy {
			return policyFunc(func(r *policy.Request) (*http.Response, error) {
				n.Add(1)
				return r.Next()
			})
		}
		ep := identitytest.NewIMDS(&identitytest.Options{Identities: []identitytest.Identity{{ClientID: "mine"}, {ClientID: "other"}}})
		options := &CredentialOptions{ID: ClientID("mine")}
		options.Transport = ep
		options.Retry.MaxRetries = 3
		options.Retry.StatusCodes = []int{503}
		options.PerCallPolicies = []policy.Policy{counting(&before)}
		options.PerRetryPolicies = []policy.Policy{counting(&before)}
		options.Logging.AllowedHeaders = []string{"X-Fine"}
		cred, err := newCredential(options, nowhere())
		if err != nil {
			t.Fatal(err)
		}
		options.ID = ClientID("other")
		options.Host = "moon"
		options.Transport = always(500, "")
		options.Retry.MaxRetries = -1
		options.Retry.StatusCodes[0] = 400
		options.PerCallPolicies[0] = counting(&after)
		options.PerRetryPolicies[0] = counting(&after)
		options.Logging.AllowedHeaders[0] = "X-Identity-Header"

		ep.Enqueue(identitytest.Response{Status: 503}, identitytest.Response{Status: 503})
		mustToken(t, cred)
		if got := before.Load(); got != 4 {
			t.Errorf("the policies ran %d times, want 4: one call, three tries", got)
		}
		if got := after.Load(); got != 0 {
			t.Errorf("policies put into the options afterwards ran %d times", got)
		}
		for _, r := range ep.Requests() {
			if got := r.URL.Query().Get("client_id"); got != "mine" {
				t.Errorf("asked for %q, want mine", got)
			}
		}
	})
}

func TestGetTokenArguments(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	cred := onIMDS(t, transportFunc(func(*http.Request) (*http.Response, error) {
		asked.Add(1)
		return respond(400, imdsError), nil
	}))
	for _, tt := range []struct {
		name   string
		cred   *Credential
		ctx    context.Context
		scopes []string
		want   []string
	}{
		{"no scopes", cred, t.Context(), nil, []string{"0 scopes", "exactly one"}},
		{"two scopes", cred, t.Context(), []string{vaultScope, "https://storage.azure.com/.default"}, []string{"2 scopes", "exactly one"}},
		{"the same scope twice", cred, t.Context(), []string{vaultScope, vaultScope}, []string{"2 scopes"}},
		{"empty scope", cred, t.Context(), []string{""}, []string{"empty scope"}},
		{"no more than the suffix", cred, t.Context(), []string{"/.default"}, []string{"empty scope"}},
		{"blank scope", cred, t.Context(), []string{"  "}, []string{"scope", "blank"}},
		{"two scopes in one", cred, t.Context(), []string{"https://a/.default https://b/.default"}, []string{"scope", "blank"}},
		{"blank around", cred, t.Context(), []string{" " + vaultScope}, []string{"scope", "blank"}},
		{"no-break space", cred, t.Context(), []string{"https://vault.azure.net\u00a0/.default"}, []string{"scope", "blank"}},
		{"line feed", cred, t.Context(), []string{vaultScope + "\n"}, []string{"scope", "control character"}},
		{"NUL", cred, t.Context(), []string{"https://vault\x00.azure.net/.default"}, []string{"scope", "control character"}},
		{"not UTF-8", cred, t.Context(), []string{"https://vault\xff.azure.net/.default"}, []string{"scope", "UTF-8"}},
		{"too long", cred, t.Context(), []string{"https://" + strings.Repeat("a", 2048) + "/.default"}, []string{"scope", "2048"}},
		{"nil context", cred, nil, []string{vaultScope}, []string{"nil Context"}},
		{"zero Credential", &Credential{}, t.Context(), []string{vaultScope}, []string{"NewCredential"}},
		{"zero Credential and nil context", &Credential{}, nil, nil, []string{"NewCredential"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, claims := range []string{"", `{"access_token":{}}`} {
				got, err := tt.cred.GetToken(tt.ctx, policy.TokenRequestOptions{Scopes: tt.scopes, Claims: claims})
				wantErrorText(t, err, append(tt.want, "identity: GetToken: ")...)
				if got != (azcore.AccessToken{}) {
					t.Errorf("got a token beside the error: %v", got.ExpiresOn)
				}
			}
		})
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("bad arguments cost %d requests", n)
	}
}

func TestResourceOfAScope(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, scope, want string }{
		{"default suffix", "https://vault.azure.net/.default", "https://vault.azure.net"},
		{"trailing slash kept", "https://management.azure.com//.default", "https://management.azure.com/"},
		{"no suffix", "https://vault.azure.net", "https://vault.azure.net"},
		{"trailing slash without suffix", "https://vault.azure.net/", "https://vault.azure.net/"},
		{"one suffix only", "https://vault.azure.net/.default/.default", "https://vault.azure.net/.default"},
		{"suffix in another case", "https://vault.azure.net/.Default", "https://vault.azure.net/.Default"},
		{"GUID", guid + "/.default", guid},
		{"api URI", "api://" + guid + "/.default", "api://" + guid},
		{"needs escaping", "api://a&client_id=b?c#d+e%20/.default", "api://a&client_id=b?c#d+e%20"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for name, env := range map[string]environment{"IMDS": nowhere(), "App Service": appServiceAt()} {
				var got []string
				cred := credentialAt(t, env, transportFunc(func(r *http.Request) (*http.Response, error) {
					got = r.URL.Query()["resource"]
					if r.URL.Fragment != "" || r.URL.Query().Has("client_id") {
						t.Errorf("%s: the scope broke out of its parameter: %s", name, r.URL)
					}
					return respond(200, grantBody("t", time.Hour)), nil
				}))
				if _, err := cred.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{tt.scope}, TenantID: "other", EnableCAE: true}); err != nil {
					t.Fatal(err)
				}
				if len(got) != 1 || got[0] != tt.want {
					t.Errorf("%s: asked for %q, want %q", name, got, tt.want)
				}
			}
		})
	}
}

func TestHostOfACredential(t *testing.T) {
	t.Parallel()
	if got := (&Credential{}).Host(); got != "" {
		t.Errorf("zero Credential: Host() is %q, want nothing", got)
	}
	if got := onIMDS(t, always(500, "")).Host(); got != HostIMDS {
		t.Errorf("got %q, want imds", got)
	}
	if got := credentialAt(t, appServiceAt(), always(500, "")).Host(); got != HostAppService {
		t.Errorf("got %q, want appservice", got)
	}
}

func TestNilHTTPClient(t *testing.T) {
	t.Parallel()
	var client *http.Client
	_, err := newCredential(&CredentialOptions{ClientOptions: azcore.ClientOptions{Transport: client}}, nowhere())
	wantErrorText(t, err, "CredentialOptions.Transport")
}

func TestAPIVersionOptionIsIgnored(t *testing.T) {
	bubble(t, func(t *testing.T) {
		mustToken(t, onIMDS(t, identitytest.NewIMDS(nil), func(o *CredentialOptions) { o.APIVersion = "2025-01-01" }))
	})
}

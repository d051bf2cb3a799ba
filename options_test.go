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
	identityID = "/subscriptions/" + guid +
		"/resourcegroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/n"
)

// optionsWith are client options with a Transport.
func optionsWith(transport policy.Transporter) azcore.ClientOptions {
	return azcore.ClientOptions{Transport: transport}
}

func TestValidIDs(t *testing.T) {
	t.Parallel()
	for name, id := range map[string]ID{
		"none":                        nil,
		"client ID":                   ClientID(guid),
		"client ID in capitals":       ClientID("ABCDEF11-2222-3333-4444-555555555555"),
		"client ID in braces":         ClientID("{" + guid + "}"),
		"object ID":                   ObjectID(guid),
		"resource ID":                 ResourceID(identityID),
		"resource ID in another case": ResourceID(strings.ToUpper(identityID)),
		"resource ID and a slash":     ResourceID(identityID + "/"),
		"resource ID beyond ASCII":    ResourceID("/subscriptions/x/resourcegroups/größe/providers/ж"),
		"the longest":                 ClientID(strings.Repeat("a", 1024)),
	} {
		for _, env := range []environment{nowhere(), appServiceAt()} {
			cred, err := newCredential(&CredentialOptions{ID: id}, env)
			if err != nil {
				t.Errorf("%s: %v", name, err)
			} else if want := strings.TrimSpace(inWords(id)); cred.Status().Identity != want {
				t.Errorf("%s: the status says %q, want %q", name, cred.Status().Identity, want)
			}
		}
	}
}

func TestRefusedIDs(t *testing.T) {
	t.Parallel()
	const system = "leave ID nil to ask for the system-assigned identity"
	clientID, noClientID := ClientID(guid), (*ClientID)(nil)
	type embeddedID struct{ ClientID } // has the methods of an ID without being one of the three
	const control = "control character"
	for name, tt := range map[string]struct {
		id   ID
		want []string
	}{
		"empty client ID":       {ClientID(""), []string{"empty ClientID", system}},
		"empty object ID":       {ObjectID(""), []string{"empty ObjectID", system}},
		"empty resource ID":     {ResourceID(""), []string{"empty ResourceID", system}},
		"blank client ID":       {ClientID("  "), []string{"ClientID", system}},
		"blank object ID":       {ObjectID("\t"), []string{"ObjectID", system}},
		"blank resource ID":     {ResourceID("\r\n"), []string{"ResourceID", system}},
		"blank beyond ASCII":    {ClientID("\u00a0\u2003"), []string{"ClientID", system}},
		"control character":     {ClientID("a\x00b"), []string{"ClientID", control}},
		"line feed":             {ObjectID("a\nb"), []string{"ObjectID", control}},
		"C1 control character":  {ClientID("a\u009bb"), []string{"ClientID", control}},
		"line separator":        {ClientID("a\u2028b"), []string{"ClientID"}},
		"injection":             {ResourceID("/a\r\nX-Evil: 1"), []string{"ResourceID", control}},
		"not UTF-8":             {ClientID("a\xffb"), []string{"ClientID", "UTF-8"}},
		"replacement character": {ClientID("a\ufffdb"), []string{"ClientID", "UTF-8"}},
		"leading blank":         {ClientID(" " + guid), []string{"ClientID", "white space"}},
		"trailing blank":        {ObjectID(guid + " "), []string{"ObjectID", "white space"}},
		"line feed of a file":   {ClientID(guid + "\n"), []string{"ClientID"}},
		"resource ID and blank": {ResourceID(identityID + " "), []string{"ResourceID", "white space"}},
		"resource as client ID": {ClientID(identityID), []string{"ClientID", "use ResourceID"}},
		"resource as object ID": {ObjectID(identityID), []string{"ObjectID", "use ResourceID"}},
		"GUID as resource ID":   {ResourceID(guid), []string{"ResourceID", "/subscriptions/"}},
		"too long":              {ClientID(strings.Repeat("a", 1025)), []string{"1025", "1024"}},
		"far too long":          {ResourceID("/" + strings.Repeat("a", 1<<20)), []string{"1024"}},
		"pointer":               {&clientID, []string{"*identity.ClientID", "by value"}},
		"nil pointer":           {noClientID, []string{"*identity.ClientID", "by value"}},
		"embedded":              {embeddedID{ClientID(guid)}, []string{"embeddedID", "by value"}},
	} {
		for _, env := range []environment{nowhere(), appServiceAt()} {
			_, err := newCredential(&CredentialOptions{ID: tt.id}, env)
			wantErrorText(t, err, append(tt.want, "identity: CredentialOptions.ID: ")...)
			if err != nil && len(err.Error()) > 2000 {
				t.Errorf("%s: the error has %d bytes", name, len(err.Error()))
			}
		}
	}
}

func TestRefusedOptions(t *testing.T) {
	t.Parallel()
	retry := func(r policy.RetryOptions) azcore.ClientOptions { return azcore.ClientOptions{Retry: r} }
	statuses := func(codes ...int) azcore.ClientOptions {
		return retry(policy.RetryOptions{StatusCodes: codes})
	}
	for name, tt := range map[string]struct {
		options azcore.ClientOptions
		want    string
	}{
		"negative TryTimeout": {retry(policy.RetryOptions{TryTimeout: -1}), "Retry.TryTimeout"},
		"status 0":            {statuses(0), "Retry.StatusCodes"},
		"status 99":           {statuses(99), "Retry.StatusCodes"},
		"status 1000":         {statuses(429, 1000), "Retry.StatusCodes"},
		"negative status":     {statuses(-429), "Retry.StatusCodes"},
		"nil HTTP client":     {optionsWith((*http.Client)(nil)), "Transport"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, env := range []environment{nowhere(), appServiceAt()} {
				_, err := newCredential(&CredentialOptions{ClientOptions: tt.options}, env)
				wantErrorText(t, err, "CredentialOptions."+tt.want)
			}
		})
	}
}

func TestExtremeRetryOptions(t *testing.T) {
	t.Parallel()
	const most, longest = math.MaxInt32, time.Duration(math.MaxInt64)
	for name, retry := range map[string]policy.RetryOptions{
		"most retries": {MaxRetries: most},
		"longest times": {MaxRetries: most, TryTimeout: longest, RetryDelay: longest,
			MaxRetryDelay: longest},
		"least": {MaxRetries: math.MinInt32, RetryDelay: math.MinInt64,
			MaxRetryDelay: math.MinInt64},
		"longest delay, no limit": {MaxRetries: 3, RetryDelay: longest, MaxRetryDelay: -1},
	} {
		cred, err := newCredential(&CredentialOptions{
			ClientOptions: azcore.ClientOptions{Retry: retry}}, nowhere())
		if err != nil {
			t.Fatal(err)
		}
		if r := cred.hosted.client.Rules(); r.Budget <= 0 || r.Budget > time.Hour ||
			r.TryTimeout <= 0 || r.Delay < 0 || r.MaxDelay < 0 {
			t.Errorf("%s: rules are off: %+v", name, r)
		}
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
		ep := identitytest.NewIMDS(&identitytest.Options{
			Identities: []identitytest.Identity{{ClientID: "mine"}, {ClientID: "other"}}})
		options := &CredentialOptions{ID: ClientID("mine")}
		set := func(next policy.Transporter, retries int32, status int, n *atomic.Int64, header string) {
			options.Transport, options.Retry.MaxRetries = next, retries
			options.Retry.StatusCodes[0] = status
			options.PerCallPolicies[0], options.PerRetryPolicies[0] = counting(n), counting(n)
			options.Logging.AllowedHeaders[0] = header
		}
		options.Retry.StatusCodes, options.Logging.AllowedHeaders = make([]int, 1), make([]string, 1)
		options.PerCallPolicies = make([]policy.Policy, 1)
		options.PerRetryPolicies = make([]policy.Policy, 1)
		set(ep, 3, 503, &before, "X-Fine")
		cred, err := newCredential(options, nowhere())
		if err != nil {
			t.Fatal(err)
		}
		options.ID, options.Host = ClientID("other"), "moon"
		set(always(500, ""), -1, 400, &after, "X-Identity-Header")

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
	cred := onIMDS(t, transportFunc(func(r *http.Request) (*http.Response, error) {
		t.Errorf("bad arguments cost a request: %s", r.URL)
		return respond(400, imdsError), nil
	}))
	check := func(
		name string, cred *Credential, ctx context.Context, scopes []string, want ...string,
	) {
		for _, claims := range []string{"", `{"access_token":{}}`} {
			got, err := cred.GetToken(ctx, policy.TokenRequestOptions{Scopes: scopes, Claims: claims})
			wantErrorText(t, err, append(want, "identity: GetToken: ")...)
			if got != (azcore.AccessToken{}) {
				t.Errorf("%s: got a token beside the error: %v", name, got.ExpiresOn)
			}
		}
	}
	for name, tt := range map[string]struct {
		scope string
		want  []string
	}{
		"empty":                   {"", []string{"empty scope"}},
		"no more than the suffix": {"/.default", []string{"empty scope"}},
		"blank":                   {"  ", []string{"scope", "blank"}},
		"two in one":              {"https://a/.default https://b/.default", []string{"scope", "blank"}},
		"blank around":            {" " + vaultScope, []string{"scope", "blank"}},
		"no-break space":          {"https://vault.azure.net\u00a0/.default", []string{"scope", "blank"}},
		"line feed":               {vaultScope + "\n", []string{"scope", "control"}},
		"NUL":                     {"https://vault\x00.net/.default", []string{"scope", "control"}},
		"not UTF-8":               {"https://vault\xff.azure.net/.default", []string{"scope", "UTF-8"}},
		"too long":                {"https://" + strings.Repeat("a", 2048), []string{"scope", "2048"}},
	} {
		check(name, cred, t.Context(), []string{tt.scope}, tt.want...)
	}
	one := []string{vaultScope}
	check("no scopes", cred, t.Context(), nil, "0 scopes", "exactly one")
	check("two scopes", cred, t.Context(), []string{vaultScope, armScope}, "2 scopes", "exactly one")
	check("the same scope twice", cred, t.Context(), []string{vaultScope, vaultScope}, "2 scopes")
	check("nil context", cred, nil, one, "nil Context")
	check("zero Credential", &Credential{}, t.Context(), one, "NewCredential")
	check("zero Credential and nil context", &Credential{}, nil, nil, "NewCredential")
}

func TestResourceOfAScope(t *testing.T) {
	t.Parallel()
	for scope, want := range map[string]string{
		"https://vault.azure.net/.default":          "https://vault.azure.net",
		"https://management.azure.com//.default":    "https://management.azure.com/",
		"https://vault.azure.net":                   "https://vault.azure.net",
		"https://vault.azure.net/":                  "https://vault.azure.net/",
		"https://vault.azure.net/.default/.default": "https://vault.azure.net/.default",
		"https://vault.azure.net/.Default":          "https://vault.azure.net/.Default",
		guid + "/.default":                          guid,
		"api://" + guid + "/.default":               "api://" + guid,
		"api://a&client_id=b?c#d+e%20/.default":     "api://a&client_id=b?c#d+e%20",
	} {
		for _, env := range []environment{nowhere(), appServiceAt()} {
			var got []string
			cred := credentialAt(t, env, transportFunc(func(r *http.Request) (*http.Response, error) {
				got = r.URL.Query()["resource"]
				if r.URL.Fragment != "" || r.URL.Query().Has("client_id") {
					t.Errorf("the scope broke out of its parameter: %s", r.URL)
				}
				return respond(200, grantBody("t", time.Hour)), nil
			}))
			askFor(t, cred, policy.TokenRequestOptions{Scopes: []string{scope}, TenantID: "other",
				EnableCAE: true})
			if len(got) != 1 || got[0] != want {
				t.Errorf("%s: asked %s for %q, want %q", scope, cred.Host(), got, want)
			}
		}
	}
}

func TestAPIVersionOptionIsIgnored(t *testing.T) {
	bubble(t, func(t *testing.T) {
		mustToken(t, onIMDS(t, identitytest.NewIMDS(nil),
			func(o *CredentialOptions) { o.APIVersion = "2025-01-01" }))
	})
}

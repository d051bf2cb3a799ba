package identitytest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keyless-go/identity/internal/seam"
)

// entraRefusal is what Entra says no with.
type entraRefusal struct {
	status int
	name   string
	code   int
	text   string // within the description
}

func checkEntra(t *testing.T, got reply, want entraRefusal) {
	t.Helper()
	var body struct {
		Error, Error_Description, Timestamp, Trace_ID, Correlation_ID, Error_URI string
		Error_Codes                                                              []int
	}
	if err := json.Unmarshal([]byte(got.Body), &body); err != nil {
		t.Fatalf("status %d, body %q: %v", got.Status, got.Body, err)
	}
	if got.Status != want.status || body.Error != want.name ||
		!slices.Equal(body.Error_Codes, []int{want.code}) {
		t.Errorf("got %d %s, want %d %s with code %d", got.Status, got.Body, want.status, want.name,
			want.code)
	}
	form := fmt.Sprintf(`^AADSTS%d: .*%s.* Trace ID: %s Correlation ID: %s Timestamp: %s$`, want.code,
		regexp.QuoteMeta(want.text), body.Trace_ID, regexp.QuoteMeta(body.Correlation_ID), body.Timestamp)
	if !regexp.MustCompile(form).MatchString(body.Error_Description) {
		t.Errorf("got %q, want a match of %s", body.Error_Description, form)
	}
	if at, err := time.Parse("2006-01-02 15:04:05Z", body.Timestamp); err != nil ||
		time.Since(at).Abs() > time.Minute {
		t.Errorf("timestamp: got %q, want now", body.Timestamp)
	}
	if !guidPattern.MatchString(body.Trace_ID) || !guidPattern.MatchString(body.Correlation_ID) {
		t.Errorf("got trace ID %q, correlation ID %q; want two GUIDs", body.Trace_ID, body.Correlation_ID)
	}
	if want := fmt.Sprintf("https://login.microsoftonline.com/error?code=%d",
		want.code); body.Error_URI != want {
		t.Errorf("error_uri: got %q, want %q", body.Error_URI, want)
	}
	checkEntraHeader(t, got, body.Trace_ID)
}

func checkEntraHeader(t *testing.T, got reply, traceID string) {
	t.Helper()
	want := http.Header{
		"Cache-Control": {"no-store, no-cache"}, "Content-Type": {"application/json; charset=utf-8"},
		"Pragma":          {"no-cache"},
		"X-Ms-Request-Id": {traceID},
	}
	if diff := cmp.Diff(want, got.Header); diff != "" {
		t.Errorf("header (-want +got):\n%s", diff)
	}
}

func TestWorkloadIdentityRefuses(t *testing.T) {
	t.Parallel()
	const theirs = "11111111-2222-4333-8444-555555555555"
	for _, test := range []struct {
		name   string
		change url.Values // of the form; a nil value removes
		spoil  func(*http.Request)
		want   entraRefusal
	}{
		{"get", nil, method("GET"), entraRefusal{400, "invalid_request", 900561,
			"The endpoint only accepts POST requests. Received a GET request."}},
		{"put", nil, method("PUT"), entraRefusal{400, "invalid_request", 900561,
			"Received a PUT request."}},
		{"unknown tenant", nil, path("/" + theirs + "/oauth2/v2.0/token"),
			entraRefusal{400, "invalid_request", 90002, "Tenant '" + theirs + "' not found."}},
		{"common", nil, path("/common/oauth2/v2.0/token"),
			entraRefusal{400, "invalid_request", 90002, "Tenant 'common' not found."}},
		{"no tenant", nil, path("//oauth2/v2.0/token"),
			entraRefusal{400, "invalid_request", 90002, "Tenant '' not found."}},

		{"no content type", nil, header("Content-Type"),
			entraRefusal{400, "invalid_request", 900144, "'grant_type'"}},
		{"json", nil, header("Content-Type", "application/json"),
			entraRefusal{400, "invalid_request", 900144, "'grant_type'"}},
		{"repeated parameter", url.Values{"scope": {"a/.default", "a/.default"}}, nil,
			entraRefusal{400, "invalid_request", 9002313, `"scope" is given more than once`}},

		{"no grant type", url.Values{"grant_type": nil}, nil,
			entraRefusal{400, "invalid_request", 900144, "'grant_type'"}},
		{"empty grant type", url.Values{"grant_type": {""}}, nil,
			entraRefusal{400, "invalid_request", 900144, "'grant_type'"}},
		{"other grant type", url.Values{"grant_type": {"password"}}, nil,
			entraRefusal{400, "unsupported_grant_type", 70003, "'password'"}},

		{"no client ID", url.Values{"client_id": nil}, nil,
			entraRefusal{400, "invalid_request", 900144, "'client_id'"}},
		{"unknown client ID", url.Values{"client_id": {theirs}}, nil,
			entraRefusal{400, "unauthorized_client", 700016,
				"Application with identifier '" + theirs + "' was not found in the directory '" + tenantID +
					"'."}},

		{"no scope", url.Values{"scope": nil}, nil,
			entraRefusal{400, "invalid_request", 900144, "'scope'"}},
		{"scope of a user", url.Values{"scope": {vault + "/user_impersonation"}}, nil,
			entraRefusal{400, "invalid_scope", 1002012,
				"scope " + vault + "/user_impersonation is not valid"}},
		{"resource", url.Values{"scope": {vault}}, nil,
			entraRefusal{400, "invalid_scope", 1002012, "scope " + vault + " is not valid"}},
		{"default without a slash", url.Values{"scope": {vault + ".default"}}, nil,
			entraRefusal{400, "invalid_scope", 1002012, "/.default suffixed"}},
		{"no resource", url.Values{"scope": {"/.default"}}, nil,
			entraRefusal{400, "invalid_scope", 70011, "The scope '/.default' is not valid."}},
		{"two scopes", url.Values{"scope": {"a/.default b/.default"}}, nil,
			entraRefusal{400, "invalid_scope", 70011, "The scope 'a/.default b/.default' is not valid."}},
		{"blank", url.Values{"scope": {" "}}, nil,
			entraRefusal{400, "invalid_scope", 70011, "The scope ' ' is not valid."}},
		{"openid alone", url.Values{"scope": {"openid profile"}}, nil,
			entraRefusal{400, "invalid_scope", 70011, "The scope 'openid profile' is not valid."}},

		{"empty claims", url.Values{"claims": {""}}, nil,
			entraRefusal{400, "invalid_request", 90100, "'claims'"}},
		{"half of claims", url.Values{"claims": {`{"access_token":`}}, nil,
			entraRefusal{400, "invalid_request", 90100, "'claims'"}},
		{"claims in base64", url.Values{"claims": {"e30="}}, nil,
			entraRefusal{400, "invalid_request", 90100, "'claims'"}},
		{"null claims", url.Values{"claims": {"null"}}, nil,
			entraRefusal{400, "invalid_request", 90100, "'claims'"}},
		{"array of claims", url.Values{"claims": {"[]"}}, nil,
			entraRefusal{400, "invalid_request", 90100, "'claims'"}},
		{"two objects", url.Values{"claims": {"{}{}"}}, nil,
			entraRefusal{400, "invalid_request", 90100, "'claims'"}},

		{"no assertion", url.Values{"client_assertion": nil}, nil,
			entraRefusal{400, "invalid_request", 7000216,
				"'client_assertion', 'client_secret' or 'request' is required"}},
		{"neither assertion nor type", url.Values{"client_assertion": nil, "client_assertion_type": nil},
			nil, entraRefusal{400, "invalid_request", 7000216, "'client_assertion'"}},
		{"no assertion type", url.Values{"client_assertion_type": nil}, nil,
			entraRefusal{400, "invalid_request", 900144, "'client_assertion_type'"}},
		{"other assertion type",
			url.Values{"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:saml2-bearer"}}, nil, entraRefusal{400, "invalid_request", 900144, "'client_assertion_type'"}},
		{"no JWT", url.Values{"client_assertion": {"secret"}}, nil,
			entraRefusal{401, "invalid_client", 50027, "JWT token is invalid or malformed."}},
		{"JWT that isn't base64", url.Values{"client_assertion": {"a.?.c"}}, nil,
			entraRefusal{401, "invalid_client", 50027, "JWT token is invalid or malformed."}},
		{"JWT that isn't JSON", url.Values{"client_assertion": {"a.AAAA.c"}}, nil,
			entraRefusal{401, "invalid_client", 50027, "JWT token is invalid or malformed."}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			e := NewWorkloadIdentity(&Options{Dir: t.TempDir()})
			r := workloadRequest(t, inMemory(e), test.change)
			if test.spoil != nil {
				test.spoil(r)
			}
			checkEntra(t, do(t, e, r), test.want)
		})
	}
}

// TestWorkloadIdentityRefusesForgedAssertions: what one says is read before its signature is.
func TestWorkloadIdentityRefusesForgedAssertions(t *testing.T) {
	t.Parallel()
	// forge is an assertion that nobody has signed: the pod's own but for what is changed.
	forge := func(change map[string]any) func(*Endpoint) url.Values {
		return func(e *Endpoint) url.Values {
			c := map[string]any{
				"iss": "https://oidc.example/" + e.nonce + "/", "aud": []string{"api://AzureADTokenExchange"},
				"sub": "system:serviceaccount:default:workload", "exp": time.Now().Add(time.Hour).Unix(),
			}
			maps.Copy(c, change)
			return url.Values{"client_assertion": {jwt(c)}}
		}
	}
	for _, test := range []struct {
		name   string
		change func(*Endpoint) url.Values
		want   entraRefusal
	}{
		{"assertion of another cluster", forge(map[string]any{"iss": "https://elsewhere.example/"}),
			entraRefusal{401, "invalid_client", 700211,
				"No matching federated identity record found for presented assertion issuer 'https://elsewhere.example/'."}},
		{"assertion for another audience", forge(map[string]any{"aud": "https://vault.azure.net"}),
			entraRefusal{401, "invalid_client", 700212,
				"presented assertion audience 'https://vault.azure.net'."}},
		{"assertion for two audiences", forge(map[string]any{"aud": []string{"a", "b"}}),
			entraRefusal{401, "invalid_client", 700212, "presented assertion audience 'a,b'."}},
		{"assertion of another service account",
			forge(map[string]any{"sub": "system:serviceaccount:default:other"}), entraRefusal{401,
				"invalid_client", 700213, "presented assertion subject 'system:serviceaccount:default:other'."}},
		{"expired assertion", forge(map[string]any{"exp": 1}),
			entraRefusal{401, "invalid_client", 700024,
				"Client assertion is not within its valid time range."}},
		{"assertion that the cluster hasn't signed", forge(nil),
			entraRefusal{401, "invalid_client", 700027, "Client assertion failed signature validation."}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			e := NewWorkloadIdentity(&Options{Dir: t.TempDir()})
			checkEntra(t, do(t, e, workloadRequest(t, inMemory(e), test.change(e))), test.want)
		})
	}
}

// What the kubelet or a client might have added by mistake isn't forgiven.
func TestWorkloadIdentityAssertionIsExact(t *testing.T) {
	t.Parallel()
	e := NewWorkloadIdentity(&Options{Dir: t.TempDir()})
	assertion := workloadRequest(t, inMemory(e), nil)
	if err := assertion.ParseForm(); err != nil {
		t.Fatal(err)
	}
	right := assertion.PostForm.Get("client_assertion")
	for _, wrong := range []string{right + "\n", " " + right, right[:len(right)-1]} {
		got := do(t, e, workloadRequest(t, inMemory(e), url.Values{"client_assertion": {wrong}}))
		if got.Status != 401 {
			t.Errorf("%q: got status %d, want 401", wrong, got.Status)
		}
	}
}

func TestWorkloadIdentityPath(t *testing.T) {
	t.Parallel()
	e := NewWorkloadIdentity(&Options{Dir: t.TempDir()})
	tenant := e.Identities()[0].TenantID
	for _, p := range []string{
		"/" + tenant + "/oauth2/v2.0/token",
		"/" + strings.ToUpper(tenant) + "/OAuth2/v2.0/Token",
		"/" + e.nonce + "/" + tenant + "/oauth2/v2.0/token",
	} {
		r := workloadRequest(t, inMemory(e), nil)
		r.URL.Path = p
		tokenOf(t, do(t, e, r))
	}
	for _, p := range []string{
		"/", "", "/" + tenant, "/" + tenant + "/oauth2/token", "/" + tenant + "/oauth2/v2.0/token/",
		"/oauth2/v2.0/token",
		"/00000000/" + tenant + "/oauth2/v2.0/token",
		"/" + tenant + "/v2.0/.well-known/openid-configuration", "/msi/token",
	} {
		r := workloadRequest(t, inMemory(e), nil)
		r.URL.Path = p
		if got := do(t, e, r); got.Status != 404 || got.Body != "" ||
			!guidPattern.MatchString(got.Header.Get("x-ms-request-id")) {
			t.Errorf("%s: got %+v, want 404 without a body", p, got)
		}
	}
}

func TestWorkloadIdentitySuccess(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		lifetime time.Duration
		want     map[string]any
	}{
		"default": {0, map[string]any{"expires_in": 3600, "ext_expires_in": 3600}},
		"almost 12 hours": {12*time.Hour - 1,
			map[string]any{"expires_in": 43199, "ext_expires_in": 43199}},
		"12 hours": {12 * time.Hour,
			map[string]any{"expires_in": 43200, "ext_expires_in": 43200, "refresh_in": 21600}},
		"24 hours": {24 * time.Hour,
			map[string]any{"expires_in": 86400, "ext_expires_in": 86400, "refresh_in": 43200}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				e := NewWorkloadIdentity(&Options{Dir: dir, Lifetime: test.lifetime})
				got := do(t, e, workloadRequest(t, inMemory(e), nil))
				body := members(t, got.Body)
				delete(body, "access_token")
				want := map[string]any{"token_type": "Bearer"}
				for name, seconds := range test.want {
					want[name] = json.Number(fmt.Sprint(seconds)) // without quotes
				}
				if diff := cmp.Diff(want, body); diff != "" {
					t.Errorf("body (-want +got):\n%s", diff)
				}
				traceID := got.Header.Get("x-ms-request-id")
				if !guidPattern.MatchString(traceID) {
					t.Errorf("got x-ms-request-id %q, want a GUID", traceID)
				}
				checkEntraHeader(t, got, traceID)
			})
		})
	}
}

func TestWorkloadIdentitySelects(t *testing.T) {
	t.Parallel()
	e := NewWorkloadIdentity(&Options{Dir: t.TempDir(), Identities: []Identity{
		{ClientID: "AbC", TenantID: "one"}, {ClientID: "def", TenantID: "two"},
		{ClientID: "ghi", TenantID: "ONE"},
	}})
	for _, test := range []struct {
		tenant, client string
		want           int // the index in identities, -1 for a refusal
	}{
		{"one", "AbC", 0},
		{"One", "aBC", 0},
		{"two", "def", 1},
		{"one", "ghi", 2},
		{"two", "AbC", -1},
		{"one", "def", -1},
	} {
		r := workloadRequest(t, inMemory(e), url.Values{"client_id": {test.client}})
		r.URL.Path = "/" + test.tenant + "/oauth2/v2.0/token"
		got := do(t, e, r)
		if test.want < 0 {
			checkEntra(t, got, entraRefusal{400, "unauthorized_client", 700016,
				"Application with identifier '" + test.client + "' was not found in the directory '" +
					test.tenant + "'."})
			continue
		}
		if c, want := readClaims(t, tokenOf(t, got)),
			e.Identities()[test.want]; c.AppID != want.ClientID || c.ObjectID != want.ObjectID ||
			c.TenantID != want.TenantID {
			t.Errorf("%s in %s: got a token of %s in %s, want one of %s in %s", test.client, test.tenant,
				c.AppID, c.TenantID, want.ClientID, want.TenantID)
		}
	}
}

func TestWorkloadIdentityAudience(t *testing.T) {
	t.Parallel()
	e := NewWorkloadIdentity(&Options{Dir: t.TempDir()})
	for scope, want := range map[string]string{
		"https://vault.azure.net/.default":              "https://vault.azure.net",
		"https://vault.azure.net//.default":             "https://vault.azure.net/",
		"api://my-app/.default":                         "api://my-app",
		"499b84ac-1321-427f-aa17-267ca6975798/.default": "499b84ac-1321-427f-aa17-267ca6975798",
		// MSAL for Go
		"https://vault.azure.net/.default openid offline_access profile":              "https://vault.azure.net",
		"openid  https://vault.azure.net/.default":                                    "https://vault.azure.net",
		"https://management.core.windows.net//.default openid profile offline_access": "https://management.core.windows.net/",
	} {
		got := do(t, e, workloadRequest(t, inMemory(e), url.Values{"scope": {scope}}))
		if c := readClaims(t, tokenOf(t, got)); c.Audience != want {
			t.Errorf("%q: got aud %q, want %q", scope, c.Audience, want)
		}
	}
}

func TestWorkloadIdentityClaims(t *testing.T) {
	t.Parallel()
	e := NewWorkloadIdentity(&Options{Dir: t.TempDir()})
	raw := tokenOf(t, do(t, e, workloadRequest(t, inMemory(e), nil)))
	c, id := members(t, string(segment(t, raw, 1))), e.Identities()[0]
	for name, want := range map[string]any{
		"aud": vault, "iss": "https://sts.windows.net/" + id.TenantID + "/", "tid": id.TenantID,
		"appid": id.ClientID, "appidacr": "2",
		"idtyp": "app", "oid": id.ObjectID, "sub": id.ObjectID, "ver": "1.0", "xms_mirid": id.ResourceID,
		"xms_az_rid": nil, "xms_cc": nil,
	} {
		if c[name] != want {
			t.Errorf("%s: got %v, want %v", name, c[name], want)
		}
	}
	if id.System || !strings.Contains(id.ResourceID, "/userAssignedIdentities/") {
		t.Errorf("got %+v, want a user-assigned identity by default", id)
	}

	for claims, want := range map[string][]string{
		`{}`:                             nil,
		`{"access_token":{}}`:            nil,
		`{"access_token":{"xms_cc":{}}}`: nil,
		`{"access_token":null,"id_token":{"xms_cc":{"values":["CP1"]}}}`:                      nil,
		`{"access_token":{"xms_cc":{"values":["CP2"]}}}`:                                      nil,
		`{"access_token":{"xms_cc":{"values":["CP1"]}}}`:                                      {"CP1"},
		` {"access_token":{"xms_cc":{"values":["llt","cp1"]}}} `:                              {"CP1"},
		`{"access_token":{"nbf":{"essential":true,"value":"1"},"xms_cc":{"values":["CP1"]}}}`: {"CP1"},
	} {
		got := do(t, e, workloadRequest(t, inMemory(e), url.Values{"claims": {claims}}))
		if c := readClaims(t, tokenOf(t, got)); !slices.Equal(c.Capabilities, want) {
			t.Errorf("%s: got xms_cc %q, want %q", claims, c.Capabilities, want)
		}
	}
}

// A claims challenge must bring a new token, whatever a test has set for other hosts.
func TestWorkloadIdentityHasNoCache(t *testing.T) {
	t.Parallel()
	e := NewWorkloadIdentity(&Options{Dir: t.TempDir(), HostCache: true})
	seen := make(map[string]bool)
	for _, claims := range []string{
		`{"access_token":{"xms_cc":{"values":["CP1"]}}}`,
		`{"access_token":{"nbf":{"essential":true,"value":"1"},"xms_cc":{"values":["CP1"]}}}`,
		`{"access_token":{"nbf":{"essential":true,"value":"1"},"xms_cc":{"values":["CP1"]}}}`,
	} {
		seen[tokenOf(t, do(t, e, workloadRequest(t, inMemory(e), url.Values{"claims": {claims}})))] = true
	}
	if len(seen) != 3 {
		t.Errorf("got %d different tokens of 3", len(seen))
	}
}

func TestWorkloadIdentityCorrelationID(t *testing.T) {
	t.Parallel()
	e := NewWorkloadIdentity(&Options{Dir: t.TempDir()})
	r := workloadRequest(t, inMemory(e), url.Values{"scope": nil})
	r.Header.Set("client-request-id", guidOf("mine"))
	got := do(t, e, r)
	checkEntra(t, got, entraRefusal{400, "invalid_request", 900144, "'scope'"})
	if id := members(t, got.Body)["correlation_id"]; id != guidOf("mine") {
		t.Errorf("got %v, want the ID that was sent", id)
	}
}

func TestWorkloadIdentityTokenFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		e := NewWorkloadIdentity(&Options{Dir: dir})
		file := filepath.Join(dir, "azure-identity-token")
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		c := members(t, string(segment(t, string(content), 1)))
		jti, _ := c["jti"].(string)
		if !guidPattern.MatchString(jti) {
			t.Errorf("jti: got %q, want a GUID", jti)
		}
		want := map[string]any{
			"aud": []any{"api://AzureADTokenExchange"}, "iss": "https://oidc.example/" + e.nonce + "/",
			"jti": jti,
			"sub": "system:serviceaccount:default:workload",
			"iat": json.Number("946684800"), "nbf": json.Number("946684800"),
			"exp": json.Number("946688400"),
		}
		if diff := cmp.Diff(want, c); diff != "" {
			t.Errorf("claims (-want +got):\n%s", diff)
		}
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		if mode := info.Mode(); runtime.GOOS != "windows" && mode != 0o600 {
			t.Errorf("got mode %v, want one for nobody but the owner", mode)
		}
		if files := names(t, dir); len(files) != 1 {
			t.Errorf("got files %q, want the token alone", files)
		}

		time.Sleep(48 * time.Hour)
		tokenOf(t, do(t, e, workloadRequest(t, inMemory(e), nil))) // as if the kubelet had been there
	})
}

func TestWorkloadIdentityRotateSecret(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	e := NewWorkloadIdentity(&Options{Dir: dir})
	var old []*http.Request
	for range 3 {
		old = append(old, workloadRequest(t, inMemory(e), nil))
		e.RotateSecret()
	}
	for _, r := range old {
		checkEntra(t, do(t, e, r), entraRefusal{401, "invalid_client", 700024,
			"Client assertion is not within its valid time range."})
	}
	tokenOf(t, do(t, e, workloadRequest(t, inMemory(e), nil)))
	if files := names(t, dir); !slices.Equal(files, []string{"azure-identity-token"}) {
		t.Errorf("got files %q, want the token alone", files)
	}

	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	r := old[0].Clone(t.Context())
	mustPanic(t, "RotateSecret: ", e.RotateSecret)
	if r.Body, _ = r.GetBody(); r.Body != nil {
		checkEntra(t, do(t, e, r), entraRefusal{401, "invalid_client", 700024, "time range"})
	}
}

// A client that reads the file while it is replaced gets one assertion or the other, and whichever
// is the newest is good.
func TestWorkloadIdentityRotatesInOneStep(t *testing.T) {
	t.Parallel()
	e := NewWorkloadIdentity(&Options{Dir: t.TempDir()})
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for range 25 {
				e.RotateSecret()
			}
		})
		group.Go(func() {
			for range 25 {
				got := do(t, e, workloadRequest(t, inMemory(e), nil))
				if got.Status != 200 && !strings.Contains(got.Body, "AADSTS700024") {
					t.Errorf("got %d %s, want a token, or that the assertion is of yesterday", got.Status,
						got.Body)
				}
			}
		})
	}
	group.Wait()
	tokenOf(t, do(t, e, workloadRequest(t, inMemory(e), nil)))
}

func TestNewWorkloadIdentityPanics(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	mustPanic(t, "NewWorkloadIdentity: Options.Identities: 1 is system-assigned", func() {
		NewWorkloadIdentity(&Options{Dir: dir, Identities: []Identity{{}, {System: true}}})
	})
	mustPanic(t, "NewWorkloadIdentity: ", func() {
		NewWorkloadIdentity(&Options{Dir: filepath.Join(dir, "missing")})
	})
	mustPanic(t, "Options.Lifetime: negative duration -1s", func() {
		NewWorkloadIdentity(&Options{Dir: dir, Lifetime: -time.Second})
	})
}

func TestWorkloadIdentityFailures(t *testing.T) {
	t.Parallel()
	e := NewWorkloadIdentity(&Options{Dir: t.TempDir()})
	for _, want := range []entraRefusal{
		{400, "unauthorized_client", 700016, "was not found in the directory"},
		{401, "invalid_client", 700024, "Client assertion is not within its valid time range."},
		{403, "invalid_request", 9002313, "malformed or invalid"},
		{429, "temporarily_unavailable", 90055, "too many"},
		{500, "server_error", 50000, "issuing a token"},
		{503, "temporarily_unavailable", 90033, "transient"},
		{504, "temporarily_unavailable", 90033, "transient"},
	} {
		e.Enqueue(Response{Status: want.status})
		checkEntra(t, do(t, e, workloadRequest(t, inMemory(e), nil)), want)
	}
	e.Enqueue(Response{Status: 404})
	if got := do(t, e, workloadRequest(t, inMemory(e), nil)); got.Status != 404 || got.Body != "" {
		t.Errorf("got %d %q, want 404 without a body", got.Status, got.Body)
	}
}

// Whoever asks the endpoint by its URL trusts its certificate, and nobody else does.
func TestWorkloadIdentityStandsIn(t *testing.T) {
	t.Parallel()
	e, other := NewWorkloadIdentity(&Options{Dir: t.TempDir()}),
		NewWorkloadIdentity(&Options{Dir: t.TempDir()})
	u := workloadRequest(t, inMemory(e), nil).URL
	if want := "/" + e.nonce + "/" + e.Identities()[0].TenantID +
		"/oauth2/v2.0/token"; u.Path != want {
		t.Errorf("got path %s, want %s", u.Path, want)
	}
	place, ok := seam.Lookup(u.Path)
	if !ok || place.KeyDirectory != "" || !place.RootCAs.Equal(e.certificate.pool) ||
		place.RootCAs.Equal(other.certificate.pool) {
		t.Errorf("got %+v, %t for %s; want the pool of its certificate", place, ok, u.Path)
	}
	if _, ok := seam.Lookup("/" + e.Identities()[0].TenantID + "/oauth2/v2.0/token"); ok {
		t.Error("got a place for the path of Entra itself")
	}
	runtime.KeepAlive(e)
}

// RFC 7519 has an audience as a text, too.
func TestReadAssertion(t *testing.T) {
	t.Parallel()
	for _, aud := range []string{`"you"`, `["you"]`} {
		got, err := readAssertion("x." +
			base64.RawURLEncoding.EncodeToString([]byte(`{"iss":"me","aud":`+aud+`,"exp":1}`)) +
			".y")
		if got.Issuer != "me" || !slices.Equal(got.Audience, []string{"you"}) || got.Expires != 1 ||
			err != nil {
			t.Errorf("%s: got %+v, %v", aud, got, err)
		}
	}
}

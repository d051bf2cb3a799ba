package identity

import (
	"errors"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"unicode"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity/internal/acquire"
	"github.com/keyless-go/identity/internal/arckey"
	"github.com/keyless-go/identity/internal/assertion"
	"github.com/keyless-go/identity/internal/check"
	"github.com/keyless-go/identity/internal/detect"
	"github.com/keyless-go/identity/internal/failure"
	"github.com/keyless-go/identity/internal/redact"
)

// FuzzRequest: whatever an ID, a scope, a tenant, a challenge's claims and an endpoint's own query
// hold, a host is asked at its endpoint for exactly the identity and the resource. Scopes, tenants
// and claims come out of other servers' answers.
func FuzzRequest(f *testing.F) {
	const secret = "QJX7canaryVBK2"
	for i, id := range []string{
		"", guid, identityID, "a&client_id=b", "a b", " a", "a ", "a\r\nb", "größe", "\xff", "%26", "a#b",
		"a;b=c", "/", "-x", "*", strings.Repeat("a", 1025),
	} {
		for kind := range byte(4) {
			f.Add(id, kind, vaultScope, "", "", "")
		}
		f.Add(guid, byte(i), "https://"+id+"/.default", id, "resource="+id, `{"x":"`+id+`"}`)
	}
	for _, scope := range []string{
		"https://vault.azure.net", "https://vault.azure.net//.default", "https://management.azure.com/",
		"https://vault.azure.cn/.default", "api://AzureADTokenExchange/.default", guid, "/.default",
		"/.default/.default",
		"openid offline_access", "https://x.example/?a=b&resource=c#d/.default", "--debug",
		"https://x.example/%0d%0a/.default", "https://x.example/&whoami/.default",
		`https://x.example/"&calc/.default`, "https://x.example/$(id)", strings.Repeat("a", 2049),
		"https://evil.example", "//evil.example", "http://169.254.169.254/latest", "../../evil", "?",
		"#", "@evil.example", "x?resource=https://evil.example", "x&resource=evil&client_id=evil",
		"x;resource=evil", "%2e%2e%2fevil", "x%0d%0aHost:evil.example", "x\r\nHost: evil.example",
		"x\x00", "-", `"evil`, "'evil", "é",
	} {
		f.Add(guid, byte(0), scope, otherTenant, "tenant=x&client_id=evil&api-version=9&resource=r", cp1)
		f.Add(identityID, byte(2), scope, "Contoso.OnMicrosoft.com", "a=%zz&b", rejectedClaims)
		f.Add("", byte(3), scope, "../common", "xms_cc=cp1;a", "e30=")
		f.Add("", byte(3), scope, "", "=&x=y", "")
		f.Add("", byte(3), scope, "",
			"Client_Id=a&CLIENT%5FID=b&client-id=c&Re%73ource=d&API-Version=e&clıent_id=f&_=g", "")
	}
	for _, tenant := range []string{
		"..", ".", "-x", "a/b", "%2e%2e", "eyJhbGciOiJub25l", strings.Repeat("a", 1025), "evil.example/x",
		"evil?x", "evil#x", "evil@evil.example", "evil\r\nHost: evil.example", `\evil`, "//evil.example",
	} {
		f.Add("", byte(7), vaultScope, tenant, "", "")
	}
	environments := everyHost(f, secret)
	f.Fuzz(func(t *testing.T, id string, kind byte, scope, tenant, own, claims string) {
		options := &CredentialOptions{AdditionallyAllowedTenants: []string{check.AnyTenant},
			ID: []ID{ClientID(id), ObjectID(id), ResourceID(id), nil}[kind%4]}
		if err := validateID("CredentialOptions.ID", options.ID); (err == nil) != isID(options.ID) {
			t.Fatalf("%T %q: %v", options.ID, id, err)
		}
		asked := policy.TokenRequestOptions{Scopes: []string{scope}, TenantID: tenant, Claims: claims,
			EnableCAE: kind&4 != 0}
		for _, env := range environments {
			checkRequest(t, env, options, asked, own, secret)
		}
	})
}

// isID: printable, no blank around it, a path for a resource and none for the others.
func isID(id ID) bool {
	if id == nil {
		return true
	}
	value := id.String()
	_, isResource := id.(ResourceID)
	for _, r := range value {
		if !unicode.IsPrint(r) || r == unicode.ReplacementChar {
			return false
		}
	}
	return value != "" && len(value) <= 1024 && strings.Trim(value, " ") == value &&
		(isResource && value[0] == '/' || !isResource && !strings.Contains(value, "/"))
}

// hostsSelectors are the names by which the hosts know an identity, by client ID, object ID and
// resource ID; "" if by none.
var hostsSelectors = map[Host][3]string{
	HostIMDS:               {"client_id", "object_id", "msi_res_id"},
	HostArc:                {"client_id", "object_id", "msi_res_id"},
	HostAppService:         {"client_id", "principal_id", "mi_res_id"},
	HostAzureML:            {"clientid", "", ""},
	HostWorkloadIdentity:   {"client_id", "", ""},
	HostServiceFabric:      {},
	HostContainerInstances: {"", "principalId", ""},
	HostCloudShell:         {},
}

// noLetters is what a server may pass over in a parameter's name.
var noLetters = regexp.MustCompile(`[^\pL\p{Nd}]`)

func checkRequest(
	t *testing.T, env environment, options *CredentialOptions, asked policy.TokenRequestOptions, own,
	secret string,
) {
	t.Helper()
	found := detect.On(env.machine())
	host, configured := Host(found.Host), found.Endpoint
	name := ""
	switch options.ID.(type) {
	case ClientID:
		name = hostsSelectors[host][0]
	case ObjectID:
		name = hostsSelectors[host][1]
	case ResourceID:
		name = hostsSelectors[host][2]
	}
	want := url.Values{}
	if host == HostAppService && !strings.ContainsFunc(own, func(r rune) bool {
		return r == '#' || unicode.IsControl(r) || unicode.IsSpace(r)
	}) {
		before := env.getenv
		env.getenv = func(name string) string {
			if name == envEndpoint {
				return before(name) + "?" + own
			}
			return before(name)
		}
		want, _ = url.ParseQuery(own)
	}
	cred, err := newCredentialIn(newShared(), options, env)
	if wanted := isID(options.ID) && (options.ID == nil || name != ""); (err == nil) != wanted &&
		!(err != nil && options.ID != nil && len(own) > 0 && host == HostAppService) &&
		!(err != nil && host == HostWorkloadIdentity) {
		t.Fatalf("%s with %T %q: %v", host, options.ID, options.ID, err)
	}
	if err != nil {
		wantErrorText(t, err)
		return
	}
	v, scope, err := cred.check("GetToken", t.Context(), asked)
	if err != nil {
		wantErrorText(t, err, "GetToken")
		if len(err.Error()) > 6*2048+500 {
			t.Errorf("the error is of %d bytes", len(err.Error()))
		}
		return
	}
	resource := strings.TrimSuffix(scope, "/.default")
	if scope != asked.Scopes[0] || resource == "" || strings.ContainsFunc(resource, func(r rune) bool {
		return r == ' ' || !unicode.IsPrint(r)
	}) {
		t.Fatalf("%s: the scope %q passes as %q", host, asked.Scopes[0], scope)
	}
	r, err := cred.hosted.host.Call(t.Context(), acquire.Request{Resource: resource,
		Variant: acquire.Variant{Tenant: v.Variant().Tenant, CAE: v.Variant().CAE}, Claims: asked.Claims})
	if err != nil {
		t.Fatalf("%s can't be asked for %q of %q with %q: %v", host, resource, asked.TenantID,
			asked.Claims, err)
	}
	for name := range want {
		switch strings.ToLower(strings.ToUpper(noLetters.ReplaceAllString(name, ""))) {
		case "clientid", "objectid", "principalid", "msiresid", "miresid", "resource", "apiversion",
			"authority", "bypasscache", "xmscc", "tokensha256torefresh":
			want.Del(name)
		}
	}
	if options.ID != nil {
		want.Set(name, options.ID.String())
	}
	got := r.URL.Query()
	endpoint, _, _ := strings.Cut(configured, "?")
	if r.Form != nil {
		if got = r.Form; len(r.URL.RawQuery) > 0 {
			t.Errorf("the query is %q", r.URL.RawQuery)
		}
	}
	if host == HostWorkloadIdentity {
		endpoint = wantExchange(want, asked, resource, secret)
		if r.Form.Get("claims") != "" { // FuzzWithCapability's business
			want.Set("claims", r.Form.Get("claims"))
		}
	} else {
		want.Set("resource", resource)
		if version := apiVersions[host]; version != "" {
			want.Set("api-version", version)
		}
		if host == HostServiceFabric && asked.EnableCAE {
			want.Set("xms_cc", "cp1")
		}
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s is asked for %q, want %q", host, got, want)
	}
	if address, _, _ := strings.Cut(r.URL.String(), "?"); address != endpoint {
		t.Errorf("%s is asked at %q, want %q", host, address, endpoint)
	}
	checkWire(t, host, r)
	if (r.Form == nil) != (r.Method == http.MethodGet) || strings.Contains(r.URL.String(), secret) {
		t.Errorf("%s: %s %s", host, r.Method, r.URL)
	}
}

// apiVersions are the hosts' own.
var apiVersions = map[Host]string{
	HostIMDS: "2018-02-01", HostAppService: "2019-08-01", HostAzureML: "2017-09-01",
	HostArc: "2020-06-01", HostServiceFabric: "2019-07-01-preview", HostContainerInstances: "1.0",
}

// wantExchange adds to a form what Entra is to be sent, and returns where.
func wantExchange(
	want url.Values, asked policy.TokenRequestOptions, resource, secret string,
) (endpoint string) {
	if !want.Has("client_id") {
		want.Set("client_id", guid)
	}
	want.Set("grant_type", "client_credentials")
	want.Set("scope", resource+"/.default")
	want.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
	want.Set("client_assertion", secret)
	tenant := otherTenant
	if asked.TenantID != "" && !strings.EqualFold(asked.TenantID, otherTenant) {
		tenant = strings.ToLower(asked.TenantID)
	}
	return "https://login.microsoftonline.com/" + tenant + "/oauth2/v2.0/token"
}

// checkWire checks a request's URL as it goes over the wire.
func checkWire(t *testing.T, host Host, r acquire.Call) {
	t.Helper()
	sent, err := url.Parse(r.URL.String())
	if err != nil || !reflect.DeepEqual(sent.Query(), r.URL.Query()) ||
		strings.ContainsFunc(r.URL.RequestURI(), func(c rune) bool {
			return c <= ' ' || c >= 0x7f
		}) {
		t.Errorf("%s is asked by %q: %v", host, r.URL, err)
	}
	if cleaned := path.Clean(sent.Path); strings.TrimSuffix(sent.Path,
		"/") != strings.TrimSuffix(cleaned, "/") {
		t.Errorf("%s is asked at %q, which is %q", host, sent.Path, cleaned)
	}
}

// FuzzSecretFile: of a service account's token and of Azure Arc's key only what can be sent is
// taken, as it is in its file; and an error does not repeat it.
func FuzzSecretFile(f *testing.F) {
	for _, content := range []string{
		jwtOf(`{"exp":1483412644,"sub":"system:serviceaccount:a:b"}`), jwtOf("{}") + "\n",
		"\r\n " + jwtOf("{}") + " \r\n", "\ufeff" + jwtOf("{}"), "e30.e30.a b", "",
		" \n", "a\x00b", "größe", "a\xff", "\x80", "\u0085", "pa55word", "  pa55word  ", "a6d5+/==",
		"\xff\xfep\x00a\x00", strings.Repeat("k", 4096), strings.Repeat("k", 4097),
		strings.Repeat("k", 64<<10), strings.Repeat("k", 64<<10+1), strings.Repeat(" ", 70000) + "k",
	} {
		f.Add([]byte(content))
	}
	file := filepath.Join(f.TempDir(), "x.key")
	projected, err := assertion.NewProjectedFile(file)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
		visible := func(s string) bool {
			return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return r < '!' || r > '~' })
		}
		trimmed := strings.TrimSpace(string(content))
		got, err := projected.Get(t.Context(), assertion.Request{})
		if want := len(content) <= 64<<10 && visible(trimmed); want != (err == nil) || want &&
			got != trimmed {
			t.Errorf("%q is read as the token %q, %v", content, got, err)
		}
		key, keyErr := arckey.Read(file, filepath.Dir(file), runtime.GOOS)
		sendable := len(content) > 0 && len(content) <= 4096
		for _, r := range string(content) {
			sendable = sendable && r >= ' ' && (r < 0x7f || r > 0x9f)
		}
		if sendable != (keyErr == nil) || sendable && key != string(content) {
			t.Errorf("%q is read as the key %q, %v", content, key, keyErr)
		}
		for _, err := range []error{err, keyErr} {
			if err == nil {
				continue
			}
			if text := err.Error(); text != redact.Printable(text) || len(trimmed) >= 12 &&
				strings.Contains(text, trimmed) || showsToken(strings.ReplaceAll(text, file, "")) ||
				len(text) > 600 {
				t.Errorf("the error repeats the file: %q", text)
			}
		}
		if _, again := errors.AsType[*failure.Passing](keyErr); again != (len(content) == 0) {
			t.Errorf("%q: is another challenge worth it? %v: %v", content, again, keyErr)
		}
	})
}

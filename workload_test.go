package identity

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/google/go-cmp/cmp"
	"github.com/keyless-go/identity/identitytest"
	"github.com/keyless-go/identity/internal/acquire"
)

const (
	podTenant    = "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"
	otherTenant  = "f0f0f0f0-1111-4222-8333-abcdefabcdef"
	podClient    = guid
	podAssertion = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJzeXN0ZW06c2VydmljZWFjY291bnQ6ZGVmYXVsdDp3b3JrbG9hZCJ9.c2lnbmF0dXJl"
	podTokenURL  = "https://login.microsoftonline.com/" + podTenant + "/oauth2/v2.0/token"
)

// assertionFile is a projected token's file with that content.
func assertionFile(tb testing.TB, content string) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "azure-identity-token")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		tb.Fatal(err)
	}
	return path
}

// inPod is the environment of a pod with workload identity; pairs replace variables, or remove them if the value is empty.
func inPod(tb testing.TB, pairs ...string) environment {
	tb.Helper()
	variables := map[string]string{
		"AZURE_FEDERATED_TOKEN_FILE": assertionFile(tb, podAssertion),
		"AZURE_CLIENT_ID":            podClient,
		"AZURE_TENANT_ID":            podTenant,
		"AZURE_AUTHORITY_HOST":       "https://login.microsoftonline.com/",
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		variables[pairs[i]] = pairs[i+1]
	}
	return environmentOf(variables)
}

// tokenPost is a request for a token, as it arrived.
type tokenPost struct {
	*http.Request
	body string
	form url.Values
	at   time.Time
}

// entraStub is a Transport in Entra's place: it notes what arrives and answers by reply, or with a token of an hour that
// is different each time.
type entraStub struct {
	mu         sync.Mutex
	tokenPosts []tokenPost
	reply      func(n int, p tokenPost) *http.Response // n is 1 for the first; nil, or a nil response, for a token
}

func (e *entraStub) Do(r *http.Request) (*http.Response, error) {
	p := tokenPost{Request: r, at: time.Now()}
	if r.Body != nil {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		_ = r.Body.Close()
		p.body = string(body)
	}
	form, err := url.ParseQuery(p.body)
	if err != nil {
		return nil, err
	}
	p.form = form
	e.mu.Lock()
	e.tokenPosts = append(e.tokenPosts, p)
	n := len(e.tokenPosts)
	e.mu.Unlock()
	if e.reply != nil {
		if resp := e.reply(n, p); resp != nil {
			return resp, nil
		}
	}
	return respond(200, entraGrant(fmt.Sprintf("token-%d", n), time.Hour)), nil
}

func (e *entraStub) got() []tokenPost {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.tokenPosts)
}

// field is one parameter of all forms that arrived.
func (e *entraStub) field(name string) []string {
	var values []string
	for _, p := range e.got() {
		values = append(values, strings.Join(p.form[name], ","))
	}
	return values
}

// entraGrant is Entra's answer with a token: numbers are numbers, and there is no expires_on.
func entraGrant(token string, life time.Duration) string {
	s := int(life.Seconds())
	return fmt.Sprintf(`{"token_type":"Bearer","expires_in":%d,"ext_expires_in":%d,"access_token":%q}`, s, s, token)
}

// entraRefusal is an error body of Entra's.
func entraRefusal(code string, number int, text string) string {
	return fmt.Sprintf(`{"error":%q,"error_description":"AADSTS%d: %s Trace ID: t Correlation ID: c Timestamp: s","error_codes":[%d],"correlation_id":"c"}`, code, number, text, number)
}

// askFor asks for one token.
func askFor(tb testing.TB, cred azcore.TokenCredential, options policy.TokenRequestOptions) azcore.AccessToken {
	tb.Helper()
	if len(options.Scopes) == 0 {
		options.Scopes = []string{vaultScope}
	}
	tk, err := cred.GetToken(context.Background(), options)
	if err != nil {
		tb.Fatalf("GetToken: %v", err)
	}
	return tk
}

// podForm is the form by hand that every request has; pairs replace or add parameters.
func podForm(pairs ...string) url.Values {
	form := url.Values{
		"grant_type":            {"client_credentials"},
		"client_id":             {podClient},
		"scope":                 {"https://vault.azure.net/.default"},
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
		"client_assertion":      {podAssertion},
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	return form
}

const cp1 = `{"access_token":{"xms_cc":{"values":["CP1"]}}}`

func TestWorkloadRequests(t *testing.T) {
	t.Parallel()
	const (
		otherClient = "99999999-8888-4777-8666-555555555555"
		claims      = `{"access_token":{"nbf":{"essential":true,"value":"1604106651"}}}`
	)
	for _, tt := range []struct {
		name      string
		variables []string
		adjust    func(*CredentialOptions)
		ask       policy.TokenRequestOptions
		url       string
		form      url.Values
	}{
		{name: "default", url: podTokenURL, form: podForm()},
		{name: "client-id", adjust: func(o *CredentialOptions) { o.ID = ClientID(otherClient) }, url: podTokenURL, form: podForm("client_id", otherClient)},
		{name: "cae", ask: policy.TokenRequestOptions{EnableCAE: true}, url: podTokenURL, form: podForm("claims", cp1)},
		{name: "claims", ask: policy.TokenRequestOptions{Claims: claims}, url: podTokenURL, form: podForm("claims", claims)},
		{name: "claims-cae", ask: policy.TokenRequestOptions{Claims: claims, EnableCAE: true}, url: podTokenURL,
			form: podForm("claims", `{"access_token":{"nbf":{"essential":true,"value":"1604106651"},"xms_cc":{"values":["CP1"]}}}`)},
		{name: "other-tenant", adjust: func(o *CredentialOptions) { o.AdditionallyAllowedTenants = []string{otherTenant} },
			ask: policy.TokenRequestOptions{TenantID: strings.ToUpper(otherTenant)},
			url: "https://login.microsoftonline.com/" + otherTenant + "/oauth2/v2.0/token", form: podForm()},
		{name: "sovereign", variables: []string{"AZURE_AUTHORITY_HOST", "https://login.microsoftonline.us/"},
			url: "https://login.microsoftonline.us/" + podTenant + "/oauth2/v2.0/token", form: podForm()},
		{name: "cloud", adjust: func(o *CredentialOptions) { o.Cloud = cloud.AzureChina }, // before the variable
			url: "https://login.chinacloudapi.cn/" + podTenant + "/oauth2/v2.0/token", form: podForm()},
		{name: "identity-binding", variables: []string{"AZURE_KUBERNETES_TOKEN_PROXY", "https://10.0.0.1:6443/identity/"},
			url: "https://10.0.0.1:6443/identity/" + podTenant + "/oauth2/v2.0/token", form: podForm()},
		{name: "identity-binding-other-tenant", variables: []string{"AZURE_KUBERNETES_TOKEN_PROXY", "https://10.0.0.1"},
			adjust: func(o *CredentialOptions) { o.AdditionallyAllowedTenants = []string{"*"} },
			ask:    policy.TokenRequestOptions{TenantID: otherTenant, EnableCAE: true},
			url:    "https://10.0.0.1/" + otherTenant + "/oauth2/v2.0/token", form: podForm("claims", cp1)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			entra := &entraStub{}
			cred := credentialAt(t, inPod(t, tt.variables...), entra, func(o *CredentialOptions) {
				if tt.adjust != nil {
					tt.adjust(o)
				}
			})
			askFor(t, cred, tt.ask)
			tokenPosts := entra.got()
			if len(tokenPosts) != 1 {
				t.Fatalf("%d requests, want 1", len(tokenPosts))
			}
			p := tokenPosts[0]
			if p.Method != "POST" || p.URL.String() != tt.url {
				t.Errorf("got %s %s, want POST %s", p.Method, p.URL, tt.url)
			}
			if p.Host != "" && p.Host != p.URL.Host {
				t.Errorf("the request's Host is %q, its URL's %q", p.Host, p.URL.Host)
			}
			if diff := cmp.Diff(tt.form, p.form); diff != "" {
				t.Errorf("form (-want +got):\n%s", diff)
			}
			if p.ContentLength != int64(len(p.body)) {
				t.Errorf("ContentLength is %d, the body has %d bytes: an unknown length is sent in chunks", p.ContentLength, len(p.body))
			}
			got := wireFormat(p.Request, "") + "\n"
			names := make([]string, 0, len(p.form))
			for name := range p.form {
				names = append(names, name)
			}
			slices.Sort(names)
			for _, name := range names {
				for _, value := range p.form[name] {
					if value == podAssertion {
						value = "REDACTED"
					}
					got += name + "=" + value + "\n"
				}
			}
			if strings.Contains(got, podAssertion) || strings.Count(got, "client_assertion=REDACTED\n") != 1 || strings.Contains(p.UserAgent(), podAssertion) {
				t.Errorf("the assertion is not in its place, or elsewhere, too:\n%s", got)
			}
			compareGolden(t, "workload/"+tt.name+".golden", got)
		})
	}
}

// TestWorkloadAuthorityForms: a path belongs to private clouds, and nothing of it may be lost.
func TestWorkloadAuthorityForms(t *testing.T) {
	t.Parallel()
	const path = podTenant + "/oauth2/v2.0/token"
	for _, tt := range []struct{ name, variable, cloud, want string }{
		{"unset is the public cloud", "", "", "https://login.microsoftonline.com/" + path},
		{"slash at the end", "https://login.microsoftonline.us/", "", "https://login.microsoftonline.us/" + path},
		{"none", "https://login.microsoftonline.us", "", "https://login.microsoftonline.us/" + path},
		{"port", "https://login.example:8443/", "", "https://login.example:8443/" + path},
		{"IPv6", "https://[::1]:8443", "", "https://[::1]:8443/" + path},
		{"path", "https://login.example/a/b", "", "https://login.example/a/b/" + path},
		{"path with a slash at the end", "https://login.example/a/b/", "", "https://login.example/a/b/" + path},
		{"escaped path", "https://login.example/a%2Fb/", "", "https://login.example/a%2Fb/" + path},
		{"scheme in capitals", "HTTPS://login.example/", "", "https://login.example/" + path},
		{"the option alone", "", "https://login.example/", "https://login.example/" + path},
		{"the option comes first", "https://login.microsoftonline.us/", "https://login.example/", "https://login.example/" + path},
		{"the option replaces nonsense", "nonsense", "https://login.example/", "https://login.example/" + path},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, proxy := range []string{"", "https://10.0.0.1", "https://10.0.0.1/x%2Fy/"} {
				want := tt.want
				if proxy != "" { // has the authority's path below its own, whatever the authority's host is
					u, err := url.Parse(want)
					if err != nil {
						t.Fatal(err)
					}
					want = strings.TrimSuffix(proxy, "/") + u.EscapedPath()
				}
				entra := &entraStub{}
				cred := credentialAt(t, inPod(t, "AZURE_AUTHORITY_HOST", tt.variable, "AZURE_KUBERNETES_TOKEN_PROXY", proxy), entra, func(o *CredentialOptions) {
					o.Cloud.ActiveDirectoryAuthorityHost = tt.cloud
				})
				mustToken(t, cred)
				if got := entra.got()[0].URL.String(); got != want {
					t.Errorf("proxy %q: got %s, want %s", proxy, got, want)
				}
			}
		})
	}
}

// TestWorkloadScopes: everything before the last "/.default" is the audience, so that a slash before it must stay.
func TestWorkloadScopes(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, scope, want string }{
		{"default", "https://vault.azure.net/.default", "https://vault.azure.net/.default"},
		{"slash of the resource", "https://management.core.windows.net//.default", "https://management.core.windows.net//.default"},
		{"bare resource", "https://vault.azure.net", "https://vault.azure.net/.default"},
		{"bare resource with a slash", "https://management.core.windows.net/", "https://management.core.windows.net//.default"},
		{"GUID", "499b84ac-1321-427f-aa17-267ca6975798", "499b84ac-1321-427f-aa17-267ca6975798/.default"},
		{"GUID with default", "499b84ac-1321-427f-aa17-267ca6975798/.default", "499b84ac-1321-427f-aa17-267ca6975798/.default"},
		{"api", "api://my-app/.default", "api://my-app/.default"},
		{"default twice", "https://x/.default/.default", "https://x/.default/.default"},
		{"what a form must escape", "api://a&b=c+d%2F/.default", "api://a&b=c+d%2F/.default"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			entra := &entraStub{}
			cred := credentialAt(t, inPod(t), entra)
			askFor(t, cred, policy.TokenRequestOptions{Scopes: []string{tt.scope}})
			if diff := cmp.Diff([]string{tt.want}, entra.field("scope")); diff != "" {
				t.Errorf("scope (-want +got):\n%s", diff)
			}
		})
	}
	for _, scope := range []string{"", "/.default", "https://x/.default https://y/.default", "https://x/\n.default"} {
		t.Run(fmt.Sprintf("refused %q", scope), func(t *testing.T) {
			t.Parallel()
			entra := &entraStub{}
			_, err := credentialAt(t, inPod(t), entra).GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{scope}})
			wantErrorText(t, err, "GetToken", "scope")
			if n := len(entra.got()); n != 0 {
				t.Errorf("%d requests, want none", n)
			}
		})
	}
}

// TestWorkloadRequestIsPure: a request changes nothing of the source, nor of another request.
func TestWorkloadRequestIsPure(t *testing.T) {
	t.Parallel()
	src, err := newWorkload(inPod(t), settingsOf(&CredentialOptions{}))
	if err != nil {
		t.Fatal(err)
	}
	first, err := src.Call(acquire.Request{Resource: "https://a", Claims: `{"a":1}`})
	if err != nil {
		t.Fatal(err)
	}
	first.URL.Host, first.URL.Path = "elsewhere", "/"
	first.Form.Set("client_id", "another")
	first.Header.Set("Accept", "nothing")
	second, err := src.Call(acquire.Request{Resource: "https://b"})
	if err != nil {
		t.Fatal(err)
	}
	if second.URL.String() != podTokenURL || second.Header.Get("Accept") != "application/json" || second.Secret != podAssertion {
		t.Errorf("second request is %s %v", second.URL, second.Header)
	}
	if diff := cmp.Diff(podForm("scope", "https://b/.default"), second.Form); diff != "" {
		t.Errorf("second form (-want +got):\n%s", diff)
	}
	if got := src.Endpoint(); got != podTokenURL {
		t.Errorf("endpoint is %s", got)
	}
}

func TestWorkloadConstructorRefuses(t *testing.T) {
	t.Parallel()
	const ca = "-----BEGIN CERTIFICATE-----\ncGE1NXdvcmQ=\n-----END CERTIFICATE-----\n" // PEM, but no certificate
	long := strings.Repeat("a", 1025)
	authority := func(value string) []string { return []string{"AZURE_AUTHORITY_HOST", value} }
	proxy := func(value string, more ...string) []string {
		return append([]string{"AZURE_KUBERNETES_TOKEN_PROXY", value}, more...)
	}
	for _, tt := range []struct {
		name      string
		variables []string
		adjust    func(*CredentialOptions)
		want      []string
	}{
		{"http authority", authority("http://login.example/"), nil, []string{"AZURE_AUTHORITY_HOST: ", "https"}},
		{"authority of another scheme", authority("ftp://login.example/pa55word"), nil, []string{"AZURE_AUTHORITY_HOST: ", "https"}},
		{"authority without a scheme", authority("login.microsoftonline.com"), nil, []string{"AZURE_AUTHORITY_HOST: ", "https"}},
		{"authority without a scheme, with a port", authority("login.microsoftonline.com:443"), nil, []string{"AZURE_AUTHORITY_HOST: "}},
		{"authority with user info", authority("https://user:pa55word@login.example/"), nil, []string{"AZURE_AUTHORITY_HOST: ", "user info"}},
		{"authority with a query", authority("https://login.example/?key=pa55word"), nil, []string{"AZURE_AUTHORITY_HOST: ", "query"}},
		{"authority with an empty query", authority("https://login.example/?"), nil, []string{"AZURE_AUTHORITY_HOST: ", "query"}},
		{"authority with a fragment", authority("https://login.example/#pa55word"), nil, []string{"AZURE_AUTHORITY_HOST: ", "fragment"}},
		{"authority without a host", authority("https:///tenant"), nil, []string{"AZURE_AUTHORITY_HOST: ", "no host"}},
		{"authority that is a scheme", authority("https://"), nil, []string{"AZURE_AUTHORITY_HOST: ", "no host"}},
		{"authority with nothing but a port", authority("https://:443/"), nil, []string{"AZURE_AUTHORITY_HOST: ", "no host"}},
		{"authority that is opaque", authority("https:login.example"), nil, []string{"AZURE_AUTHORITY_HOST: ", "no host"}},
		{"authority with an impossible port", authority("https://login.example:99999/"), nil, []string{"AZURE_AUTHORITY_HOST: ", "port"}},
		{"authority with a blank", authority("https://login.example/pa55word "), nil, []string{"AZURE_AUTHORITY_HOST: ", "blank"}},
		{"authority with a line feed", authority("https://login.example/\n"), nil, []string{"AZURE_AUTHORITY_HOST: "}},
		{"authority that is no URL", authority("https://login.example/%zzpa55word"), nil, []string{"AZURE_AUTHORITY_HOST: "}},
		{"http cloud", nil, func(o *CredentialOptions) { o.Cloud.ActiveDirectoryAuthorityHost = "http://login.example/" },
			[]string{"CredentialOptions.Cloud.ActiveDirectoryAuthorityHost: ", "https"}},
		{"cloud with user info", nil, func(o *CredentialOptions) {
			o.Cloud.ActiveDirectoryAuthorityHost = "https://user:pa55word@login.example/"
		}, []string{"CredentialOptions.Cloud.ActiveDirectoryAuthorityHost: ", "user info"}},
		{"cloud with a query", nil, func(o *CredentialOptions) {
			o.Cloud.ActiveDirectoryAuthorityHost = "https://login.example/?pa55word"
		}, []string{"CredentialOptions.Cloud.ActiveDirectoryAuthorityHost: ", "query"}},

		{"no tenant", []string{"AZURE_TENANT_ID", ""}, nil, []string{"AZURE_TENANT_ID: ", "empty"}},
		{"blank tenant", []string{"AZURE_TENANT_ID", " "}, nil, []string{"AZURE_TENANT_ID: "}},
		{"tenant with a slash", []string{"AZURE_TENANT_ID", "tenant/pa55word"}, nil, []string{"AZURE_TENANT_ID: "}},
		{"tenant that is a way up", []string{"AZURE_TENANT_ID", ".."}, nil, []string{"AZURE_TENANT_ID: "}},
		{"tenant that is the same directory", []string{"AZURE_TENANT_ID", "."}, nil, []string{"AZURE_TENANT_ID: "}},
		{"tenant with an escape", []string{"AZURE_TENANT_ID", "a%2Fb"}, nil, []string{"AZURE_TENANT_ID: "}},
		{"tenant with a query", []string{"AZURE_TENANT_ID", "tenant?x"}, nil, []string{"AZURE_TENANT_ID: "}},
		{"tenant with a fragment", []string{"AZURE_TENANT_ID", "tenant#x"}, nil, []string{"AZURE_TENANT_ID: "}},
		{"tenant in braces", []string{"AZURE_TENANT_ID", "{" + podTenant + "}"}, nil, []string{"AZURE_TENANT_ID: "}},
		{"tenant with a line feed", []string{"AZURE_TENANT_ID", podTenant + "\n"}, nil, []string{"AZURE_TENANT_ID: "}},
		{"tenant beyond ASCII", []string{"AZURE_TENANT_ID", "ténant"}, nil, []string{"AZURE_TENANT_ID: "}},
		{"tenant of Arabic digits", []string{"AZURE_TENANT_ID", "٣٤"}, nil, []string{"AZURE_TENANT_ID: "}},
		{"long tenant", []string{"AZURE_TENANT_ID", long}, nil, []string{"AZURE_TENANT_ID: "}},

		{"no client ID", []string{"AZURE_CLIENT_ID", ""}, nil, []string{"AZURE_CLIENT_ID: ", "empty"}},
		{"blank client ID", []string{"AZURE_CLIENT_ID", " "}, nil, []string{"AZURE_CLIENT_ID: ", "blank"}},
		{"client ID with a line feed", []string{"AZURE_CLIENT_ID", podClient + "\n"}, nil, []string{"AZURE_CLIENT_ID: ", "control"}},
		{"client ID that isn't UTF-8", []string{"AZURE_CLIENT_ID", "a\xff"}, nil, []string{"AZURE_CLIENT_ID: "}},
		{"long client ID", []string{"AZURE_CLIENT_ID", long}, nil, []string{"AZURE_CLIENT_ID: ", "1025"}},
		{"no token file", []string{"AZURE_FEDERATED_TOKEN_FILE", ""}, nil, []string{"AZURE_FEDERATED_TOKEN_FILE: ", "empty", "azure.workload.identity/use"}},

		{"object ID", nil, func(o *CredentialOptions) { o.ID = ObjectID(guid) }, []string{"CredentialOptions.ID: ", "workload identity", "object ID", "ClientID"}},
		{"resource ID", nil, func(o *CredentialOptions) { o.ID = ResourceID(identityID) }, []string{"CredentialOptions.ID: ", "workload identity", "resource ID", "ClientID"}},
		{"empty client ID in the options", nil, func(o *CredentialOptions) { o.ID = ClientID("") }, []string{"CredentialOptions.ID: ", "empty"}},
		{"nil client", nil, func(o *CredentialOptions) { o.Transport = (*http.Client)(nil) }, []string{"CredentialOptions.Transport: ", "nil"}},

		{"identity binding over http", proxy("http://10.0.0.1"), nil, []string{"AZURE_KUBERNETES_TOKEN_PROXY: ", "https"}},
		{"identity binding with a query", proxy("https://10.0.0.1/?a=pa55word"), nil, []string{"AZURE_KUBERNETES_TOKEN_PROXY: ", "query"}},
		{"identity binding with an empty query", proxy("https://10.0.0.1/?"), nil, []string{"AZURE_KUBERNETES_TOKEN_PROXY: ", "query"}},
		{"identity binding with user info", proxy("https://user:pa55word@10.0.0.1/"), nil, []string{"AZURE_KUBERNETES_TOKEN_PROXY: ", "user info"}},
		{"identity binding with a fragment", proxy("https://10.0.0.1/#pa55word"), nil, []string{"AZURE_KUBERNETES_TOKEN_PROXY: ", "fragment"}},
		{"identity binding without a host", proxy("https:///x"), nil, []string{"AZURE_KUBERNETES_TOKEN_PROXY: ", "no host"}},
		{"identity binding without a scheme", proxy("10.0.0.1:6443"), nil, []string{"AZURE_KUBERNETES_TOKEN_PROXY: "}},
		{"identity binding that is blank", proxy(" "), nil, []string{"AZURE_KUBERNETES_TOKEN_PROXY: "}},
		{"CA file without the proxy", []string{"AZURE_KUBERNETES_CA_FILE", "/pa55word"}, nil, []string{"AZURE_KUBERNETES_TOKEN_PROXY: ", "AZURE_KUBERNETES_CA_FILE"}},
		{"CA data without the proxy", []string{"AZURE_KUBERNETES_CA_DATA", ca}, nil, []string{"AZURE_KUBERNETES_TOKEN_PROXY: ", "AZURE_KUBERNETES_CA_DATA"}},
		{"SNI name without the proxy", []string{"AZURE_KUBERNETES_SNI_NAME", "pa55word"}, nil, []string{"AZURE_KUBERNETES_TOKEN_PROXY: ", "AZURE_KUBERNETES_SNI_NAME"}},
		{"both kinds of CA", proxy("https://10.0.0.1", "AZURE_KUBERNETES_CA_FILE", "/pa55word", "AZURE_KUBERNETES_CA_DATA", ca), nil, []string{"AZURE_KUBERNETES_CA_FILE", "AZURE_KUBERNETES_CA_DATA"}},
		{"CA data that isn't PEM", proxy("https://10.0.0.1", "AZURE_KUBERNETES_CA_DATA", "pa55word"), nil, []string{"AZURE_KUBERNETES_CA_DATA: ", "PEM"}},
		{"CA data that isn't a certificate", proxy("https://10.0.0.1", "AZURE_KUBERNETES_CA_DATA", ca), nil, []string{"AZURE_KUBERNETES_CA_DATA: "}},
		{"CA data that is blank", proxy("https://10.0.0.1", "AZURE_KUBERNETES_CA_DATA", " \n"), nil, []string{"AZURE_KUBERNETES_CA_DATA: "}},
		{"SNI name with a blank", proxy("https://10.0.0.1", "AZURE_KUBERNETES_SNI_NAME", "a b"), nil, []string{"AZURE_KUBERNETES_SNI_NAME: "}},
		{"SNI name with a line feed", proxy("https://10.0.0.1", "AZURE_KUBERNETES_SNI_NAME", "a\n"), nil, []string{"AZURE_KUBERNETES_SNI_NAME: "}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			entra := &entraStub{}
			options := &CredentialOptions{Host: HostWorkloadIdentity, ClientOptions: optionsWith(entra)}
			if tt.adjust != nil {
				tt.adjust(options)
			}
			cred, err := newCredential(options, inPod(t, tt.variables...))
			wantErrorText(t, err, tt.want...)
			if cred != nil {
				t.Error("a credential came with the error")
			}
			if err != nil && (strings.Contains(err.Error(), "pa55word") || len(err.Error()) > 500) {
				t.Errorf("error repeats a value that may hold a secret, or is long: %v", err)
			}
			if n := len(entra.got()); n != 0 {
				t.Errorf("the constructor sent %d requests", n)
			}
		})
	}
}

// TestAllowedTenantsAreChecked: on every host, because the program that names them may run on any.
func TestAllowedTenantsAreChecked(t *testing.T) {
	t.Parallel()
	for _, env := range []environment{inPod(t), nowhere(), appServiceAt()} {
		for _, tenant := range []string{"", " ", "..", "a/b", "**", "* ", " *", "a\nb", "{" + otherTenant + "}", "https://login.example/x", "eyJhbGciOiJub25lIn0.canary", strings.Repeat("a", 1025)} {
			_, err := newCredential(&CredentialOptions{AdditionallyAllowedTenants: []string{otherTenant, tenant}}, env)
			wantErrorText(t, err, "CredentialOptions.AdditionallyAllowedTenants")
		}
		for _, tenants := range [][]string{nil, {}, {"*"}, {otherTenant, "contoso.onmicrosoft.com", "*"}, {podTenant}} {
			if _, err := newCredential(&CredentialOptions{AdditionallyAllowedTenants: tenants}, env); err != nil {
				t.Errorf("%v: %v", tenants, err)
			}
		}
	}
}

// TestAllowedTenantsAreCopied: what becomes of the caller's slice afterwards allows no other tenant.
func TestAllowedTenantsAreCopied(t *testing.T) {
	t.Parallel()
	tenants := []string{"contoso.example"}
	cred := credentialAt(t, inPod(t), &entraStub{}, func(o *CredentialOptions) { o.AdditionallyAllowedTenants = tenants })
	tenants[0] = otherTenant
	_, err := cred.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{vaultScope}, TenantID: otherTenant})
	wantErrorText(t, err, "CredentialOptions.AdditionallyAllowedTenants")
}

// TestWorkloadDomainTenant: a tenant may be named by a domain, also in the variable.
func TestWorkloadDomainTenant(t *testing.T) {
	t.Parallel()
	entra := &entraStub{}
	mustToken(t, credentialAt(t, inPod(t, "AZURE_TENANT_ID", "Contoso.onmicrosoft.com"), entra))
	if got, want := entra.got()[0].URL.String(), "https://login.microsoftonline.com/Contoso.onmicrosoft.com/oauth2/v2.0/token"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestWorkloadClientIDOption: the option alone is enough where the host is named, and is before the variable.
func TestWorkloadClientIDOption(t *testing.T) {
	t.Parallel()
	const other = "99999999-8888-4777-8666-555555555555"
	for _, variable := range []string{"", podClient, "not a client ID"} {
		entra := &entraStub{}
		cred := credentialAt(t, inPod(t, "AZURE_CLIENT_ID", variable), entra, func(o *CredentialOptions) {
			o.Host, o.ID = HostWorkloadIdentity, ClientID(other)
		})
		mustToken(t, cred)
		if diff := cmp.Diff([]string{other}, entra.field("client_id")); diff != "" {
			t.Errorf("AZURE_CLIENT_ID %q: client_id (-want +got):\n%s", variable, diff)
		}
	}
}

// The token file.

func TestWorkloadReadsItsFileAtEveryExchange(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ep := identitytest.NewWorkloadIdentity(&identitytest.Options{Dir: t.TempDir()})
		cred := credentialAt(t, environmentAt(ep, "https://login.example"), ep)
		seen := map[string]bool{}
		for i := range 5 { // a token of an hour each; the fake refuses an assertion that was replaced
			mustToken(t, cred)
			if err := anotherToken(cred); err != nil && i == 0 {
				t.Fatal(err)
			}
			ep.RotateSecret()
			time.Sleep(2 * time.Hour)
		}
		for _, r := range ep.Requests() {
			if err := r.ParseForm(); err != nil {
				t.Fatal(err)
			}
			seen[r.PostForm.Get("client_assertion")] = true
		}
		if len(seen) != 5 {
			t.Errorf("%d different assertions were sent in 5 rotations, want 5", len(seen))
		}
		if n := len(ep.Requests()); n != 10 {
			t.Errorf("%d requests, want 10: none was refused", n)
		}
	})
}

func TestWorkloadReadsItsFileAtEveryTry(t *testing.T) {
	bubble(t, func(t *testing.T) {
		file := assertionFile(t, "first")
		entra := &entraStub{reply: func(n int, _ tokenPost) *http.Response {
			if n == 3 {
				return nil
			}
			if err := os.WriteFile(file, []byte([]string{"", "second", "third"}[n]), 0o600); err != nil {
				t.Error(err)
			}
			return respond(503, entraRefusal("temporarily_unavailable", 90033, "A transient error has occurred."))
		}}
		mustToken(t, credentialAt(t, inPod(t, "AZURE_FEDERATED_TOKEN_FILE", file), entra))
		if diff := cmp.Diff([]string{"first", "second", "third"}, entra.field("client_assertion")); diff != "" {
			t.Errorf("assertions (-want +got):\n%s", diff)
		}
		for _, p := range entra.got() {
			if p.ContentLength != int64(len(p.body)) || p.Header.Get("Content-Length") != "" && p.Header.Get("Content-Length") != fmt.Sprint(len(p.body)) {
				t.Errorf("the length is that of another try's assertion: %d and %q for %d bytes", p.ContentLength, p.Header.Get("Content-Length"), len(p.body))
			}
		}
	})
}

// TestWorkloadFollowsTheKubeletsLinks: a projected file is a symbolic link through another one, ..data, that the kubelet
// exchanges in one step.
func TestWorkloadFollowsTheKubeletsLinks(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	project := func(version, content string) {
		t.Helper()
		if err := os.Mkdir(filepath.Join(dir, version), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, version, "token"), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(version, filepath.Join(dir, "..data_tmp")); err != nil {
			t.Skipf("no symbolic links: %v", err)
		}
		if err := os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	project("..1", "first")
	if err := os.Symlink(filepath.Join("..data", "token"), filepath.Join(dir, "token")); err != nil {
		t.Skipf("no symbolic links: %v", err)
	}
	entra := &entraStub{}
	cred := credentialAt(t, inPod(t, "AZURE_FEDERATED_TOKEN_FILE", filepath.Join(dir, "token")), entra)
	mustToken(t, cred)
	project("..2", "second")
	if err := anotherToken(cred); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"first", "second"}, entra.field("client_assertion")); diff != "" {
		t.Errorf("assertions (-want +got):\n%s", diff)
	}
}

func TestWorkloadTrimsItsFile(t *testing.T) {
	t.Parallel()
	for _, content := range []string{podAssertion, podAssertion + "\n", " \t" + podAssertion + "\r\n\r\n", "\n" + podAssertion, podAssertion + strings.Repeat("\n", 1000)} {
		entra := &entraStub{}
		mustToken(t, credentialAt(t, inPod(t, "AZURE_FEDERATED_TOKEN_FILE", assertionFile(t, content)), entra))
		if diff := cmp.Diff([]string{podAssertion}, entra.field("client_assertion")); diff != "" {
			t.Errorf("%q: assertion (-want +got):\n%s", content, diff)
		}
	}
}

func TestWorkloadFileThatIsNoToken(t *testing.T) {
	for _, tt := range []struct {
		name string
		make func(t *testing.T, path string)
		want string
	}{
		{"missing", func(*testing.T, string) {}, "no such file"},
		{"missing directory", nil, "no such file"},
		{"empty", contentOf(""), "empty"},
		{"white space", contentOf(" \r\n\t\n"), "empty"},
		{"a directory", func(t *testing.T, path string) {
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
		}, "not a file"},
		{"a pipe", func(t *testing.T, path string) { // opening it would wait for somebody who writes
			if out, err := exec.Command("mkfifo", path).CombinedOutput(); err != nil {
				t.Skipf("no mkfifo: %v %s", err, out)
			}
		}, "not a file"},
		{"a device", func(t *testing.T, path string) {
			if err := os.Symlink("/dev/zero", path); err != nil {
				t.Skip(err)
			}
			if _, err := os.Stat(path); err != nil {
				t.Skip(err)
			}
		}, "not a file"},
		{"a link to itself", func(t *testing.T, path string) {
			if err := os.Symlink(path, path); err != nil {
				t.Skip(err)
			}
		}, ""},
		{"not to be read", func(t *testing.T, path string) {
			if err := os.WriteFile(path, []byte(canary), 0); err != nil {
				t.Fatal(err)
			}
			if _, err := os.ReadFile(path); err == nil {
				t.Skip("this user may read everything")
			}
		}, "permission denied"},
		{"too large", contentOf(canary + strings.Repeat("a", 64<<10)), "larger than 65536 bytes"},
		{"far too large", contentOf(canary + strings.Repeat("a", 4<<20)), "larger than 65536 bytes"},
		{"NUL", contentOf(canary + "\x00a"), "characters that no token has"},
		{"control character", contentOf(canary + "\x1b[2J"), "characters that no token has"},
		{"DEL", contentOf(canary + "\x7fa"), "characters that no token has"},
		{"two lines", contentOf(canary + "\n" + canary), "characters that no token has"},
		{"a blank", contentOf(canary + " " + canary), "characters that no token has"},
		{"header injection", contentOf(canary + "\r\nX-Evil: 1"), "characters that no token has"},
		{"byte order mark", contentOf("\ufeff" + canary), "characters that no token has"},
		{"UTF-16", contentOf("\xff\xfeC\x00A\x00N\x00A\x00R\x00Y\x00"), "characters that no token has"},
		{"beyond ASCII", contentOf(canary + "größe"), "characters that no token has"},
		{"not UTF-8", contentOf(canary + "\xff"), "characters that no token has"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "azure-identity-token")
				if tt.make == nil {
					path = filepath.Join(path, "below")
				} else {
					tt.make(t, path)
				}
				entra := &entraStub{}
				var log bytes.Buffer
				cred := credentialAt(t, inPod(t, "AZURE_FEDERATED_TOKEN_FILE", path), entra, func(o *CredentialOptions) {
					o.Logger = slog.New(slog.NewTextHandler(&log, nil))
				})
				e, took := mustFail(t, cred)
				wantErrorText(t, e,
					"workload identity: AZURE_FEDERATED_TOKEN_FILE: "+strconv.Quote(path)+": ",
					tt.want, "https://vault.azure.net")
				synctest.Wait()
				if text := fmt.Sprintf("%v %+v %#v %s", e, e, e, log.String()); strings.Contains(text, canary) || strings.Contains(text, "größe") {
					t.Errorf("the file's content is shown: %s", text)
				}
				if n := len(entra.got()); n != 0 || e.Attempts != 0 || took != 0 {
					t.Errorf("%d requests, %d attempts, error after %v, want none, at once", n, e.Attempts, took)
				}
				for _, sentinel := range []error{ErrUnavailable, ErrIdentityNotFound, ErrIdentityMismatch, ErrThrottled} {
					if errors.Is(e, sentinel) {
						t.Errorf("the file's fault is taken for %v", sentinel)
					}
				}
			})
		})
	}
	t.Run("exactly 64 KiB", func(t *testing.T) {
		t.Parallel()
		entra := &entraStub{}
		mustToken(t, credentialAt(t, inPod(t, "AZURE_FEDERATED_TOKEN_FILE", assertionFile(t, strings.Repeat("a", 64<<10))), entra))
	})
}

func contentOf(content string) func(*testing.T, string) {
	return func(t *testing.T, path string) {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestWorkloadFileVanishes: a token that is held is served to its end whatever becomes of the file, and the first
// exchange after it is back succeeds.
func TestWorkloadFileVanishes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		file := assertionFile(t, podAssertion)
		entra := &entraStub{}
		cred := credentialAt(t, inPod(t, "AZURE_FEDERATED_TOKEN_FILE", file), entra)
		start := time.Now()
		mustToken(t, cred)
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		for time.Since(start) < time.Hour-time.Second {
			if _, took := mustToken(t, cred); took > 0 {
				t.Errorf("%v after the start a caller waited %v for a token that was held", time.Since(start), took)
			}
			time.Sleep(time.Minute)
		}
		time.Sleep(2 * time.Minute)
		e, took := mustFail(t, cred)
		wantErrorText(t, e, "AZURE_FEDERATED_TOKEN_FILE: "+strconv.Quote(file))
		if took != 0 || len(entra.got()) != 1 {
			t.Errorf("%d requests, error after %v", len(entra.got()), took)
		}
		contentOf(podAssertion)(t, file)
		time.Sleep(maxColdCoolDown)
		mustToken(t, cred)
	})
}

// AADSTS700024: the assertion had expired.

const expired = `{"error":"invalid_client","error_description":"AADSTS700024: Client assertion is not within its valid time range.","error_codes":[700024]}`

func TestWorkloadReadsAnExpiredAssertionAgain(t *testing.T) {
	for _, status := range []int{400, 401, 403} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				file := assertionFile(t, "first")
				entra := &entraStub{reply: func(n int, _ tokenPost) *http.Response {
					if n == 1 {
						contentOf("second")(t, file)
						return respond(status, expired)
					}
					return nil
				}}
				tk, took := mustToken(t, credentialAt(t, inPod(t, "AZURE_FEDERATED_TOKEN_FILE", file), entra))
				if tk.Token != "token-2" || took != 0 {
					t.Errorf("got %s after %v, want token-2 at once", tk.Token, took)
				}
				if diff := cmp.Diff([]string{"first", "second"}, entra.field("client_assertion")); diff != "" {
					t.Errorf("assertions (-want +got):\n%s", diff)
				}
				for _, p := range entra.got() {
					if p.Method != "POST" || p.URL.String() != podTokenURL || p.ContentLength != int64(len(p.body)) {
						t.Errorf("request is %s %s of %d bytes", p.Method, p.URL, p.ContentLength)
					}
				}
			})
		})
	}
	t.Run("as the fake rotates", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			ep := identitytest.NewWorkloadIdentity(&identitytest.Options{Dir: t.TempDir()})
			var once sync.Once
			cred := credentialAt(t, environmentAt(ep, "https://login.example"), transportFunc(func(r *http.Request) (*http.Response, error) {
				once.Do(ep.RotateSecret) // between the reading and the arrival
				return ep.Do(r)
			}))
			if _, took := mustToken(t, cred); took != 0 || len(ep.Requests()) != 2 {
				t.Errorf("%d requests in %v, want 2 at once", len(ep.Requests()), took)
			}
		})
	})
	t.Run("with the same claims and tenant", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			entra := &entraStub{reply: func(n int, _ tokenPost) *http.Response {
				if n == 1 {
					return respond(401, expired)
				}
				return nil
			}}
			cred := credentialAt(t, inPod(t), entra, func(o *CredentialOptions) { o.AdditionallyAllowedTenants = []string{"*"} })
			askFor(t, cred, policy.TokenRequestOptions{TenantID: otherTenant, EnableCAE: true, Claims: `{"a":{}}`})
			got := entra.got()
			if diff := cmp.Diff(got[0].form, got[1].form); diff != "" || got[0].URL.String() != got[1].URL.String() {
				t.Errorf("the second request is another one (-first +second): %s\n%s", got[1].URL, diff)
			}
		})
	})
	t.Run("number in the list only", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			entra := &entraStub{reply: func(n int, _ tokenPost) *http.Response {
				if n == 1 {
					return respond(401, `{"error":"invalid_client","error_codes":[700024]}`)
				}
				return nil
			}}
			mustToken(t, credentialAt(t, inPod(t), entra))
		})
	})
}

// TestWorkloadReadsAnExpiredAssertionOnce: once per try, and the 401 itself is no reason for another try.
func TestWorkloadReadsAnExpiredAssertionOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		file := assertionFile(t, podAssertion)
		entra := &entraStub{reply: func(int, tokenPost) *http.Response { return respond(401, expired) }}
		e, took := mustFail(t, credentialAt(t, inPod(t, "AZURE_FEDERATED_TOKEN_FILE", file), entra))
		if n := len(entra.got()); n != 2 || e.Attempts != 2 || took != 0 {
			t.Errorf("%d requests, %d attempts in %v, want 2 at once", n, e.Attempts, took)
		}
		wantErrorText(t, e, "401 invalid_client", "AADSTS700024", "2 attempts", file, "clock", "2000-01-01T00:00:00Z")
		if e.StatusCode != 401 || e.Code != "invalid_client" || errors.Is(e, ErrIdentityNotFound) {
			t.Errorf("got %+v", e)
		}
	})
	t.Run("per try", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			const down = `{"error":"temporarily_unavailable","error_description":"AADSTS90033: A transient error has occurred."}`
			script := []struct {
				status int
				body   string
			}{{503, down}, {401, expired}, {503, down}, {401, expired}, {401, expired}}
			entra := &entraStub{reply: func(n int, _ tokenPost) *http.Response {
				if n > len(script) {
					return nil
				}
				return respond(script[n-1].status, script[n-1].body)
			}}
			e, _ := mustFail(t, credentialAt(t, inPod(t), entra))
			got := entra.got()
			if len(got) != 5 || e.Attempts != 5 {
				t.Fatalf("%d requests, want 5: two tries after the first, each with one repetition: %v", len(got), e)
			}
			for i, atOnce := range []bool{false, true, false, true} {
				if gap := got[i+1].at.Sub(got[i].at); (gap == 0) != atOnce {
					t.Errorf("request %d came %v after the one before, at once: %v", i+2, gap, atOnce)
				}
			}
		})
	})
}

// TestWorkloadReadsAgainByTheNumber: the number decides, whatever it comes in and whichever status
// that has.
func TestWorkloadReadsAgainByTheNumber(t *testing.T) {
	for _, tt := range []struct {
		name    string
		status  int
		body    string
		atOnce  int // requests in the first instant
		retried bool
	}{
		{"another code", 401, entraRefusal("invalid_client", 700212, "No matching federated identity record found."), 1, false},
		{"a code that begins alike", 401, entraRefusal("invalid_client", 7000241, "Something else."), 1, false},
		{"a code that ends before", 401, entraRefusal("invalid_client", 70002, "Something else."), 1, false},
		{"no code", 401, `{"error":"invalid_client","error_description":"Client assertion is not within its valid time range."}`, 1, false},
		{"another code first, that one in the text", 400, entraRefusal("invalid_request", 900144, "See also AADSTS700024."), 1, false},
		{"500", 500, expired, 2, false},
		{"503", 503, expired, 2, false},
		{"200", 200, expired, 1, false},
		{"302", 302, expired, 1, false},
		{"a page that has the number", 403, "<html>AADSTS700024</html>", 2, false},
		{"text", 401, "AADSTS700024", 2, false},
		{"JSON of another", 401, `{"message":"AADSTS700024: Client assertion is not within its valid time range."}`, 2, false},
		{"a page of a proxy", 403, "<html>700024</html>", 1, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				start := time.Now()
				entra := &entraStub{reply: func(int, tokenPost) *http.Response { return respond(tt.status, tt.body) }}
				e, _ := mustFail(t, credentialAt(t, inPod(t), entra))
				atOnce := 0
				for _, p := range entra.got() {
					if p.at.Equal(start) {
						atOnce++
					}
				}
				if atOnce != tt.atOnce || (e.Attempts > atOnce) != tt.retried {
					t.Errorf("%d requests at once, %d in all, want %d and retries %v: %v", atOnce, e.Attempts, tt.atOnce, tt.retried, e)
				}
			})
		})
	}
}

// TestWorkloadFileVanishesBeforeItIsReadAgain: what matters then is the file.
func TestWorkloadFileVanishesBeforeItIsReadAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		file := assertionFile(t, podAssertion)
		entra := &entraStub{reply: func(int, tokenPost) *http.Response {
			_ = os.Remove(file)
			return respond(401, expired)
		}}
		e, took := mustFail(t, credentialAt(t, inPod(t, "AZURE_FEDERATED_TOKEN_FILE", file), entra))
		wantErrorText(t, e, "AZURE_FEDERATED_TOKEN_FILE: "+strconv.Quote(file), "no such file")
		if e.Attempts != 1 || took != 0 || e.StatusCode != 401 {
			t.Errorf("%d attempts in %v, status %d, want 1 at once, 401", e.Attempts, took, e.StatusCode)
		}
	})
}

// Tenants.

func TestWorkloadOwnTenant(t *testing.T) {
	bubble(t, func(t *testing.T) {
		entra := &entraStub{}
		cred := credentialAt(t, inPod(t), entra)
		first, _ := mustToken(t, cred)
		for _, tenant := range []string{podTenant, strings.ToUpper(podTenant), "AAAAAAAA" + podTenant[8:], ""} {
			for range 2 {
				if tk := askFor(t, cred, policy.TokenRequestOptions{TenantID: tenant}); tk != first {
					t.Errorf("%q: got %v, want the default's token", tenant, tk.Token)
				}
			}
		}
		if n := len(entra.got()); n != 1 {
			t.Errorf("%d requests, want 1", n)
		}
	})
}

func TestWorkloadOtherTenants(t *testing.T) {
	for _, tt := range []struct {
		name    string
		allowed []string
		tenant  string
		want    string // in the URL; "" if it is refused
		refusal string
	}{
		{"none is allowed", nil, otherTenant, "", "CredentialOptions.AdditionallyAllowedTenants"},
		{"another is allowed", []string{"contoso.example"}, otherTenant, "", "CredentialOptions.AdditionallyAllowedTenants"},
		{"a part of it is allowed", []string{otherTenant[:8]}, otherTenant, "", "CredentialOptions.AdditionallyAllowedTenants"},
		{"its own alone is allowed", []string{podTenant}, otherTenant, "", "CredentialOptions.AdditionallyAllowedTenants"},
		{"allowed", []string{otherTenant}, otherTenant, otherTenant, ""},
		{"asked for in capitals", []string{otherTenant}, strings.ToUpper(otherTenant), otherTenant, ""},
		{"allowed in capitals", []string{strings.ToUpper(otherTenant)}, otherTenant, otherTenant, ""},
		{"a domain", []string{"contoso.example"}, "Contoso.Example", "contoso.example", ""},
		{"all are allowed", []string{"*"}, otherTenant, otherTenant, ""},
		{"all, after others", []string{"contoso.example", "*"}, otherTenant, otherTenant, ""},
		{"the star itself", []string{"*"}, "*", "", "TenantID"},
		{"a way up", []string{"*"}, "..", "", "TenantID"},
		{"another path", []string{"*"}, "../../evil", "", "TenantID"},
		{"a path below", []string{"*"}, otherTenant + "/evil", "", "TenantID"},
		{"an escape", []string{"*"}, "..%2Fevil", "", "TenantID"},
		{"a query", []string{"*"}, otherTenant + "?evil", "", "TenantID"},
		{"a host", []string{"*"}, "//evil.example", "", "TenantID"},
		{"a blank", []string{"*"}, " ", "", "TenantID"},
		{"a line feed", []string{"*"}, otherTenant + "\n", "", "TenantID"},
		{"a line feed, none allowed", nil, "a\r\nb", "", "TenantID"},
		{"too long", []string{"*"}, strings.Repeat("a", 1025), "", "TenantID"},
		{"a letter that folds to one of ASCII", []string{"*"}, "contoso\u212aexample", "", "TenantID"}, // the Kelvin sign
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				entra := &entraStub{}
				allowed := slices.Clone(tt.allowed)
				cred := credentialAt(t, inPod(t), entra, func(o *CredentialOptions) { o.AdditionallyAllowedTenants = allowed })
				for i := range allowed {
					allowed[i] = "changed.example" // NewCredential has copied the options
				}
				own, _ := mustToken(t, cred)
				options := policy.TokenRequestOptions{Scopes: []string{vaultScope}, TenantID: tt.tenant}
				if tt.want == "" {
					for range 3 {
						_, err := cred.GetToken(t.Context(), options)
						wantErrorText(t, err, "GetToken: ", tt.refusal)
						var ae *AuthenticationError
						if errors.As(err, &ae) {
							t.Errorf("got an AuthenticationError, want a plain one: nothing was asked")
						}
						if tt.refusal != "TenantID" {
							wantErrorText(t, err, tt.tenant, podTenant)
						} else if err != nil && len(err.Error()) > 300 {
							t.Errorf("error has %d bytes", len(err.Error()))
						}
					}
					if n := len(entra.got()); n != 1 {
						t.Errorf("%d requests, want that for the own tenant only", n)
					}
					return
				}
				got := askFor(t, cred, options)
				if again := askFor(t, cred, options); again != got {
					t.Error("the second call got another token")
				}
				if now, _ := mustToken(t, cred); now != own || got.Token == own.Token {
					t.Error("the tokens of two tenants were mixed up")
				}
				tokenPosts := entra.got()
				if len(tokenPosts) != 2 {
					t.Fatalf("%d requests, want 2", len(tokenPosts))
				}
				if got, want := tokenPosts[1].URL.String(), "https://login.microsoftonline.com/"+tt.want+"/oauth2/v2.0/token"; got != want {
					t.Errorf("got %s, want %s", got, want)
				}
			})
		})
	}
}

// TestWorkloadKnowsManyTenants: beyond the index's bound each call still gets its own tenant's token, from the cache.
func TestWorkloadKnowsManyTenants(t *testing.T) {
	bubble(t, func(t *testing.T) {
		entra := &entraStub{reply: func(_ int, p tokenPost) *http.Response {
			tenant, _, _ := strings.Cut(strings.TrimPrefix(p.URL.Path, "/"), "/")
			return respond(200, entraGrant("for-"+tenant, time.Hour))
		}}
		cred := credentialAt(t, inPod(t), entra, func(o *CredentialOptions) { o.AdditionallyAllowedTenants = []string{"*"} })
		const n = 1100 // the index knows 1,000
		for round := range 2 {
			for i := range n {
				tenant := fmt.Sprintf("tenant-%d.example", i)
				if tk := askFor(t, cred, policy.TokenRequestOptions{TenantID: tenant, EnableCAE: true}); tk.Token != "for-"+tenant {
					t.Fatalf("round %d: %s got %s", round, tenant, tk.Token)
				}
			}
		}
		if got := len(entra.got()); got != n {
			t.Errorf("%d requests for %d tenants", got, n)
		}
	})
}

func TestWorkloadTenantsAtOnce(t *testing.T) {
	t.Parallel()
	entra := &entraStub{reply: func(_ int, p tokenPost) *http.Response {
		tenant, _, _ := strings.Cut(strings.TrimPrefix(p.URL.Path, "/"), "/")
		return respond(200, entraGrant("for-"+tenant+p.form.Get("claims")[:min(1, len(p.form.Get("claims")))], time.Hour))
	}}
	cred := credentialAt(t, inPod(t), entra, func(o *CredentialOptions) { o.AdditionallyAllowedTenants = []string{"*"} })
	var wg sync.WaitGroup
	for i := range 400 {
		wg.Go(func() {
			tenant, mark := fmt.Sprintf("tenant-%d.example", i%20), ""
			if i%3 == 0 {
				mark = "{"
			}
			tk, err := cred.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{vaultScope}, TenantID: tenant, EnableCAE: i%3 == 0})
			if err != nil || tk.Token != "for-"+tenant+mark {
				t.Errorf("%s, EnableCAE %v: got %q, %v", tenant, i%3 == 0, tk.Token, err)
			}
		})
	}
	wg.Wait()
	if n := len(entra.got()); n != 40 {
		t.Errorf("%d requests for 20 tenants with and without EnableCAE, want 40", n)
	}
}

func TestWorkloadHitAllocatesNothing(t *testing.T) { // not parallel: AllocsPerRun counts the whole process
	cred := credentialAt(t, inPod(t), &entraStub{}, func(o *CredentialOptions) { o.AdditionallyAllowedTenants = []string{otherTenant} })
	for _, options := range []policy.TokenRequestOptions{
		{Scopes: []string{vaultScope}},
		{Scopes: []string{vaultScope}, EnableCAE: true},
		{Scopes: []string{vaultScope}, TenantID: strings.ToUpper(podTenant), EnableCAE: true},
		{Scopes: []string{vaultScope}, TenantID: otherTenant, EnableCAE: true},
	} {
		for range 3 {
			askFor(t, cred, options)
		}
		if n := testing.AllocsPerRun(1000, func() { _, _ = cred.GetToken(context.Background(), options) }); n != 0 {
			t.Errorf("%+v: a hit allocates %v times, want 0", options, n)
		}
	}
}

// TestOtherHostsIgnoreTenants: a managed identity has one tenant, and Key Vault's clients always name the vault's.
func TestOtherHostsIgnoreTenants(t *testing.T) {
	for _, tt := range []struct {
		name string
		ep   func(t *testing.T) *identitytest.Endpoint
		base string
	}{
		{"IMDS", func(*testing.T) *identitytest.Endpoint { return identitytest.NewIMDS(nil) }, "http://localhost"},
		{"App Service", func(*testing.T) *identitytest.Endpoint { return identitytest.NewAppService(nil) }, "http://localhost"},
		{"legacy App Service", func(*testing.T) *identitytest.Endpoint { return identitytest.NewAppService2017(nil) }, "http://localhost"},
		{"Azure ML", func(*testing.T) *identitytest.Endpoint { return identitytest.NewAzureML(nil) }, "http://localhost"},
		{"Cloud Shell", func(*testing.T) *identitytest.Endpoint { return identitytest.NewCloudShell(nil) }, "http://localhost"},
		{"Service Fabric", func(*testing.T) *identitytest.Endpoint { return identitytest.NewServiceFabric(nil) }, "https://localhost"},
		{"Arc", func(t *testing.T) *identitytest.Endpoint {
			return identitytest.NewArc(&identitytest.Options{Dir: t.TempDir()})
		}, "http://localhost"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				ep := tt.ep(t)
				cred := credentialAt(t, environmentAt(ep, tt.base), ep.Client(), func(o *CredentialOptions) {
					o.AdditionallyAllowedTenants = []string{otherTenant}
				})
				first, _ := mustToken(t, cred)
				sent := len(ep.Requests())
				for _, tenant := range []string{otherTenant, podTenant, "contoso.example", "../not a tenant\n"} {
					if tk := askFor(t, cred, policy.TokenRequestOptions{TenantID: tenant}); tk != first {
						t.Errorf("TenantID %q got another token", tenant)
					}
				}
				if n := len(ep.Requests()); n != sent {
					t.Errorf("%d more requests, want none", n-sent)
				}
				for _, r := range ep.Requests() {
					if body, _ := io.ReadAll(r.Body); strings.Contains(r.URL.String()+string(body), otherTenant) {
						t.Errorf("the tenant was sent: %s %s", r.URL, body)
					}
				}
			})
		})
	}
}

// Claims.

func TestWithCapability(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, claims, want string }{
		{"none", "", cp1},
		{"an empty object", "{}", cp1},
		{"blanks around", " \r\n{ }\t", cp1},
		{"access_token is null", `{"access_token":null}`, cp1},
		{"access_token is empty", `{"access_token":{}}`, cp1},
		{"nbf", `{"access_token":{"nbf":{"essential":true,"value":"1604106651"}}}`, `{"access_token":{"nbf":{"essential":true,"value":"1604106651"},"xms_cc":{"values":["CP1"]}}}`},
		{"nested objects", `{"access_token":{"a":{"b":{"c":[1,{"d":null}]}}},"id_token":{"auth_time":{"essential":true}}}`,
			`{"access_token":{"a":{"b":{"c":[1,{"d":null}]}},"xms_cc":{"values":["CP1"]}},"id_token":{"auth_time":{"essential":true}}}`},
		{"a member that is null", `{"access_token":{"acrs":null},"id_token":null}`, `{"access_token":{"acrs":null,"xms_cc":{"values":["CP1"]}},"id_token":null}`},
		{"capability that is there", cp1, cp1},
		{"capability of another", `{"access_token":{"xms_cc":{"values":["CP2","evil"]},"nbf":{}}}`, `{"access_token":{"nbf":{},"xms_cc":{"values":["CP1"]}}}`},
		{"capability as text", `{"access_token":{"xms_cc":"CP1"}}`, cp1},
		{"names in another case are others", `{"Access_Token":{"a":1}}`, `{"Access_Token":{"a":1},"access_token":{"xms_cc":{"values":["CP1"]}}}`},
		{"numbers beyond a float", `{"access_token":{"n":12345678901234567890123,"f":1.10}}`, `{"access_token":{"f":1.10,"n":12345678901234567890123,"xms_cc":{"values":["CP1"]}}}`},
		{"what HTML would escape", `{"access_token":{"x":"a<b>&c"}}`, `{"access_token":{"x":"a<b>&c","xms_cc":{"values":["CP1"]}}}`},
		{"beyond ASCII", `{"access_token":{"größe":"世界\u2028"}}`, `{"access_token":{"größe":"世界\u2028","xms_cc":{"values":["CP1"]}}}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := withCapability(tt.claims)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(exactJSON(t, tt.want), exactJSON(t, got)); diff != "" {
				t.Errorf("claims (-want +got):\n%s", diff)
			}
		})
	}
}

// exactJSON decodes without rounding numbers.
func exactJSON(tb testing.TB, text string) any {
	tb.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		tb.Fatalf("%s: %v", text, err)
	}
	return v
}

// FuzzWithCapability: claims come out of a resource's challenge, and go to Entra with the capability and nothing else added,
// nothing lost, no number rounded. What is refused is not repeated.
func FuzzWithCapability(f *testing.F) {
	for _, seed := range []string{
		"", "{}", cp1, rejectedClaims, "null", `{"access_token":null}`, `{"access_token":[]}`, `{"access_token":{"xms_cc":1,"nbf":{"essential":true}},"x":"\ud800"}`, "{\"a\":1}\n{}", "\xff",
		`{"access_token":{"acrs":{"essential":true,"value":"c1"}}}`, `{"access_token":{"capolids":{"essential":true,"values":["aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"]}},"id_token":{"auth_time":null}}`,
		`{"access_token":{"n":12345678901234567890123,"f":1.10,"e":1E400}}`, `{"access_token":{},"access_token":{"a":1}}`, `{"Access_Token":{"a":1}}`, `{"access_token":{"x":"a<b>&c\u2028"}}`,
		"eyJhY2Nlc3NfdG9rZW4iOnt9fQ==",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, claims string) {
		got, err := withCapability(claims)
		before := map[string]any{}
		broken := errors.New("more than one value")
		if claims == "" {
			broken = nil
		} else if d := json.NewDecoder(strings.NewReader(claims)); true {
			d.UseNumber()
			if e := d.Decode(&before); e != nil || d.Decode(new(any)) == io.EOF {
				broken = e
			}
		}
		was, isObject := before["access_token"].(map[string]any)
		acceptable := broken == nil && before != nil && (isObject || before["access_token"] == nil)
		if acceptable != (err == nil) {
			t.Fatalf("%q: error is %v, want one: %v", claims, err, !acceptable)
		}
		if err != nil {
			wantErrorText(t, err, "GetToken: Claims: ")
			if len(err.Error()) > 100 || len(claims) > 20 && strings.Contains(err.Error(), claims) {
				t.Errorf("the error repeats the claims: %q", err)
			}
			return
		}
		all := exactJSON(t, got).(map[string]any)
		access, _ := all["access_token"].(map[string]any)
		if diff := cmp.Diff(map[string]any{"values": []any{"CP1"}}, access["xms_cc"]); diff != "" {
			t.Errorf("xms_cc of %q (-want +got):\n%s", claims, diff)
		}
		if again, err := withCapability(got); err != nil || again != got {
			t.Errorf("%q became %q, and then %q, %v", claims, got, again, err)
		}
		for _, m := range []map[string]any{access, was} {
			delete(m, "xms_cc")
		}
		delete(all, "access_token")
		delete(before, "access_token")
		if len(access)+len(was) > 0 && !reflect.DeepEqual(access, was) || !reflect.DeepEqual(all, before) {
			t.Errorf("%q became %q: something was lost", claims, got)
		}
	})
}

func TestWorkloadRefusesClaims(t *testing.T) {
	t.Parallel()
	for _, claims := range []string{
		" ", "x", "{", "null", "[]", "[{}]", `"{}"`, "1", "true", "{}x", "{} {}", `{"a":}`, "{'a':1}", cp1[:len(cp1)-1], "e30", "\x00",
		`{"access_token":[]}`, `{"access_token":"CANARY"}`, `{"access_token":1}`, `{"access_token":true}`, "CANARY",
	} {
		for _, cae := range []bool{false, true} {
			entra := &entraStub{}
			_, err := credentialAt(t, inPod(t), entra).GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{vaultScope}, Claims: claims, EnableCAE: cae})
			wantErrorText(t, err, "identity: GetToken: Claims: ")
			var ae *AuthenticationError
			if errors.As(err, &ae) || err != nil && strings.Contains(err.Error(), canary) {
				t.Errorf("%q: got %T %v, want a plain error without the claims", claims, err, err)
			}
			if n := len(entra.got()); n != 0 {
				t.Errorf("%q: %d requests, want none", claims, n)
			}
		}
	}
}

func TestWorkloadChallengesAreLimited(t *testing.T) {
	bubble(t, func(t *testing.T) {
		entra := &entraStub{}
		cred := credentialAt(t, inPod(t), entra, func(o *CredentialOptions) { o.AdditionallyAllowedTenants = []string{otherTenant} })
		ordinary := policy.TokenRequestOptions{EnableCAE: true}
		first := askFor(t, cred, ordinary)
		challenge := policy.TokenRequestOptions{EnableCAE: true, Claims: `{"access_token":{"nbf":{"essential":true,"value":"1"}}}`}
		second := askFor(t, cred, challenge)
		if second.Token == first.Token {
			t.Fatal("the challenge was answered from the cache")
		}
		if tk := askFor(t, cred, ordinary); tk.Token != second.Token {
			t.Error("the new token is not the one that is held now")
		}
		for range 100 {
			if tk := askFor(t, cred, challenge); tk.Token != second.Token {
				t.Fatal("another token within 30 s")
			}
			time.Sleep(290 * time.Millisecond)
		}
		if n := len(entra.got()); n != 2 {
			t.Fatalf("%d requests within 30 s, want 2", n)
		}
		// The limit is each tenant's own.
		elsewhere := challenge
		elsewhere.TenantID = otherTenant
		askFor(t, cred, elsewhere)
		if n := len(entra.got()); n != 3 {
			t.Fatalf("%d requests, want another one for the other tenant", n)
		}
		time.Sleep(2 * time.Second)
		if tk := askFor(t, cred, challenge); tk.Token == second.Token {
			t.Error("after 30 s the challenge was answered from the cache")
		}
		time.Sleep(2 * time.Hour)
		askFor(t, cred, ordinary)
		const merged = `{"access_token":{"nbf":{"essential":true,"value":"1"},"xms_cc":{"values":["CP1"]}}}`
		if diff := cmp.Diff([]string{cp1, merged, merged, merged, cp1}, entra.field("claims")); diff != "" {
			t.Errorf("claims (-want +got):\n%s", diff)
		}
	})
}

// TestWorkloadChallengeIsLogged: as one that the host heeds, because the claims are repeated to Entra.
func TestWorkloadChallengeIsLogged(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var log bytes.Buffer
		cred := credentialAt(t, inPod(t), &entraStub{}, func(o *CredentialOptions) { o.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
		askFor(t, cred, policy.TokenRequestOptions{EnableCAE: true})
		if _, err := challenged(t.Context(), cred); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if text := log.String(); !strings.Contains(text, "after a claims challenge") || strings.Contains(text, "takes no claims") || strings.Contains(text, "nbf") {
			t.Errorf("the log says:\n%s", text)
		}
	})
}

// TestWorkloadKeepsCapabilitiesApart: a client that can't answer a challenge must not get a token that can be challenged.
func TestWorkloadKeepsCapabilitiesApart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ep := identitytest.NewWorkloadIdentity(&identitytest.Options{Dir: t.TempDir()})
		cred := credentialAt(t, environmentAt(ep, "https://login.example"), ep)
		for range 3 {
			for _, cae := range []bool{true, false} {
				tk := askFor(t, cred, policy.TokenRequestOptions{EnableCAE: cae})
				if capable := strings.Contains(payloadOf(t, tk.Token), `"xms_cc"`); capable != cae {
					t.Errorf("EnableCAE %v got a token that can be challenged: %v", cae, capable)
				}
			}
		}
		if n := len(ep.Requests()); n != 2 {
			t.Errorf("%d requests, want 2", n)
		}
	})
}

// payloadOf is what a JWT says.
func payloadOf(tb testing.TB, jwt string) string {
	tb.Helper()
	segments := strings.Split(jwt, ".")
	if len(segments) != 3 {
		tb.Fatalf("%d segments in a token", len(segments))
	}
	payload, err := base64.RawURLEncoding.DecodeString(segments[1])
	if err != nil {
		tb.Fatal(err)
	}
	return string(payload)
}

// Times.

func TestWorkloadTokenTimes(t *testing.T) {
	for _, tt := range []struct {
		name, body string
		life       time.Duration
		refresh    [2]time.Duration
	}{
		{"expires_in alone", `{"token_type":"Bearer","expires_in":3599,"ext_expires_in":3599,"access_token":"t"}`, 3599 * time.Second, [2]time.Duration{1619 * time.Second, 1980 * time.Second}},
		{"expires_in as text", `{"token_type":"Bearer","expires_in":"3599","access_token":"t"}`, 3599 * time.Second, [2]time.Duration{1619 * time.Second, 1980 * time.Second}},
		{"refresh_in", `{"token_type":"Bearer","expires_in":86399,"ext_expires_in":86399,"refresh_in":43199,"access_token":"t"}`, 86399 * time.Second, [2]time.Duration{43199 * time.Second, 43199 * time.Second}},
		{"refresh_in as text", `{"token_type":"Bearer","expires_in":86399,"refresh_in":"43199","access_token":"t"}`, 86399 * time.Second, [2]time.Duration{43199 * time.Second, 43199 * time.Second}},
		{"refresh_in early", `{"token_type":"Bearer","expires_in":86400,"refresh_in":600,"access_token":"t"}`, 24 * time.Hour, [2]time.Duration{10 * time.Minute, 10 * time.Minute}},
		{"refresh_in of a second", `{"token_type":"Bearer","expires_in":86400,"refresh_in":1,"access_token":"t"}`, 24 * time.Hour, [2]time.Duration{30 * time.Second, 30 * time.Second}},
		{"refresh_in at the end", `{"token_type":"Bearer","expires_in":3600,"refresh_in":3600,"access_token":"t"}`, time.Hour, [2]time.Duration{27 * time.Minute, 33 * time.Minute}},
		{"refresh_in beyond the end", `{"token_type":"Bearer","expires_in":3600,"refresh_in":7200,"access_token":"t"}`, time.Hour, [2]time.Duration{27 * time.Minute, 33 * time.Minute}},
		{"refresh_in of nothing", `{"token_type":"Bearer","expires_in":3600,"refresh_in":0,"access_token":"t"}`, time.Hour, [2]time.Duration{27 * time.Minute, 33 * time.Minute}},
		{"negative refresh_in", `{"token_type":"Bearer","expires_in":3600,"refresh_in":-1,"access_token":"t"}`, time.Hour, [2]time.Duration{27 * time.Minute, 33 * time.Minute}},
		{"refresh_in is null", `{"token_type":"Bearer","expires_in":3600,"refresh_in":null,"access_token":"t"}`, time.Hour, [2]time.Duration{27 * time.Minute, 33 * time.Minute}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				cred := credentialAt(t, inPod(t), always(200, tt.body))
				now := time.Now()
				for range 2 { // the first result and a hit
					tk, _ := mustToken(t, cred)
					if got := tk.ExpiresOn.Sub(now); got != tt.life {
						t.Errorf("ExpiresOn is in %v, want %v", got, tt.life)
					}
					if got := tk.RefreshOn.Sub(now); got < tt.refresh[0] || got > tt.refresh[1] {
						t.Errorf("RefreshOn is in %v, want %v", got, tt.refresh)
					}
				}
			})
		})
	}
	t.Run("renewed when refresh_in says", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			ep := identitytest.NewWorkloadIdentity(&identitytest.Options{Dir: t.TempDir(), Lifetime: 24 * time.Hour})
			cred := credentialAt(t, environmentAt(ep, "https://login.example"), ep)
			first, _ := mustToken(t, cred)
			if got := time.Until(first.RefreshOn); got != 12*time.Hour {
				t.Errorf("RefreshOn is in %v, want the 12 h of refresh_in", got)
			}
			time.Sleep(12*time.Hour - time.Second)
			if tk, _ := mustToken(t, cred); tk.Token != first.Token || len(ep.Requests()) != 1 {
				t.Error("renewed too early")
			}
			time.Sleep(time.Second)
			if tk, took := mustToken(t, cred); tk.Token != first.Token || took != 0 {
				t.Error("a caller waited for the renewal")
			}
			synctest.Wait()
			if tk, _ := mustToken(t, cred); tk.Token == first.Token || len(ep.Requests()) != 2 {
				t.Error("not renewed when it was due")
			}
		})
	})
}

// The identity.

func TestWorkloadIdentityCheck(t *testing.T) {
	for _, tt := range []struct {
		name   string
		option bool // the client ID comes from the options
		token  string
		ok     bool
	}{
		{"appid", false, jwtOf(`{"appid":"` + podClient + `"}`), true},
		{"appid, by option", true, jwtOf(`{"appid":"` + podClient + `"}`), true},
		{"azp", false, jwtOf(`{"azp":"` + podClient + `"}`), true},
		{"neither", false, jwtOf(`{"oid":"` + otherTenant + `"}`), false},
		{"a user of it", false, jwtOf(`{"azp":"` + podClient + `","scp":"s"}`), false},
		{"opaque", false, "opaque", true},
		{"another appid", false, jwtOf(`{"appid":"` + otherTenant + `"}`), false},
		{"another appid, by option", true, jwtOf(`{"appid":"` + otherTenant + `"}`), false},
		{"another azp", false, jwtOf(`{"azp":"` + otherTenant + `"}`), false},
		{"right appid, another azp", false, jwtOf(`{"appid":"` + podClient + `","azp":"` + otherTenant + `"}`), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				entra := &entraStub{reply: func(int, tokenPost) *http.Response { return respond(200, entraGrant(tt.token, time.Hour)) }}
				cred := credentialAt(t, inPod(t), entra, func(o *CredentialOptions) {
					if tt.option {
						o.ID = ClientID(strings.ToUpper(podClient))
					}
				})
				if tt.ok {
					mustToken(t, cred)
					return
				}
				e, took := mustFail(t, cred)
				if !errors.Is(e, ErrIdentityMismatch) || took != 0 || e.Attempts != 1 {
					t.Errorf("got %v after %v, want ErrIdentityMismatch at once", e, took)
				}
				got := otherTenant
				switch tt.name {
				case "neither":
					got = "an identity that neither the answer nor the token names"
				case "a user of it":
					got = "a signed-in user"
				}
				wantErrorText(t, e, "client ID "+podClient, got)
				if strings.Contains(fmt.Sprintf("%+v", e), tt.token) {
					t.Error("the error has the token")
				}
				time.Sleep(time.Minute)
				_, _ = mustFail(t, cred)
				if n := len(entra.got()); n != 2 {
					t.Errorf("%d requests, want 2: the token is not kept", n)
				}
			})
		})
	}
	t.Run("any case", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			const id = "abcdefab-cdef-4abc-8def-abcdefabcdef"
			mustToken(t, credentialAt(t, inPod(t, "AZURE_CLIENT_ID", id), always(200, entraGrant(jwtOf(`{"appid":"`+strings.ToUpper(id)+`"}`), time.Hour))))
		})
	})
}

// Errors.

func TestWorkloadRefusals(t *testing.T) {
	t.Parallel()
	const (
		cor   = "0a1b2c3d-1111-4222-8333-944455556666"
		rest  = " (token for https://vault.azure.net, 1 attempt, 0s, correlation ID " + cor + ")"
		app   = ": is client ID " + podClient + " an identity of tenant " + podTenant + "?"
		trust = ": has client ID " + podClient +
			" a federated credential with exactly this cluster's issuer, this service account and the audience api://AzureADTokenExchange? The token in FILE has sub \"system:serviceaccount:default:workload\". A new one works after some minutes"
		cloudQ  = ": does AZURE_TENANT_ID name a tenant of the cloud of login.microsoftonline.com?"
		scopeQ  = ": is the scope a resource of this tenant and cloud?"
		blocked = ": client ID " + podClient +
			" has been disabled, or a Conditional Access policy for workload identities blocks it: its sign-in log in the Entra admin center says which"
		nobody  = ": may this pod reach " + podTokenURL + ", is HTTPS_PROXY right, and is that the cloud that AZURE_AUTHORITY_HOST should name?"
		restNot = " (token for https://vault.azure.net, 1 attempt, 0s)"
	)
	// first is the first line of a sample's description, as far as it is quoted.
	first := func(name string) string {
		var body struct {
			Description string `json:"error_description"`
		}
		if err := json.Unmarshal([]byte(sampleOf(t, "workload/"+name+".json")), &body); err != nil {
			t.Fatal(err)
		}
		text := body.Description[:strings.Index(body.Description, "Trace ID:")]
		if text = strings.TrimSpace(text); len(text) > 300 {
			text = text[:297] + "…"
		}
		return text
	}
	sampled := func(name string, status int, file, code string, sentinel error, hint string) refusal {
		message := first(file)
		text := fmt.Sprintf("identity: workload identity: %d %s %q%s%s", status, code, message, rest, hint)
		return refusal{name, status, "workload/" + file + ".json", nil, ClientID(podClient), text, sentinel, code, message, cor}
	}
	id := ClientID(podClient)
	for _, tt := range []refusal{
		sampled("application unknown", 400, "application-unknown", "unauthorized_client", ErrIdentityNotFound, app),
		sampled("no federated credential", 400, "no-federated-credential", "invalid_request", ErrIdentityNotFound, trust),
		sampled("issuer unknown", 401, "issuer-unknown", "invalid_client", ErrIdentityNotFound, trust),
		sampled("audience unknown", 401, "audience-unknown", "invalid_client", ErrIdentityNotFound, trust),
		sampled("subject unknown", 401, "subject-unknown", "invalid_client", ErrIdentityNotFound, trust),
		sampled("tenant unknown", 400, "tenant-unknown", "invalid_request", nil, cloudQ),
		sampled("tenant malformed", 400, "tenant-malformed", "invalid_request", nil, cloudQ),
		sampled("resource unknown", 400, "resource-unknown", "invalid_resource", nil, scopeQ),
		sampled("scope invalid", 400, "scope-invalid", "invalid_scope", nil, scopeQ),
		sampled("conditional access", 403, "conditional-access", "access_denied", nil, blocked),
		sampled("throttled", 429, "throttled", "temporarily_unavailable", ErrThrottled, ""),
		sampled("unavailable", 503, "unavailable", "temporarily_unavailable", nil, ""),
		// Entra's number decides, whatever status something on the way has made of it.
		sampled("application unknown, with another status", 503, "application-unknown",
			"unauthorized_client", ErrIdentityNotFound, app),
		{"number in the list only", 400, `{"error":"unauthorized_client","error_description":"Application not found.","error_codes":[700016],"correlation_id":"` + cor + `"}`, nil, id,
			`identity: workload identity: 400 unauthorized_client "AADSTS700016: Application not found."` + rest + app, ErrIdentityNotFound, "unauthorized_client", "AADSTS700016: Application not found.", cor},
		{"no description", 400, `{"error":"invalid_request"}`, []string{"X-Ms-Request-Id", cor}, id,
			`identity: workload identity: 400 invalid_request` + rest, nil, "invalid_request", "", cor},
		{"a proxy's 403", 403, "<html>Forbidden</html>", []string{"Content-Type", "text/html"}, id,
			`identity: workload identity: 403 "<html>Forbidden</html>": not an answer of Entra` + restNot + nobody, nil, "", "<html>Forbidden</html>", ""},
		{"a proxy's 407", 407, "<html>Proxy Authentication Required</html>", nil, id,
			`identity: workload identity: 407 "<html>Proxy Authentication Required</html>": not an answer of Entra` + restNot + nobody, nil, "", "<html>Proxy Authentication Required</html>", ""},
		{"a portal's success", 200, "<html>Sign in</html>", nil, id,
			`identity: workload identity: 200: not an answer of Entra` + restNot + nobody, nil, "", "", ""},
		{"a redirect", 307, "", []string{"Location", "https://portal.example/"}, id,
			`identity: workload identity: 307: not an answer of Entra but a redirect, which is not followed` + restNot + nobody, nil, "", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			env := inPod(t)
			tt.text = strings.Replace(tt.text, "FILE", strconv.Quote(env.getenv(envTokenFile)), 1)
			tt.run(t, env)
		})
	}
}

// TestWorkloadHintsNameTheTenantThatWasAsked: the tenant of the vault, not that of the pod.
func TestWorkloadHintsNameTheTenantThatWasAsked(t *testing.T) {
	for _, tt := range []struct{ name, body string }{
		{"application unknown", entraRefusal("unauthorized_client", 700016, "Application was not found.")},
		{"tenant unknown", entraRefusal("invalid_request", 90002, "Tenant not found.")},
		{"silence", "<html>"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				cred := credentialAt(t, inPod(t), always(400, tt.body), func(o *CredentialOptions) {
					o.AdditionallyAllowedTenants = []string{"*"}
					o.Retry.MaxRetries = -1
				})
				_, err := cred.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{vaultScope}, TenantID: otherTenant})
				wantErrorText(t, err, otherTenant)
				if err != nil && (strings.Contains(err.Error(), podTenant) || strings.Contains(err.Error(), "AZURE_TENANT_ID")) {
					t.Errorf("the hint is about the pod's own tenant, which was not asked: %v", err)
				}
			})
		})
	}
}

// Tries.

func TestWorkloadRetryPerStatus(t *testing.T) {
	body := func(status int) string { return entraRefusal("some_error", 90001, fmt.Sprint("status ", status)) }
	for _, status := range []int{408, 429, 500, 501, 502, 503, 504, 599, 600, 0} {
		t.Run(fmt.Sprint("retries ", status), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				e, took := mustFail(t, credentialAt(t, inPod(t), always(status, body(status))))
				if e.Attempts < 6 || took < 20*time.Second || took > 30*time.Second || e.StatusCode != status {
					t.Errorf("%d attempts in %v, want many in 20 to 30 s: %v", e.Attempts, took, e)
				}
				if got, want := errors.Is(e, ErrThrottled), status == 429; got != want || errors.Is(e, ErrUnavailable) {
					t.Errorf("errors.Is(ErrThrottled) = %v, want %v: %v", got, want, e)
				}
			})
		})
		t.Run(fmt.Sprint("recovers from ", status), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				start := time.Now()
				cred := credentialAt(t, inPod(t), &entraStub{reply: func(int, tokenPost) *http.Response {
					if time.Since(start) > 20*time.Second {
						return nil
					}
					return respond(status, body(status))
				}})
				mustToken(t, cred)
			})
		})
	}
	for _, status := range []int{400, 401, 402, 403, 404, 405, 409, 410, 418, 201, 204, 307} {
		t.Run(fmt.Sprint("does not retry ", status), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				e, took := mustFail(t, credentialAt(t, inPod(t), always(status, body(status))))
				if e.Attempts != 1 || took != 0 || e.StatusCode != status {
					t.Errorf("%d attempts in %v, status %d, want 1 at once: %v", e.Attempts, took, e.StatusCode, e)
				}
			})
		})
	}
}

func TestWorkloadHonoursRetryAfter(t *testing.T) {
	const throttled = `{"error":"temporarily_unavailable","error_description":"AADSTS90055: There are too many incoming requests."}`
	for _, status := range []int{429, 503} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				entra := &entraStub{reply: func(n int, _ tokenPost) *http.Response {
					if n == 1 {
						return respond(status, throttled, "Retry-After", "7")
					}
					return nil
				}}
				if _, took := mustToken(t, credentialAt(t, inPod(t), entra)); took < 7*time.Second || took > 8*time.Second {
					t.Errorf("a token after %v, want it 7 s after the first try and not much later", took)
				}
			})
		})
	}
	t.Run("beyond the budget", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			entra := &entraStub{reply: func(int, tokenPost) *http.Response { return respond(429, throttled, "Retry-After", "60") }}
			cred := credentialAt(t, inPod(t), entra)
			for range 50 { // and the cool-down is as long as Entra asks for
				e, took := mustFail(t, cred)
				if !errors.Is(e, ErrThrottled) || took != 0 || e.Attempts != 1 {
					t.Fatalf("got %v after %v, want ErrThrottled at once", e, took)
				}
				time.Sleep(time.Second)
			}
			if n := len(entra.got()); n != 1 {
				t.Errorf("%d requests in 50 s, want 1", n)
			}
		})
	})
}

// TestWorkloadForeignAnswers: what isn't Entra's says nothing of the identity. It may be a proxy that is coming up.
func TestWorkloadForeignAnswers(t *testing.T) {
	proxies := append(slices.Clone(foreign), []struct {
		name  string
		reply transportFunc
	}{
		{"a proxy's 403 page", always(403, "<html>Forbidden</html>")},
		{"a proxy's 407 page", always(407, "<html>Proxy Authentication Required</html>", "Proxy-Authenticate", "Basic")},
		{"an error that is null", always(400, `{"error":null}`)},
		{"certificate of a proxy", func(*http.Request) (*http.Response, error) {
			return nil, errors.New("tls: failed to verify certificate: x509: certificate signed by unknown authority")
		}},
	}...)
	for _, tt := range proxies {
		if tt.name == "a proxy's 502" {
			continue // see TestWorkloadPagesOf5xx
		}
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				e, took := mustFail(t, credentialAt(t, inPod(t), tt.reply))
				if took < 20*time.Second || took > 30*time.Second || e.Attempts < 6 {
					t.Errorf("%d attempts in %v, want many in 20 to 30 s: %v", e.Attempts, took, e)
				}
				wantErrorText(t, e, podTokenURL, "HTTPS_PROXY", "AZURE_AUTHORITY_HOST", "attempts, ")
				for _, sentinel := range []error{ErrUnavailable, ErrIdentityNotFound, ErrThrottled} {
					if errors.Is(e, sentinel) {
						t.Errorf("a stranger's answer is taken for %v: %v", sentinel, e)
					}
				}
			})
		})
		t.Run("after Entra has answered, "+tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				answered := false
				cred := credentialAt(t, inPod(t), transportFunc(func(r *http.Request) (*http.Response, error) {
					if !answered {
						answered = true
						return respond(200, entraGrant("t", time.Hour)), nil
					}
					return tt.reply(r)
				}))
				mustToken(t, cred)
				start := time.Now()
				err := anotherToken(cred)
				if took := time.Since(start); took < 20*time.Second || took > 30*time.Second {
					t.Errorf("error after %v, want 20 to 30 s: %v", took, err)
				}
				wantErrorText(t, err, "https://another.example")
				for time.Since(start) < time.Hour-time.Minute { // and what is held is served
					if _, took := mustToken(t, cred); took > 2*time.Second {
						t.Errorf("a caller waited %v", took)
					}
					time.Sleep(time.Minute)
				}
			})
		})
	}
}

// TestWorkloadPagesOf5xx: whoever's page it is, a person needs to know what could not be reached, and through what. Such a
// page is no proof that Entra was ever reached, either.
func TestWorkloadPagesOf5xx(t *testing.T) {
	for _, status := range []int{500, 502, 503, 504} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				cred := credentialAt(t, inPod(t), always(status, "<html><h1>Bad Gateway</h1>", "Content-Type", "text/html", "Server", "squid"))
				e, took := mustFail(t, cred)
				if took < 20*time.Second || took > 30*time.Second || e.Attempts < 6 || e.StatusCode != status {
					t.Errorf("%d attempts in %v, want many in 20 to 30 s: %v", e.Attempts, took, e)
				}
				wantErrorText(t, e, podTokenURL, "HTTPS_PROXY", "AZURE_AUTHORITY_HOST")
				if cred.hosted.node.Answered() {
					t.Error("a proxy's page is taken for an answer of Entra's")
				}
			})
		})
	}
}

// TestWorkloadWithoutAWord: what stands before Entra may throttle or fail with an empty body, and its wish is heeded.
func TestWorkloadWithoutAWord(t *testing.T) {
	const page = "<html>Our services aren't available right now"
	for _, status := range []int{429, 503} {
		for _, tt := range []struct {
			name, body, id string
		}{
			{"empty", "", ""},
			{"blank", " \n", ""},
			{"empty, with a request ID", "", "r"},
			{"a page with a request ID", page, "r"},
			{"a page", page, ""},
		} {
			bubbleIn(t, fmt.Sprint(status, " ", tt.name), func(t *testing.T) {
				entra := &entraStub{reply: func(n int, _ tokenPost) *http.Response {
					switch {
					case n > 1:
						return nil
					case tt.id == "":
						return respond(status, tt.body, "Retry-After", "9")
					}
					return respond(status, tt.body, "Retry-After", "9", "X-Ms-Request-Id", tt.id)
				}}
				if _, took := mustToken(t, credentialAt(t, inPod(t),
					entra)); took < 9*time.Second || took > 10*time.Second {
					t.Errorf("a token after %v, want Retry-After heeded", took)
				}
			})
		}
	}
	for _, id := range []string{"", "r"} {
		bubbleIn(t, "throttled to the end "+id, func(t *testing.T) {
			headers := []string{}
			if id != "" {
				headers = []string{"X-Ms-Request-Id", id}
			}
			e, _ := mustFail(t, credentialAt(t, inPod(t), always(429, "", headers...)))
			if !errors.Is(e, ErrThrottled) || e.CorrelationID != id {
				t.Errorf("got %v, want ErrThrottled with the request's ID", e)
			}
		})
	}
}

// TestWorkloadRecovers: a proxy or a sidecar that comes up after the program.
func TestWorkloadRecovers(t *testing.T) {
	for _, tt := range []struct {
		name string
		down identitytest.Response
	}{
		{"no connection", identitytest.Response{Err: io.ErrClosedPipe, For: 24 * time.Second}},
		{"a page", identitytest.Response{Status: 502, Body: "<html>Bad Gateway</html>", For: 24 * time.Second}},
		{"Entra's 503", identitytest.Response{Status: 503, For: 20 * time.Second}},
		{"Entra's 429", identitytest.Response{Status: 429, For: 20 * time.Second}},
		{"an answer that is cut short", identitytest.Response{Status: 200, Err: io.ErrUnexpectedEOF, For: 20 * time.Second}},
		{"an answer that never comes", identitytest.Response{Delay: time.Hour}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				ep := identitytest.NewWorkloadIdentity(&identitytest.Options{Dir: t.TempDir()})
				ep.Enqueue(tt.down)
				mustToken(t, credentialAt(t, environmentAt(ep, "https://login.example"), ep))
			})
		})
	}
}

// TestWorkloadReady waits for Entra, and not for what waiting can't mend.
func TestWorkloadReady(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ep := identitytest.NewWorkloadIdentity(&identitytest.Options{Dir: t.TempDir()})
		ep.Enqueue(identitytest.Response{Err: io.ErrClosedPipe, For: 5 * time.Minute})
		cred := credentialAt(t, environmentAt(ep, "https://login.example"), ep)
		if err := cred.Ready(t.Context(), vaultScope); err != nil {
			t.Error(err)
		}
		sent := len(ep.Requests())
		if tk := askFor(t, cred, policy.TokenRequestOptions{EnableCAE: true}); tk.Token == "" || len(ep.Requests()) != sent {
			t.Error("Ready fetched another token than the one that Azure SDK clients ask for")
		}
		start := time.Now()
		unknown := credentialAt(t, environmentAt(ep, "https://login.example"), ep, func(o *CredentialOptions) { o.ID = ClientID(podClient) })
		if err := unknown.Ready(t.Context(), vaultScope); !errors.Is(err, ErrIdentityNotFound) || time.Since(start) != 0 {
			t.Errorf("got %v after %v, want ErrIdentityNotFound at once", err, time.Since(start))
		}
	})
}

func TestWorkloadThousandColdCallers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ep := identitytest.NewWorkloadIdentity(&identitytest.Options{Dir: t.TempDir()})
		ep.Enqueue(identitytest.Response{Delay: time.Second})
		cred := credentialAt(t, environmentAt(ep, "https://login.example"), ep)
		var wg sync.WaitGroup
		tokens := make([]string, 1000)
		for i := range tokens {
			wg.Go(func() {
				tenant := []string{"", strings.ToUpper(ep.Identities()[0].TenantID)}[i%2]
				tk, err := cred.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{vaultScope}, TenantID: tenant, EnableCAE: true})
				if err != nil {
					t.Error(err)
				}
				tokens[i] = tk.Token
			})
		}
		wg.Wait()
		if n := len(ep.Requests()); n != 1 {
			t.Errorf("%d requests, want 1", n)
		}
		if slices.Sort(tokens); tokens[0] != tokens[999] || tokens[0] == "" {
			t.Error("the callers got different tokens")
		}
	})
}

// TestWorkloadRequestsAtOnce: Entra isn't a node's endpoint, whose limit of 5 would make resources wait for each other.
func TestWorkloadRequestsAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var mu sync.Mutex
		now, most := 0, 0
		cred := credentialAt(t, inPod(t), transportFunc(func(*http.Request) (*http.Response, error) {
			mu.Lock()
			now++
			most = max(most, now)
			mu.Unlock()
			time.Sleep(time.Second)
			mu.Lock()
			now--
			mu.Unlock()
			return respond(200, entraGrant("t", time.Hour)), nil
		}))
		var wg sync.WaitGroup
		start := time.Now()
		for _, scope := range scopesOf(120) {
			wg.Go(func() { askFor(t, cred, policy.TokenRequestOptions{Scopes: []string{scope}}) })
		}
		wg.Wait()
		if took := time.Since(start); most != 50 || took != 3*time.Second {
			t.Errorf("%d requests at once at most, all done after %v, want 50 and 3 s", most, took)
		}
	})
}

// TestWorkloadFakeRefuses shows that the requests pass the checks of something that was written without looking at them,
// through TLS and all, and what a wrong tenant and client look like.
func TestWorkloadFakeRefuses(t *testing.T) {
	for _, tt := range []struct {
		name, variable, value, code string
		sentinel                    error
	}{
		{"nothing", "", "", "", nil},
		{"a client that it doesn't have", "AZURE_CLIENT_ID", otherTenant, "AADSTS700016", ErrIdentityNotFound},
		{"a tenant that it doesn't have", "AZURE_TENANT_ID", otherTenant, "AADSTS90002", nil},
		{"an assertion of a stranger", "AZURE_FEDERATED_TOKEN_FILE", "stranger", "AADSTS700211", ErrIdentityNotFound}, // which may pass
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				ep := identitytest.NewWorkloadIdentity(&identitytest.Options{Dir: t.TempDir()})
				env := environmentAt(ep, "https://login.microsoftonline.com")
				value := tt.value
				if value == "stranger" {
					value = assertionFile(t, podAssertion)
				}
				given := env.getenv
				env.getenv = func(name string) string {
					if name == tt.variable {
						return value
					}
					return given(name)
				}
				cred := credentialAt(t, env, ep.Client())
				if tt.code == "" {
					mustToken(t, cred)
					return
				}
				e, took := mustFail(t, cred)
				wantErrorText(t, e, tt.code)
				if passing := tt.value == "stranger"; passing != (took > 20*time.Second) ||
					!passing && took != 0 || tt.sentinel != nil && !errors.Is(e, tt.sentinel) ||
					e.CorrelationID == "" {
					t.Errorf("got %v after %v, want %v with a correlation ID, asked again: %v", e,
						took, tt.sentinel, passing)
				}
			})
		})
	}
}

// TestTokenInPlaceOfItsFile: the variable holds the token itself, by mistake, which is no path to be shown.
func TestTokenInPlaceOfItsFile(t *testing.T) {
	t.Parallel()
	const jwt = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJodHRwczovL29pZGMifQ.c2lnbmF0dXJl"
	_, err := newCredential(nil, inPod(t, envTokenFile, jwt))
	wantErrorText(t, err, "AZURE_FEDERATED_TOKEN_FILE", "is a token, not the path")
	if strings.Contains(err.Error(), "eyJ") {
		t.Errorf("the token is shown: %v", err)
	}
	if _, err := readAssertion(jwt); err == nil || strings.Contains(err.Error(), "eyJ") {
		t.Errorf("got %v, want an error without the token", err)
	}
}

// TestWorkloadFileComesLate: the token may be projected, or written by a sidecar, after the program
// has started. GetToken says at once what is missing, Ready waits. What nobody will put right by
// itself it doesn't wait for.
func TestWorkloadFileComesLate(t *testing.T) {
	for _, tt := range []struct {
		name  string
		begin func(*testing.T, string)
		waits bool
	}{
		{"missing", func(*testing.T, string) {}, true},
		{"missing directory", nil, true},
		{"empty", contentOf(""), true},
		{"white space", contentOf(" \r\n"), true},
		{"a dangling link", func(t *testing.T, path string) {
			if err := os.Symlink(path+".later", path); err != nil {
				t.Skip(err)
			}
		}, true},
		{"a directory", func(t *testing.T, path string) {
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
		}, false},
		{"no token", contentOf("two words"), false},
		{"too large", contentOf(strings.Repeat("a", 65<<10)), false},
	} {
		bubbleIn(t, tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "azure-identity-token")
			if tt.begin == nil {
				path = filepath.Join(path, "below")
			} else {
				tt.begin(t, path)
			}
			cred := credentialAt(t, inPod(t, envTokenFile, path), &entraStub{})
			if e, took := mustFail(t, cred); took != 0 || e.Attempts != 0 {
				t.Errorf("%d attempts, error after %v, want none, at once: %v", e.Attempts, took, e)
			}
			start := time.Now()
			time.AfterFunc(5*time.Minute, func() {
				_ = os.MkdirAll(filepath.Dir(path), 0o700)
				_ = os.WriteFile(path, []byte(podAssertion), 0o600)
			})
			err := cred.Ready(t.Context(), vaultScope)
			if took := time.Since(start); tt.waits && (err != nil || took < 5*time.Minute ||
				took > 5*time.Minute+15*time.Second) ||
				!tt.waits && (err == nil || took > 2*time.Second) {
				t.Errorf("Ready returned %v after %v, want it to wait: %v", err, took, tt.waits)
			}
			time.Sleep(5 * time.Minute)
		})
	}
}

// TestWorkloadFileOfAnotherUser: the token is readable for root and the pod's fsGroup.
func TestWorkloadFileOfAnotherUser(t *testing.T) {
	if os.Geteuid() == 0 {
		asNobody(t)
		return
	}
	bubble(t, func(t *testing.T) {
		file := assertionFile(t, canary)
		if err := os.Chmod(file, 0); err != nil {
			t.Fatal(err)
		}
		cred := credentialAt(t, inPod(t, envTokenFile, file), &entraStub{})
		e, took := mustFail(t, cred)
		wantErrorText(t, e, strconv.Quote(file), "permission denied", "securityContext.runAsUser",
			"fsGroup")
		if strings.Contains(e.Error(), "azure.workload.identity/use") || took != 0 {
			t.Errorf("the pod's label is blamed, or it took %v: %v", took, e)
		}
		start := time.Now()
		if err := cred.Ready(t.Context(), vaultScope); err == nil ||
			time.Since(start) > 2*time.Second {
			t.Errorf("Ready returned %v after %v, want the error at once", err, time.Since(start))
		}
	})
}

// TestWorkloadExpiredAssertionIsWaitedFor: the kubelet may be late with the next one.
func TestWorkloadExpiredAssertionIsWaitedFor(t *testing.T) {
	bubble(t, func(t *testing.T) {
		file := assertionFile(t, "old")
		entra := &entraStub{reply: func(_ int, p tokenPost) *http.Response {
			if p.form.Get("client_assertion") == "old" {
				return respond(401, expired)
			}
			return nil
		}}
		time.AfterFunc(5*time.Minute, func() { contentOf("new")(t, file) })
		start := time.Now()
		err := credentialAt(t, inPod(t, envTokenFile, file), entra).Ready(t.Context(), vaultScope)
		if took := time.Since(start); err != nil || took > 5*time.Minute+15*time.Second {
			t.Errorf("Ready returned %v after %v", err, took)
		}
	})
}

// TestHalfAPod: a token file is never left unused without a word, since any other host has another
// identity.
func TestHalfAPod(t *testing.T) {
	const here = "https://login.microsoftonline.com/" + podTenant + "/oauth2/v2.0/token"
	file := []string{envTokenFile, "/var/run/secrets/azure/tokens/azure-identity-token"}
	app := []string{envEndpoint, "http://localhost:4141/msi/token", envHeader, "h"}
	for _, tt := range []struct {
		name      string
		variables [][]string
		options   CredentialOptions
		host      Host
		want      []string // in the error; nil for a credential
	}{
		{"all", [][]string{file, {envClientID, podClient, envTenantID, podTenant}}, CredentialOptions{}, HostWorkloadIdentity, nil},
		{"the ID is in the options", [][]string{file, {envClientID, "", envTenantID, podTenant}}, CredentialOptions{ID: ClientID(guid)}, HostWorkloadIdentity, nil},
		{"no client", [][]string{file, {envTenantID, podTenant}}, CredentialOptions{}, "", []string{"AZURE_CLIENT_ID: is empty", "CredentialOptions.ID", "but AZURE_CLIENT_ID is not", "HostIMDS"}},
		{"no tenant", [][]string{file, {envClientID, podClient}}, CredentialOptions{}, "", []string{"AZURE_TENANT_ID: is empty", "but AZURE_TENANT_ID is not", "HostIMDS"}},
		{"no tenant, the ID in the options", [][]string{file}, CredentialOptions{ID: ClientID(guid)}, "", []string{"AZURE_TENANT_ID: is empty", "HostIMDS"}},
		{"the file alone", [][]string{file}, CredentialOptions{}, "", []string{"but AZURE_CLIENT_ID and AZURE_TENANT_ID are not", "HostIMDS"}},
		{"an object ID", [][]string{file, {envTenantID, podTenant}}, CredentialOptions{ID: ObjectID(guid)}, "", []string{"CredentialOptions.ID", "object ID", "HostIMDS"}},
		{"a resource ID beside all", [][]string{file, {envClientID, podClient, envTenantID, podTenant}}, CredentialOptions{ID: ResourceID(identityID)}, "", []string{"CredentialOptions.ID", "resource ID", "HostIMDS"}},
		{"on App Service", [][]string{file, app}, CredentialOptions{}, "", []string{"AZURE_CLIENT_ID: is empty", "HostIMDS"}},
		{"on App Service, all", [][]string{file, app, {envClientID, podClient, envTenantID, podTenant}}, CredentialOptions{}, HostWorkloadIdentity, nil},
		{"no file", [][]string{{envClientID, podClient, envTenantID, podTenant}}, CredentialOptions{}, HostIMDS, nil},
		{"no file on App Service", [][]string{app, {envClientID, podClient, envTenantID, podTenant}}, CredentialOptions{}, HostAppService, nil},
		{"IMDS on purpose", [][]string{file}, CredentialOptions{Host: HostIMDS}, HostIMDS, nil},
		{"App Service on purpose", [][]string{file, app}, CredentialOptions{Host: HostAppService}, HostAppService, nil},
		{"workload identity on purpose", [][]string{file}, CredentialOptions{Host: HostWorkloadIdentity}, "", []string{`CredentialOptions.Host is "workloadidentity": AZURE_CLIENT_ID: is empty`}},
		{"workload identity on purpose, the ID in the options", [][]string{file, {envTenantID, podTenant}}, CredentialOptions{Host: HostWorkloadIdentity, ID: ClientID(guid)}, HostWorkloadIdentity, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			env := nowhere()
			for _, pairs := range tt.variables {
				env = env.with(pairs...)
			}
			cred, err := newCredential(&tt.options, env)
			d := detect(env)
			switch {
			case tt.want != nil:
				wantErrorText(t, err, tt.want...)
				if tt.options.Host == "" && (d.Host != HostWorkloadIdentity ||
					!strings.Contains(d.Reason, "AZURE_FEDERATED_TOKEN_FILE")) {
					t.Errorf("Detect says %+v, the constructor %v", d, err)
				}
			case err != nil:
				t.Error(err)
			case cred.Host() != tt.host || tt.options.Host == "" && d.Host != tt.host:
				t.Errorf("asked is %s, detected %s, want %s", cred.Host(), d.Host, tt.host)
			case cred.Host() == HostWorkloadIdentity && cred.hosted.host.Endpoint() != here:
				t.Errorf("asked is %s", cred.hosted.host.Endpoint())
			}
			if tt.options.Host != "" || tt.options.ID != nil {
				return
			}
			chain, err := newDefaultCredential(newShared(), nil, env)
			if tt.want == nil {
				if err != nil {
					t.Errorf("default credential: %v", err)
				}
				return
			}
			wantErrorText(t, err, "AZURE_FEDERATED_TOKEN_FILE is set, but ",
				"AZURE_TOKEN_CREDENTIALS=ManagedIdentityCredential")
			if chain != nil || strings.Contains(err.Error(), "DefaultCredentialOptions.Host") {
				t.Errorf("default credential: %v", err)
			}
			if _, err := newDefaultCredential(newShared(), nil,
				env.with(envTokenCredentials, "ManagedIdentityCredential")); err != nil {
				t.Errorf("as the message advises: %v", err)
			}
		})
	}
}

// TestProofsTellTokensApart: who is refused a token doesn't get another one's from the cache.
func TestProofsTellTokensApart(t *testing.T) {
	t.Parallel()
	ca := string(newCertifier(t).pem)
	other := string(newCertifier(t).pem)
	fabric := []string{envEndpoint, "https://localhost:2377/metadata/identity/oauth2/token",
		envHeader, "h", envThumbprint, strings.Repeat("a", 40)}
	pod := inPod(t)
	for _, tt := range []struct {
		name       string
		env        environment
		otherwise  []string // what differs in the second credential
		sharesNone bool
	}{
		{"the same", pod, nil, false},
		{"token file", pod, []string{envTokenFile, "/another"}, true},
		{"tenant", pod, []string{envTenantID, otherTenant}, true},
		{"client", pod, []string{envClientID, otherTenant}, true},
		{"authority", pod, []string{envAuthorityHost, "https://login.microsoftonline.us"}, true},
		{"authority's path", pod, []string{envAuthorityHost, "https://login.microsoftonline.com/x"}, true},
		{"proxy", pod, []string{envTokenProxy, "https://10.0.0.1"}, true},
		{"another proxy", pod.with(envTokenProxy, "https://10.0.0.1"), []string{envTokenProxy, "https://10.0.0.2"}, true},
		{"SNI name", pod.with(envTokenProxy, "https://10.0.0.1"), []string{envSNIName, "a.example"}, true},
		{"CA file", pod.with(envTokenProxy, "https://10.0.0.1"), []string{envCAFile, "/ca"}, true},
		{"another CA file", pod.with(envTokenProxy, "https://10.0.0.1", envCAFile, "/ca"), []string{envCAFile, "/other"}, true},
		{"CA data", pod.with(envTokenProxy, "https://10.0.0.1", envCAData, ca), []string{envCAData, other}, true},
		{"the same with a proxy", pod.with(envTokenProxy, "https://10.0.0.1", envCAData, ca), nil, false},
		{"App Service's header", appServiceAt(), []string{envHeader, "another"}, true},
		{"App Service, the same", appServiceAt(), nil, false},
		{"Service Fabric's header", nowhere().with(fabric...), []string{envHeader, "another"}, true},
		{"Service Fabric's thumbprint", nowhere().with(fabric...), []string{envThumbprint, strings.Repeat("b", 40)}, true},
		{"Azure ML's secret", nowhere().with(envMSI, "http://localhost:1/", envMSISecret, "s"), []string{envMSISecret, "another"}, true},
		{"Azure ML's default", nowhere().with(envMSI, "http://localhost:1/", envMSISecret, "s"), []string{envDefaultClientID, guid}, true},
		{"Windows containers' header", nowhere().with(envEndpoint, "http://10.0.0.2:2377/", envHeader, "h", envThumbprint, "t"), []string{envHeader, "another"}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			shared := newShared()
			var keys []string
			for _, env := range []environment{tt.env, tt.env.with(tt.otherwise...)} {
				cred, err := newCredentialIn(shared, &CredentialOptions{}, env)
				if err != nil {
					t.Fatal(err)
				}
				key := cacheKey(cred.hosted.host)
				keys = append(keys, key)
				if shown := fmt.Sprintf("%+v", cred); strings.Contains(shown, "another") ||
					strings.Contains(key, "BEGIN") {
					t.Errorf("a secret is in what is printed of the credential: %s", shown)
				}
			}
			if (keys[0] != keys[1]) != tt.sharesNone {
				t.Errorf("keys are %q, want them to differ: %v", keys, tt.sharesNone)
			}
		})
	}
}

// TestTwoTokenFiles: two service accounts, one identity; Entra refuses the second. See
// crossplane-contrib/upjet-azure#1030.
func TestTwoTokenFiles(t *testing.T) {
	bubble(t, func(t *testing.T) {
		first, second := assertionFile(t, "first"), assertionFile(t, "second")
		entra := &entraStub{reply: func(_ int, p tokenPost) *http.Response {
			if p.form.Get("client_assertion") == "second" {
				return respond(401, entraRefusal("invalid_client", 700212,
					"No matching federated identity record found."))
			}
			return nil
		}}
		shared, n := newShared(), 0
		make := func(file string) *Credential {
			cred, err := newCredentialIn(shared,
				&CredentialOptions{ClientOptions: optionsWith(entra)}, inPod(t, envTokenFile, file))
			if err != nil {
				t.Fatal(err)
			}
			n++
			return cred
		}
		mustToken(t, make(first))
		mustToken(t, make(first))
		if got := len(entra.got()); got != 1 {
			t.Errorf("%d requests of two credentials with one file, want 1", got)
		}
		if e, _ := mustFail(t, make(second)); !errors.Is(e, ErrIdentityNotFound) {
			t.Errorf("got %v, want Entra's refusal", e)
		}
		if nodes := len(shared.nodes); nodes != 1 {
			t.Errorf("%d limits of requests at once for one Entra, want 1", nodes)
		}
	})
}

// TestVariablesWithStrayWhiteSpace: it is the constructor's error, and seen there. A URL, which may
// have a secret, is not shown.
func TestVariablesWithStrayWhiteSpace(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, variable, value string
		want                  []string
		hidden                string
	}{
		{"a CR behind the token file", envTokenFile, "/var/run/token\r", []string{`"/var/run/token\r" begins or ends with white space`}, ""},
		{"a line feed behind it", envTokenFile, "/var/run/token\n", []string{`"/var/run/token\n"`}, ""},
		{"a blank before it", envTokenFile, " /var/run/token", []string{`" /var/run/token"`}, ""},
		{"a tab behind it", envTokenFile, "/var/run/token\t", []string{`"/var/run/token\t"`}, ""},
		{"a blank of Unicode", envTokenFile, "/var/run/token\u00a0", []string{`"/var/run/token\u00a0"`}, ""},
		{"a control character within", envTokenFile, "/var/\x00/token", []string{`"/var/\x00/token" contains a control character`}, ""},
		{"a blank file", envTokenFile, " ", []string{`" "`}, ""},
		{"CA file", envCAFile, "/ca.crt\n", []string{`AZURE_KUBERNETES_CA_FILE: "/ca.crt\n" begins or ends with white space`}, ""},
		{"tenant", envTenantID, podTenant + "\r\n", []string{`AZURE_TENANT_ID: "` + podTenant + `\r\n" begins or ends with white space`}, ""},
		{"client", envClientID, podClient + "\n", []string{`AZURE_CLIENT_ID: "` + podClient + `\n" contains a blank or a control character`}, ""},
		{"SNI name", envSNIName, "a.example\n", []string{`AZURE_KUBERNETES_SNI_NAME: "a.example\n"`}, ""},
		{"authority", envAuthorityHost, "https://login.example/pa55word\r\n", []string{`AZURE_AUTHORITY_HOST: ends with "\r\n", a blank or a control character`}, "pa55word"},
		{"proxy", envTokenProxy, "\thttps://10.0.0.1/pa55word", []string{`AZURE_KUBERNETES_TOKEN_PROXY: begins with "\t"`}, "pa55word"},
		{"a token with a line's end in place of the path", envTokenFile, podAssertion + "\n", []string{"is a token, not the path"}, podAssertion},
		{"a tenant that may be a secret", envTenantID, "pa55word!\n", []string{"is no tenant"}, "pa55word"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			env := inPod(t).with(envTokenProxy, "https://10.0.0.1").with(tt.variable, tt.value)
			_, err := newCredential(nil, env)
			wantErrorText(t, err, append(tt.want, tt.variable)...)
			if tt.hidden != "" && err != nil && strings.Contains(err.Error(), tt.hidden) {
				t.Errorf("the value is shown: %v", err)
			}
		})
	}
	for _, value := range []string{"/with a blank/token", "/größe/token",
		`C:\Program Files\token`} {
		if _, err := newCredential(nil, inPod(t, envTokenFile, value)); err != nil {
			t.Errorf("%q is a path: %v", value, err)
		}
	}
}

// TestAudienceOfTheCloud: each cloud has an audience of its own, and the token says which one it
// has.
func TestAudienceOfTheCloud(t *testing.T) {
	for authority, audience := range map[string]string{
		"https://login.microsoftonline.com":              "api://AzureADTokenExchange?",
		"https://LOGIN.microsoftonline.us/":              "api://AzureADTokenExchangeUSGov?",
		"https://login.chinacloudapi.cn":                 "api://AzureADTokenExchangeChina?",
		"https://login.partner.microsoftonline.cn":       "api://AzureADTokenExchangeChina?",
		"https://login.microsoftonline.eaglex.ic.gov":    "api://AzureADTokenExchangeUSNat?",
		"https://login.microsoftonline.microsoft.scloud": "api://AzureADTokenExchangeUSSec?",
		"https://login.example":                          "api://AzureADTokenExchange?",
	} {
		bubbleIn(t, authority, func(t *testing.T) {
			claims := `{"iss":"https://oidc.example/1/","sub":"system:serviceaccount:shop:orders","aud":["api://AzureADTokenExchange","other"]}`
			file := assertionFile(t, jwtOf(claims))
			e, took := mustFail(t, credentialAt(t, inPod(t, envAuthorityHost, authority, envTokenFile, file),
				always(401, entraRefusal("invalid_client", 700212, "No matching federated identity record found for presented assertion audience."))))
			wantErrorText(t, e, "the audience "+audience,
				"The token in "+strconv.Quote(file)+` has iss "https://oidc.example/1/", sub "system:serviceaccount:shop:orders", aud "api://AzureADTokenExchange other"`)
			if took != 0 || e.Attempts != 1 {
				t.Errorf("%d attempts in %v, want 1 at once", e.Attempts, took)
			}
		})
	}
}

// TestPresented: what a file says of itself can be anything, and is shown on one line, without a
// token, and not at length.
func TestPresented(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, content, want string }{
		{"all", jwtOf(`{"iss":"i","sub":"s","aud":"a"}`), `iss "i", sub "s", aud "a"`},
		{"some", jwtOf(`{"sub":"s","aud":[]}`), `sub "s"`},
		{"lines", jwtOf(`{"iss":"a\r\nb","sub":"c\u2028d"}`), `iss "a\r\nb", sub "c\u2028d"`},
		{"a token within", jwtOf(`{"iss":"` + podAssertion + `","sub":"s"}`), `iss "REDACTED", sub "s"`},
		{"a field for a token", jwtOf(`{"iss":"access_token=x"}`), `iss "access_token=REDACTED"`},
		{"long", jwtOf(`{"iss":"` + strings.Repeat("a", 5000) + `"}`), `iss "` + strings.Repeat("a", 300) + `…"`},
		{"other kinds", jwtOf(`{"iss":{},"sub":7,"aud":{"a":1}}`), `sub "7"`},
		{"opaque", "opaque", ""},
		{"five parts", "a.b.c.d.e", ""},
		{"no base64", "a.!.c", ""},
		{"no object", jwtOf(`[]`), ""},
		{"nothing", jwtOf(`{}`), ""},
		{"empty", "", ""},
	} {
		if got := presented(assertionFile(t, tt.content)); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, got, tt.want)
		}
	}
	if got := presented("/no/such/file"); got != "" {
		t.Errorf("no file: got %s", got)
	}
}

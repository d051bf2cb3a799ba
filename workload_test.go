package identity

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
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
	"github.com/keyless-go/identity/internal/acquire"
	"github.com/keyless-go/identity/internal/binding"
	"github.com/keyless-go/identity/internal/detect"
)

const envAuthorityHost = detect.EnvAuthorityHost

const (
	podTenant    = "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"
	otherTenant  = "f0f0f0f0-1111-4222-8333-abcdefabcdef"
	otherClient  = "99999999-8888-4777-8666-555555555555"
	podClient    = guid
	podAssertion = "eyJhbGciOiJSUzI1NiJ9." +
		"eyJzdWIiOiJzeXN0ZW06c2VydmljZWFjY291bnQ6ZGVmYXVsdDp3b3JrbG9hZCJ9.c2lnbmF0dXJl"
	tokenPath   = "/oauth2/v2.0/token"
	podTokenURL = "https://login.microsoftonline.com/" + podTenant + tokenPath
	cp1         = `{"access_token":{"xms_cc":{"values":["CP1"]}}}`
)

// inPod is the environment of a pod with workload identity; pairs replace variables, or remove them
// if the value is empty.
func inPod(tb testing.TB, pairs ...string) environment {
	tb.Helper()
	return environmentOf(map[string]string{
		envTokenFile: assertionFile(tb, podAssertion), envClientID: podClient, envTenantID: podTenant,
		envAuthorityHost: "https://login.microsoftonline.com/",
	}).with(pairs...)
}

// atEntra opens the fake of Entra.
func atEntra(tb testing.TB) *site {
	tb.Helper()
	return placeOf(HostWorkloadIdentity).open(tb)
}

func placeOf(host Host) place {
	return places[slices.IndexFunc(places, func(p place) bool { return p.host == host })]
}

// tokenPost is a request for a token, as it arrived.
type tokenPost struct {
	*http.Request
	form url.Values
	at   time.Time
}

// entraStub is a Transport in Entra's place: it notes what arrives and answers by reply, or with a
// token of an hour that is different each time.
type entraStub struct {
	mu         sync.Mutex
	tokenPosts []tokenPost
	// n is 1 for the first; nil, or a nil response, for a token
	reply func(n int, p tokenPost) *http.Response
}

func (e *entraStub) Do(r *http.Request) (*http.Response, error) {
	p := tokenPost{Request: r, at: time.Now()}
	body, err := io.ReadAll(r.Body)
	if err == nil {
		err = r.Body.Close()
	}
	if err == nil {
		p.form, err = url.ParseQuery(string(body))
	}
	said := r.Header.Get("Content-Length")
	if n := len(body); r.ContentLength != int64(n) || said != "" && said != strconv.Itoa(n) {
		err = fmt.Errorf("%d and %q are said to be the length of %d bytes", r.ContentLength, said, n)
	}
	if err != nil {
		return nil, err
	}
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

// wantField compares one parameter of all forms that arrived.
func (e *entraStub) wantField(tb testing.TB, name string, want ...string) {
	tb.Helper()
	var values []string
	for _, p := range e.got() {
		values = append(values, strings.Join(p.form[name], ","))
	}
	if diff := cmp.Diff(want, values); diff != "" {
		tb.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

// firstly is a reply to the first request; the others get a token.
func firstly(status int, body string, header ...string) func(int, tokenPost) *http.Response {
	return func(n int, _ tokenPost) *http.Response {
		if n > 1 {
			return nil
		}
		return respond(status, body, header...)
	}
}

// entraGrant is Entra's answer with a token: numbers are numbers, and there is no expires_on.
func entraGrant(token string, life time.Duration) string {
	s := int(life.Seconds())
	return fmt.Sprintf(
		`{"token_type":"Bearer","expires_in":%d,"ext_expires_in":%d,"access_token":%q}`, s, s, token)
}

// entraRefusal is an error body of Entra's.
func entraRefusal(code string, number int, text string) string {
	return fmt.Sprintf(`{"error":%q,"error_description":"AADSTS%d: %s Trace ID: t `+
		`Correlation ID: c Timestamp: s","error_codes":[%d],"correlation_id":"c"}`,
		code, number, text, number)
}

// askFor asks for one token, the vault's if there is no scope.
func askFor(
	tb testing.TB, cred azcore.TokenCredential, options policy.TokenRequestOptions,
) azcore.AccessToken {
	tb.Helper()
	if len(options.Scopes) == 0 {
		options.Scopes = []string{vaultScope}
	}
	tk, err := cred.GetToken(tb.Context(), options)
	if err != nil {
		tb.Fatalf("GetToken: %v", err)
	}
	return tk
}

// refuses fails the test if there is a token, or an error about a host.
func refuses(
	tb testing.TB, cred azcore.TokenCredential, options policy.TokenRequestOptions, want ...string,
) {
	tb.Helper()
	if len(options.Scopes) == 0 {
		options.Scopes = []string{vaultScope}
	}
	_, err := cred.GetToken(tb.Context(), options)
	wantErrorText(tb, err, append(want, "GetToken: ")...)
	if _, ok := errors.AsType[*AuthenticationError](err); ok || err != nil && len(err.Error()) > 450 {
		tb.Errorf("got a %T, want a short one of no host: nothing was asked: %v", err, err)
	}
}

func allowing(tenants ...string) func(*CredentialOptions) {
	return func(o *CredentialOptions) { o.AdditionallyAllowedTenants = tenants }
}

func inCloud(authority string) func(*CredentialOptions) {
	return func(o *CredentialOptions) { o.Cloud.ActiveDirectoryAuthorityHost = authority }
}

func TestWorkloadRequests(t *testing.T) {
	t.Parallel()
	const claims = `{"access_token":{"nbf":{"essential":true,"value":"1604106651"}}}`
	for _, tt := range []struct {
		name      string // of the file with what goes over the wire
		variables []string
		adjust    func(*CredentialOptions)
		ask       policy.TokenRequestOptions
	}{
		{name: "default"},
		{name: "client-id", adjust: withID(ClientID(otherClient))},
		{name: "cae", ask: policy.TokenRequestOptions{EnableCAE: true}},
		{name: "claims", ask: policy.TokenRequestOptions{Claims: claims}},
		{name: "claims-cae", ask: policy.TokenRequestOptions{Claims: claims, EnableCAE: true}},
		{name: "other-tenant", adjust: allowing(otherTenant),
			ask: policy.TokenRequestOptions{TenantID: strings.ToUpper(otherTenant)}},
		{name: "sovereign", variables: []string{envAuthorityHost, "https://login.microsoftonline.us/"}},
		// before the variable
		{name: "cloud", adjust: inCloud(cloud.AzureChina.ActiveDirectoryAuthorityHost)},
		{name: "identity-binding",
			variables: []string{binding.EnvProxy, "https://10.0.0.1:6443/identity/"}},
		{name: "identity-binding-other-tenant", variables: []string{binding.EnvProxy, "https://10.0.0.1"},
			adjust: allowing("*"),
			ask:    policy.TokenRequestOptions{TenantID: otherTenant, EnableCAE: true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			entra := &entraStub{}
			if tt.adjust == nil {
				tt.adjust = func(*CredentialOptions) {}
			}
			askFor(t, credentialAt(t, inPod(t, tt.variables...), entra, tt.adjust), tt.ask)
			entra.wantField(t, "client_assertion", podAssertion)
			p := entra.got()[0]
			if p.Host != "" && p.Host != p.URL.Host {
				t.Errorf("the request's Host is %q, its URL's %q", p.Host, p.URL.Host)
			}
			p.form.Set("client_assertion", "REDACTED")
			got := wireFormat(p.Request, "") + "\n"
			for _, name := range slices.Sorted(maps.Keys(p.form)) {
				for _, value := range p.form[name] {
					got += name + "=" + value + "\n"
				}
			}
			if strings.Contains(got+p.UserAgent(), podAssertion) {
				t.Errorf("the assertion is elsewhere, too:\n%s", got)
			}
			compareGolden(t, "workload/"+tt.name+".golden", got)
		})
	}
}

// TestWorkloadAuthorityForms: a path belongs to private clouds, and nothing of it may be lost.
func TestWorkloadAuthorityForms(t *testing.T) {
	t.Parallel()
	const us, own = "https://login.microsoftonline.us", "https://login.example"
	for _, tt := range []struct{ name, variable, option, want string }{
		{name: "the public cloud", want: "https://login.microsoftonline.com"},
		{name: "slash at the end", variable: us + "/", want: us},
		{name: "none", variable: us, want: us},
		{name: "port", variable: own + ":8443/", want: own + ":8443"},
		{name: "IPv6", variable: "https://[::1]:8443", want: "https://[::1]:8443"},
		{name: "path", variable: own + "/a/b", want: own + "/a/b"},
		{name: "path with a slash at the end", variable: own + "/a/b/", want: own + "/a/b"},
		{name: "escaped path", variable: own + "/a%2Fb/", want: own + "/a%2Fb"},
		{name: "scheme in capitals", variable: "HTTPS://login.example/", want: own},
		{name: "the option alone", option: own + "/", want: own},
		{name: "the option comes first", variable: us, option: own + "/", want: own},
		{name: "the option replaces nonsense", variable: "nonsense", option: own, want: own},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, proxy := range []string{"", "https://10.0.0.1", "https://10.0.0.1/x%2Fy/"} {
				want, err := url.Parse(tt.want + "/" + podTenant + tokenPath)
				if err != nil {
					t.Fatal(err)
				}
				asked := want.String()
				if proxy != "" { // it has the authority's path below its own, whatever the authority's host is
					asked = strings.TrimSuffix(proxy, "/") + want.EscapedPath()
				}
				entra := &entraStub{}
				mustToken(t, credentialAt(t, inPod(t, envAuthorityHost, tt.variable, binding.EnvProxy, proxy),
					entra, inCloud(tt.option)))
				if got := entra.got()[0].URL.String(); got != asked {
					t.Errorf("proxy %q: got %s, want %s", proxy, got, asked)
				}
			}
		})
	}
}

// TestWorkloadScopes: everything before the last "/.default" is the audience, so that a slash
// before it must stay.
func TestWorkloadScopes(t *testing.T) {
	t.Parallel()
	const guid = "499b84ac-1321-427f-aa17-267ca6975798"
	for scope, want := range map[string]string{
		"https://vault.azure.net/.default":              "https://vault.azure.net/.default",
		"https://management.core.windows.net//.default": "https://management.core.windows.net//.default",
		"https://vault.azure.net":                       "https://vault.azure.net/.default",
		"https://management.core.windows.net/":          "https://management.core.windows.net//.default",
		guid:                                            guid + "/.default",
		guid + "/.default":                              guid + "/.default",
		"api://my-app/.default":                         "api://my-app/.default",
		"https://x/.default/.default":                   "https://x/.default/.default",
		"api://a&b=c+d%2F/.default":                     "api://a&b=c+d%2F/.default",
		"":                                              "", // is refused, as are these:
		"/.default":                                     "",
		"https://x/.default https://y":                  "",
		"https://x/\n.default":                          "",
		strings.Repeat("a", 3000) + "://":               "",
	} {
		entra := &entraStub{}
		cred := credentialAt(t, inPod(t), entra)
		if options := (policy.TokenRequestOptions{Scopes: []string{scope}}); want == "" {
			refuses(t, cred, options, "scope")
			entra.wantField(t, "scope")
		} else {
			askFor(t, cred, options)
			entra.wantField(t, "scope", want)
		}
	}
}

// TestWorkloadRequestIsPure: a request changes nothing of the host, nor of another request.
func TestWorkloadRequestIsPure(t *testing.T) {
	t.Parallel()
	host, err := newWorkload(inPod(t), settingsOf(&CredentialOptions{}))
	if err != nil {
		t.Fatal(err)
	}
	request := acquire.Request{Resource: "https://a", Claims: `{"a":1}`}
	var before string
	for range 2 {
		call, err := host.Call(t.Context(), request)
		if err != nil {
			t.Fatal(err)
		}
		now := fmt.Sprint(call.URL, call.Header, call.Form, call.Secret, host.Endpoint())
		if before != "" && now != before {
			t.Errorf("got %s after %s", now, before)
		}
		before = now
		call.URL.Host, call.URL.Path = "elsewhere", "/"
		call.Form.Set("client_id", "another")
		call.Header.Set("Accept", "nothing")
	}
}

// TestWorkloadConstructorRefuses has one or a few of each kind: internal/check has the others. A
// URL, which may have a secret, is not shown.
func TestWorkloadConstructorRefuses(t *testing.T) {
	t.Parallel()
	const (
		noCertificate = "-----BEGIN CERTIFICATE-----\ncGE1NXdvcmQ=\n-----END CERTIFICATE-----\n"
		blankAround   = " begins or ends with white space"
	)
	for _, tt := range []struct{ variable, value, want string }{
		{envAuthorityHost, "http://login.example/pa55word", "https"},
		{envAuthorityHost, "login.microsoftonline.com", "https"},
		{envAuthorityHost, "https://user:pa55word@login.example/", "user info"},
		{envAuthorityHost, "https://login.example/?key=pa55word", "query"},
		{envAuthorityHost, "https://login.example/pa55word\r\n",
			`ends with "\r\n", a blank or a control character`},
		{envAuthorityHost, "https://login.example/%zzpa55word", "not a URL"},
		{envTenantID, "", "is empty"},
		{envTenantID, "tenant/pa55word", "is no tenant"},
		{envTenantID, "..", "is no tenant"},
		{envTenantID, "pa55word!\n", "is no tenant"},
		{envTenantID, podTenant + "\r\n", strconv.Quote(podTenant+"\r\n") + blankAround},
		{envClientID, "", "is empty"},
		{envClientID, podClient + "\n", strconv.Quote(podClient+"\n") + " contains a blank or a control"},
		{envClientID, strings.Repeat("a", 1025), "1025"},
		{envTokenFile, "", "is empty: does the pod have the label azure.workload.identity/use"},
		{envTokenFile, " ", `" "` + blankAround},
		{envTokenFile, "/var/run/token\r", `"/var/run/token\r"` + blankAround},
		{envTokenFile, "/var/run/token\u00a0", `"/var/run/token\u00a0"` + blankAround},
		{envTokenFile, "/var/\x00/token", `"/var/\x00/token" contains a control character`},
		{envTokenFile, podAssertion, "is a token, not the path"},
		{envTokenFile, podAssertion + "\n", "is a token, not the path"},
		{binding.EnvProxy, "http://10.0.0.1/pa55word", "https"},
		{binding.EnvProxy, "https://10.0.0.1/?", "query"},
		{binding.EnvProxy, "\thttps://10.0.0.1/pa55word", `begins with "\t"`},
		{binding.EnvProxy, "", binding.EnvProxy + ": is empty, but " + binding.EnvSNIName + " is set"},
		{binding.EnvCAFile, "/ca.crt\n", `"/ca.crt\n"` + blankAround},
		{binding.EnvCAData, "pa55word", "PEM"},
		{binding.EnvCAData, noCertificate, "PEM"},
		{binding.EnvCAData, " \n", "PEM"},
		{binding.EnvSNIName, "a b", "contains a blank"},
		{binding.EnvSNIName, "a.example\n", `"a.example\n"`},
	} {
		env := inPod(t, binding.EnvProxy, "https://10.0.0.1", binding.EnvSNIName, "a", tt.variable, tt.value)
		notCreated(t, env, &CredentialOptions{}, tt.variable+": ", tt.want)
	}
	const field = "CredentialOptions.Cloud.ActiveDirectoryAuthorityHost: "
	for _, tt := range []struct {
		pairs  []string
		adjust func(*CredentialOptions)
		want   []string
	}{
		{adjust: inCloud("http://login.example/pa55word"), want: []string{field, "https"}},
		{adjust: inCloud("https://user:pa55word@login.example/"), want: []string{field, "user info"}},
		{adjust: inCloud("https://login.example/?pa55word"), want: []string{field, "query"}},
		{adjust: withID(ObjectID(guid)),
			want: []string{"CredentialOptions.ID: ", "workload identity", "object ID", "ClientID"}},
		{adjust: withID(ResourceID(identityID)),
			want: []string{"CredentialOptions.ID: ", "workload identity", "resource ID", "ClientID"}},
		{adjust: withID(ClientID("")), want: []string{"CredentialOptions.ID: ", "empty"}},
		{adjust: func(o *CredentialOptions) { o.Transport = (*http.Client)(nil) },
			want: []string{"CredentialOptions.Transport: ", "nil"}},
		{pairs: []string{binding.EnvCAFile, "/pa55word"}, want: []string{binding.EnvProxy + ": ", binding.EnvCAFile}},
		{pairs: []string{binding.EnvCAData, noCertificate}, want: []string{binding.EnvProxy + ": ", binding.EnvCAData}},
		{pairs: []string{binding.EnvProxy, "https://10.0.0.1", binding.EnvCAFile, "/pa55word", binding.EnvCAData, "x"},
			want: []string{binding.EnvCAFile, binding.EnvCAData}},
	} {
		options := &CredentialOptions{}
		if tt.adjust != nil {
			tt.adjust(options)
		}
		notCreated(t, inPod(t, tt.pairs...), options, tt.want...)
	}
	for _, path := range []string{"/with a blank/token", "/größe/token", `C:\Program Files\token`} {
		credentialAt(t, inPod(t, envTokenFile, path), nil)
	}
}

// notCreated fails the test if the host, which is demanded, can be made, or its error may show a
// secret.
func notCreated(tb testing.TB, env environment, options *CredentialOptions, want ...string) {
	tb.Helper()
	options.Host = HostWorkloadIdentity
	cred, err := newCredential(options, env)
	wantErrorText(tb, err, want...)
	if err == nil || cred != nil || strings.Contains(err.Error(), "pa55word") ||
		strings.Contains(err.Error(), "eyJ") || len(err.Error()) > 500 {
		tb.Errorf("got a credential %v, or a value that may hold a secret, or is long: %v", cred, err)
	}
}

// TestAllowedTenantsAreChecked: on every host, because the program that names them may run on any.
func TestAllowedTenantsAreChecked(t *testing.T) {
	t.Parallel()
	for _, env := range []environment{inPod(t), nowhere(), appServiceAt()} {
		for _, tenant := range []string{"", "..", "a/b", "**", "* ", "eyJhbGciOiJub25lIn0.canary"} {
			options := &CredentialOptions{}
			allowing(otherTenant, tenant)(options)
			_, err := newCredential(options, env)
			wantErrorText(t, err, "CredentialOptions.AdditionallyAllowedTenants")
		}
		for _, tenants := range [][]string{
			{}, {"*"}, {otherTenant, "contoso.onmicrosoft.com", "*"}, {podTenant},
		} {
			credentialAt(t, env, nil, allowing(tenants...))
		}
	}
}

// TestAllowedTenantsAreCopied: what becomes of the caller's slice afterwards allows no other
// tenant.
func TestAllowedTenantsAreCopied(t *testing.T) {
	t.Parallel()
	tenants := []string{"contoso.example"}
	cred := credentialAt(t, inPod(t), &entraStub{}, allowing(tenants...))
	tenants[0] = otherTenant
	refuses(t, cred, policy.TokenRequestOptions{TenantID: otherTenant}, "AdditionallyAllowedTenants")
}

// TestWorkloadIdentityOfOptions: a ClientID is enough where the host is named, and comes before the
// variable. A tenant may be named by a domain.
func TestWorkloadIdentityOfOptions(t *testing.T) {
	t.Parallel()
	for _, variable := range []string{"", podClient, "not a client ID"} {
		entra := &entraStub{}
		env := inPod(t, envClientID, variable, envTenantID, "Contoso.onmicrosoft.com")
		mustToken(t, credentialAt(t, env, entra, func(o *CredentialOptions) {
			o.Host, o.ID = HostWorkloadIdentity, ClientID(otherClient)
		}))
		entra.wantField(t, "client_id", otherClient)
		if got, want := entra.got()[0].URL.Path, "/Contoso.onmicrosoft.com"+tokenPath; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// Tenants.

func TestWorkloadOwnTenant(t *testing.T) {
	bubble(t, func(t *testing.T) {
		entra := &entraStub{}
		cred := credentialAt(t, inPod(t), entra)
		first, _ := mustToken(t, cred)
		for _, tenant := range []string{podTenant, strings.ToUpper(podTenant), podTenant, ""} {
			if tk := askFor(t, cred, policy.TokenRequestOptions{TenantID: tenant}); tk != first {
				t.Errorf("%q: got %v, want the default's token", tenant, tk.Token)
			}
		}
		entra.wantField(t, "client_id", podClient)
	})
}

func TestWorkloadOtherTenants(t *testing.T) {
	const allow, malformed = "CredentialOptions.AdditionallyAllowedTenants", "TenantID"
	all, capitals := []string{"*"}, strings.ToUpper(otherTenant)
	for _, tt := range []struct {
		name    string
		allowed []string
		tenant  string
		refused string // where the reason is; "" for a token
	}{
		{name: "none is allowed", tenant: otherTenant, refused: allow},
		{name: "another is", allowed: []string{"a.example"}, tenant: otherTenant, refused: allow},
		{name: "a part of it is", allowed: []string{otherTenant[:8]}, tenant: otherTenant, refused: allow},
		{name: "its own alone is", allowed: []string{podTenant}, tenant: otherTenant, refused: allow},
		{name: "allowed", allowed: []string{otherTenant}, tenant: otherTenant},
		{name: "asked for in capitals", allowed: []string{otherTenant}, tenant: capitals},
		{name: "allowed in capitals", allowed: []string{capitals}, tenant: otherTenant},
		{name: "a domain", allowed: []string{"contoso.example"}, tenant: "Contoso.Example"},
		{name: "all are allowed", allowed: all, tenant: otherTenant},
		{name: "all, after others", allowed: []string{"a.example", "*"}, tenant: otherTenant},
		{name: "the star itself", allowed: all, tenant: "*", refused: malformed},
		{name: "a way up", allowed: all, tenant: "..", refused: malformed},
		{name: "a path below", allowed: all, tenant: otherTenant + "/evil", refused: malformed},
		{name: "a line feed, none allowed", tenant: "a\r\nb", refused: malformed},
		// the Kelvin sign, which folds to a letter of ASCII
		{name: "a letter", allowed: all, tenant: "contoso\u212aexample", refused: malformed},
	} {
		bubbleIn(t, tt.name, func(t *testing.T) {
			entra := &entraStub{}
			cred := credentialAt(t, inPod(t), entra, allowing(tt.allowed...))
			own, _ := mustToken(t, cred)
			options := policy.TokenRequestOptions{TenantID: tt.tenant}
			want := []string{podTokenURL}
			switch tt.refused {
			case allow:
				refuses(t, cred, options, allow, tt.tenant, podTenant)
			case malformed:
				refuses(t, cred, options, malformed)
			default:
				want = append(want, "https://login.microsoftonline.com/"+strings.ToLower(tt.tenant)+tokenPath)
				got := askFor(t, cred, options)
				again := askFor(t, cred, options)
				if now, _ := mustToken(t, cred); again != got || now != own || got.Token == own.Token {
					t.Error("the tokens of two tenants were mixed up, or the second call got another one")
				}
			}
			var got []string
			for _, p := range entra.got() {
				got = append(got, p.URL.String())
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("requests (-want +got):\n%s", diff)
			}
		})
	}
}

// TestWorkloadManyTenantsAtOnce: beyond the index's bound of 1,000 each call still gets its own
// tenant's token, from the cache, with and without EnableCAE.
func TestWorkloadManyTenantsAtOnce(t *testing.T) {
	t.Parallel()
	name := func(tenant string, cae bool) string { return tenant + strconv.FormatBool(cae) }
	entra := &entraStub{reply: func(_ int, p tokenPost) *http.Response {
		tenant := strings.TrimSuffix(p.URL.Path[1:], tokenPath)
		return respond(200, entraGrant(name(tenant, p.form.Has("claims")), time.Hour))
	}}
	cred := credentialAt(t, inPod(t), entra, allowing("*"))
	var wg sync.WaitGroup
	const n = 1100
	for i := range 2 * n {
		wg.Go(func() {
			tenant, cae := fmt.Sprintf("tenant-%d.example", i%n/2), i%2 == 0
			if tk := askFor(t, cred, policy.TokenRequestOptions{TenantID: tenant, EnableCAE: cae}); tk.Token !=
				name(tenant, cae) {
				t.Errorf("%s, EnableCAE %v: got %q", tenant, cae, tk.Token)
			}
		})
	}
	wg.Wait()
	if got := len(entra.got()); got != n {
		t.Errorf("%d requests for %d tenants with and without EnableCAE", got, n/2)
	}
}

// TestOtherHostsIgnoreTenants: a managed identity has one tenant, and Key Vault's clients always
// name the vault's.
func TestOtherHostsIgnoreTenants(t *testing.T) {
	everywhere(t, func(t *testing.T, p place) {
		if p.host == HostWorkloadIdentity {
			t.Skip("it has tenants")
		}
		s := p.open(t)
		cred := s.credential(t, allowing(otherTenant))
		first, _ := mustToken(t, cred)
		for _, tenant := range []string{otherTenant, podTenant, "contoso.example", "../not a tenant\n"} {
			if tk := askFor(t, cred, policy.TokenRequestOptions{TenantID: tenant}); tk != first {
				t.Errorf("TenantID %q got another token", tenant)
			}
		}
		if s.sent() != s.steps {
			t.Errorf("%d requests, want %d", s.sent(), s.steps)
		}
		time.Sleep(25 * time.Hour)
		askFor(t, cred, policy.TokenRequestOptions{TenantID: otherTenant})
		for _, r := range s.ep.Requests() {
			if sent := sentParts(t, r); strings.Contains(sent, otherTenant) {
				t.Errorf("the tenant was sent: %s", sent)
			}
		}
	})
}

// Errors.

func TestWorkloadRefusals(t *testing.T) {
	t.Parallel()
	const (
		cor  = "0a1b2c3d-1111-4222-8333-944455556666"
		rest = " (token for https://vault.azure.net, 1 attempt, 0s"
		app  = ": is client ID " + podClient + " an identity of tenant " + podTenant + "?"
		// FILE stands for the file's path.
		trust = ": has client ID " + podClient + " a federated credential with exactly this cluster's " +
			"issuer, this service account and the audience api://AzureADTokenExchange? The token in FILE " +
			`has sub "system:serviceaccount:default:workload". A new one works after some minutes`
		inCloud = ": does AZURE_TENANT_ID name a tenant of the cloud of login.microsoftonline.com?"
		scope   = ": is the scope a resource of this tenant and cloud?"
		blocked = ": client ID " + podClient + " has been disabled, or a Conditional Access policy for " +
			"workload identities blocks it: its sign-in log in the Entra admin center says which"
		nobody = rest + "): may this pod reach " + podTokenURL +
			", is HTTPS_PROXY right, and is that the cloud that AZURE_AUTHORITY_HOST should name?"
		prefix, stranger = "identity: workload identity: ", ": not an answer of Entra"
		noApp            = "AADSTS700016: Application not found."
	)
	id := ClientID(podClient)
	// sampled is what Entra says in a file of testdata/workload.
	sampled := func(file string, status int, code string, sentinel error, hint string) refusal {
		file = "workload/" + file + ".json"
		var body struct {
			Description string `json:"error_description"`
		}
		if err := json.Unmarshal([]byte(sampleOf(t, file)), &body); err != nil {
			t.Fatal(err)
		}
		message := strings.TrimSpace(body.Description[:strings.Index(body.Description, "Trace ID:")])
		if len(message) > 300 {
			message = message[:297] + "…"
		}
		text := fmt.Sprintf("%s%d %s %q%s, correlation ID %s)%s", prefix, status, code, message, rest, cor,
			hint)
		return refusal{name: file + " " + fmt.Sprint(status), status: status, body: file, id: id,
			text: text, sentinel: sentinel, code: code, message: message, id2: cor}
	}
	for _, tt := range []refusal{
		sampled("application-unknown", 400, "unauthorized_client", ErrIdentityNotFound, app),
		sampled("no-federated-credential", 400, "invalid_request", ErrIdentityNotFound, trust),
		sampled("issuer-unknown", 401, "invalid_client", ErrIdentityNotFound, trust),
		sampled("audience-unknown", 401, "invalid_client", ErrIdentityNotFound, trust),
		sampled("subject-unknown", 401, "invalid_client", ErrIdentityNotFound, trust),
		sampled("tenant-unknown", 400, "invalid_request", nil, inCloud),
		sampled("tenant-malformed", 400, "invalid_request", nil, inCloud),
		sampled("resource-unknown", 400, "invalid_resource", nil, scope),
		sampled("scope-invalid", 400, "invalid_scope", nil, scope),
		sampled("conditional-access", 403, "access_denied", nil, blocked),
		sampled("throttled", 429, "temporarily_unavailable", ErrThrottled, ""),
		sampled("unavailable", 503, "temporarily_unavailable", nil, ""),
		// Entra's number decides, whatever status something on the way has made of it.
		sampled("application-unknown", 503, "unauthorized_client", ErrIdentityNotFound, app),
		{name: "number in the list only", status: 400, id: id, body: `{"error":"unauthorized_client",` +
			`"error_description":"Application not found.","error_codes":[700016],"correlation_id":"` +
			cor + `"}`,
			text: prefix + `400 unauthorized_client "` + noApp + `"` + rest + ", correlation ID " + cor +
				")" + app,
			sentinel: ErrIdentityNotFound, code: "unauthorized_client", message: noApp, id2: cor},
		{name: "no description", status: 400, body: `{"error":"invalid_request"}`, id: id,
			header: []string{"X-Ms-Request-Id", cor}, code: "invalid_request", id2: cor,
			text: prefix + "400 invalid_request" + rest + ", correlation ID " + cor + ")"},
		{name: "a proxy's 407", status: 407, body: "<html>Authentication Required</html>", id: id,
			text:    prefix + `407 "<html>Authentication Required</html>"` + stranger + nobody,
			message: "<html>Authentication Required</html>"},
		{name: "a portal's success", status: 200, body: "<html>Sign in</html>", id: id,
			text: prefix + "200" + stranger + nobody},
		{name: "a redirect", status: 307, header: []string{"Location", "https://portal.example/"}, id: id,
			text: prefix + "307" + stranger + " but a redirect, which is not followed" + nobody},
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
	for name, body := range map[string]string{
		"application unknown": entraRefusal("unauthorized_client", 700016, "Application was not found."),
		"tenant unknown":      entraRefusal("invalid_request", 90002, "Tenant not found."),
		"silence":             "<html>",
	} {
		bubbleIn(t, name, func(t *testing.T) {
			cred := credentialAt(t, inPod(t), always(400, body), once, allowing("*"))
			_, err := cred.GetToken(t.Context(),
				policy.TokenRequestOptions{Scopes: []string{vaultScope}, TenantID: otherTenant})
			wantErrorText(t, err, otherTenant)
			if err != nil && (strings.Contains(err.Error(), podTenant) ||
				strings.Contains(err.Error(), envTenantID)) {
				t.Errorf("the hint is about the pod's own tenant, which was not asked: %v", err)
			}
		})
	}
}

// TestWorkloadForeignAnswers: what isn't Entra's says nothing of the identity, nor that Entra was
// ever reached. It may be a proxy that is coming up, and a person needs to know what could not be
// reached, and through what.
func TestWorkloadForeignAnswers(t *testing.T) {
	replies := map[string]transportFunc{
		"a proxy's 403 page":    always(403, "<html>Forbidden</html>"),
		"a proxy's 407 page":    always(407, "<html>Who?</html>", "Proxy-Authenticate", "Basic"),
		"a proxy's 500":         always(500, "<html>", "Server", "squid"),
		"a proxy's 504":         always(504, "<html>", "Server", "squid"),
		"an error that is null": always(400, `{"error":null}`),
		"certificate of a proxy": func(*http.Request) (*http.Response, error) {
			return nil, errors.New("tls: failed to verify certificate: x509: unknown authority")
		},
	}
	for _, f := range foreign {
		replies[f.name] = f.reply
	}
	for name, reply := range replies {
		bubbleIn(t, name, func(t *testing.T) {
			cred := credentialAt(t, inPod(t), reply)
			e, took := mustFail(t, cred)
			if took < 20*time.Second || took > 30*time.Second || e.Attempts < 6 ||
				cred.hosted.node.Answered() {
				t.Errorf("%d attempts in %v, want many in 20 to 30 s: %v", e.Attempts, took, e)
			}
			wantErrorText(t, e, podTokenURL, "HTTPS_PROXY", envAuthorityHost, "attempts, ")
			for _, sentinel := range []error{ErrUnavailable, ErrIdentityNotFound, ErrThrottled} {
				if errors.Is(e, sentinel) {
					t.Errorf("a stranger's answer is taken for %v: %v", sentinel, e)
				}
			}
			answered := false // now after Entra has answered
			cred = credentialAt(t, inPod(t), transportFunc(func(r *http.Request) (*http.Response, error) {
				if !answered {
					answered = true
					return respond(200, entraGrant("t", time.Hour)), nil
				}
				return reply(r)
			}))
			mustToken(t, cred)
			start := time.Now()
			wantErrorText(t, anotherToken(cred), "https://another.example")
			if took := time.Since(start); took < 20*time.Second || took > 30*time.Second {
				t.Errorf("error after %v, want 20 to 30 s", took)
			}
		})
	}
}

// TestWorkloadWithoutAWord: what stands before Entra may throttle or fail with an empty body, and
// its wish is heeded.
func TestWorkloadWithoutAWord(t *testing.T) {
	for _, status := range []int{429, 503} {
		for _, body := range []string{"", " \n", "<html>Our services aren't available right now"} {
			for _, id := range []string{"", "r"} {
				header := []string{"Retry-After", "9", "X-Ms-Request-Id", id}
				if id == "" {
					header = header[:2]
				}
				bubbleIn(t, fmt.Sprintf("%d %.9q %s", status, body, id), func(t *testing.T) {
					entra := &entraStub{reply: firstly(status, body, header...)}
					if _, took := mustToken(t, credentialAt(t, inPod(t), entra)); took < 9*time.Second ||
						took > 10*time.Second {
						t.Errorf("a token after %v, want Retry-After heeded", took)
					}
					if body != "" || status != 429 {
						return
					}
					e, _ := mustFail(t, credentialAt(t, inPod(t), always(429, "", header[2:]...)))
					if !errors.Is(e, ErrThrottled) || e.CorrelationID != id {
						t.Errorf("got %v, want ErrThrottled with the request's ID", e)
					}
				})
			}
		}
	}
}

// TestWorkloadRequestsAtOnce: Entra isn't a node's endpoint, whose limit of 5 would make resources
// wait for each other.
func TestWorkloadRequestsAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		entra := &entraStub{reply: func(int, tokenPost) *http.Response { time.Sleep(time.Second); return nil }}
		cred := credentialAt(t, inPod(t), entra)
		var wg sync.WaitGroup
		start := time.Now()
		for _, scope := range scopesOf(120) {
			wg.Go(func() { askFor(t, cred, policy.TokenRequestOptions{Scopes: []string{scope}}) })
		}
		wg.Wait()
		most := 0
		for i, p := range entra.got() {
			if p.at.Equal(start) {
				most = i + 1
			}
		}
		if took := time.Since(start); most != 50 || took != 3*time.Second {
			t.Errorf("%d requests at once, all done after %v, want 50 and 3 s", most, took)
		}
	})
}

// TestHalfAPod: a token file is never left unused without a word, since any other host has another
// identity.
func TestHalfAPod(t *testing.T) {
	file := []string{envTokenFile, "/var/run/secrets/azure/tokens/azure-identity-token"}
	tenant := append([]string{envTenantID, podTenant}, file...)
	all := append([]string{envClientID, podClient}, tenant...)
	app := []string{envEndpoint, "http://localhost:4141/msi/token", envHeader, "h"}
	const imds = "HostIMDS"
	client := CredentialOptions{ID: ClientID(guid)}
	demanded := CredentialOptions{Host: HostWorkloadIdentity}
	for _, tt := range []struct {
		name      string
		variables []string
		options   CredentialOptions
		host      Host
		want      []string // in the error, if there is no host
	}{
		{name: "all", variables: all, host: HostWorkloadIdentity},
		{name: "the ID is an option", variables: tenant, options: client, host: HostWorkloadIdentity},
		{name: "no client", variables: tenant, want: []string{"AZURE_CLIENT_ID: is empty",
			"CredentialOptions.ID", "but AZURE_CLIENT_ID is not", imds}},
		{name: "no tenant", variables: append([]string{envClientID, podClient}, file...),
			want: []string{"AZURE_TENANT_ID: is empty", "but AZURE_TENANT_ID is not", imds}},
		{name: "no tenant, the ID in the options", variables: file, options: client,
			want: []string{"AZURE_TENANT_ID: is empty", imds}},
		{name: "the file alone", variables: file,
			want: []string{"but AZURE_CLIENT_ID and AZURE_TENANT_ID are not", imds}},
		{name: "an object ID", variables: tenant, options: CredentialOptions{ID: ObjectID(guid)},
			want: []string{"CredentialOptions.ID", "object ID", imds}},
		{name: "a resource ID", variables: all, options: CredentialOptions{ID: ResourceID(identityID)},
			want: []string{"CredentialOptions.ID", "resource ID", imds}},
		{name: "on App Service", variables: append(file, app...),
			want: []string{"AZURE_CLIENT_ID: is empty", imds}},
		{name: "on App Service, all", variables: append(all, app...), host: HostWorkloadIdentity},
		{name: "no file", variables: []string{envClientID, podClient, envTenantID, podTenant},
			host: HostIMDS},
		{name: "no file on App Service", host: HostAppService,
			variables: append([]string{envClientID, podClient, envTenantID, podTenant}, app...)},
		{name: "IMDS on purpose", variables: file, options: CredentialOptions{Host: HostIMDS},
			host: HostIMDS},
		{name: "App Service on purpose", variables: append(file, app...),
			options: CredentialOptions{Host: HostAppService}, host: HostAppService},
		{name: "workload identity on purpose", variables: file, options: demanded,
			want: []string{`CredentialOptions.Host is "workloadidentity": AZURE_CLIENT_ID: is empty`}},
		{name: "workload identity on purpose, the ID in the options", variables: tenant,
			options: CredentialOptions{Host: HostWorkloadIdentity, ID: ClientID(guid)},
			host:    HostWorkloadIdentity},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			env := nowhere().with(tt.variables...)
			cred, err := newCredential(&tt.options, env)
			d := detectIn(env)
			switch {
			case tt.want != nil:
				wantErrorText(t, err, tt.want...)
				if tt.options.Host == "" && (d.Host != HostWorkloadIdentity ||
					!strings.Contains(d.Reason, envTokenFile)) {
					t.Errorf("Detect says %+v, the constructor %v", d, err)
				}
			case err != nil:
				t.Error(err)
			case cred.Host() != tt.host || tt.options.Host == "" && d.Host != tt.host ||
				tt.host == HostWorkloadIdentity && cred.hosted.host.Endpoint() != podTokenURL:
				t.Errorf("asked is %s at %s, detected %s, want %s", cred.Host(),
					cred.hosted.host.Endpoint(), d.Host, tt.host)
			}
			if tt.options.Host == "" && tt.options.ID == nil {
				checkDefaultInHalfAPod(t, env, tt.want == nil)
			}
		})
	}
}

func checkDefaultInHalfAPod(t *testing.T, env environment, whole bool) {
	t.Helper()
	chain, err := newDefaultCredential(newShared(), nil, env)
	if whole {
		if err != nil {
			t.Errorf("default credential: %v", err)
		}
		return
	}
	wantErrorText(t, err, envTokenFile+" is set, but ",
		"AZURE_TOKEN_CREDENTIALS=ManagedIdentityCredential")
	if chain != nil || strings.Contains(err.Error(), "DefaultCredentialOptions.Host") {
		t.Errorf("default credential: %v", err)
	}
	env = env.with(envTokenCredentials, "ManagedIdentityCredential")
	if _, err := newDefaultCredential(newShared(), nil, env); err != nil {
		t.Errorf("as the message advises: %v", err)
	}
}

// TestProofsTellTokensApart: a credential whose proof differs doesn't get another's token from the
// cache.
func TestProofsTellTokensApart(t *testing.T) {
	t.Parallel()
	ca, other := string(newCertifier(t).pem), string(newCertifier(t).pem)
	pod := inPod(t)
	bound := pod.with(binding.EnvProxy, "https://10.0.0.1")
	app := appServiceAt()
	fabric := nowhere().with(envEndpoint, "https://localhost:2377/metadata/identity/oauth2/token",
		envHeader, "h", envThumbprint, strings.Repeat("a", 40))
	ml := nowhere().with(envMSI, "http://localhost:1/", envMSISecret, "s")
	windows := nowhere().with(envEndpoint, "http://10.0.0.2:2377/", envHeader, "h", envThumbprint, "t")
	for _, tt := range []struct {
		env             environment
		variable, value string // what differs in the second credential; "" for nothing
	}{
		{env: pod},
		{pod, envTokenFile, "/another"},
		{pod, envTenantID, otherTenant},
		{pod, envClientID, otherTenant},
		{pod, envAuthorityHost, "https://login.microsoftonline.us"},
		{pod, envAuthorityHost, "https://login.microsoftonline.com/x"},
		{pod, binding.EnvProxy, "https://10.0.0.1"},
		{bound, binding.EnvProxy, "https://10.0.0.2"},
		{bound, binding.EnvSNIName, "a.example"},
		{bound, binding.EnvCAFile, "/ca"},
		{bound.with(binding.EnvCAFile, "/ca"), binding.EnvCAFile, "/other"},
		{bound.with(binding.EnvCAData, ca), binding.EnvCAData, other},
		{env: bound.with(binding.EnvCAData, ca)},
		{app, envHeader, "another"},
		{env: app},
		{fabric, envHeader, "another"},
		{fabric, envThumbprint, strings.Repeat("b", 40)},
		{ml, envMSISecret, "another"},
		{ml, envDefaultClientID, guid},
		{windows, envHeader, "another"},
	} {
		shared := newShared()
		var keys []string
		for _, env := range []environment{tt.env, tt.env.with(tt.variable, tt.value)} {
			cred, err := newCredentialIn(shared, &CredentialOptions{}, env)
			if err != nil {
				t.Fatal(err)
			}
			key := cacheKey(cred.hosted.host)
			keys = append(keys, key)
			if shown := fmt.Sprintf("%+v", cred); strings.Contains(shown, "another") ||
				strings.Contains(key, "BEGIN") {
				t.Errorf("%s is in what is printed of the credential: %s", tt.variable, shown)
			}
		}
		if (keys[0] != keys[1]) != (tt.variable != "") {
			t.Errorf("%s: keys are %q, want them to differ where the variables do", tt.variable, keys)
		}
	}
}

// TestTwoTokenFiles: two service accounts, one identity; Entra refuses the second. See
// crossplane-contrib/upjet-azure#1030.
func TestTwoTokenFiles(t *testing.T) {
	bubble(t, func(t *testing.T) {
		entra := &entraStub{reply: func(_ int, p tokenPost) *http.Response {
			if p.form.Get("client_assertion") == "second" {
				return respond(401, entraRefusal("invalid_client", 700212, "No matching record found."))
			}
			return nil
		}}
		shared, first := newShared(), assertionFile(t, "first")
		in := func(file string) *Credential {
			cred, err := newCredentialIn(shared,
				&CredentialOptions{ClientOptions: optionsWith(entra)}, inPod(t, envTokenFile, file))
			if err != nil {
				t.Fatal(err)
			}
			return cred
		}
		mustToken(t, in(first))
		mustToken(t, in(first))
		if e, _ := mustFail(t, in(assertionFile(t, "second"))); !errors.Is(e, ErrIdentityNotFound) {
			t.Errorf("got %v, want Entra's refusal", e)
		}
		entra.wantField(t, "client_assertion", "first", "second")
		if nodes := len(shared.nodes); nodes != 1 {
			t.Errorf("%d limits of requests at once for one Entra, want 1", nodes)
		}
	})
}

// Claims.

// TestWorkloadRefusesClaims: FuzzWithCapability has more that are none.
func TestWorkloadRefusesClaims(t *testing.T) {
	t.Parallel()
	entra := &entraStub{}
	cred := credentialAt(t, inPod(t), entra)
	for _, claims := range []string{" ", "null", "[]", "{} {}", cp1[1:], `{"access_token":"CANARY"}`, canary} {
		for _, cae := range []bool{false, true} {
			options := policy.TokenRequestOptions{Scopes: []string{vaultScope}, Claims: claims, EnableCAE: cae}
			refuses(t, cred, options, "Claims: ")
			if _, err := cred.GetToken(t.Context(), options); strings.Contains(err.Error(), canary) {
				t.Errorf("%q are shown: %v", claims, err)
			}
		}
	}
	entra.wantField(t, "claims")
}

// TestWorkloadChallengesAreLimited: to one request in 30 s and tenant.
func TestWorkloadChallengesAreLimited(t *testing.T) {
	bubble(t, func(t *testing.T) {
		entra := &entraStub{}
		var log bytes.Buffer
		cred := credentialAt(t, inPod(t), entra, allowing(otherTenant), func(o *CredentialOptions) {
			o.Logger = slog.New(slog.NewTextHandler(&log, nil))
		})
		ordinary := policy.TokenRequestOptions{EnableCAE: true}
		challenge := policy.TokenRequestOptions{EnableCAE: true,
			Claims: `{"access_token":{"nbf":{"essential":true,"value":"1"}}}`}
		elsewhere := challenge
		elsewhere.TenantID = otherTenant
		ask := func(options policy.TokenRequestOptions, want string) {
			t.Helper()
			if got := askFor(t, cred, options).Token; got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		}
		ask(ordinary, "token-1")
		ask(challenge, "token-2")
		synctest.Wait()
		if text := log.String(); !strings.Contains(text, "after a claims challenge") ||
			strings.Contains(text, "takes no claims") || strings.Contains(text, "nbf") {
			t.Errorf("the log says:\n%s", text)
		}
		ask(ordinary, "token-2")
		for range 100 {
			ask(challenge, "token-2")
			time.Sleep(290 * time.Millisecond)
		}
		ask(elsewhere, "token-3")
		time.Sleep(2 * time.Second)
		ask(challenge, "token-4")
		time.Sleep(2 * time.Hour)
		ask(ordinary, "token-5")
		const merged = `{"access_token":{"nbf":{"essential":true,"value":"1"},"xms_cc":{"values":["CP1"]}}}`
		entra.wantField(t, "claims", cp1, merged, merged, merged, cp1)
	})
}

// TestWorkloadKeepsCapabilitiesApart: a client that can't answer a challenge must not get a token
// that can be challenged. Ready fetches the one that Azure SDK clients ask for.
func TestWorkloadKeepsCapabilitiesApart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		entra := &entraStub{}
		cred := credentialAt(t, inPod(t), entra)
		if err := cred.Ready(t.Context(), vaultScope); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			for i, cae := range []bool{true, false} {
				tk := askFor(t, cred, policy.TokenRequestOptions{EnableCAE: cae})
				if want := fmt.Sprint("token-", i+1); tk.Token != want {
					t.Errorf("EnableCAE %v got %s, want %s", cae, tk.Token, want)
				}
			}
		}
		entra.wantField(t, "claims", cp1, "")
	})
}

package identity

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/keyless-go/identity/identitytest"
)

// msiEndpoint is the endpoint of Azure ML and legacy App Service in tests of the request itself.
const msiEndpoint = "http://127.0.0.1:41001/MSI/token"

// msiEnvironment is that of Azure ML or legacy App Service, with further variables as pairs.
func msiEnvironment(pairs ...string) environment {
	variables := map[string]string{"MSI_ENDPOINT": msiEndpoint, "MSI_SECRET": "the-secret"}
	for i := 0; i+1 < len(pairs); i += 2 {
		variables[pairs[i]] = pairs[i+1]
	}
	return environmentOf(variables)
}

// checkSecretHeader checks that the secret is in one header, as it is, and nowhere else.
func checkSecretHeader(tb testing.TB, r *http.Request, name string) {
	tb.Helper()
	if diff := cmp.Diff([]string{"the-secret"}, r.Header[name]); diff != "" {
		tb.Errorf("%s header (-want +got):\n%s", name, diff)
	}
	for other, values := range r.Header {
		if other != name && strings.Contains(strings.Join(values, "\n"), "the-secret") {
			tb.Errorf("the secret is in the %s header, too", other)
		}
	}
	if strings.Contains(r.URL.String(), "the-secret") {
		tb.Error("the secret is in the URL, too")
	}
}

// TestAzureMLRequests: a client ID is always named, where there is one to name.
func TestAzureMLRequests(t *testing.T) {
	t.Parallel()
	const (
		vault   = "https://vault.azure.net"
		another = "99999999-2222-3333-4444-555555555555"
	)
	for _, tt := range []struct {
		name string
		env  environment
		id   ID
		want url.Values // by hand: what the golden file says must be this
	}{
		{"azureml/default-identity", msiEnvironment("DEFAULT_IDENTITY_CLIENT_ID", another), nil,
			url.Values{"api-version": {"2017-09-01"}, "resource": {vault}, "clientid": {another}}},
		{"azureml/no-default-identity", msiEnvironment("DEFAULT_IDENTITY_CLIENT_ID", ""), nil,
			url.Values{"api-version": {"2017-09-01"}, "resource": {vault}}},
		// a placeholder
		{"azureml/no-default-identity", msiEnvironment("DEFAULT_IDENTITY_CLIENT_ID", "clientid"), nil,
			url.Values{"api-version": {"2017-09-01"}, "resource": {vault}}},
		{"azureml/no-default-identity", msiEnvironment("DEFAULT_IDENTITY_CLIENT_ID", another[1:]), nil,
			url.Values{"api-version": {"2017-09-01"}, "resource": {vault}}},
		{"azureml/client-id", msiEnvironment("DEFAULT_IDENTITY_CLIENT_ID", another), ClientID(guid),
			url.Values{"api-version": {"2017-09-01"}, "resource": {vault}, "clientid": {guid}}},
		{"azureml/client-id-without-default", msiEnvironment(), ClientID(guid),
			url.Values{"api-version": {"2017-09-01"}, "resource": {vault}, "clientid": {guid}}},
		{"appservice2017/system", msiEnvironment(), nil,
			url.Values{"api-version": {"2017-09-01"}, "resource": {vault}}},
		{"appservice2017/client-id", msiEnvironment(), ClientID(guid),
			url.Values{"api-version": {"2017-09-01"}, "resource": {vault}, "clientid": {guid}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := sentBy(t, tt.env, tt.id)
			checkQuery(t, r, tt.want)
			if r.Method != "GET" || r.URL.Scheme+"://"+r.URL.Host+r.URL.Path != msiEndpoint {
				t.Errorf("request is %s %s", r.Method, r.URL)
			}
			checkSecretHeader(t, r, "Secret")
			if got := r.Header.Get("Metadata"); got != "true" {
				t.Errorf("Metadata is %q, want true", got)
			}
			if got := r.Header.Get("X-Identity-Header"); got != "" {
				t.Errorf("X-IDENTITY-HEADER is %q, which is that of api-version 2019-08-01", got)
			}
			got := wireFormat(r, "the-secret")
			if strings.Contains(got, "the-secret") || !strings.Contains(got, "Secret: REDACTED\n") {
				t.Errorf("golden text is off:\n%s", got)
			}
			compareGolden(t, tt.name+".golden", got)
		})
	}
}

// TestAutomationRequests: Automation shares App Service's protocol, and wants Metadata: true beside
// the secret. Its hybrid workers had the variables of legacy App Service until October 2021.
//
// https://learn.microsoft.com/azure/automation/enable-managed-identity-for-automation
func TestAutomationRequests(t *testing.T) {
	t.Parallel()
	const vault, endpoint = "https://vault.azure.net", "http://127.0.0.1:8082/oauth2/token"
	today := environmentOf(map[string]string{"IDENTITY_ENDPOINT": endpoint,
		"IDENTITY_HEADER": "the-secret"})
	until2021 := environmentOf(map[string]string{"MSI_ENDPOINT": endpoint, "MSI_SECRET": "the-secret"})
	for _, tt := range []struct {
		name   string
		env    environment
		id     ID
		header string // that has the secret
		want   url.Values
	}{
		{"system", today, nil, "X-Identity-Header",
			url.Values{"api-version": {"2019-08-01"}, "resource": {vault}}},
		{"client-id", today, ClientID(guid), "X-Identity-Header",
			url.Values{"api-version": {"2019-08-01"}, "resource": {vault}, "client_id": {guid}}},
		{"hybrid-worker-2021", until2021, nil, "Secret",
			url.Values{"api-version": {"2017-09-01"}, "resource": {vault}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := sentBy(t, tt.env, tt.id)
			checkQuery(t, r, tt.want)
			checkSecretHeader(t, r, tt.header)
			if diff := cmp.Diff([]string{"true"}, r.Header["Metadata"]); diff != "" {
				t.Errorf("Metadata header (-want +got):\n%s", diff)
			}
			if r.Header.Get("X-Forwarded-For") != "" {
				t.Error("Automation refuses X-Forwarded-For")
			}
			if r.Method != "GET" || r.URL.Scheme+"://"+r.URL.Host+r.URL.Path != endpoint {
				t.Errorf("request is %s %s", r.Method, r.URL)
			}
			compareGolden(t, "automation/"+tt.name+".golden", wireFormat(r, "the-secret"))
		})
	}
}

// TestAzureMLEndpointForms: nothing of what the platform wrote may be lost, and nothing in it
// selects an identity.
func TestAzureMLEndpointForms(t *testing.T) {
	t.Parallel()
	const query = "api-version=2017-09-01&resource=https%3A%2F%2Fvault.azure.net"
	for _, tt := range []struct{ name, endpoint, want string }{
		{"Azure ML", "http://127.0.0.1:46808/MSI/auth", "http://127.0.0.1:46808/MSI/auth?" + query},
		{"legacy App Service", "http://127.0.0.1:41001/MSI/token/",
			"http://127.0.0.1:41001/MSI/token/?" + query},
		{"no path", "http://localhost:4141", "http://localhost:4141?" + query},
		{"IPv6", "http://[::1]:4141/MSI/token", "http://[::1]:4141/MSI/token?" + query},
		{"escaped path", "http://localhost/a%2Fb/token", "http://localhost/a%2Fb/token?" + query},
		{"its own query", "http://localhost/token?app=1",
			"http://localhost/token?api-version=2017-09-01&app=1&resource=https%3A%2F%2Fvault.azure.net"},
		{"its own api-version", "http://localhost/token?api-version=2019-08-01",
			"http://localhost/token?" + query},
		{"its own resource", "http://localhost/token?resource=https%3A%2F%2Felsewhere",
			"http://localhost/token?" + query},
		{"selectors", "http://localhost/token?clientid=a&client_id=b&object_id=c&principal_id=d&mi_res_id=e&msi_res_id=f", "http://localhost/token?" + query},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := sentBy(t, environmentOf(map[string]string{"MSI_ENDPOINT": tt.endpoint, "MSI_SECRET": "s"}),
				nil)
			if got := r.URL.String(); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

// TestSelectorsThatAHostCannotServe: another identity's token would come back, so the constructor
// refuses, says which host it is, which kind of ID, and what to give instead. No request is needed
// to find out.
func TestSelectorsThatAHostCannotServe(t *testing.T) {
	t.Parallel()
	cloudShell := environmentOf(map[string]string{"MSI_ENDPOINT": "http://localhost:50342/oauth2/token"})
	serviceFabric := environmentOf(map[string]string{
		"IDENTITY_ENDPOINT":          "https://localhost:2377/metadata/identity/oauth2/token",
		"IDENTITY_HEADER":            "the-secret",
		"IDENTITY_SERVER_THUMBPRINT": "0123456789ABCDEF0123456789abcdef01234567",
	})
	workload := environmentOf(map[string]string{
		"AZURE_CLIENT_ID": guid, "AZURE_TENANT_ID": guid,
		"AZURE_FEDERATED_TOKEN_FILE": "/var/run/secrets/azure/tokens/azure-identity-token",
	})
	const field = "CredentialOptions.ID: "
	for _, tt := range []struct {
		name string
		host Host
		env  environment
		id   ID
		want []string // in the error; nil for none
	}{
		{"Azure ML, client ID", HostAzureML, msiEnvironment("DEFAULT_IDENTITY_CLIENT_ID", guid),
			ClientID(guid), nil},
		{"Azure ML, object ID", HostAzureML, msiEnvironment("DEFAULT_IDENTITY_CLIENT_ID", guid),
			ObjectID(guid), []string{field, "Azure ML", "by object ID", "ClientID"}},
		{"Azure ML, resource ID", HostAzureML, msiEnvironment("DEFAULT_IDENTITY_CLIENT_ID", guid),
			ResourceID(identityID), []string{field, "Azure ML", "by resource ID", "ClientID"}},
		{"legacy App Service, object ID", HostAzureML, msiEnvironment(), ObjectID(guid),
			[]string{field, "legacy App Service", "by object ID", "ClientID"}},
		{"legacy App Service, resource ID", HostAzureML, msiEnvironment(), ResourceID(identityID),
			[]string{field, "legacy App Service", "by resource ID", "ClientID"}},
		{"Cloud Shell, client ID", HostCloudShell, cloudShell, ClientID(guid),
			[]string{field, "Cloud Shell", "by client ID", "leave ID nil"}},
		{"Cloud Shell, object ID", HostCloudShell, cloudShell, ObjectID(guid),
			[]string{field, "Cloud Shell", "by object ID", "leave ID nil"}},
		{"Cloud Shell, resource ID", HostCloudShell, cloudShell, ResourceID(identityID),
			[]string{field, "Cloud Shell", "by resource ID", "leave ID nil"}},
		{"Service Fabric, client ID", HostServiceFabric, serviceFabric, ClientID(guid),
			[]string{field, "Service Fabric", "by client ID", "manifest", "leave ID nil"}},
		{"Service Fabric, object ID", HostServiceFabric, serviceFabric, ObjectID(guid),
			[]string{field, "Service Fabric", "by object ID", "manifest", "leave ID nil"}},
		{"Service Fabric, resource ID", HostServiceFabric, serviceFabric, ResourceID(identityID),
			[]string{field, "Service Fabric", "by resource ID", "manifest", "leave ID nil"}},
		{"Container Instances, client ID", HostContainerInstances, inGroup(groupEndpoint), ClientID(guid),
			[]string{field, "Container Instances on Windows", "by client ID", "principal ID", "ObjectID"}},
		{"Container Instances, object ID", HostContainerInstances, inGroup(groupEndpoint), ObjectID(guid),
			nil},
		{"Container Instances, resource ID", HostContainerInstances, inGroup(groupEndpoint),
			ResourceID(identityID), []string{field, "Container Instances on Windows", "by resource ID",
				"principal ID", "ObjectID"}},
		{"workload identity, client ID", HostWorkloadIdentity, workload, ClientID(guid), nil},
		{"workload identity, object ID", HostWorkloadIdentity, workload, ObjectID(guid),
			[]string{field, "workload identity", "by object ID", "ClientID", "AZURE_CLIENT_ID"}},
		{"workload identity, resource ID", HostWorkloadIdentity, workload, ResourceID(identityID),
			[]string{field, "workload identity", "by resource ID", "ClientID", "AZURE_CLIENT_ID"}},
		{"App Service, object ID", HostAppService, appServiceAt(), ObjectID(guid), nil},
		{"IMDS, resource ID", HostIMDS, nowhere(), ResourceID(identityID), nil},
		{"Arc, object ID", HostArc,
			environmentOf(map[string]string{"IDENTITY_ENDPOINT": "http://localhost:40342/x",
				"IMDS_ENDPOINT": "http://localhost:40342"}), ObjectID(guid), nil},
	} {
		for _, host := range []Host{"", tt.host} { // detected, and demanded
			t.Run(fmt.Sprintf("%s, Host %q", tt.name, host), func(t *testing.T) {
				t.Parallel()
				cred, err := newCredential(&CredentialOptions{Host: host, ID: tt.id}, tt.env)
				if tt.want == nil {
					if err != nil {
						t.Fatal(err)
					}
					if got := cred.Host(); got != tt.host {
						t.Errorf("Host() is %q, want %q", got, tt.host)
					}
					return
				}
				wantErrorText(t, err, tt.want...)
				if cred != nil {
					t.Error("a credential came back beside the error")
				}
				if err != nil && strings.Contains(err.Error(), "the-secret") {
					t.Errorf("error repeats the secret: %v", err)
				}
			})
		}
	}
}

// malformedEndpoints are values that no variable should have. What looks like a password must not
// be repeated.
var malformedEndpoints = []struct{ name, value string }{
	{"other scheme", "ftp://localhost/"},
	{"no scheme", "localhost:4141/msi/token"},
	{"a word", "pa55word"},
	{"user info", "http://user:pa55word@localhost/"},
	{"user name", "http://pa55word@localhost/"},
	{"no host", "http:///msi/token"},
	{"no host but a port", "http://:4141/msi/token"},
	{"blank", " "},
	{"blank around", " http://localhost/ "},
	{"blank inside", "http://local host/"},
	{"line feed at the end", "http://localhost/\n"},
	{"header injection", "http://localhost/\r\nX-Evil: pa55word"},
	{"NUL", "http://localhost/\x00"},
	{"port 0", "http://localhost:0/"},
	{"port 65536", "http://localhost:65536/"},
	{"fragment", "http://localhost/#pa55word"},
	{"bad escape", "http://localhost/%zz"},
	{"open bracket", "http://[::1/"},
	{"user info with a bad escape", "http://user:pa55word%zz@localhost/"},
}

func TestMalformedMSIVariables(t *testing.T) {
	t.Parallel()
	refuse := func(t *testing.T, variables map[string]string, variable string) {
		t.Helper()
		cred, err := newCredential(nil, environmentOf(variables))
		wantErrorText(t, err, "identity: "+variable+": ")
		if cred != nil {
			t.Error("a credential came back beside the error")
		}
		if err != nil && (strings.Contains(err.Error(), "pa55word") ||
			strings.Contains(err.Error(), canary)) {
			t.Errorf("error repeats a secret: %v", err)
		}
	}
	for _, tt := range malformedEndpoints {
		t.Run("endpoint of Azure ML, "+tt.name, func(t *testing.T) {
			t.Parallel()
			refuse(t, map[string]string{"MSI_ENDPOINT": tt.value, "MSI_SECRET": canary}, "MSI_ENDPOINT")
		})
		t.Run("endpoint of Cloud Shell, "+tt.name, func(t *testing.T) {
			t.Parallel()
			refuse(t, map[string]string{"MSI_ENDPOINT": tt.value}, "MSI_ENDPOINT")
		})
	}
	for _, tt := range []struct{ name, value string }{
		{"line feed", "pa55word\n"},
		{"injection", "pa55word\r\nX-Evil: 1"},
		{"NUL", "pa55word\x00"},
		{"DEL", "pa55word\x7f"},
		{"tab", "pa55\tword"},
		{"C1 control", "pa55word\u0085"},
	} {
		t.Run("secret, "+tt.name, func(t *testing.T) {
			t.Parallel()
			refuse(t, map[string]string{"MSI_ENDPOINT": msiEndpoint, "MSI_SECRET": tt.value}, "MSI_SECRET")
		})
	}
	for _, tt := range []struct{ name, value string }{
		{"blank", " "},
		{"blank inside", guid + " " + guid},
		{"line feed", guid + "\n"},
		{"NUL", guid + "\x00"},
		{"no UTF-8", guid + "\xff"},
		{"a novel", strings.Repeat("x", 1025)},
	} {
		t.Run("default client ID, "+tt.name, func(t *testing.T) {
			t.Parallel()
			variables := map[string]string{"MSI_ENDPOINT": msiEndpoint, "MSI_SECRET": canary,
				"DEFAULT_IDENTITY_CLIENT_ID": tt.value}
			refuse(t, variables, "DEFAULT_IDENTITY_CLIENT_ID")
			if _, err := newCredential(&CredentialOptions{ID: ClientID(guid)},
				environmentOf(variables)); err != nil {
				t.Errorf("with an ID the variable is not needed, but: %v", err)
			}
		})
	}
}

// TestLegacyAppServiceDates: expires_on of api-version 2017-09-01 is a date in words, of which each
// kind of plan, and each version of .NET, has had its own. All are in UTC unless they say
// otherwise.
func TestLegacyAppServiceDates(t *testing.T) {
	for _, tt := range []struct{ name, expiresOn, want string }{
		// As they were seen.
		{"Windows plans", `"1/16/2020 5:24:12 AM +00:00"`, "2020-01-16T05:24:12Z"},
		{"Linux plans", `"06/20/2019 02:57:58 +00:00"`, "2019-06-20T02:57:58Z"},
		{"documentation", `"09/14/2017 00:00:00 PM +00:00"`, "2017-09-14T00:00:00Z"},
		{"ISO 8601", `"2024-10-18T19:51:37.0000000+00:00"`, "2024-10-18T19:51:37Z"},
		{"no zone", `"06/20/2019 02:57:58"`, "2019-06-20T02:57:58Z"},
		{"dashes, no zone", `"2019-06-20 02:57:58"`, "2019-06-20T02:57:58Z"},
		{"Azure ML's number", `1579152252`, "2020-01-16T05:24:12Z"},
		{"Azure ML's number as text", `"1579152252"`, "2020-01-16T05:24:12Z"},
		// The hours at which a 12-hour clock misleads.
		{"Windows plans, after midnight", `"1/16/2020 12:05:00 AM +00:00"`, "2020-01-16T00:05:00Z"},
		{"Windows plans, after noon", `"1/16/2020 12:05:00 PM +00:00"`, "2020-01-16T12:05:00Z"},
		{"Windows plans, last minute", `"12/31/2020 11:59:59 PM +00:00"`, "2020-12-31T23:59:59Z"},
		{"Linux plans, last minute", `"12/31/2020 23:59:59 +00:00"`, "2020-12-31T23:59:59Z"},
		{"Linux plans, midnight", `"12/31/2020 00:00:00 +00:00"`, "2020-12-31T00:00:00Z"},
		{"documentation's clock at 15 h", `"09/14/2017 15:04:05 PM +00:00"`, "2017-09-14T15:04:05Z"},
		{"29 February", `"2/29/2020 1:02:03 PM +00:00"`, "2020-02-29T13:02:03Z"},
		{"another zone", `"1/16/2020 5:24:12 AM -08:00"`, "2020-01-16T13:24:12Z"},
		// .NET writes what the system's ICU says is between time and AM: U+202F since 2022.
		{"narrow no-break space", `"1/16/2020 5:24:12` + "\u202f" + `AM +00:00"`, "2020-01-16T05:24:12Z"},
		{"escaped as JSON may be", `"1\/16\/2020 5:24:12\u202fAM \u002b00:00"`, "2020-01-16T05:24:12Z"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				want, err := time.Parse(time.RFC3339, tt.want)
				if err != nil {
					t.Fatal(err)
				}
				// The clock of a bubble begins in 2000: all of these are years away, so the wait is to a day
				// before the end.
				time.Sleep(time.Until(want.Add(-24 * time.Hour)))
				asked := 0
				cred := credentialAt(t, msiEnvironment(),
					transportFunc(func(*http.Request) (*http.Response, error) {
						asked++
						if asked > 1 {
							return respond(503, `{"statusCode":503,"message":"down"}`), nil
						}
						return respond(200, `{"access_token":"opaque","expires_on":`+tt.expiresOn+
							`,"resource":"https://vault.azure.net","token_type":"Bearer"}`), nil
					}))
				first, _ := mustToken(t, cred)
				if !first.ExpiresOn.Equal(want) || first.ExpiresOn.Location() != time.UTC {
					t.Errorf("ExpiresOn is %v, want %v", first.ExpiresOn, want)
				}
				if left := time.Until(first.RefreshOn); left < 10*time.Hour || left > 14*time.Hour {
					t.Errorf("RefreshOn is %v ahead, want half a day", left)
				}
				// It is served to its end, and not beyond.
				time.Sleep(time.Until(want) - time.Minute)
				if tk, _ := mustToken(t, cred); tk.Token != first.Token {
					t.Error("another token came back while it was valid")
				}
				time.Sleep(time.Until(want) + time.Minute)
				mustFail(t, cred)
			})
		})
	}
	for _, tt := range []struct{ name, expiresOn string }{
		{"in the past", `"1/16/1999 5:24:12 AM +00:00"`},
		{"a word", `"soon"`},
		{"no such month", `"13/16/2020 5:24:12 AM +00:00"`},
		{"no such hour", `"1/16/2020 25:24:12 +00:00"`},
		{"a date without a time", `"1/16/2020"`},
		{".NET's smallest date", `"1/1/0001 12:00:00 AM +00:00"`},
		{"empty", `""`},
		{"null", `null`},
		{"an object", `{}`},
	} {
		t.Run("refused, "+tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				e, _ := mustFail(t, credentialAt(t, msiEnvironment(),
					always(200, `{"access_token":"TOPSECRET","expires_on":`+tt.expiresOn+
						`,"token_type":"Bearer"}`)))
				wantErrorText(t, e, "expire")
				if strings.Contains(e.Error(), "TOPSECRET") || e.RawResponse != nil {
					t.Errorf("the token is shown: %v, %+v", e, e.RawResponse)
				}
			})
		})
	}
}

// TestLegacyAppServiceDateOfTheFake: the whole way, as the fake of legacy App Service writes it.
func TestLegacyAppServiceDateOfTheFake(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ep := identitytest.NewAppService2017(nil)
		tk, _ := mustToken(t, credentialAt(t, environmentAt(ep, "http://localhost:4141"), ep))
		if got := time.Until(tk.ExpiresOn); got != 24*time.Hour {
			t.Errorf("the token ends in %v, want 24h", got)
		}
	})
}

// newMSIVariables are an environment of Azure ML that changes under the credential.
func newMSIVariables() *variables {
	return &variables{values: map[string]string{"MSI_ENDPOINT": "http://localhost:1111/msi/token",
		"MSI_SECRET": "first", "DEFAULT_IDENTITY_CLIENT_ID": guid}}
}

// msiAsked notes where requests went, with what secret and for which client ID, then asks reply.
func msiAsked(seen *[]string, reply func(n int) *http.Response) transportFunc {
	return func(r *http.Request) (*http.Response, error) {
		if r.Host != "" && r.Host != r.URL.Host {
			return nil, fmt.Errorf("the request's Host is %q, its URL's %q", r.Host, r.URL.Host)
		}
		*seen = append(*seen, strings.Join([]string{r.Method, r.URL.Host + r.URL.Path,
			strings.Join(r.Header["Secret"], ","), r.URL.Query().Get("clientid")}, " "))
		return reply(len(*seen)), nil
	}
}

func TestAzureMLReadsItsVariablesAtEveryRequest(t *testing.T) {
	bubble(t, func(t *testing.T) {
		v := newMSIVariables()
		var seen []string
		cred := credentialAt(t, v.environment(), msiAsked(&seen, func(int) *http.Response {
			return respond(200, grantBody("t", 24*time.Hour))
		}))
		mustToken(t, cred)
		v.set("MSI_SECRET", "second")
		if err := anotherToken(cred); err != nil {
			t.Fatal(err)
		}
		v.set("MSI_ENDPOINT", "http://localhost:2222/other")
		v.set("MSI_SECRET", "third")
		v.set("DEFAULT_IDENTITY_CLIENT_ID", otherTenant)
		time.Sleep(25 * time.Hour)
		mustToken(t, cred)
		// the identity stays the one that tokens are kept by
		want := []string{"GET localhost:1111/msi/token first " + guid,
			"GET localhost:1111/msi/token second " + guid, "GET localhost:2222/other third " + guid}
		if diff := cmp.Diff(want, seen); diff != "" {
			t.Errorf("requests (-want +got):\n%s", diff)
		}
	})
}

func TestAzureMLReadsItsVariablesAtEveryTry(t *testing.T) {
	bubble(t, func(t *testing.T) {
		v := newMSIVariables()
		var seen []string
		mustToken(t, credentialAt(t, v.environment(), msiAsked(&seen, func(n int) *http.Response {
			switch n {
			case 1:
				v.set("MSI_SECRET", "second")
				return respond(503, `{"error":{"code":"x","message":"y"}}`)
			case 2:
				v.set("MSI_ENDPOINT", "http://localhost:2222/other")
				v.set("MSI_SECRET", "third")
				return respond(503, `{"error":{"code":"x","message":"y"}}`)
			}
			return respond(200, grantBody("t", time.Hour))
		})))
		want := []string{"GET localhost:1111/msi/token first " + guid,
			"GET localhost:1111/msi/token second " + guid, "GET localhost:2222/other third " + guid}
		if diff := cmp.Diff(want, seen); diff != "" {
			t.Errorf("tries (-want +got):\n%s", diff)
		}
	})
}

// TestMSISecretRotates: against the fakes, which refuse what they gave out before.
func TestMSISecretRotates(t *testing.T) {
	for name, fake := range map[string]func(*identitytest.Options) *identitytest.Endpoint{
		"Azure ML": identitytest.NewAzureML, "legacy App Service": identitytest.NewAppService2017,
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				ep := fake(nil)
				v := &variables{values: map[string]string{}}
				read := func() {
					for _, line := range ep.Env("http://localhost:4141") {
						name, value, _ := strings.Cut(line, "=")
						v.set(name, value)
					}
				}
				read()
				cred := credentialAt(t, v.environment(), ep)
				mustToken(t, cred)
				ep.RotateSecret()
				if err := anotherToken(cred); err == nil {
					t.Fatal("the fake took the old secret")
				} else {
					wantErrorText(t, err, "MSI_SECRET")
				}
				read()
				time.Sleep(time.Minute) // the cool-down of the failure
				if err := anotherToken(cred); err != nil {
					t.Errorf("the new secret isn't used: %v", err)
				}
			})
		})
	}
}

func TestMSIVariablesThatVanish(t *testing.T) {
	for _, tt := range []struct{ name, variable, value string }{
		{"secret vanishes", "MSI_SECRET", ""},
		{"secret with a control character", "MSI_SECRET", "pa55word\n"},
		{"endpoint vanishes", "MSI_ENDPOINT", ""},
		{"endpoint is a word", "MSI_ENDPOINT", "pa55word"},
		{"endpoint with a password", "MSI_ENDPOINT", "http://user:pa55word@localhost/"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				v := newMSIVariables()
				good := maps.Clone(v.values)
				var seen []string
				cred := credentialAt(t, v.environment(), msiAsked(&seen, func(int) *http.Response {
					return respond(200, grantBody("t", 24*time.Hour))
				}))
				start := time.Now()
				mustToken(t, cred)
				v.set(tt.variable, tt.value)
				err := anotherToken(cred)
				wantErrorText(t, err, tt.variable+": ", "https://another.example")
				if err != nil && (strings.Contains(err.Error(), "pa55word") ||
					strings.Contains(err.Error(), "first")) {
					t.Errorf("error repeats a secret: %v", err)
				}
				for time.Since(start) < 24*time.Hour-time.Second { // fresh, stale, expiring
					if _, took := mustToken(t, cred); took > 0 {
						t.Errorf("%v after the start a caller waited %v for a token that was held", time.Since(start),
							took)
					}
					time.Sleep(time.Second + time.Duration(24*time.Hour-time.Since(start))/20)
				}
				time.Sleep(2 * time.Minute)
				e, took := mustFail(t, cred)
				wantErrorText(t, e, tt.variable+": ")
				if took > 0 || len(seen) != 1 {
					t.Errorf("%d requests, error after %v, want 1 request and the error at once", len(seen), took)
				}
				v.set(tt.variable, good[tt.variable])
				time.Sleep(time.Minute)
				mustToken(t, cred)
			})
		})
	}
}

func TestAzureMLRefusals(t *testing.T) {
	t.Parallel()
	const (
		cor     = "0a1b2c3d-1111-4222-8333-944455556666"
		rest    = " (token for https://vault.azure.net, 1 attempt, 0s)"
		restCor = " (token for https://vault.azure.net, 1 attempt, 0s, correlation ID " + cor + ")"
		none    = "No User Assigned or Delegated Managed Identity found for specified ClientId/ResourceId/PrincipalId."
		aadsts  = "AADSTS500011: The resource principal named https://nope.example was not found in the tenant named Contoso."
		who     = "identity: Azure ML or legacy App Service: "
		system  = ": has this compute or app a system-assigned identity? Set CredentialOptions.ID to a ClientID to choose a user-assigned one"
		secret  = ": the endpoint refused MSI_SECRET: was the variable changed or inherited from elsewhere?"
	)
	kestrel := []string{"Server", "Kestrel", "X-CORRELATION-ID", cor}
	for _, tt := range []refusal{
		{"client ID not assigned", 400, "appservice2017/not-assigned.json", kestrel, ClientID(guid),
			who + `400 "` + none + `"` + restCor + ": is client ID " + guid +
				" assigned to this compute or app?", ErrIdentityNotFound, "", none, cor},
		{"system-assigned identity off", 400, "appservice2017/no-identity.json", kestrel, nil,
			who + `400 "Unable to load the proper Managed Identity."` + restCor +
				system, ErrIdentityNotFound, "", "Unable to load the proper Managed Identity.", cor},
		{"resource unknown, as legacy App Service has it", 400, "appservice2017/resource-unknown.json",
			nil, nil,
			who + `400 invalid_resource "` + aadsts + `"` + restCor +
				": Entra refused: is the scope a resource of this tenant and cloud?", nil, "invalid_resource", aadsts, cor},
		{"an error object", 400, `{"error":{"code":"BadRequest","message":"no"}}`, nil, ClientID(guid),
			who + `400 BadRequest "no"` + rest + ": is client ID " + guid +
				" assigned to this compute or app?", ErrIdentityNotFound, "BadRequest", "no", ""},
		{"a page with 400", 400, "<html>Bad Request</html>", nil, ClientID(guid),
			who + `400 "<html>Bad Request</html>"` + rest, nil, "", "<html>Bad Request</html>", ""},
		{"secret refused", 401, `{"error":{"code":"Unauthorized","message":"Unauthorized"}}`, nil, nil,
			who + `401 Unauthorized "Unauthorized"` + rest +
				secret, nil, "Unauthorized", "Unauthorized", ""},
		{"secret refused without a word", 403, "", nil, nil,
			who + "403: without a word, from " + msiEndpoint + rest + secret, nil, "", "", ""},
		{"wrong path", 404, "", nil, nil,
			who + "404: without a word, from " + msiEndpoint + rest +
				": does MSI_ENDPOINT name the token endpoint?", nil, "", "", ""},
		{"throttled", 429, `{"error":{"code":"TooManyRequests","message":"slow down"}}`, nil, nil,
			who + `429 TooManyRequests "slow down"` +
				rest, ErrThrottled, "TooManyRequests", "slow down", ""},
		{"server error", 500, "appservice2017/server-error.json", kestrel, nil,
			who + `500 "An unexpected error occured while fetching the AAD Token."` +
				restCor, nil, "", "An unexpected error occured while fetching the AAD Token.", cor},
	} {
		t.Run(tt.name, func(t *testing.T) { tt.run(t, msiEnvironment()) })
	}
}

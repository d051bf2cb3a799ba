package identity

import (
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/google/go-cmp/cmp"
)

var updateGolden = flag.Bool("update-golden", false,
	"rewrite testdata/*/*.golden from the requests that are sent")

// wireFormat is a request as the golden files show it. User-Agent depends on the machine.
func wireFormat(r *http.Request, secret string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s\n", r.Method, r.URL)
	for _, name := range slices.Sorted(maps.Keys(r.Header)) {
		for _, value := range r.Header[name] {
			if secret != "" && value == secret {
				value = "REDACTED"
			}
			if name != "User-Agent" {
				fmt.Fprintf(&b, "%s: %s\n", name, value)
			}
		}
	}
	return b.String()
}

// compareGolden compares with a file of testdata, or writes it.
func compareGolden(tb testing.TB, name, got string) {
	tb.Helper()
	path := filepath.Join("testdata", name)
	if *updateGolden {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			tb.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	if diff := cmp.Diff(strings.ReplaceAll(string(want), "\r\n", "\n"), got); diff != "" {
		tb.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

// sampleOf is a sampled answer's body.
func sampleOf(tb testing.TB, name string) string {
	tb.Helper()
	body, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		tb.Fatal(err)
	}
	return string(body)
}

// checkQuery compares a request's query with one written by hand.
func checkQuery(tb testing.TB, r *http.Request, want url.Values) {
	tb.Helper()
	got, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		tb.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		tb.Errorf("query (-want +got):\n%s", diff)
	}
}

// posted is a request with its body, as it was sent.
type posted struct {
	*http.Request
	body string
}

// golden is the request as its file has it.
func (p posted) golden() string {
	text := wireFormat(p.Request, "the-secret")
	if p.body != "" {
		text += fmt.Sprintf("(length %d)\n\n%s\n", p.ContentLength, p.body)
	}
	return text
}

// answering is a credential whose requests end in a policy, which notes them and answers.
func answering(
	tb testing.TB, env environment, sent *[]posted, reply func(n int) *http.Response,
	adjust ...func(*CredentialOptions),
) *Credential {
	tb.Helper()
	end := policyFunc(func(req *policy.Request) (*http.Response, error) {
		r := req.Raw()
		if r.Host != "" && r.Host != r.URL.Host {
			tb.Errorf("the request's Host is %q, its URL's %q", r.Host, r.URL.Host)
		}
		p := posted{Request: r.Clone(r.Context())}
		if r.Body != nil {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return nil, err
			}
			p.body = string(body)
		}
		if int64(len(p.body)) != r.ContentLength || len(r.TransferEncoding) > 0 {
			tb.Errorf("length is %d, transfer encoding %q, want %d and none: chunked, "+
				"the endpoint may not read it", r.ContentLength, r.TransferEncoding, len(p.body))
		}
		*sent = append(*sent, p)
		resp := reply(len(*sent))
		resp.Request = r
		return resp, nil
	})
	return credentialAt(tb, env, nil, append(adjust, func(o *CredentialOptions) {
		o.PerRetryPolicies = append(o.PerRetryPolicies, end)
	})...)
}

// grants answers with a token of a day.
func grants(int) *http.Response { return respond(200, grantBody("opaque", 24*time.Hour)) }

// The environments of hosts in tests of the request itself.
var (
	atAppService = map[string]string{"IDENTITY_ENDPOINT": "http://localhost:4141/msi/token",
		"IDENTITY_HEADER": "the-secret"}
	atAutomation = map[string]string{"IDENTITY_ENDPOINT": "http://127.0.0.1:8082/oauth2/token",
		"IDENTITY_HEADER": "the-secret"}
	atHybridWorker = map[string]string{"MSI_ENDPOINT": "http://127.0.0.1:8082/oauth2/token",
		"MSI_SECRET": "the-secret"}
	atMSI    = map[string]string{"MSI_ENDPOINT": msiEndpoint, "MSI_SECRET": "the-secret"}
	atFabric = map[string]string{"IDENTITY_ENDPOINT": fabricBase + imdsPath,
		"IDENTITY_HEADER": "the-secret", "IDENTITY_SERVER_THUMBPRINT": thumbprint}
	inContainer = map[string]string{"IDENTITY_ENDPOINT": groupEndpoint,
		"IDENTITY_HEADER": "the-secret", "IDENTITY_SERVER_THUMBPRINT": thumbprint}
	inCloudShell = map[string]string{"MSI_ENDPOINT": "http://localhost:50342/oauth2/token"}
)

const (
	thumbprint = "0123456789ABCDEF0123456789abcdef01234567"
	// msiEndpoint is the endpoint of Azure ML and legacy App Service.
	msiEndpoint = "http://127.0.0.1:41001/MSI/token"
	// fabricBase is where a node's token service listens. The connections of these tests go there
	// in name only.
	fabricBase = "https://localhost:2377"
	// groupEndpoint is where a Windows container is told to ask, as
	// https://github.com/Azure/azure-sdk-for-net/issues/45547 has it.
	groupEndpoint = "http://10.0.0.2:2377/metadata/identity/oauth2/token?api-version=1.0"
)

// and is variables with further pairs.
func and(variables map[string]string, pairs ...string) map[string]string {
	all := maps.Clone(variables)
	for i := 0; i+1 < len(pairs); i += 2 {
		all[pairs[i]] = pairs[i+1]
	}
	return all
}

// requests are those of the golden files, but for Azure Arc's and Entra's. The token that a
// resource rejected is the example of MSAL .NET's specification:
//
// https://github.com/AzureAD/microsoft-authentication-library-for-dotnet/blob/main/docs/msiv1_token_revocation.md
var requests = []struct {
	file      string
	variables map[string]string
	id        ID
	cae       bool
	held      string // a token that is there already
	claims    string // a resource's objection to it
}{
	{file: "imds/system"},
	{file: "imds/client-id", id: ClientID(guid)},
	{file: "imds/object-id", id: ObjectID(guid)},
	{file: "imds/resource-id", id: ResourceID(identityID)},
	{file: "imds/moved", variables: map[string]string{envAuthority: "http://127.0.0.1:4321/abc/"}},

	{file: "appservice/system", variables: atAppService},
	{file: "appservice/client-id", variables: atAppService, id: ClientID(guid)},
	{file: "appservice/object-id", variables: atAppService, id: ObjectID(guid)},
	{file: "appservice/resource-id", variables: atAppService, id: ResourceID(identityID)},

	// Automation shares App Service's protocol, and wants Metadata: true beside the secret. Its
	// hybrid workers had the variables of legacy App Service until October 2021.
	// https://learn.microsoft.com/azure/automation/enable-managed-identity-for-automation
	{file: "automation/system", variables: atAutomation},
	{file: "automation/client-id", variables: atAutomation, id: ClientID(guid)},
	{file: "automation/hybrid-worker-2021", variables: atHybridWorker},

	// A client ID is always named, where there is one to name.
	{file: "azureml/default-identity", variables: and(atMSI, envDefaultClientID, otherGUID)},
	{file: "azureml/no-default-identity", variables: and(atMSI, envDefaultClientID, "")},
	{file: "azureml/no-default-identity", variables: and(atMSI, envDefaultClientID, "clientid")},
	{file: "azureml/no-default-identity", variables: and(atMSI, envDefaultClientID, otherGUID[1:])},
	{file: "azureml/client-id", variables: and(atMSI, envDefaultClientID, otherGUID),
		id: ClientID(guid)},
	{file: "azureml/client-id-without-default", variables: atMSI, id: ClientID(guid)},
	{file: "appservice2017/system", variables: atMSI},
	{file: "appservice2017/client-id", variables: atMSI, id: ClientID(guid)},

	{file: "cloudshell/user", variables: inCloudShell},

	{file: "containerinstances/system", variables: inContainer},
	{file: "containerinstances/object-id", variables: inContainer, id: ObjectID(guid)},

	{file: "servicefabric/plain", variables: atFabric},
	{file: "servicefabric/cae", variables: atFabric, cae: true},
	{file: "servicefabric/claims", variables: atFabric, cae: true, held: "test_token",
		claims: rejectedClaims},
	{file: "servicefabric/claims-nothing-held", variables: atFabric, cae: true,
		claims: rejectedClaims},
	{file: "servicefabric/claims-without-cae", variables: atFabric, held: "test_token",
		claims: rejectedClaims},
	{file: "servicefabric/api-version", variables: and(atFabric, envAPIVersion, "2020-05-01")},
}

func TestGoldenRequests(t *testing.T) {
	t.Parallel()
	for _, tt := range requests {
		t.Run(tt.file, func(t *testing.T) {
			t.Parallel()
			var sent []posted
			cred := answering(t, environmentOf(tt.variables), &sent, func(n int) *http.Response {
				if n == 1 && tt.held != "" {
					return respond(200, grantBody(tt.held, 24*time.Hour))
				}
				return grants(n)
			}, withID(tt.id))
			options := policy.TokenRequestOptions{Scopes: []string{vaultScope}, EnableCAE: tt.cae,
				TenantID: "ignored"}
			want := 1
			if tt.held != "" {
				want++
				if _, err := cred.GetToken(t.Context(), options); err != nil {
					t.Fatal(err)
				}
			}
			options.Claims = tt.claims
			tk, err := cred.GetToken(t.Context(), options)
			if err != nil || tk.Token != "opaque" || len(sent) != want {
				t.Fatalf("got %q after %d requests, error %v", tk.Token, len(sent), err)
			}
			got := sent[want-1].golden()
			if strings.Contains(got+sent[want-1].UserAgent(), "the-secret") {
				t.Errorf("the secret is elsewhere in the request, too:\n%s", got)
			}
			compareGolden(t, tt.file+".golden", got)
		})
	}
}

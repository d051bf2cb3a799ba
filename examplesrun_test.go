package identity_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/keyless-go/identity"
	"github.com/keyless-go/identity/identitytest"
)

// The identity that the Examples select by its IDs.
var orders = identitytest.Identity{
	ClientID: "b2f5a3c0-6f3b-4b5e-9a41-0d6c1c8f7e12",
	ObjectID: "3c4d9e1f-58a7-4f0e-8a55-6b7c8d9e0f11",
	ResourceID: "/subscriptions/00000000-0000-0000-0000-000000000000/resourcegroups/shop/providers/" +
		"Microsoft.ManagedIdentity/userAssignedIdentities/orders",
	TenantID: "8f0e6d5a-3c1b-4e90-a1f2-6f1c2a520d8e",
}

type exampleRun struct {
	name string
	run  func()
	host func(*identitytest.Options) *identitytest.Endpoint
	want string // is in what it prints
}

// exampleRuns are the Examples without an Output: real code, which needs Azure. Here a stand-in on
// loopback is where the variables of the host lead.
var exampleRuns = []exampleRun{
	{"NewCredential", ExampleNewCredential, identitytest.NewIMDS, "IMDS <nil>"},
	{"NewCredential_workloadIdentity", ExampleNewCredential_workloadIdentity,
		federated(identitytest.NewWorkloadIdentity), "workload identity <nil>"},
	{"NewCredential_azureArc", ExampleNewCredential_azureArc, identitytest.NewArc,
		"Azure Arc <nil>"},
	{"NewCredential_serviceFabric", ExampleNewCredential_serviceFabric,
		identitytest.NewServiceFabric, "Service Fabric <nil>"},
	{"NewCredential_containerInstances", ExampleNewCredential_containerInstances,
		identitytest.NewContainerInstances, "Container Instances on Windows <nil>"},
	{"NewCredential_azureML", ExampleNewCredential_azureML, identitytest.NewAzureML,
		"Azure ML or legacy App Service <nil>"},
	{"NewCredential_legacyAppService", ExampleNewCredential_legacyAppService,
		identitytest.NewAppService2017, "Azure ML or legacy App Service <nil>"},
	{"NewCredential_cloudShell", ExampleNewCredential_cloudShell, identitytest.NewCloudShell,
		"Cloud Shell <nil>"},
	{"Detect", ExampleDetect, identitytest.NewAppService,
		"App Service, because IDENTITY_ENDPOINT and IDENTITY_HEADER are set"},
	{"CredentialOptions_additionallyAllowedTenants",
		ExampleCredentialOptions_additionallyAllowedTenants, federated(identitytest.NewWorkloadIdentity),
		"a token of tenant contoso.onmicrosoft.com was asked for, the identity is of tenant " +
			"8f0e6d5a-3c1b-4e90-a1f2-6f1c2a520d8e: is the resource in the wrong tenant? If not, name it " +
			"in CredentialOptions.AdditionallyAllowedTenants"},
	{"ClientID", ExampleClientID, identitytest.NewIMDS, "<nil>"},
	{"ObjectID", ExampleObjectID, identitytest.NewIMDS, "<nil>"},
	{"ResourceID", ExampleResourceID, identitytest.NewIMDS, "<nil>"},
	{"Credential_GetToken", ExampleCredential_GetToken, identitytest.NewIMDS,
		"valid for 24h0m0s"},
	{"Credential_Ready", ExampleCredential_Ready, identitytest.NewIMDS, "<nil>"},
	{"Credential_Status", ExampleCredential_Status, identitytest.NewAppService,
		"App Service because IDENTITY_ENDPOINT and IDENTITY_HEADER are set\n" +
			"https://vault.azure.net: 1 request, 0 failures, for another 24h0m0s\n"},
	{"Credential_Refresh", ExampleCredential_Refresh, identitytest.NewAppService,
		"the host still has the old one, for at most 24h0m0s"},
	{"CredentialOptions", ExampleCredentialOptions, identitytest.NewIMDS, "<nil>"},
	{"NewDefaultCredential", ExampleNewDefaultCredential, identitytest.NewAppService,
		"managed identity <nil>\n" +
			"no developer, because IDENTITY_ENDPOINT and IDENTITY_HEADER are set\n"},
	{"NewChain", ExampleNewChain, identitytest.NewAppService, "managed identity <nil>"},
	{"NewAzureCLICredential", ExampleNewAzureCLICredential, identitytest.NewIMDS,
		"az is not installed, or nobody is logged in"},
	{"NewAzureDeveloperCLICredential", ExampleNewAzureDeveloperCLICredential, identitytest.NewIMDS,
		"azd is not installed, or nobody is logged in"},
	{"CredentialAssertion", ExampleCredentialAssertion, identitytest.NewIMDS, "<nil>"},
	{"GitHubActionsAssertion", ExampleGitHubActionsAssertion,
		federated(identitytest.NewGitHubActions), "<nil>"},
	{"AzurePipelinesAssertion", ExampleAzurePipelinesAssertion,
		federated(identitytest.NewAzurePipelines), "<nil>"},
	{"AssertionFunc", func() {
		token, _ := os.ReadFile(os.Getenv("AZURE_FEDERATED_TOKEN_FILE"))
		os.Setenv("AZURE_ID_TOKEN", string(token))
		defer os.Unsetenv("AZURE_ID_TOKEN")
		ExampleAssertionFunc()
	}, federated(identitytest.NewWorkloadIdentity), "<nil>"},
	{"TokenFunc", ExampleTokenFunc, identitytest.NewIMDS, "log in as orders with a password: true"},
	{"PrincipalOf", ExamplePrincipalOf, identitytest.NewIMDS, "user: orders"},
	{"Passing", ExamplePassing, identitytest.NewIMDS, "connect"},
	{"Tokens", ExampleTokens, identitytest.NewIMDS, "AUTH, valid for 24h0m0s"},
}

// notRun are the Examples that can't end or can't be led to a stand-in.
var notRun = map[string]string{
	"Transport":                       "it asks management.azure.com",
	"NewFederatedCredential":          "it reads a file that the kubelet writes",
	"Credential_Ready_readinessProbe": "it serves for ever; TestExampleHandlers has its handler",
	"Reporter":                        "it serves for ever; TestExampleHandlers has its handler",
}

// TestExamplesRun: an Example that shows no output does what it is there for.
func TestExamplesRun(t *testing.T) {
	for _, e := range exampleRuns {
		t.Run(e.name, func(t *testing.T) {
			startHost(t, e.host)
			got := printed(t, e.run)
			if !strings.Contains(got, e.want) {
				t.Errorf("it prints %q, want %q in it", got, e.want)
			}
		})
	}
	sources := map[string]string{}
	names, err := filepath.Glob("example*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		sources[name] = readFile(t, name)
	}
	for _, e := range examplesOf(t, sources) {
		isRun := e.Output != "" || slices.ContainsFunc(exampleRuns, func(r exampleRun) bool {
			return r.name == e.Name
		})
		if isRun == (notRun[e.Name] != "") {
			t.Errorf("Example%s is run: %v; either give it an Output or an entry of exampleRuns, or say "+
				"in notRun why not", e.Name, isRun)
		}
	}
}

// TestExampleHandlers: what the servers of two Examples answer.
func TestExampleHandlers(t *testing.T) {
	startHost(t, identitytest.NewAppService)
	cred, err := identity.NewCredential(nil)
	if err != nil {
		t.Fatal(err)
	}
	get := func(h http.Handler) *httptest.ResponseRecorder {
		answer := httptest.NewRecorder()
		h.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/", nil))
		return answer
	}
	if got := get(readiness(cred)); got.Code != http.StatusNoContent {
		t.Errorf("ready: got %d %s, want 204", got.Code, got.Body)
	}
	if got := get(healthPage(cred)); !strings.Contains(got.Body.String(),
		`"resource":"https://storage.azure.com"`) {
		t.Errorf("health: got %s, want a resource that Ready has asked for", got.Body)
	}
}

// federated leaves out the system-assigned identity, which is no application.
func federated(
	host func(*identitytest.Options) *identitytest.Endpoint,
) func(*identitytest.Options) *identitytest.Endpoint {
	return func(options *identitytest.Options) *identitytest.Endpoint {
		copied := *options
		copied.Identities = options.Identities[:1]
		return host(&copied)
	}
}

// startHost starts a stand-in with the Examples' identity, and Entra, which trusts its tokens.
func startHost(t *testing.T, host func(*identitytest.Options) *identitytest.Endpoint) {
	t.Helper()
	t.Setenv("PATH", "") // no tool of a developer's
	for _, name := range []string{"AZURE_CLIENT_ID", "AZURE_TOKEN_CREDENTIALS", "GITHUB_ACTIONS",
		"TF_BUILD"} {
		t.Setenv(name, "") // which counts as unset
	}
	options := &identitytest.Options{Dir: t.TempDir(), HostCache: true}
	options.Identities = []identitytest.Identity{orders, {System: true}}
	endpoint := host(options)
	entra := identitytest.NewEntra(&identitytest.Options{
		Identities:           []identitytest.Identity{orders},
		FederatedCredentials: endpoint.FederatedCredentials(),
	})
	entra.Start(t)
	endpoint.Start(t)
}

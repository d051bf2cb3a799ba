package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/keyless-go/identity"
	"github.com/keyless-go/identity/examples/internal/commandlinetest"
	"github.com/keyless-go/identity/identitytest"
)

// Tests that set variables aren't parallel.

func TestRun(t *testing.T) {
	stdout, _ := commandlinetest.Execute(t.Context(), t, run, 0)
	commandlinetest.WantAll(t, "stdout", stdout, "azidentity  is client ID ",
		"identity    is client ID ", "both have the same token\n")
	if strings.Contains(stdout, "eyJ") {
		t.Errorf("printed a token:\n%s", stdout)
	}
	stdout, _ = commandlinetest.Execute(t.Context(), t, run, 0, "-h")
	commandlinetest.WantAll(t, "stdout", stdout, "migrating    no flags")
	_, stderr := commandlinetest.Execute(t.Context(), t, run, 1, "x")
	commandlinetest.WantOneLine(t, "migrating", stderr, `"x"`)
}

// get asks as Azure SDK clients do.
func get(t *testing.T, cred azcore.TokenCredential, scope string) (azcore.AccessToken, error) {
	t.Helper()
	return cred.GetToken(t.Context(),
		policy.TokenRequestOptions{Scopes: []string{scope}, EnableCAE: true})
}

// whose gets a token of both programs' credentials, and returns the tokens and whom they name.
func whose(t *testing.T, c config, scope string) (tokens [2]string, who [2]identity.Principal) {
	t.Helper()
	for i, constructor := range []func(config) (azcore.TokenCredential, error){before, after} {
		cred, err := constructor(c)
		if err != nil {
			t.Fatal(err)
		}
		token, err := get(t, cred, scope)
		if err != nil {
			t.Fatal(err)
		}
		tokens[i] = token.Token
		if who[i], err = identity.PrincipalOf(token.Token); err != nil {
			t.Fatal(err)
		}
	}
	return tokens, who
}

// TestManaged: with a client ID and without, both get the host's one token.
func TestManaged(t *testing.T) {
	endpoint := identitytest.NewAppService(&identitytest.Options{
		HostCache: true, Identities: []identitytest.Identity{{System: true}, {}},
	})
	endpoint.Start(t)
	for i, want := range endpoint.Identities() {
		c := config{}
		if !want.System {
			c.clientID = want.ClientID
		}
		// azidentity's cache is the process's: a resource of this row's alone
		tokens, who := whose(t, c, fmt.Sprintf("https://managed-%d.example/.default", i))
		if tokens[0] != tokens[1] || who[0].ClientID != want.ClientID {
			t.Errorf("%+v: got tokens of %s and %s, want one of %s", c, who[0].ClientID, who[1].ClientID,
				want.ClientID)
		}
	}
}

// withDocuments is Entra with the document that azidentity reads before it asks for a token. This
// library reads none.
type withDocuments struct{ entra *identitytest.Endpoint }

func (w withDocuments) Do(r *http.Request) (*http.Response, error) {
	tenant, ok := strings.CutSuffix(r.URL.Path, "/v2.0/.well-known/openid-configuration")
	if !ok {
		return w.entra.Do(r)
	}
	base := "https://" + r.URL.Host + tenant
	return &http.Response{StatusCode: http.StatusOK, Request: r,
		Header: http.Header{"Content-Type": {"application/json"}},
		Body: io.NopCloser(strings.NewReader(fmt.Sprintf(`{"issuer": "%[1]s/v2.0", `+
			`"authorization_endpoint": "%[1]s/oauth2/v2.0/authorize", `+
			`"token_endpoint": "%[1]s/oauth2/v2.0/token"}`, base))),
	}, nil
}

// TestApplication: a tenant, a client ID and a token file, or a function, make both the same.
func TestApplication(t *testing.T) {
	t.Parallel()
	entra := identitytest.NewWorkloadIdentity(&identitytest.Options{Dir: t.TempDir()})
	variables := map[string]string{}
	for _, line := range entra.Env("https://login.microsoftonline.com") {
		name, value, _ := strings.Cut(line, "=")
		variables[name] = value
	}
	c := config{
		tenantID: variables["AZURE_TENANT_ID"], clientID: variables["AZURE_CLIENT_ID"],
		options: azcore.ClientOptions{Transport: withDocuments{entra}},
	}
	byFile, byFunction := c, c
	byFile.tokenFile = variables["AZURE_FEDERATED_TOKEN_FILE"]
	var audiences []string
	byFunction.assertion = func(_ context.Context, audience string) (string, error) {
		audiences = append(audiences, audience)
		token, err := os.ReadFile(variables["AZURE_FEDERATED_TOKEN_FILE"])
		return strings.TrimSpace(string(token)), err
	}
	for name, c := range map[string]config{"file": byFile, "function": byFunction} {
		_, who := whose(t, c, "https://application.example/.default")
		if who[0] != who[1] || who[0].ClientID != c.clientID || who[0].TenantID != c.tenantID {
			t.Errorf("%s: got tokens of %+v and %+v, want both of %s", name, who[0], who[1], c.clientID)
		}
	}
	if len(audiences) != 2 || audiences[0] != audiences[1] {
		t.Errorf("the function was asked for the audiences %q, want two alike", audiences)
	}
}

// unavailable is a credential of this library's that can't be used here.
func unavailable(t *testing.T) *identity.Credential {
	t.Helper()
	nobody := identitytest.NewIMDS(nil)
	nobody.Enqueue(identitytest.Response{Err: errors.New("no route to host"), For: 1 << 40})
	return managed(t, nobody)
}

func managed(t *testing.T, endpoint *identitytest.Endpoint) *identity.Credential {
	t.Helper()
	cred, err := identity.NewCredential(&identity.CredentialOptions{
		Host: identity.HostIMDS, ClientOptions: azcore.ClientOptions{
			Transport: endpoint, Retry: policy.RetryOptions{MaxRetries: -1},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return cred
}

// fixed is the credential behind ours in a chain.
type fixed struct{}

func (fixed) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: "the next"}, nil
}

// TestInChain: azidentity's chain stops at this library's error, and goes on with inChain if the
// credential can't be used here. A refusal ends the chain with inChain, too.
func TestInChain(t *testing.T) {
	t.Parallel()
	refusing := identitytest.NewIMDS(nil)
	refusing.Enqueue(identitytest.Response{Status: http.StatusBadRequest, For: 1 << 40})
	for _, test := range []struct {
		name string
		cred azcore.TokenCredential
		want string // the token
	}{
		{"as it is", unavailable(t), ""},
		{"unavailable", inChain{unavailable(t)}, "the next"},
		{"refused", inChain{managed(t, refusing)}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			chain, err := azidentity.NewChainedTokenCredential(
				[]azcore.TokenCredential{test.cred, fixed{}}, nil)
			if err != nil {
				t.Fatal(err)
			}
			token, err := get(t, chain, "https://vault.azure.net/.default")
			if token.Token != test.want || (err == nil) != (test.want != "") {
				t.Errorf("got the token %q, %v, want %q", token.Token, err, test.want)
			}
			if err != nil && !strings.Contains(err.Error(), "identity: IMDS: ") {
				t.Errorf("the chain's error doesn't have this library's: %v", err)
			}
		})
	}
}

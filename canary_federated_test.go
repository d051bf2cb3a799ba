package identity

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// signedAssertion is a JWT whose claims may be seen, its signature not.
var signedAssertion = "eyJhbGciOiJSUzI1NiJ9." + base64.RawURLEncoding.EncodeToString(
	[]byte(`{"iss":"https://issuer.example/","sub":"orders","aud":"api://AzureADTokenExchange"}`)) +
	"." + assertionSignature

var assertionSignature = randomText("an assertion's signature", 60)

// federatedSources are all ways to get an assertion, and to fail with one in the hands.
var federatedSources = map[string]func(t *testing.T) Assertion{
	"a file": func(t *testing.T) Assertion {
		path := filepath.Join(t.TempDir(), "token")
		write(t, path, signedAssertion)
		return FileAssertion(path)
	},
	"no file":         func(*testing.T) Assertion { return FileAssertion("/no/such/file") },
	"GitHub Actions":  func(*testing.T) Assertion { return GitHubActionsAssertion() },
	"Azure Pipelines": func(*testing.T) Assertion { return AzurePipelinesAssertion("c0ffee") },
	"a function":      secretiveFunction(signedAssertion, nil),
	"what is no JWT":  secretiveFunction(ownAssertion, nil),
	"an error":        secretiveFunction(signedAssertion, errors.New("got "+signedAssertion)),
	"an error with an opaque one": secretiveFunction(ownAssertion,
		fmt.Errorf("got %s: %w", ownAssertion, os.ErrPermission)),
	"a panic": func(*testing.T) Assertion {
		return AssertionFunc(func(context.Context, AssertionRequest) (string, error) {
			panic("got " + signedAssertion)
		})
	},
	"a credential": func(*testing.T) Assertion {
		return CredentialAssertion(tokenFunc(signedAssertion))
	},
	"a credential's error": func(*testing.T) Assertion {
		return CredentialAssertion(&failingCredential{signedAssertion})
	},
}

func secretiveFunction(assertion string, err error) func(*testing.T) Assertion {
	return func(*testing.T) Assertion {
		return AssertionFunc(func(context.Context, AssertionRequest) (string, error) {
			return assertion, err
		})
	}
}

// failingCredential is of another package, and has a secret in its error.
type failingCredential struct{ Secret string }

func (c *failingCredential) GetToken(
	context.Context, policy.TokenRequestOptions,
) (azcore.AccessToken, error) {
	return azcore.AccessToken{}, fmt.Errorf("no token for %s", c.Secret)
}

// federatedReplies are what Entra, and the endpoint of a job, say: to repeat what was sent.
var federatedReplies = map[string]reply{
	"a token": repeating(echoedForms[0], 200, `{"access_token":"TOKEN","expires_in":3600}`),
	"a refusal": repeating(echoedForms[0], 401,
		`{"error":"x","error_description":"AADSTS700213: ECHO"}`),
	"not in its time": repeating(echoedForms[0], 401,
		`{"error":"x","error_description":"AADSTS700024: ECHO"}`),
	"a page": repeating(echoedForms[0], 502, "<html>ECHO JWT</html>", "X-Ms-Request-Id",
		"ECHO"),
	"an error underneath": func(_ int, secret string, _ *http.Request) (*http.Response, error) {
		return nil, errors.New("lost " + secret)
	},
}

// driveFederated calls all there is to call of a federated credential.
func driveFederated(t *testing.T, w *witness, a Assertion, r reply) {
	time.Sleep(time.Minute)
	transport := transportFunc(func(req *http.Request) (*http.Response, error) {
		secret := signedAssertion
		if req.URL.Host == "jobs.example" {
			if req.Header.Get("Authorization") != "" && t.Context().Err() == nil &&
				strings.HasSuffix(t.Name(), "a_token") {
				return respond(200, `{"value":"`+signedAssertion+`","oidcToken":"`+signedAssertion+`"}`), nil
			}
			secret = jwtToken
		}
		return r(1, secret, req)
	})
	env := environmentOf(map[string]string{
		"ACTIONS_ID_TOKEN_REQUEST_URL":   "https://jobs.example/?key=" + endpointKey,
		"ACTIONS_ID_TOKEN_REQUEST_TOKEN": jwtToken,
		"SYSTEM_OIDCREQUESTURI":          "https://jobs.example/oidctoken?key=" + endpointKey,
		"SYSTEM_ACCESSTOKEN":             jwtToken,
	})
	options := &FederatedCredentialOptions{Logger: w.logger}
	options.Transport = transport
	w.loud(&options.ClientOptions)
	w.show(options)
	w.show(a)
	w.show(AssertionRequest{TenantID: appTenant, Audience: "api://AzureADTokenExchange"})
	w.drove("NewFederatedCredential", "FileAssertion", "GitHubActionsAssertion",
		"AzurePipelinesAssertion", "CredentialAssertion", "AssertionFunc",
		"FederatedCredential.GetToken", "FederatedCredential.Refresh", "FederatedCredential.Ready",
		"FederatedCredential.Status", "FederatedCredential.Statuses")
	cred, err := newFederatedCredential(newShared(), env, appTenant,
		appClient, a, options)
	if err != nil {
		t.Fatal(err)
	}
	_, err = getToken(t.Context(), cred)
	w.showError(err)
	_, err = asClientChallenged(t.Context(), cred)
	w.showError(err)
	time.Sleep(time.Minute)
	_, _, err = cred.Refresh(t.Context(), vaultScope)
	w.showError(err)
	short, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	w.showError(cred.Ready(short, armScope))
	synctest.Wait()
	w.show(cred)
	w.show(cred.Status())
	w.show(cred.Statuses())
	chain, err := NewChain([]azcore.TokenCredential{cred}, &ChainOptions{Logger: w.logger})
	if err != nil {
		t.Fatal(err)
	}
	_, err = getToken(t.Context(), chain)
	w.showError(err)
	w.show(chain)
	time.Sleep(5 * time.Minute)
	synctest.Wait() // what has been shown is printed once more, which nobody may write to any more
}

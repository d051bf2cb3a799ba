package main

import (
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity"
	"github.com/keyless-go/identity/examples/internal/commandlinetest"
	"github.com/keyless-go/identity/examples/internal/standins"
	"github.com/keyless-go/identity/identitytest"
)

// canary is a token that a test puts wherever one could come from.
var canary = commandlinetest.JWT(`{"appid":"11111111-1111-4111-8111-111111111111","oid":"22222222-2222-4222-8222-222222222222"}`)

// piece is the length from which on what two texts share is no accident.
const piece = 12

// wantNoPiece looks for the secret, and for any piece of it.
func wantNoPiece(t *testing.T, text, secret string) {
	t.Helper()
	if len(secret) < piece {
		t.Fatalf("a secret of %d characters can't be looked for", len(secret))
	}
	for i := range len(secret) - piece + 1 {
		if strings.Contains(text, secret[i:i+piece]) {
			t.Errorf("printed a piece of a secret, %q:\n%s", secret[i:i+piece], text)
			return
		}
	}
}

// sent are the secrets that the requests so far had in them.
func sent(t *testing.T, endpoint *identitytest.Endpoint) (secrets []string) {
	t.Helper()
	for _, r := range endpoint.Requests() {
		for _, name := range []string{"X-Identity-Header", "Secret", "Authorization"} {
			if value := r.Header.Get(name); value != "" {
				secrets = append(secrets, strings.TrimPrefix(value, "Basic "))
			}
		}
		if err := r.ParseForm(); err != nil {
			t.Fatal(err)
		}
		if value := r.PostForm.Get("client_assertion"); value != "" {
			secrets = append(secrets, value)
		}
	}
	return secrets
}

// hasSecret are the hosts that are asked with one.
var hasSecret = map[string]bool{
	standins.AppService: true, standins.ServiceFabric: true, standins.ContainerInstances: true,
	standins.AzureML: true, standins.AppService2017: true,
	standins.Arc: true, standins.WorkloadIdentity: true,
}

// TestNoSecretPrinted on any host, in either mode. The token is the one that the program had:
// credentials of one identity share a cache.
func TestNoSecretPrinted(t *testing.T) {
	for _, h := range standins.Hosts() {
		t.Run(h.Name, func(t *testing.T) {
			endpoint := onHost(t, h.Name)
			stdout, stderr := execute(t, 0)
			inJSON, _ := execute(t, 0, "-json")
			asked := len(endpoint.Requests())
			credential, err := identity.NewCredential(nil)
			if err != nil {
				t.Fatal(err)
			}
			token, err := credential.GetToken(t.Context(),
				policy.TokenRequestOptions{Scopes: []string{defaultScope}, EnableCAE: true})
			if err != nil {
				t.Fatal(err)
			}
			if got := len(endpoint.Requests()); got != asked {
				t.Fatalf("%d requests, want %d: this is not the program's token", got, asked)
			}
			secrets := sent(t, endpoint)
			if (len(secrets) > 0) != hasSecret[h.Name] {
				t.Errorf("%d secrets were sent, want some: %t", len(secrets), hasSecret[h.Name])
			}
			for _, secret := range append(secrets, token.Token) {
				wantNoPiece(t, stdout+stderr+inJSON, secret)
			}
		})
	}
}

// TestNoSecretPrintedOnFailure: a host that repeats what it was sent, and gives a token where none
// belongs.
func TestNoSecretPrintedOnFailure(t *testing.T) {
	for _, h := range standins.Hosts() {
		for _, test := range []struct {
			name   string
			status int
			header http.Header
			body   string // SECRET is what the host was asked with
		}{
			{"refusal", 400, nil, `{"error":{"code":"` + canary + `","message":"SECRET ` + canary + `"}}`},
			{"refusal in words", 403, nil, "you sent SECRET, you get " + canary},
			{"not JSON", 201, nil, "SECRET " + canary},
			{"expired", 200, nil, `{"access_token":"` + canary + `","expires_on":"946684801"}`},
			{"undated", 200, nil, `{"access_token":"` + canary + `"}`},
			{"redirect", 302, http.Header{"Location": {"http://127.0.0.1:1/?" + canary}}, ""},
		} {
			t.Run(h.Name+" "+test.name, func(t *testing.T) {
				endpoint := onHost(t, h.Name)
				secret := ""
				for _, name := range []string{"IDENTITY_HEADER", "MSI_SECRET"} {
					secret += os.Getenv(name)
				}
				if file := os.Getenv("AZURE_FEDERATED_TOKEN_FILE"); file != "" {
					content, err := os.ReadFile(file)
					if err != nil {
						t.Fatal(err)
					}
					secret = string(content)
				}
				body := strings.ReplaceAll(test.body, "SECRET", url.QueryEscape(secret))
				if h.Name == standins.Arc { // the key is asked for first
					endpoint.Enqueue(identitytest.Response{})
				}
				endpoint.Enqueue(identitytest.Response{Status: test.status, Header: test.header, Body: body})
				for _, mode := range []string{"-json=false", "-json"} {
					var stdout, stderr strings.Builder
					// some are retried, and overcome
					run(t.Context(), []string{mode, "-timeout", "200ms"}, &stdout, &stderr)
					for _, s := range append(sent(t, endpoint), canary) {
						wantNoPiece(t, stdout.String()+stderr.String(), s)
					}
				}
				wantNotRecorded(t, recordOf(t, "-timeout", "50ms"), append(sent(t, endpoint), canary,
					"11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"))
			})
		}
	}
}

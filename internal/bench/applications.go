package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/keyless-go/identity"
)

const (
	appTenant = "b2f5a3c0-0000-4000-8000-000000000002"
	appClient = "b2f5a3c0-0000-4000-8000-000000000001"
	// madeUpAssertion is a JWT, which is all that is asked of it here.
	madeUpAssertion = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJiZW5jaCJ9.c2lnbmF0dXJl"
)

// entra is Entra for applications: a fake that also has the document that MSAL reads before its
// first exchange. That reading is not counted as a request.
type entra struct {
	*fake
	base string // its URL
}

// newEntra is one without a socket.
func newEntra(f *fake) *entra { return &entra{f, "https://login.example"} }

func (e *entra) document(path string) (text string, ok bool) {
	tenant, ok := strings.CutSuffix(path, "/v2.0/.well-known/openid-configuration")
	tenant = e.base + tenant
	return fmt.Sprintf(`{"issuer":%q,"authorization_endpoint":%q,"token_endpoint":%q}`,
		tenant+"/v2.0", tenant+"/oauth2/v2.0/authorize", tenant+"/oauth2/v2.0/token"), ok
}

func (e *entra) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if text, ok := e.document(r.URL.Path); ok {
		_, _ = io.WriteString(w, text)
		return
	}
	e.fake.ServeHTTP(w, r)
}

// Do implements azcore's policy.Transporter.
func (e *entra) Do(req *http.Request) (*http.Response, error) {
	if text, ok := e.document(req.URL.Path); ok {
		return &http.Response{StatusCode: http.StatusOK, Header: http.Header{},
			Body: io.NopCloser(strings.NewReader(text)), Request: req}, nil
	}
	return e.fake.Do(req)
}

// newApplication makes a fresh credential of a peer, whose assertion comes from a function. Both
// keep their tokens to themselves.
func newApplication(
	name string, transport policy.Transporter, base string,
) (azcore.TokenCredential, error) {
	o := azcore.ClientOptions{Transport: transport,
		Cloud: cloud.Configuration{ActiveDirectoryAuthorityHost: base}}
	switch name {
	case ours:
		return identity.NewFederatedCredential(appTenant, appClient,
			identity.AssertionFunc(func(context.Context, identity.AssertionRequest) (string, error) {
				return madeUpAssertion, nil
			}), &identity.FederatedCredentialOptions{ClientOptions: o})
	case azIdentity:
		return azidentity.NewClientAssertionCredential(appTenant, appClient,
			func(context.Context) (string, error) { return madeUpAssertion, nil },
			&azidentity.ClientAssertionCredentialOptions{ClientOptions: o,
				DisableInstanceDiscovery: true})
	}
	return nil, fmt.Errorf("no application of peer %q", name)
}

// bareExchange is the least that an exchange can be: one request, and reading its JSON.
func bareExchange(ctx context.Context, client *http.Client, base, scope string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost,
		base+"/"+appTenant+"/oauth2/v2.0/token", strings.NewReader(url.Values{
			"client_id": {appClient}, "scope": {scope}, "grant_type": {"client_credentials"},
			"client_assertion":      {madeUpAssertion},
			"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
		}.Encode()))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	var t struct {
		AccessToken string `json:"access_token"`
		ExpiresIn   int64  `json:"expires_in,string"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&t); err != nil {
		return err
	}
	ends := time.Now().Add(time.Duration(t.ExpiresIn) * time.Second)
	if resp.StatusCode != http.StatusOK || t.AccessToken == "" || !ends.After(time.Now()) {
		return fmt.Errorf("the fake answers %d", resp.StatusCode)
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}

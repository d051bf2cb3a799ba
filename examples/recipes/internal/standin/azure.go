// Package standin has what the recipes' tests share: an identity whose tokens can be made to end,
// and certificates for names that are Azure's.
package standin

import (
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity"
	"github.com/keyless-go/identity/identitytest"
)

// Azure is a managed identity on a fake of IMDS, and what a service knows about its tokens.
type Azure struct {
	Credential *identity.Credential
	Endpoint   *identitytest.Endpoint
}

// New has an identity of its own, with a cache of its own.
func New(t testing.TB) *Azure {
	t.Helper()
	endpoint := identitytest.NewIMDS(nil)
	cred, err := identity.NewCredential(&identity.CredentialOptions{
		ClientOptions: azcore.ClientOptions{Transport: endpoint}, Host: identity.HostIMDS,
	})
	if err != nil {
		t.Fatal(err)
	}
	return &Azure{cred, endpoint}
}

// Token is the one that a service takes now: it has scope's audience, and hasn't ended.
func (a *Azure) Token(t testing.TB, scope string) string {
	t.Helper()
	token, err := a.Credential.GetToken(t.Context(), policy.TokenRequestOptions{
		Scopes: []string{scope}, EnableCAE: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	return token.Token
}

// Rotate ends the token of a scope: Token returns another one from now on. It works once for each
// scope, because a credential refreshes at most once in 30 s.
func (a *Azure) Rotate(t testing.TB, scope string) {
	t.Helper()
	if _, changed, err := a.Credential.Refresh(t.Context(), scope); err != nil || !changed {
		t.Fatalf("Refresh: changed %v, error %v; want another token", changed, err)
	}
}

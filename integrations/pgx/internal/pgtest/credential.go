package pgtest

import (
	"context"
	"sync"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity"
	"github.com/keyless-go/identity/identitytest"
)

// Scope is that of databases in the public cloud.
const Scope = "https://ossrdbms-aad.database.windows.net/.default"

// UserAssigned is a fake host with one identity, of that name.
func UserAssigned(name string) *identitytest.Endpoint {
	return identitytest.NewIMDS(&identitytest.Options{Identities: []identitytest.Identity{{
		ResourceID: "/subscriptions/s/resourcegroups/g/providers/Microsoft.ManagedIdentity/" +
			"userAssignedIdentities/" + name,
	}}})
}

// NewCredential returns one of endpoint, which shares no token with any other.
func NewCredential(t testing.TB, endpoint *identitytest.Endpoint) *identity.Credential {
	t.Helper()
	cred, err := identity.NewCredential(&identity.CredentialOptions{
		ID:            identity.ResourceID(endpoint.Identities()[0].ResourceID),
		ClientOptions: azcore.ClientOptions{Transport: endpoint},
		Host:          identity.HostIMDS,
	})
	if err != nil {
		t.Fatal(err)
	}
	return cred
}

// Rotating is a credential whose token ends when the test says so, not after a day. Its tokens are
// those of a identity.Credential.
type Rotating struct {
	tb       testing.TB
	endpoint *identitytest.Endpoint
	enter    func(token string) // tells the server of a token, before a caller has it

	mu      sync.Mutex
	current *identity.Credential
}

// NewRotating returns a credential of endpoint whose first token the server knows.
func NewRotating(tb testing.TB, endpoint *identitytest.Endpoint, enter func(string)) *Rotating {
	r := &Rotating{tb: tb, endpoint: endpoint, enter: enter}
	r.Rotate()
	return r
}

// Rotate ends the token, and has another.
func (r *Rotating) Rotate() {
	r.tb.Helper()
	next := NewCredential(r.tb, r.endpoint)
	token, err := identity.TokenFunc(next, Scope)(context.Background())
	if err != nil {
		r.tb.Fatal(err)
	}
	r.enter(token)
	r.mu.Lock()
	r.current = next
	r.mu.Unlock()
}

// GetToken implements azcore.TokenCredential.
func (r *Rotating) GetToken(
	ctx context.Context, options policy.TokenRequestOptions,
) (azcore.AccessToken, error) {
	r.mu.Lock()
	cred := r.current
	r.mu.Unlock()
	return cred.GetToken(ctx, options)
}

// CredentialFunc is a function as a credential.
type CredentialFunc func(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error)

// GetToken implements azcore.TokenCredential.
func (f CredentialFunc) GetToken(
	ctx context.Context, options policy.TokenRequestOptions,
) (azcore.AccessToken, error) {
	return f(ctx, options)
}

package main

import (
	"context"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/keyless-go/identity"
)

// after is the same program with this library.
func after(c config) (azcore.TokenCredential, error) {
	federated := &identity.FederatedCredentialOptions{ClientOptions: c.options}
	switch {
	case c.assertion != nil:
		return identity.NewFederatedCredential(c.tenantID, identity.ClientID(c.clientID),
			identity.AssertionFunc(func(
				ctx context.Context, r identity.AssertionRequest,
			) (string, error) {
				return c.assertion(ctx, r.Audience) // that of the cloud
			}), federated)
	case c.tokenFile != "":
		return identity.NewFederatedCredential(c.tenantID, identity.ClientID(c.clientID),
			identity.FileAssertion(c.tokenFile), federated)
	case c.clientID != "":
		return identity.NewCredential(&identity.CredentialOptions{
			ClientOptions: c.options,
			ID:            identity.ClientID(c.clientID),
		})
	}
	return identity.NewDefaultCredential(&identity.DefaultCredentialOptions{
		ClientOptions: c.options,
	})
}

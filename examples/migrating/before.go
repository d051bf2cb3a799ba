package main

import (
	"context"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
)

// before is how a program gets its credential from azidentity.
func before(c config) (azcore.TokenCredential, error) {
	switch {
	case c.assertion != nil:
		return azidentity.NewClientAssertionCredential(c.tenantID, c.clientID,
			func(ctx context.Context) (string, error) {
				return c.assertion(ctx, "api://AzureADTokenExchange")
			},
			&azidentity.ClientAssertionCredentialOptions{
				ClientOptions:            c.options,
				DisableInstanceDiscovery: true, // nothing but the authority is to be asked
			})
	case c.tokenFile != "":
		return azidentity.NewWorkloadIdentityCredential(&azidentity.WorkloadIdentityCredentialOptions{
			ClientOptions:            c.options,
			TenantID:                 c.tenantID,
			ClientID:                 c.clientID,
			TokenFilePath:            c.tokenFile,
			DisableInstanceDiscovery: true,
		})
	case c.clientID != "":
		return azidentity.NewManagedIdentityCredential(&azidentity.ManagedIdentityCredentialOptions{
			ClientOptions: c.options,
			ID:            azidentity.ClientID(c.clientID),
		})
	}
	return azidentity.NewDefaultAzureCredential(&azidentity.DefaultAzureCredentialOptions{
		ClientOptions: c.options,
	})
}

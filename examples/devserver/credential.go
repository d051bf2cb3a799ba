package main

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/keyless-go/identity"
)

// The values of -credential.
const (
	credentialCLI     = "azurecli"
	credentialAZD     = "azd"
	credentialDefault = "default"

	// of an application that has no secret, in the place of a developer
	credentialFederated = "federated"
)

// checkCredential refuses what the library would refuse, too, in the flags' names.
func (c config) checkCredential() error {
	switch {
	case c.credential != credentialCLI && c.credential != credentialAZD &&
		c.credential != credentialDefault && c.credential != credentialFederated:
		return fmt.Errorf("-credential %q: want azurecli, azd, default or federated", c.credential)
	case (c.credential == credentialFederated) != c.federation.Asked():
		return errors.New("-credential federated and -application are for each other: give both")
	case c.credential == credentialFederated && c.tenant == "":
		return errors.New("-credential federated wants the application's -tenant")
	case c.subscription != "" && c.credential != credentialCLI:
		return errors.New("-subscription is for -credential azurecli")
	case c.subscription != "" && c.tenant != "":
		return errors.New("-subscription and -tenant exclude each other: a subscription has one tenant")
	case (c.credential == credentialDefault || c.federation.Asked() && c.federation.OfIdentity()) &&
		c.isItself(identity.Detect().Endpoint):
		return errors.New("this shell has devserver's own variables, so that it would ask itself: " +
			"unset IDENTITY_ENDPOINT and AZURE_POD_IDENTITY_AUTHORITY_HOST")
	}
	return nil
}

// isItself reports whether an endpoint that was detected is where this program is about to listen.
func (c config) isItself(endpoint string) bool {
	u, err := url.Parse(endpoint)
	return err == nil && u.Port() == strconv.Itoa(int(c.listen.Port())) &&
		isKnown(u.Hostname(), c.hostName)
}

// whose says it in words.
func (c config) whose() string {
	switch c.credential {
	case credentialAZD:
		return "the user of the Azure Developer CLI"
	case credentialDefault:
		return "the library's default chain"
	case credentialFederated:
		return "application " + c.federation.Application.String()
	}
	return "the user of the Azure CLI"
}

// newCredential sends and runs nothing.
func (c config) newCredential() (azcore.TokenCredential, error) {
	switch c.credential {
	case credentialDefault:
		return identity.NewDefaultCredential(&identity.DefaultCredentialOptions{TenantID: c.tenant})
	case credentialFederated:
		return c.federation.Credential(c.tenant, nil, nil)
	case credentialAZD:
		return identity.NewAzureDeveloperCLICredential(&identity.AzureDeveloperCLICredentialOptions{TenantID: c.tenant})
	}
	return identity.NewAzureCLICredential(&identity.AzureCLICredentialOptions{TenantID: c.tenant,
		Subscription: c.subscription})
}

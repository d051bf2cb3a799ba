// Package aks calls the API server of an AKS cluster with Entra integration as a managed identity,
// from anywhere, by client-go: what kubelogin does as a program.
package aks

import (
	"net/http"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/keyless-go/identity"
	"k8s.io/client-go/rest"
)

// Scope is the application of AKS's API servers, the same in all clouds.
const Scope = "6dae42f8-4368-4678-94ff-3960e28e3630/.default"

// Config is a copy of a cluster's configuration, such as a kubeconfig's, with the identity in place
// of its user, its exec plugin or its certificate. Each request has the token of its time. The
// server must have an https address. The identity needs a role of the cluster's.
func Config(cluster *rest.Config, cred azcore.TokenCredential) *rest.Config {
	config := rest.AnonymousClientConfig(cluster)
	config.Wrap(func(base http.RoundTripper) http.RoundTripper {
		return &identity.Transport{Credential: cred, Scope: Scope, Base: base}
	})
	return config
}

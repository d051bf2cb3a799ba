// Package devops calls Azure DevOps' REST API as a managed identity or service principal, in place
// of a personal access token. Add the identity to the organization as a user first.
package devops

import (
	"net/http"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/keyless-go/identity"
)

// Scope is Azure DevOps' application, which is the public cloud's alone.
const Scope = "499b84ac-1321-427f-aa17-267ca6975798/.default"

// Client sends requests with a token, each with the one of its time. A redirect to another host
// gets none. base sends; nil means http.DefaultTransport. Use the client for Azure DevOps alone:
// every https host that it is asked to call gets the token.
func Client(cred azcore.TokenCredential, base http.RoundTripper) *http.Client {
	return &http.Client{
		Transport: &identity.Transport{Credential: cred, Scope: Scope, Base: base},
	}
}

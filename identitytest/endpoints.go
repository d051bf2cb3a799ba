package identitytest

import (
	"errors"
	"net/http"
	"strings"
)

// Endpoints are several fakes as one transport, for a client that asks more than one, such as
// GitHub Actions and Entra.
//
//	azcore.ClientOptions{Transport: identitytest.Endpoints{github, entra}}
type Endpoints []*Endpoint

// Do gives req to the endpoint that it is for, in memory; see [Endpoint.Do]. It is the one whose
// URL in [Endpoint.Env] req has. A request with another URL, such as one to IMDS's own address, is
// for the first endpoint that is Entra's if its path is /TENANT/oauth2/v2.0/token, and otherwise
// for the first of the others. It is an error if there is none.
func (all Endpoints) Do(req *http.Request) (*http.Response, error) {
	for _, e := range all {
		if req.URL.Path == "/"+e.nonce || strings.HasPrefix(req.URL.Path, "/"+e.nonce+"/") {
			return e.Do(req)
		}
	}
	atEntra := strings.HasSuffix(strings.ToLower(req.URL.Path), tokenPath)
	for _, e := range all {
		if e.isEntra() == atEntra {
			return e.Do(req)
		}
	}
	if req.Body != nil {
		_ = req.Body.Close()
	}
	return nil, errors.New("identitytest: none of the Endpoints is at " + req.URL.Path)
}

// isEntra reports whether e is a token endpoint of Entra's.
func (e *Endpoint) isEntra() bool {
	switch e.host.(type) {
	case *workload, *application:
		return true
	}
	return false
}

// FederatedCredentials returns what an application must have to trust the tokens of the endpoint,
// for [Options.FederatedCredentials] of [NewEntra]. They are, without a ClientID:
//
//   - of a managed identity's host, one for each of its identities, in their order, with the
//     identity's object ID as the subject, for tokens for api://AzureADTokenExchange;
//   - of [NewWorkloadIdentity], the one for the token in the file;
//   - of [NewGitHubActions] and [NewAzurePipelines], the one for the job.
//
// There is none for the tokens of a person, which [NewCloudShell] has, and of an application.
func (e *Endpoint) FederatedCredentials() []FederatedCredential {
	if h, ok := e.host.(interface {
		federated(*Endpoint) []FederatedCredential
	}); ok {
		return h.federated(e)
	}
	switch e.host.(type) {
	case cloudShell, *application:
		return nil
	}
	list := make([]FederatedCredential, len(e.identities))
	for i, id := range e.identities {
		list[i] = FederatedCredential{
			Issuer: assertionIssuer(id.TenantID), Subject: id.ObjectID, Audience: exchangeAudience,
		}
	}
	return list
}

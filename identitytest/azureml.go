package identitytest

import (
	"cmp"
	"net/http"
	"time"
)

// azureML is the endpoint of Azure Machine Learning's compute. No page of Microsoft's describes it;
// what is known comes from the requests that MSAL sends.
type azureML struct{ *headerSecret }

const azureMLPath = "/msi/token"

var azureMLSelectors = map[string]property{"clientid": byClientID}

// NewAzureML returns a fake of the endpoint of Azure Machine Learning's compute, api-version
// 2017-09-01. Nil options means the defaults. It panics if options has no meaning: see [Options].
//
// It refuses another method than GET, a wrong secret, a missing or repeated query parameter, a
// resource that is neither a URI nor a GUID or that is a scope with /.default, an unknown identity,
// and every selector but clientid, in one word. A request without a clientid, or with an empty one,
// means the default identity, whose client ID is in DEFAULT_IDENTITY_CLIENT_ID: the system-assigned
// one or, if there is none, the first.
//
// How the real endpoint refuses is documented nowhere. The statuses, and the bodies {"error":
// {"code", "message"}}, are a guess: 401 for a wrong secret, 400 for everything else that is wrong
// with a query. Reports of it have plain text, "InternalError - :{…" or "SSO failure…": for these,
// enqueue the whole answer. Where no identity is selected they have the token of a signed-in user:
// enqueue a [Response] whose Identity has a User.
//
// A client learns the address and the secret from the environment, so set it from [Endpoint.Env],
// also when the Endpoint is its transport; [Endpoint.Start] does that by itself.
func NewAzureML(options *Options) *Endpoint {
	const computeID = "/providers/Microsoft.MachineLearningServices/workspaces/workspace-test/computes/compute-test"
	return newEndpoint(options, azureML{newHeaderSecret("MSI_SECRET")}, resourceGroupID+computeID)
}

func (h azureML) env(e *Endpoint, base string) []string {
	return []string{
		"MSI_ENDPOINT=" + base + azureMLPath,
		h.line(),
		"DEFAULT_IDENTITY_CLIENT_ID=" + systemOrFirst(e.identities).ClientID,
	}
}

func (h azureML) answer(e *Endpoint, r received) answer {
	switch {
	case !e.isAt(r, azureMLPath):
		return h.failure(http.StatusNotFound)
	case r.Method != http.MethodGet:
		return h.failure(http.StatusMethodNotAllowed)
	case !h.is(r.Header.Get("secret")):
		return h.failure(http.StatusUnauthorized)
	}
	query, selected, problem := parseQuery(r.URL.RawQuery, azureMLSelectors)
	switch {
	case problem != "":
		return h.refuse(problem)
	case query.Get("api-version") != "2017-09-01":
		return h.refuse("The api-version is missing or not supported.")
	case query.Get("resource") == "":
		return h.refuse("The resource is missing.")
	}
	id, ok := find(e.identities, byClientID,
		cmp.Or(selected.value, systemOrFirst(e.identities).ClientID))
	if !ok {
		return h.failure(http.StatusBadRequest)
	}
	resource := query.Get("resource")
	if !isResource(resource) {
		return h.refuse(unknownResource(resource, id.TenantID).problem(randomGUID()).Description)
	}
	t := e.issue(r, demand{id: id, resource: resource}, time.Now())
	return jsonAnswer(http.StatusOK, map[string]any{
		"access_token": t.raw,
		"client_id":    t.id.ClientID,
		// a number:
		// https://github.com/AzureAD/microsoft-authentication-library-for-dotnet/issues/5167
		"expires_on": t.expires,
		"resource":   resource,
		"token_type": "Bearer",
	})
}

func (azureML) failure(status int) answer {
	if status == http.StatusBadRequest {
		return codedError{Code: "IdentityNotFound",
			Message: "The identity isn't assigned to this compute."}.answer(status)
	}
	return codedFailure(status)
}

func (azureML) refuse(message string) answer {
	return codedError{Code: "BadRequest", Message: message}.answer(http.StatusBadRequest)
}

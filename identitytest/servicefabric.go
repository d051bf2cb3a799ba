package identitytest

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// serviceFabric is the managed identity token service of a Service Fabric node:
// https://learn.microsoft.com/azure/service-fabric/how-to-managed-identity-service-fabric-app-code
type serviceFabric struct{ *headerSecret }

const (
	serviceFabricPath    = "/metadata/identity/oauth2/token"
	serviceFabricVersion = "2019-07-01-preview"
)

// NewServiceFabric returns a fake of the token service of a Service Fabric node, api-version
// 2019-07-01-preview, and 2020-05-01 as well. Nil options means the defaults. It panics if options
// has no meaning: see [Options].
//
// It refuses what that service refuses, with its status and body: another method than GET, no
// secret or a wrong one, a missing or repeated query parameter; a resource that is neither a URI
// nor a GUID, or a scope with /.default, is answered 500 InternalServerError. It ignores every
// selector, as the real one does: the manifest of the application chooses the identity, which is
// the system-assigned one or, if there is none, the first.
//
// The parameter xms_cc with cp1 in its list makes tokens with the claim xms_cc. With
// Options.HostCache, the parameter token_sha256_to_refresh with the SHA-256 of the cached token, in
// hex, replaces it by a new one.
//
// The endpoint speaks TLS. IDENTITY_SERVER_THUMBPRINT has the SHA-1 of its certificate. A client
// that checks it needs connections: use [Endpoint.Client] as its transport, or [Endpoint.Start]. A
// client learns the address, the secret and the thumbprint from the environment, so set it from
// [Endpoint.Env], also when the Endpoint is its transport; [Endpoint.Start] does that by itself.
func NewServiceFabric(options *Options) *Endpoint {
	const applicationID = "/providers/Microsoft.ServiceFabric/clusters/cluster-test/applications/application-test"
	e := newEndpoint(options, serviceFabric{newHeaderSecret("IDENTITY_HEADER")},
		resourceGroupID+applicationID)
	e.certificate = newCertificate()
	return e
}

func (h serviceFabric) env(e *Endpoint, base string) []string {
	return []string{
		"IDENTITY_ENDPOINT=" + base + serviceFabricPath,
		h.line(),
		"IDENTITY_SERVER_THUMBPRINT=" + e.certificate.thumbprint(),
		"IDENTITY_API_VERSION=" + serviceFabricVersion,
	}
}

func (h serviceFabric) answer(e *Endpoint, r received) answer {
	switch {
	case !e.isAt(r, serviceFabricPath):
		return h.refuse(http.StatusNotFound, "NotFound", "Not Found")
	case r.Method != http.MethodGet:
		return h.failure(http.StatusMethodNotAllowed)
	case len(r.Header.Values("Secret")) == 0:
		return h.refuse(http.StatusBadRequest, "SecretHeaderNotFound",
			"Secret is not found in the request headers.")
	case !h.is(r.Header.Get("Secret")):
		return h.failure(http.StatusNotFound)
	}
	query, problem := inQuery.parse(r.URL.RawQuery)
	switch version := query.Get("api-version"); {
	case problem != "":
		return h.refuse(http.StatusBadRequest, "BadRequest", problem) // the code isn't documented
	case version != serviceFabricVersion && version != "2020-05-01":
		return h.refuse(http.StatusBadRequest, "InvalidApiVersion",
			fmt.Sprintf("The api-version '%s' is not supported. Supported version is '%s'.", version,
				serviceFabricVersion))
	case query.Get("resource") == "":
		return h.failure(http.StatusBadRequest)
	}
	resource := query.Get("resource")
	if !isResource(resource) {
		return h.failure(http.StatusInternalServerError)
	}
	t := e.issue(r, demand{
		id:       systemOrFirst(e.identities),
		resource: resource,
		capable:  slices.ContainsFunc(strings.Split(query.Get("xms_cc"), ","), isCP1),
		refused:  query.Get("token_sha256_to_refresh"),
	}, time.Now())
	return jsonAnswer(http.StatusOK, map[string]string{
		"access_token": t.raw,
		"expires_on":   strconv.FormatInt(t.expires, 10), // documented as a number, seen as a string
		"resource":     resource,
		"token_type":   "Bearer",
	})
}

// isCP1 recognises the one client capability there is: to answer a claims challenge.
func isCP1(capability string) bool { return strings.EqualFold(strings.TrimSpace(capability), "CP1") }

// throttled is what has been seen of a 429, which is documented as a status only. It is no JSON,
// and no header says it:
// https://github.com/AzureAD/microsoft-authentication-library-for-dotnet/issues/5178
const throttled = "The request was throttled locally; the service allows 30 requests per 10s; retry after 4s."

// failure has the documented codes and texts.
func (h serviceFabric) failure(status int) answer {
	switch {
	case status == http.StatusBadRequest:
		return h.refuse(status, "ArgumentNullOrEmpty",
			"The parameter 'resource' should not be null or empty string.")
	case status == http.StatusNotFound:
		return h.refuse(status, "ManagedIdentityNotFound",
			"Managed identity not found for the specified application host.")
	case status == http.StatusTooManyRequests:
		return answer{status: status, header: http.Header{"Content-Type": {"text/plain; charset=utf-8"}},
			body: throttled}
	case status >= 500:
		return h.refuse(status, "InternalServerError", "An error occurred.")
	case status < 400:
		return codedFailure(status)
	}
	return h.refuse(status, strings.ReplaceAll(http.StatusText(status), " ", ""),
		http.StatusText(status))
}

func (serviceFabric) refuse(status int, code, message string) answer {
	return codedError{CorrelationID: randomGUID(), Code: code, Message: message}.answer(status)
}

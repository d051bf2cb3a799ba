package identitytest

import (
	"net/http"
	"strconv"
	"time"
)

// appService is the endpoint of App Service and its kin, by the current protocol or by the legacy
// one:
// https://learn.microsoft.com/azure/app-service/overview-managed-identity#rest-endpoint-reference
type appService struct {
	*headerSecret
	variable  string // that has the address
	header    string // that has the secret
	version   string // of the API
	selectors map[string]property
	unknown   func(h *appService, resource, tenant string) answer // of a resource
	body      func(Identity, token, string) map[string]string     // of a success, for a resource
}

// NewAppService returns a fake of the endpoint of App Service, Functions, Logic Apps and Container
// Apps, api-version 2019-08-01. Nil options means the defaults. It panics if options has no
// meaning: see [Options].
//
// It refuses what that endpoint refuses, with its status and body: another method than GET, a wrong
// secret, a missing or repeated query parameter, an unknown identity, two selectors. It also
// refuses the selectors of other hosts, such as msi_res_id. A resource that Entra doesn't know,
// being neither a URI nor a GUID, or a scope with /.default, is answered 500, as by the real
// endpoint. A request without a selector means the system-assigned identity, and no other.
//
// A client learns the address and the secret from the environment, so set it from [Endpoint.Env],
// also when the Endpoint is its transport; [Endpoint.Start] does that by itself.
func NewAppService(options *Options) *Endpoint {
	return newEndpoint(options, &appService{
		headerSecret: newHeaderSecret("IDENTITY_HEADER"),
		variable:     "IDENTITY_ENDPOINT",
		header:       "X-IDENTITY-HEADER",
		version:      "2019-08-01",
		selectors: map[string]property{
			"client_id":    byClientID,
			"principal_id": byObjectID,
			"object_id":    byObjectID, // an alias of principal_id
			"mi_res_id":    byResourceID,
		},
		// https://github.com/AzureAD/microsoft-authentication-library-for-python,
		// msal/managed_identity.py: "a vague statusCode=500". It is not told from any other
		// failure.
		unknown: func(h *appService, _, _ string) answer {
			return h.failure(http.StatusInternalServerError)
		},
		body: func(id Identity, t token, resource string) map[string]string {
			return map[string]string{
				"access_token": t.raw,
				"client_id":    id.ClientID,
				"expires_on":   strconv.FormatInt(t.expires, 10),
				"not_before":   strconv.FormatInt(t.notBefore, 10),
				"resource":     resource,
				"token_type":   "Bearer",
			}
		},
	}, appID)
}

const appServicePath = "/msi/token"

var appID = resourceGroupID + "/providers/Microsoft.Web/sites/app-test"

func (h *appService) env(_ *Endpoint, base string) []string {
	return []string{h.variable + "=" + base + appServicePath, h.line()}
}

func (h *appService) answer(e *Endpoint, r received) answer {
	switch {
	case !e.isAt(r, appServicePath):
		return h.failure(http.StatusNotFound)
	case r.Method != http.MethodGet:
		return h.failure(http.StatusMethodNotAllowed)
	case !h.is(r.Header.Get(h.header)):
		return h.failure(http.StatusForbidden)
	}
	query, selected, problem := parseQuery(r.URL.RawQuery, h.selectors)
	switch {
	case problem != "":
		return h.refuse(problem)
	case query.Get("api-version") != h.version:
		return h.refuse("The api-version is missing or not supported.")
	case query.Get("resource") == "":
		return h.refuse("The resource is missing.")
	}
	id, problem := h.identity(e.identities, selected)
	if problem != "" {
		return h.refuse(problem)
	}
	resource := query.Get("resource")
	if !isResource(resource) {
		return h.unknown(h, resource, id.TenantID)
	}
	t := e.issue(r, demand{id: id, resource: resource}, time.Now())
	return h.json(http.StatusOK, randomGUID(), h.body(t.id, t, resource))
}

func (h *appService) identity(
	identities []Identity, selected selector,
) (id Identity, problem string) {
	if selected.name == "" {
		id, ok := systemAssigned(identities)
		if !ok {
			return Identity{}, "Unable to load the proper Managed Identity."
		}
		return id, ""
	}
	id, ok := find(identities, h.selectors[selected.name], selected.value)
	if !ok {
		return Identity{}, "No User Assigned or Delegated Managed Identity found for specified ClientId/ResourceId/PrincipalId."
	}
	return id, ""
}

func (h *appService) failure(status int) answer {
	switch status {
	case http.StatusBadRequest:
		return h.refuse("Unable to load the proper Managed Identity.")
	case http.StatusInternalServerError:
		// the host spells it so
		return h.problem(status, "An unexpected error occured while fetching the AAD Token.")
	}
	if status < 400 || status == http.StatusForbidden { // a wrong secret isn't told why
		return answer{status: status, header: h.kestrel(randomGUID())}
	}
	return h.problem(status, http.StatusText(status))
}

func (h *appService) refuse(message string) answer {
	return h.problem(http.StatusBadRequest, message)
}

func (h *appService) problem(status int, message string) answer {
	correlationID := randomGUID()
	return h.json(status, correlationID, struct {
		StatusCode    int    `json:"statusCode"`
		Message       string `json:"message"`
		CorrelationID string `json:"correlationId"`
	}{status, message, correlationID})
}

func (h *appService) json(status int, correlationID string, body any) answer {
	header := h.kestrel(correlationID)
	header.Set("Content-Type", jsonType)
	return answer{status: status, header: header, body: string(marshal(body))}
}

// kestrel are the headers of every answer.
func (*appService) kestrel(correlationID string) http.Header {
	header := make(http.Header)
	header.Set("Server", "Kestrel")
	header.Set("X-CORRELATION-ID", correlationID)
	return header
}

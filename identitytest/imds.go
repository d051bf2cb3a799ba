package identitytest

import (
	"net/http"
	"slices"
	"strconv"
	"time"
)

// imds is the instance metadata service:
// https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token
type imds struct{}

var imdsSelectors = map[string]property{
	"client_id":  byClientID,
	"object_id":  byObjectID,
	"msi_res_id": byResourceID, // a virtual machine takes mi_res_id as well, undocumented; a container instance doesn't
}

// NewIMDS returns a fake of the instance metadata service, the endpoint of virtual machines, scale sets, AKS nodes and
// container instances, api-version 2018-02-01. Nil options means the defaults. It panics if options has no meaning: see
// [Options].
//
// It refuses what IMDS refuses, with the status and the body of IMDS: another method than GET, a Metadata header other
// than "true", an X-Forwarded-For header, a repeated or missing query parameter, an unknown identity, two selectors. It
// also refuses the selectors of other hosts, such as mi_res_id, which not every IMDS takes. A request without a
// selector means the system-assigned identity or, if there is none, the only user-assigned one.
func NewIMDS(options *Options) *Endpoint {
	return newEndpoint(options, imds{}, resourceGroupID+"/providers/Microsoft.Compute/virtualMachines/vm-test")
}

func (imds) path() string { return "/metadata/identity/oauth2/token" }

func (imds) env(base string) []string {
	return []string{"AZURE_POD_IDENTITY_AUTHORITY_HOST=" + base}
}

func (h imds) answer(e *Endpoint, r *http.Request) answer {
	switch {
	case !e.atTokenPath(r):
		return h.failure(http.StatusNotFound)
	case r.Method != http.MethodGet:
		return h.failure(http.StatusMethodNotAllowed)
	case !slices.Equal(r.Header.Values("Metadata"), []string{"true"}):
		return h.refuse("Required metadata header not specified")
	case len(r.Header.Values("X-Forwarded-For")) > 0:
		return h.refuse("Requests with an X-Forwarded-For header are not allowed")
	}
	query, selected, problem := parseQuery(r.URL.RawQuery, imdsSelectors)
	switch {
	case problem != "":
		return h.refuse(problem)
	case query.Get("api-version") == "":
		return h.refuse("Required query variable 'api-version' is missing")
	case query.Get("api-version") != "2018-02-01":
		return h.refuse("Query variable 'api-version' is not supported")
	case query.Get("resource") == "":
		return h.refuse("Required query variable 'resource' is missing")
	}
	id, problem := h.identity(e.identities, selected)
	if problem != "" {
		return h.refuse(problem)
	}
	return h.success(e.issuer, id, selected, query.Get("resource"))
}

func (imds) identity(identities []Identity, selected selector) (id Identity, problem string) {
	if selected.name != "" {
		id, ok := find(identities, imdsSelectors[selected.name], selected.value)
		if !ok {
			return Identity{}, "Identity not found"
		}
		return id, ""
	}
	if id, ok := systemAssigned(identities); ok {
		return id, ""
	}
	if len(identities) > 1 {
		return Identity{}, "Multiple user assigned identities exist, please specify the clientId / resourceId of the identity in the token request"
	}
	return identities[0], ""
}

func (h imds) success(issuer *issuer, id Identity, selected selector, resource string) answer {
	now := time.Now()
	t := issuer.issue(id, resource, now)
	left := strconv.FormatInt(t.expiresIn(now), 10)
	body := map[string]string{
		"access_token":   t.raw,
		"expires_in":     left,
		"expires_on":     strconv.FormatInt(t.expires, 10),
		"ext_expires_in": left,
		"not_before":     strconv.FormatInt(t.notBefore, 10),
		"refresh_token":  "",
		"resource":       resource,
		"token_type":     "Bearer",
	}
	if selected.name != "" {
		body[selected.name] = selected.value
	}
	return h.json(http.StatusOK, body)
}

// failure has the codes that the specification of IMDS lists. It has none for 410, and the texts are of our making.
func (h imds) failure(status int) answer {
	code, text := "bad_request", http.StatusText(status)
	switch status {
	case http.StatusBadRequest:
		code, text = "invalid_request", "Identity not found"
	case http.StatusForbidden:
		code = "forbidden"
	case http.StatusNotFound:
		code = "not_found"
	case http.StatusMethodNotAllowed:
		code = "method_not_allowed"
	case http.StatusGone:
		code, text = "service_unavailable", "The service is being updated"
	case http.StatusTooManyRequests:
		code = "too_many_requests"
	case http.StatusServiceUnavailable:
		code = "service_unavailable"
	default:
		if status < 400 {
			return answer{status: status, header: h.header()}
		}
		if status >= 500 {
			code = "server_error"
		}
	}
	return h.json(status, map[string]string{"error": code, "error_description": text})
}

func (h imds) refuse(text string) answer {
	return h.json(http.StatusBadRequest, map[string]string{"error": "invalid_request", "error_description": text})
}

func (h imds) json(status int, body map[string]string) answer {
	header := h.header()
	header.Set("Content-Type", "application/json; charset=utf-8")
	return answer{status: status, header: header, body: string(marshal(body))}
}

func (imds) header() http.Header { return http.Header{"Server": {"IMDS/150.870.65.1854"}} }

package identitytest

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// containerInstances is the token service of a Windows container group of Azure Container
// Instances:
// https://learn.microsoft.com/azure/container-instances/container-instances-managed-identity#managed-identity-on-windows-containers
type containerInstances struct{ *headerSecret }

const (
	containerInstancesPath    = "/metadata/identity/oauth2/token"
	containerInstancesVersion = "1.0"
)

var containerInstancesSelectors = map[string]property{"principalId": byObjectID}

// NewContainerInstances returns a fake of the token service of a Windows container group of Azure
// Container Instances, api-version 1.0; Linux container groups have [NewIMDS]. Nil options means
// the defaults. It panics if options has no meaning: see [Options].
//
// It refuses another method than GET, no secret or a wrong one, a missing or repeated query
// parameter, an unknown identity, and every selector but principalId, which is an identity's
// ObjectID. A request without one means the system-assigned identity, and no other.
//
// How the real endpoint refuses is known in two cases: 404 DefaultIdentityNotDefined where there is
// no system-assigned identity, and 400 SecretHeaderNotFound. In all else it answers as Service
// Fabric: with its other statuses and codes, and the members of its success.
//
// A client learns the address, whose query has the api-version, and the secret from the
// environment, so set it from [Endpoint.Env], also when the Endpoint is its transport;
// [Endpoint.Start] does that by itself. The third variable, IDENTITY_SERVER_THUMBPRINT, is of a
// certificate that is never shown.
func NewContainerInstances(options *Options) *Endpoint {
	const groupID = "/providers/Microsoft.ContainerInstance/containerGroups/group-test"
	return newEndpoint(options, containerInstances{newHeaderSecret("IDENTITY_HEADER")},
		resourceGroupID+groupID)
}

func (h containerInstances) env(_ *Endpoint, base string) []string {
	return []string{
		"IDENTITY_ENDPOINT=" + base + containerInstancesPath + "?api-version=" +
			containerInstancesVersion,
		h.line(),
		"IDENTITY_SERVER_THUMBPRINT=" +
			strings.ToUpper(strings.ReplaceAll(guidOf("certificate"), "-", "")) + "00000000",
	}
}

func (h containerInstances) answer(e *Endpoint, r received) answer {
	switch {
	case !e.isAt(r, containerInstancesPath):
		return h.refuse(http.StatusNotFound, "NotFound", "Not Found")
	case r.Method != http.MethodGet:
		return h.failure(http.StatusMethodNotAllowed)
	case len(r.Header.Values("Secret")) == 0:
		return h.refuse(http.StatusBadRequest, "SecretHeaderNotFound",
			"Secret is not found in the request headers.")
	case !h.is(r.Header.Get("Secret")):
		return h.unknown()
	}
	query, selected, problem := parseQuery(r.URL.RawQuery, containerInstancesSelectors)
	switch version := query.Get("api-version"); {
	case problem != "":
		return h.refuse(http.StatusBadRequest, "BadRequest", problem)
	case version != containerInstancesVersion:
		return h.refuse(http.StatusBadRequest, "InvalidApiVersion",
			fmt.Sprintf("The api-version '%s' is not supported. Supported version is '%s'.",
				version, containerInstancesVersion))
	case query.Get("resource") == "":
		return h.failure(http.StatusBadRequest)
	}
	id, ok := systemAssigned(e.identities)
	switch {
	case selected.name == "" && !ok:
		return h.failure(http.StatusNotFound)
	case selected.name != "":
		if id, ok = find(e.identities, byObjectID, selected.value); !ok {
			return h.unknown()
		}
	}
	resource := query.Get("resource")
	if !isResource(resource) {
		return h.failure(http.StatusInternalServerError)
	}
	t := e.issue(r, demand{id: id, resource: resource}, time.Now())
	return h.json(http.StatusOK, map[string]string{
		"access_token": t.raw,
		"expires_on":   strconv.FormatInt(t.expires, 10),
		"resource":     resource,
		"token_type":   "Bearer",
	})
}

func (h containerInstances) unknown() answer {
	return h.refuse(http.StatusNotFound, "ManagedIdentityNotFound",
		"Managed identity not found for the specified application host.")
}

func (h containerInstances) failure(status int) answer {
	switch {
	case status == http.StatusBadRequest:
		return h.refuse(status, "ArgumentNullOrEmpty",
			"The parameter 'resource' should not be null or empty string.")
	case status == http.StatusNotFound:
		// the blank is the host's
		return h.refuse(status, "DefaultIdentityNotDefined", "DefaultIdentityNotDefined ")
	case status >= 500:
		return h.refuse(status, "InternalServerError", "An error occurred.")
	case status < 400:
		return answer{status: status, header: h.kestrel()}
	}
	return h.refuse(status, strings.ReplaceAll(http.StatusText(status), " ", ""),
		http.StatusText(status))
}

func (h containerInstances) refuse(status int, code, message string) answer {
	type problem struct {
		Code    string   `json:"code"`
		Message string   `json:"message"`
		Details []string `json:"details"`
	}
	return h.json(status, map[string]problem{"error": {code, message, []string{}}})
}

func (h containerInstances) json(status int, body any) answer {
	header := h.kestrel()
	header.Set("Content-Type", jsonType)
	return answer{status: status, header: header, body: string(marshal(body))}
}

// kestrel are the headers of every answer.
func (containerInstances) kestrel() http.Header {
	header := make(http.Header)
	header.Set("Server", "Kestrel")
	header.Set("x-ms-request-id", randomGUID())
	return header
}

package identitytest

import (
	"crypto/subtle"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"
)

// appService is the endpoint of App Service and its kin:
// https://learn.microsoft.com/azure/app-service/overview-managed-identity#rest-endpoint-reference
type appService struct {
	mu     sync.Mutex
	secret string
}

var appServiceSelectors = map[string]property{
	"client_id":    byClientID,
	"principal_id": byObjectID,
	"object_id":    byObjectID, // an alias of principal_id
	"mi_res_id":    byResourceID,
}

// NewAppService returns a fake of the endpoint of App Service, Functions, Logic Apps and Container Apps, api-version
// 2019-08-01. Nil options means the defaults. It panics if options has no meaning: see [Options].
//
// It refuses what that endpoint refuses, with its status and body: another method than GET, a wrong secret, a missing
// or repeated query parameter, an unknown identity, two selectors. It also refuses the selectors of other hosts, such
// as msi_res_id. A request without a selector means the system-assigned identity, and no other.
//
// A client learns the address and the secret from the environment, so set it from [Endpoint.Env], also when the
// Endpoint is its transport; [Endpoint.Start] does that by itself.
func NewAppService(options *Options) *Endpoint {
	return newEndpoint(options, &appService{secret: randomGUID()}, resourceGroupID+"/providers/Microsoft.Web/sites/app-test")
}

// RotateSecret replaces the secret of an App Service endpoint, as the platform does at times. Requests with the old one
// are refused from now on. If the endpoint is running by [Endpoint.Start], the variable IDENTITY_HEADER gets the new
// secret, and a client has to notice; otherwise [Endpoint.Env] returns it. It panics on an endpoint that has no secret.
func (e *Endpoint) RotateSecret() {
	h, ok := e.host.(*appService)
	if !ok {
		panic("identitytest: RotateSecret: only App Service endpoints have a secret")
	}
	secret := randomGUID()
	e.mu.Lock()
	defer e.mu.Unlock() // so that two rotations can't leave one's secret here and the other's in the environment
	h.mu.Lock()
	h.secret = secret
	h.mu.Unlock()
	if e.started {
		_ = os.Setenv("IDENTITY_HEADER", secret) // can't fail: Start has set it; the end of the test restores it
	}
}

func (h *appService) currentSecret() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.secret
}

func (*appService) path() string { return "/msi/token" }

func (h *appService) env(base string) []string {
	return []string{"IDENTITY_ENDPOINT=" + base + h.path(), "IDENTITY_HEADER=" + h.currentSecret()}
}

func (h *appService) answer(e *Endpoint, r *http.Request) answer {
	given := r.Header.Get("X-IDENTITY-HEADER")
	switch {
	case !e.atTokenPath(r):
		return h.failure(http.StatusNotFound)
	case r.Method != http.MethodGet:
		return h.failure(http.StatusMethodNotAllowed)
	case subtle.ConstantTimeCompare([]byte(given), []byte(h.currentSecret())) == 0:
		return h.failure(http.StatusForbidden)
	}
	query, selected, problem := parseQuery(r.URL.RawQuery, appServiceSelectors)
	switch {
	case problem != "":
		return h.refuse(problem)
	case query.Get("api-version") != "2019-08-01":
		return h.refuse("The api-version is missing or not supported.")
	case query.Get("resource") == "":
		return h.refuse("The resource is missing.")
	}
	id, problem := h.identity(e.identities, selected)
	if problem != "" {
		return h.refuse(problem)
	}
	return h.success(e.issuer, id, query.Get("resource"))
}

func (*appService) identity(identities []Identity, selected selector) (id Identity, problem string) {
	if selected.name == "" {
		id, ok := systemAssigned(identities)
		if !ok {
			return Identity{}, "Unable to load the proper Managed Identity."
		}
		return id, ""
	}
	id, ok := find(identities, appServiceSelectors[selected.name], selected.value)
	if !ok {
		return Identity{}, "No User Assigned or Delegated Managed Identity found for specified ClientId/ResourceId/PrincipalId."
	}
	return id, ""
}

func (h *appService) success(issuer *issuer, id Identity, resource string) answer {
	t := issuer.issue(id, resource, time.Now())
	return h.json(http.StatusOK, randomGUID(), map[string]string{
		"access_token": t.raw,
		"client_id":    id.ClientID,
		"expires_on":   strconv.FormatInt(t.expires, 10),
		"not_before":   strconv.FormatInt(t.notBefore, 10),
		"resource":     resource,
		"token_type":   "Bearer",
	})
}

func (h *appService) failure(status int) answer {
	switch status {
	case http.StatusBadRequest:
		return h.refuse("Unable to load the proper Managed Identity.")
	case http.StatusInternalServerError:
		return h.problem(status, "An unexpected error occured while fetching the AAD Token.") // the host spells it so
	}
	if status < 400 || status == http.StatusForbidden { // a wrong secret isn't told why
		return answer{status: status, header: h.header(randomGUID())}
	}
	return h.problem(status, http.StatusText(status))
}

func (h *appService) refuse(message string) answer { return h.problem(http.StatusBadRequest, message) }

func (h *appService) problem(status int, message string) answer {
	correlationID := randomGUID()
	return h.json(status, correlationID, struct {
		StatusCode    int    `json:"statusCode"`
		Message       string `json:"message"`
		CorrelationID string `json:"correlationId"`
	}{status, message, correlationID})
}

func (h *appService) json(status int, correlationID string, body any) answer {
	header := h.header(correlationID)
	header.Set("Content-Type", "application/json; charset=utf-8")
	return answer{status: status, header: header, body: string(marshal(body))}
}

func (*appService) header(correlationID string) http.Header {
	header := make(http.Header)
	header.Set("Server", "Kestrel")
	header.Set("X-CORRELATION-ID", correlationID)
	return header
}

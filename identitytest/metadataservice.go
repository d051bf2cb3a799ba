package identitytest

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"
)

// metadataService is what IMDS and the agent of Azure Arc, which is modelled on it, have in common:
// what a request must look like, and the bodies of the answers.
type metadataService struct {
	server    string // the value of the Server header; without one if empty
	selectors map[string]property
	versions  []string // of its API
	bypass    bool     // whether bypass_cache makes it pass over its cache
}

func (metadataService) path() string { return "/metadata/identity/oauth2/token" }

// parse returns what r asks for, or the answer to it if it is wrong, which has a status.
func (m metadataService) parse(
	e *Endpoint, r received,
) (query url.Values, selected selector, refusal answer) {
	switch {
	case !e.isAt(r, m.path()):
		refusal = m.failure(http.StatusNotFound)
	case r.Method != http.MethodGet:
		refusal = m.failure(http.StatusMethodNotAllowed)
	case !slices.Equal(r.Header.Values("Metadata"), []string{"true"}):
		refusal = m.refuse("Required metadata header not specified")
	case len(r.Header.Values("X-Forwarded-For")) > 0:
		refusal = m.refuse("Requests with an X-Forwarded-For header are not allowed")
	}
	if refusal.status != 0 {
		return nil, selector{}, refusal
	}
	query, selected, problem := parseQuery(r.URL.RawQuery, m.selectors)
	if problem == "" {
		problem = m.missing(query)
	}
	if problem != "" {
		return nil, selector{}, m.refuse(problem)
	}
	return query, selected, answer{}
}

func (m metadataService) missing(query url.Values) (problem string) {
	switch {
	case query.Get("api-version") == "":
		return "Required query variable 'api-version' is missing"
	case !slices.Contains(m.versions, query.Get("api-version")):
		return "Query variable 'api-version' is not supported"
	case query.Get("resource") == "":
		return "Required query variable 'resource' is missing"
	case m.bypass && query.Has("bypass_cache") && query.Get("bypass_cache") != "true":
		return "Query variable 'bypass_cache' is not valid"
	}
	return ""
}

// success is the answer that has a token, unless Entra, which is asked last, doesn't know the
// resource.
func (m metadataService) success(e *Endpoint, r received, d demand, selected selector) answer {
	if !isResource(d.resource) {
		return m.json(http.StatusBadRequest,
			unknownResource(d.resource, d.id.TenantID).problem(randomGUID()))
	}
	now := time.Now()
	t := e.issue(r, d, now)
	left := strconv.FormatInt(t.expiresIn(now), 10)
	body := map[string]string{
		"access_token":   t.raw,
		"expires_in":     left,
		"expires_on":     strconv.FormatInt(t.expires, 10),
		"ext_expires_in": left,
		"not_before":     strconv.FormatInt(t.notBefore, 10),
		"refresh_token":  "",
		"resource":       d.resource,
		"token_type":     "Bearer",
	}
	if selected.name != "" {
		body[selected.name] = selected.value
	}
	return m.json(http.StatusOK, body)
}

// failure has the codes that the specification of IMDS lists. It has none for 410, and the texts
// are of our making.
func (m metadataService) failure(status int) answer {
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
			return answer{status: status, header: m.header()}
		}
		if status >= 500 {
			code = "server_error"
		}
	}
	return m.json(status, map[string]string{"error": code, "error_description": text})
}

func (m metadataService) refuse(text string) answer {
	return m.json(http.StatusBadRequest,
		map[string]string{"error": "invalid_request", "error_description": text})
}

func (m metadataService) json(status int, body any) answer {
	header := m.header()
	header.Set("Content-Type", jsonType)
	return answer{status: status, header: header, body: string(marshal(body))}
}

func (m metadataService) header() http.Header {
	header := make(http.Header)
	if m.server != "" {
		header.Set("Server", m.server)
	}
	return header
}

package identitytest

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// cloudShell is the endpoint of Azure Cloud Shell. No page of Microsoft's describes it; what is
// known comes from the requests that MSAL sends and from
// https://github.com/Azure/CloudShell/issues, which has its answers.
type cloudShell struct{}

const (
	cloudShellPath     = "/oauth2/token"
	cloudShellIMDSPath = "/metadata/identity/oauth2/token"
)

// cloudShellClientID is the application that the tokens in Cloud Shell are issued to.
const cloudShellClientID = "b677c290-cf4b-4a8e-a60e-91ba650a4abe"

// NewCloudShell returns a fake of the endpoint of Azure Cloud Shell. Nil options means the
// defaults. It panics if options has no meaning: see [Options].
//
// It refuses another method than POST, a Metadata header other than "true", a body that isn't a
// form, a missing or repeated resource, and every selector. The bodies are {"error": {"code",
// "message"}}; AudienceNotSupported is the real endpoint's, which has a list of supported
// resources, and the other codes are a guess. Here every resource is supported that is a URI or a
// GUID, and no scope with /.default.
//
// It also takes the request of IMDS, a GET at /metadata/identity/oauth2/token with api-version
// 2018-02-01, and answers it in the same way: https://github.com/Azure/CloudShell/issues/477.
//
// The token is one of the signed-in user, not of a managed identity: it has the object ID, the
// tenant and the User of the first identity, the client ID of Cloud Shell, and no resource ID.
// Further identities have no meaning here.
//
// A client learns the address from the environment, so set it from [Endpoint.Env], also when the
// Endpoint is its transport; [Endpoint.Start] does that by itself.
func NewCloudShell(options *Options) *Endpoint {
	o := options.copied()
	if o.Identities = slices.Clone(o.Identities); len(o.Identities) == 0 {
		o.Identities = []Identity{{}}
	}
	for i := range o.Identities {
		o.Identities[i].User = cmp.Or(o.Identities[i].User, fmt.Sprintf("user-%d@contoso.com", i+1))
	}
	e := newEndpoint(&o, cloudShell{},
		resourceGroupID+"/providers/Microsoft.Portal/consoles/default")
	e.issuer.adapt = func(c *claims) {
		c.AppID, c.AppIDACR, c.IDType = cloudShellClientID, "", "user"
		c.HostResourceID, c.ResourceID = "", ""
	}
	return e
}

func (cloudShell) env(_ *Endpoint, base string) []string {
	return []string{"MSI_ENDPOINT=" + base + cloudShellPath}
}

func (cloudShell) ofPerson() {}

func (h cloudShell) answer(e *Endpoint, r received) answer {
	asIMDS := e.isAt(r, cloudShellIMDSPath)
	switch {
	case !asIMDS && !e.isAt(r, cloudShellPath):
		return h.failure(http.StatusNotFound)
	case r.Method != map[bool]string{true: http.MethodGet, false: http.MethodPost}[asIMDS]:
		return h.failure(http.StatusMethodNotAllowed)
	case !slices.Equal(r.Header.Values("Metadata"), []string{"true"}):
		return h.refuse("Required metadata header not specified")
	}
	parameters, _, problem := inQuery.selecting(r.URL.RawQuery, nil)
	switch {
	case problem != "":
		return h.refuse(problem)
	case asIMDS && parameters.Get("api-version") != "2018-02-01":
		return h.refuse("The api-version is missing or not supported.")
	case !asIMDS:
		raw, ok := r.form()
		if !ok {
			return h.failure(http.StatusUnsupportedMediaType)
		}
		if parameters, _, problem = inForm.selecting(raw, nil); problem != "" {
			return h.refuse(problem)
		}
	}
	now, resource := time.Now(), parameters.Get("resource")
	if !isResource(resource) {
		return h.failure(http.StatusBadRequest)
	}
	t := e.issue(r, demand{id: e.identities[0], resource: resource}, now)
	return jsonAnswer(http.StatusOK, map[string]string{
		"access_token":  t.raw,
		"expires_in":    strconv.FormatInt(t.expiresIn(now), 10),
		"expires_on":    strconv.FormatInt(t.expires, 10),
		"not_before":    strconv.FormatInt(t.notBefore, 10),
		"refresh_token": "",
		"resource":      resource,
		"token_type":    "Bearer",
	})
}

func (cloudShell) failure(status int) answer {
	if status == http.StatusBadRequest {
		return codedError{Code: "AudienceNotSupported",
			Message: "Audience is not a supported MSI token audience."}.answer(status)
	}
	return codedFailure(status)
}

func (cloudShell) refuse(message string) answer {
	return codedError{Code: "BadRequest", Message: message}.answer(http.StatusBadRequest)
}

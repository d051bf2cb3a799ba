package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// handler answers the token requests of the protocols with the tokens of one credential. It may be
// used concurrently as far as the credential may.
type handler struct {
	credential azcore.TokenCredential
	protocols  []protocol // that are served
	secret     string     // of App Service
	hostName   string     // by which it is reached, beside the usual ones; "" for none
	accepted   []string   // IDs of identities that the developer stands in for
	log        *slog.Logger
	noted      sync.Map // of accepted, in lower case, those that the log tells of
}

// tokenTimeout is for one call of GetToken. The Azure CLI takes a second or two, and has been seen
// to take ten where a virus scanner reads all of its Python first; a chain tries one after the
// other. Most SDKs wait for a minute.
const tokenTimeout = 30 * time.Second

// statusNoToken is 424 Failed Dependency, for a credential that gives no token. A developer should
// read at once that "az login" is due. No SDK sends a request again after this status, as they do
// after 404, 408, 410, 429 and 5xx, IMDS's for over a minute, and none takes it for an identity
// that isn't assigned (400) or an endpoint that isn't there (403).
const statusNoToken = http.StatusFailedDependency

// refusal is an answer without a token, before it has the shape of a protocol.
type refusal struct {
	status int
	// of IMDS: https://learn.microsoft.com/azure/virtual-machines/instance-metadata-service
	code    string
	message string // says what to do
}

func invalid(message string) *refusal {
	return &refusal{http.StatusBadRequest, "invalid_request", message}
}

func forbidden(message string) *refusal { return &refusal{http.StatusForbidden, "forbidden", message} }

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p, known := protocolAt(r.URL.Path)
	resource, no := h.check(p, known, r)
	var token azcore.AccessToken
	if no == nil {
		token, no = h.token(r.Context(), resource)
	}
	if no == nil {
		h.log.Info("token", "protocol", p.name, "resource", h.clean(resource), "expires",
			token.ExpiresOn.UTC().Format(time.RFC3339))
		reply(w, http.StatusOK, p.success(token, resource))
		return
	}
	no.message = h.clean(no.message)
	h.log.Warn("no token", "protocol", p.name, "status", no.status, "reason", no.message)
	if no.status == http.StatusMethodNotAllowed {
		w.Header().Set("Allow", http.MethodGet)
	}
	reply(w, no.status, p.failure(*no, w.Header()))
}

// check returns what a token is asked for, or why there is none. Who asks is judged before what is
// asked for, so that a web page learns nothing.
func (h *handler) check(p protocol, known bool, r *http.Request) (resource string, _ *refusal) {
	if why := h.stranger(r); why != "" {
		return "", forbidden(why)
	}
	switch {
	case !known:
		return "", &refusal{http.StatusNotFound, "not_found",
			"no token endpoint: want " + appService.path + ", which belongs into IDENTITY_ENDPOINT, or " +
				imds.path}
	case !h.serves(p): // not 404, which SDKs take for an IMDS that is about to come up
		return "", forbidden("devserver doesn't serve the protocol of " + p.name +
			": start it with -protocols " + p.flag)
	case r.Method != http.MethodGet:
		return "", &refusal{http.StatusMethodNotAllowed, "method_not_allowed",
			"want GET, not " + r.Method}
	}
	if no := p.admit(h, r.Header); no != nil {
		return "", no
	}
	q, no := p.parse(r.URL.RawQuery)
	if no == nil {
		no = h.choose(q)
	}
	return q.resource, no
}

func (h *handler) serves(p protocol) bool {
	for _, served := range h.protocols {
		if served.name == p.name {
			return true
		}
	}
	return false
}

// token asks the credential. Nothing is kept here: the credentials have their own caches.
func (h *handler) token(ctx context.Context, resource string) (azcore.AccessToken, *refusal) {
	ctx, cancel := context.WithTimeout(ctx, tokenTimeout)
	defer cancel()
	token, err := h.credential.GetToken(ctx,
		policy.TokenRequestOptions{Scopes: []string{scopeOf(resource)}})
	switch {
	case err != nil:
		return token, &refusal{statusNoToken, "server_error",
			strings.TrimPrefix(err.Error(), "identity: ")}
	case token.Token == "":
		return token, &refusal{statusNoToken, "server_error",
			"the credential returned an empty token for " + resource}
	}
	return token, nil
}

// scopeOf is the scope of all permissions for a resource. A slash at the resource's end belongs to
// it: Resource Manager's is
// https://management.azure.com/, and the scope has two.
func scopeOf(resource string) string { return resource + defaultSuffix }

const defaultSuffix = "/.default"

// reply writes the only bytes that leave: what holds a token is not for a cache, and not to be
// taken for a web page.
func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // an error means that the client is gone
}

package identitytest

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// tokenEndpoint is that of Entra, for clients which prove by an assertion who they are:
// https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow
type tokenEndpoint struct {
	// trusts says why Entra doesn't take assertion for the proof that the client is id; nil: it does.
	trusts func(id Identity, assertion string) *entraError
}

const (
	tokenPath     = "/oauth2/v2.0/token"
	defaultScope  = "/.default"
	assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

	// entraLifetime: Entra gives tokens 60 to 90 minutes, at random, to clients that don't know about
	// claims challenges:
	// https://learn.microsoft.com/entra/identity-platform/configurable-token-lifetimes
	entraLifetime = time.Hour

	// longLived is from when on there is refresh_in. Entra has it in tokens of 24 hours; where it
	// begins isn't documented.
	longLived = 12 * time.Hour
)

func (h *tokenEndpoint) answer(e *Endpoint, r received) answer {
	tenant, rest, _ := strings.Cut(strings.TrimPrefix(e.pathOf(r), "/"), "/")
	if !strings.EqualFold("/"+rest, tokenPath) {
		return h.failure(http.StatusNotFound)
	}
	correlationID := r.Header.Get("client-request-id")
	if correlationID == "" {
		correlationID = randomGUID()
	}
	d, refusal := h.demand(e.identities, tenant, r)
	if refusal != nil {
		return refusal.answer(correlationID)
	}
	now := time.Now()
	t := e.issue(r, d, now)
	left := t.expiresIn(now)
	body := map[string]any{
		"access_token":   t.raw,
		"expires_in":     left,
		"ext_expires_in": left,
		"token_type":     "Bearer",
	}
	if cmp.Or(r.scripted.Lifetime, e.issuer.lifetime) >= longLived {
		body["refresh_in"] = left / 2
	}
	return entraAnswer(http.StatusOK, randomGUID(), body)
}

// demand is what r asks of tenant, or why it is refused.
func (h *tokenEndpoint) demand(
	identities []Identity, tenant string, r received,
) (demand, *entraError) {
	if r.Method != http.MethodPost {
		return demand{}, notPosted(r.Method)
	}
	inTenant := slices.DeleteFunc(slices.Clone(identities), func(id Identity) bool {
		return !strings.EqualFold(id.TenantID, tenant)
	})
	if len(inTenant) == 0 {
		return demand{}, unknownTenant(tenant)
	}
	raw, _ := r.form() // what isn't a form has no parameter
	form, problem := inForm.parse(raw)
	if problem != "" {
		return demand{}, malformed(problem)
	}
	for _, name := range []string{"grant_type", "client_id", "scope"} {
		if form.Get(name) == "" {
			return demand{}, missingParameter(name)
		}
	}
	if grant := form.Get("grant_type"); grant != "client_credentials" {
		return demand{}, unsupportedGrant(grant)
	}
	id, ok := find(inTenant, byClientID, form.Get("client_id"))
	if !ok {
		return demand{}, unknownClient(form.Get("client_id"), tenant)
	}
	resource, refusal := resourceOf(form.Get("scope"))
	if refusal != nil {
		return demand{}, refusal
	}
	capable, err := capableOf(form)
	if err != nil {
		return demand{}, badClaims()
	}
	if refusal := h.check(id, form); refusal != nil {
		return demand{}, refusal
	}
	if !isResource(resource) {
		return demand{}, unknownResource(resource, tenant)
	}
	return demand{id: id, resource: resource, capable: capable}, nil
}

// resourceOf returns the resource that scope is the default one of. Those of OpenID Connect mean
// nothing to a client without a user, and are no reason to refuse it.
func resourceOf(scope string) (string, *entraError) {
	names := slices.DeleteFunc(strings.Fields(scope), func(name string) bool {
		return name == "openid" || name == "offline_access" || name == "profile"
	})
	if len(names) != 1 {
		return "", invalidScope(scope)
	}
	resource, ok := strings.CutSuffix(names[0], defaultScope)
	switch {
	case !ok:
		return "", userScope(names[0])
	case resource == "":
		return "", invalidScope(scope)
	}
	return resource, nil
}

// capableOf reports whether the claims that form asks for say that the client can answer a claims
// challenge.
func capableOf(form url.Values) (bool, error) {
	if !form.Has("claims") {
		return false, nil
	}
	raw := []byte(form.Get("claims"))
	var asked struct {
		AccessToken struct {
			Capabilities struct {
				Values []string `json:"values"`
			} `json:"xms_cc"`
		} `json:"access_token"`
	}
	if err := json.Unmarshal(raw, &asked); err != nil {
		return false, err
	}
	if !bytes.HasPrefix(bytes.TrimSpace(raw), []byte("{")) {
		return false, fmt.Errorf("not an object: %s", raw) // null
	}
	return slices.ContainsFunc(asked.AccessToken.Capabilities.Values, isCP1), nil
}

// check is about who asks.
func (h *tokenEndpoint) check(id Identity, form url.Values) *entraError {
	switch assertion := form.Get("client_assertion"); {
	case assertion == "":
		return noAssertion()
	case form.Get("client_assertion_type") != assertionType:
		return missingParameter("client_assertion_type")
	default:
		return h.trusts(id, assertion)
	}
}

// failure has no body for 404, which is about the path.
func (*tokenEndpoint) failure(status int) answer {
	if status < 400 || status == http.StatusNotFound {
		return answer{status: status, header: http.Header{"X-Ms-Request-Id": {randomGUID()}}}
	}
	return entraFailure(status).answer(randomGUID())
}

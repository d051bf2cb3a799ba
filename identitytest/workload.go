package identitytest

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/keyless-go/identity/internal/seam"
)

// workload is the token endpoint of Entra, as a pod with workload identity uses it, and what the
// cluster gives the pod:
// https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow
// https://azure.github.io/azure-workload-identity/docs/
type workload struct {
	file string // which has the current assertion
	oidc string // the issuer of the assertions

	mu         sync.Mutex
	assertions map[string]bool // all that were in the file; false if they are no more
}

const (
	defaultScope       = "/.default"
	assertionType      = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
	assertionAudience  = "api://AzureADTokenExchange"
	assertionSubject   = "system:serviceaccount:default:workload"
	federatedTokenFile = "azure-identity-token"

	// assertionLifetime is the default of a service account token that the kubelet puts into a pod.
	assertionLifetime = time.Hour

	// entraLifetime: Entra gives tokens 60 to 90 minutes, at random, to clients that don't know about
	// claims challenges:
	// https://learn.microsoft.com/entra/identity-platform/configurable-token-lifetimes
	entraLifetime = time.Hour

	// longLived is from when on there is refresh_in. Entra has it in tokens of 24 hours; where it
	// begins isn't documented.
	longLived = 12 * time.Hour
)

// NewWorkloadIdentity returns a fake of the token endpoint of Entra, for a pod with workload
// identity. It writes the pod's token into the file azure-identity-token in Options.Dir. Without
// identities it has one of a user-assigned identity or an application, which are the same here. It
// panics if options has no meaning, see [Options], if one of the identities is system-assigned, as
// those can't be federated, and without Options.Dir. Two identities may have the same ClientID if
// their TenantIDs differ: an application that is in several tenants.
//
// It refuses what Entra refuses, with its status, code (AADSTS…) and body: another method than
// POST, a body that isn't a form, an unknown tenant, another grant_type than client_credentials, an
// unknown client_id, not exactly one scope or one that doesn't end in /.default (openid,
// offline_access and profile don't count, as MSAL adds them), claims that aren't a JSON object,
// another client_assertion_type than jwt-bearer, and any client_assertion but the content of the
// file: AADSTS700024 for what was there before [Endpoint.RotateSecret], and for another one, by
// what differs, AADSTS700211 (issuer), 700212 (audience), 700213 (subject) or 700027 (signature). A
// scope whose resource is neither a URI nor a GUID, or which has /.default twice, is AADSTS500011.
// The assertion says that it ends after an hour; the endpoint takes it until the next rotation, as
// a cluster would have replaced it in time.
//
// The audience of a token is the scope without its last /.default. Every answer has a new token,
// whose claim xms_cc has CP1 if the claims asked for it. refresh_in is in the answer if the token
// lives for 12 hours at least.
//
// A client learns where Entra is, and who it is itself, from the environment, so set it from
// [Endpoint.Env], also when the Endpoint is its transport; [Endpoint.Start] does that by itself.
// Over a connection the endpoint speaks TLS: a credential in this process that finds it by these
// variables trusts it, any other client needs [Endpoint.Client] as its transport, or must be told
// to trust its certificate. The endpoint has no other pages of Entra, so not the discovery
// documents that MSAL reads first.
func NewWorkloadIdentity(options *Options) *Endpoint {
	o := options.copied()
	o.HostCache = false
	o.Lifetime = cmp.Or(o.Lifetime, entraLifetime)
	if len(o.Identities) == 0 {
		o.Identities = []Identity{{}}
	}
	if i := slices.IndexFunc(o.Identities, func(id Identity) bool { return id.System }); i >= 0 {
		panic(fmt.Sprintf("identitytest: NewWorkloadIdentity: Options.Identities: %d is system-assigned and can't be federated", i))
	}
	host := &workload{
		file:       filepath.Join(options.directory("NewWorkloadIdentity"), federatedTokenFile),
		assertions: make(map[string]bool),
	}
	e := newEndpoint(&o, host, "") // a host is in no claim: a token is issued to a pod
	e.certificate = newCertificate("login.microsoftonline.com", "login.microsoftonline.us",
		"login.chinacloudapi.cn")
	host.oidc = "https://oidc.example/" + e.nonce + "/"
	if _, err := host.rotate(); err != nil {
		panic(fmt.Sprintf("identitytest: NewWorkloadIdentity: %v", err))
	}
	e.standIn(seam.Place{RootCAs: e.certificate.pool})
	return e
}

func (h *workload) env(e *Endpoint, base string) []string {
	return []string{
		"AZURE_CLIENT_ID=" + e.identities[0].ClientID,
		"AZURE_TENANT_ID=" + e.identities[0].TenantID,
		"AZURE_FEDERATED_TOKEN_FILE=" + h.file,
		"AZURE_AUTHORITY_HOST=" + base + "/",
		// A proxy of the cluster's, which the process may have inherited, would be asked in the place of
		// the endpoint.
		"AZURE_KUBERNETES_CA_DATA=",
		"AZURE_KUBERNETES_CA_FILE=",
		"AZURE_KUBERNETES_SNI_NAME=",
		"AZURE_KUBERNETES_TOKEN_PROXY=",
	}
}

func (h *workload) answer(e *Endpoint, r received) answer {
	tenant, rest, _ := strings.Cut(strings.TrimPrefix(e.pathOf(r), "/"), "/")
	if !strings.EqualFold(rest, "oauth2/v2.0/token") {
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
	t := e.issuer.issue(d, now)
	left := t.expiresIn(now)
	body := map[string]any{
		"access_token":   t.raw,
		"expires_in":     left,
		"ext_expires_in": left,
		"token_type":     "Bearer",
	}
	if e.issuer.lifetime >= longLived {
		body["refresh_in"] = left / 2
	}
	return entraAnswer(http.StatusOK, randomGUID(), body)
}

// demand is what r asks of tenant, or why it is refused.
func (h *workload) demand(identities []Identity, tenant string, r received) (demand, *entraError) {
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
	if refusal := h.check(form); refusal != nil {
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
func (h *workload) check(form url.Values) *entraError {
	assertion := form.Get("client_assertion")
	switch {
	case assertion == "":
		return noAssertion()
	case form.Get("client_assertion_type") != assertionType:
		return missingParameter("client_assertion_type")
	}
	h.mu.Lock()
	current, ours := h.assertions[assertion]
	h.mu.Unlock()
	switch {
	case current:
		return nil
	case ours:
		return expiredAssertion()
	}
	c, err := readAssertion(assertion)
	switch {
	case err != nil:
		return malformedAssertion()
	case c.Issuer != h.oidc:
		return strangeAssertion(700211, "issuer", c.Issuer)
	case !slices.Contains(c.Audience, assertionAudience):
		return strangeAssertion(700212, "audience", strings.Join(c.Audience, ","))
	case c.Subject != assertionSubject:
		return strangeAssertion(700213, "subject", c.Subject)
	case time.Now().Unix() >= c.Expires:
		return expiredAssertion()
	}
	return unsignedAssertion()
}

// assertionClaims are what a federated credential is compared with, and the end.
type assertionClaims struct {
	Audience audience `json:"aud"`
	Expires  int64    `json:"exp"`
	Issuer   string   `json:"iss"`
	Subject  string   `json:"sub"`
}

// audience is one, or a list of them: RFC 7519 has both.
type audience []string

func (a *audience) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*a = audience{one}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(a))
}

func readAssertion(jwt string) (c assertionClaims, err error) {
	segments := strings.Split(jwt, ".")
	if len(segments) != 3 {
		return c, fmt.Errorf("%d segments", len(segments))
	}
	payload, err := base64.RawURLEncoding.DecodeString(segments[1])
	if err != nil {
		return c, err
	}
	return c, json.Unmarshal(payload, &c)
}

// failure has no body for 404, which is about the path.
func (h *workload) failure(status int) answer {
	if status < 400 || status == http.StatusNotFound {
		return answer{status: status, header: http.Header{"X-Ms-Request-Id": {randomGUID()}}}
	}
	return entraFailure(status).answer(randomGUID())
}

// rotate puts a new assertion into the file. It is good before it is there, and those before it
// until it is there.
func (h *workload) rotate() (changed []string, err error) {
	assertion := h.newAssertion(time.Now())
	h.mu.Lock()
	h.assertions[assertion] = true
	h.mu.Unlock()
	if err := replaceFile(h.file, assertion); err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for other := range h.assertions {
		h.assertions[other] = other == assertion
	}
	return nil, nil
}

// newAssertion makes a token as the API server of a cluster does for a service account, signed by
// nobody.
func (h *workload) newAssertion(now time.Time) string {
	return jwt(map[string]any{
		"aud": []string{assertionAudience},
		"exp": now.Add(assertionLifetime).Unix(),
		"iat": now.Unix(),
		"iss": h.oidc,
		"jti": randomGUID(), // or two of the same second would be one
		"nbf": now.Unix(),
		"sub": assertionSubject,
	})
}

// replaceFile puts content into the file in one step: whoever reads it gets the old content or the
// new.
func replaceFile(name, content string) error {
	temporary, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+"-*")
	if err != nil {
		return err
	}
	_, err = temporary.WriteString(content)
	err = cmp.Or(err, temporary.Close())
	if err == nil {
		err = os.Rename(temporary.Name(), name)
	}
	if err != nil {
		_ = os.Remove(temporary.Name())
	}
	return err
}

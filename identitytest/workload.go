package identitytest

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// workload is the token endpoint of Entra, as a pod with workload identity uses it, and what the
// cluster gives the pod:
// https://azure.github.io/azure-workload-identity/docs/
type workload struct {
	*tokenEndpoint
	file string // which has the current assertion
	oidc string // the issuer of the assertions

	mu         sync.Mutex
	assertions map[string]bool // all that were in the file; false if they are no more
}

const (
	assertionSubject   = "system:serviceaccount:default:workload"
	federatedTokenFile = "azure-identity-token"

	// assertionLifetime is the default of a service account token that the kubelet puts into a pod.
	assertionLifetime = time.Hour
)

// NewWorkloadIdentity returns a fake of the token endpoint of Entra, for a pod with workload
// identity. It writes the pod's token into the file azure-identity-token in Options.Dir. If there
// are no identities, it has one: a user-assigned identity or an application, which are the same
// here. It panics if options has no meaning, see [Options], if one of the identities is
// system-assigned, as those can't be federated, and without Options.Dir. Two identities may have
// the same ClientID if their TenantIDs differ: an application that is in several tenants.
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
// to trust its certificate. The endpoint has no other pages of Entra: the discovery documents that
// MSAL reads first are missing.
func NewWorkloadIdentity(options *Options) *Endpoint {
	o := options.copied()
	o.HostCache = false
	o.Lifetime = cmp.Or(o.Lifetime, entraLifetime)
	if len(o.Identities) == 0 {
		o.Identities = []Identity{{}}
	}
	notSystemAssigned("NewWorkloadIdentity", o.Identities)
	host := &workload{
		file:       filepath.Join(options.directory("NewWorkloadIdentity"), federatedTokenFile),
		assertions: make(map[string]bool),
	}
	host.tokenEndpoint = &tokenEndpoint{trusts: host.trusts}
	e := newEndpoint(&o, host, "") // a host is in no claim: a token is issued to a pod
	host.oidc = "https://oidc.example/" + e.nonce + "/"
	if _, err := host.rotate(); err != nil {
		panic(fmt.Sprintf("identitytest: NewWorkloadIdentity: %v", err))
	}
	e.showCertificateOfEntra()
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

// trusts takes the content of the file, whose signature alone would be good.
func (h *workload) trusts(id Identity, assertion string) *entraError {
	h.mu.Lock()
	current, ours := h.assertions[assertion]
	h.mu.Unlock()
	switch {
	case current:
		return nil
	case ours:
		return expiredAssertion()
	}
	if refusal := refuse(id.ClientID, h.federated(nil), assertion, time.Now()); refusal != nil {
		return refusal
	}
	return unsignedAssertion()
}

func (h *workload) federated(*Endpoint) []FederatedCredential {
	return []FederatedCredential{
		{Issuer: h.oidc, Subject: assertionSubject, Audience: exchangeAudience},
	}
}

// rotate puts a new assertion into the file. The endpoint takes the new assertion before it is in
// the file, and the older ones until it is.
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
		"aud": []string{exchangeAudience},
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

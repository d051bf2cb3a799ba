package identity

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity/internal/acquire"
	"github.com/keyless-go/identity/internal/check"
	"github.com/keyless-go/identity/internal/failure"
	"github.com/keyless-go/identity/internal/redact"
	"github.com/keyless-go/identity/internal/seam"
	"github.com/keyless-go/identity/internal/token"
	"github.com/keyless-go/identity/internal/transport"
)

const envAuthorityHost = "AZURE_AUTHORITY_HOST"

// detectWorkload takes every pod that has a token file: what is missing beside it is an error of
// newWorkload's, because the host that would be detected next has another identity. It leaves the
// endpoint to the source, which makes it of several variables.
func detectWorkload(env environment) (endpoint, reason string, ok bool) {
	reason = envTokenFile + ", " + envClientID + " and " + envTenantID + " are set"
	var missing []string
	for _, name := range []string{envClientID, envTenantID} {
		if !env.has(name) {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		verb := " is"
		if len(missing) > 1 {
			verb = " are"
		}
		reason = envTokenFile + " is set, but " + strings.Join(missing, " and ") + verb +
			" not, which workload identity needs"
	}
	return "", reason, env.has(envTokenFile)
}

// isHalfAPod reports whether the options don't complete what the variables say of workload
// identity.
func isHalfAPod(env environment, options *CredentialOptions) bool {
	_, complete := options.ID.(ClientID)
	return !env.has(envTenantID) || !complete && (options.ID != nil || !env.has(envClientID))
}

// workload exchanges a service account's token at Entra.
//
// https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow#third-case-access-token-request-with-a-federated-credential
// https://azure.github.io/azure-workload-identity/docs/
type workload struct {
	clientID  ClientID
	tenants   tenants
	tokenFile string
	authority *url.URL
	binding   *identityBinding // nil for none
	own       string           // the token endpoint of the identity's own tenant
}

func newWorkload(env environment, options settings) (anyHost, error) {
	if err := options.onlySelects(HostWorkloadIdentity, "give a ClientID, or leave ID nil for "+envClientID, ClientID("")); err != nil {
		return nil, err
	}
	s := &workload{
		tenants:   tenants{env.getenv(envTenantID), slices.Clone(options.AdditionallyAllowedTenants)},
		tokenFile: env.getenv(envTokenFile),
	}
	if id, ok := options.ID.(ClientID); ok {
		s.clientID = id
	} else {
		s.clientID = ClientID(env.getenv(envClientID))
		if s.clientID == "" {
			return nil, errors.New("identity: " + envClientID +
				": is empty: want the client ID of the identity, from the annotation " +
				"azure.workload.identity/client-id of the service account or as " + options.id)
		}
		if err := check.Word(envClientID, string(s.clientID)); err != nil {
			return nil, err
		}
	}
	if err := check.Tenant(envTenantID, s.tenants.own); err != nil {
		return nil, err
	}
	switch {
	case redact.Token(s.tokenFile) != s.tokenFile:
		return nil, errTokenNotPath
	case s.tokenFile == "":
		return nil, errors.New("identity: " + envTokenFile + ": is empty: does the pod have the label azure.workload.identity/use: \"true\", and does its service account exist?")
	}
	err := check.Path(envTokenFile, s.tokenFile)
	if err != nil {
		return nil, err
	}
	if s.authority, err = workloadAuthority(env, options); err != nil {
		return nil, err
	}
	if s.binding, err = newIdentityBinding(env); err != nil {
		return nil, err
	}
	s.own = s.url(s.tenants.own).String()
	return s, nil
}

// workloadAuthority is where Entra is: as the options say, as the variable says, or in the public cloud.
func workloadAuthority(env environment, options settings) (*url.URL, error) {
	field, value := ".Cloud.ActiveDirectoryAuthorityHost", options.Cloud.ActiveDirectoryAuthorityHost
	if value != "" {
		field = options.options + field
	} else {
		field, value = envAuthorityHost, env.getenv(envAuthorityHost)
	}
	if value == "" {
		value = cloud.AzurePublic.ActiveDirectoryAuthorityHost
	}
	return check.HTTPS(field, value, cloud.AzurePublic.ActiveDirectoryAuthorityHost)
}

func tokenURL(authority *url.URL, tenant string) *url.URL {
	if authority.Path == "" || authority.Path == "/" { // as nearly always; joining costs a microsecond of each construction
		return &url.URL{Scheme: authority.Scheme, Host: authority.Host, Path: "/" + tenant + "/oauth2/v2.0/token"}
	}
	return authority.JoinPath(tenant, "oauth2/v2.0/token")
}

func (s *workload) host() Host       { return HostWorkloadIdentity }
func (s *workload) identity() ID     { return s.clientID }
func (s *workload) Name() string     { return HostWorkloadIdentity.String() }
func (s *workload) Answerer() string { return "Entra" }
func (s *workload) Identity() string { return inWords(s.clientID) }

// Mismatch implements acquire.Host.
func (s *workload) Mismatch(t token.Token) string { return mismatch(s.clientID, t, false) }

func (s *workload) Endpoint() string { return s.own } // which has neither user info nor a query
func (s *workload) Address() string  { return s.own }

// Proof implements acquire.Proves: the file has the token by which Entra knows the pod, and the proxy's
// certificate is what the file's token is entrusted to.
func (s *workload) Proof() string {
	if s.binding == nil {
		return s.tokenFile
	}
	return strings.Join([]string{s.tokenFile, s.binding.serverName, s.binding.caFile,
		string(s.binding.given)}, "\n")
}

func (s *workload) url(tenant string) *url.URL {
	u := tokenURL(s.authority, tenant)
	if s.binding != nil {
		u = s.binding.proxy.JoinPath(u.EscapedPath())
	}
	return u
}

// Variant implements acquire.Varies. Key Vault's clients ask for the tenant that the vault names.
func (s *workload) Variant(options policy.TokenRequestOptions) (acquire.Variant, error) {
	v := acquire.Variant{CAE: options.EnableCAE}
	if options.Claims != "" {
		if _, err := withCapability(options.Claims); err != nil {
			return v, err
		}
	}
	var allowed bool
	var err error
	if v.Tenant, allowed, err = s.tenants.other(options.TenantID); err == nil && !allowed {
		err = fmt.Errorf("identity: GetToken: a token of tenant %s was asked for, the identity is of "+
			"tenant %s: is the resource in the wrong tenant? If not, name it in "+
			"CredentialOptions.AdditionallyAllowedTenants", options.TenantID, s.tenants.own)
	}
	return v, err
}

// Call reads the service account's token anew: the kubelet replaces it, and whoever holds an old one fails when it is
// needed.
func (s *workload) Call(_ context.Context, r acquire.Request) (acquire.Call, error) {
	assertion, err := readAssertion(s.tokenFile)
	if err != nil {
		return acquire.Call{}, err
	}
	claims := r.Claims
	if r.CAE {
		if claims, err = withCapability(claims); err != nil {
			return acquire.Call{}, err
		}
	}
	form := url.Values{
		"client_id":             {string(s.clientID)},
		"grant_type":            {"client_credentials"},
		"scope":                 {r.Resource + defaultSuffix},
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
		"client_assertion":      {assertion},
	}
	if claims != "" {
		form.Set("claims", claims)
	}
	return acquire.Call{
		Method: http.MethodPost,
		URL:    s.url(cmp.Or(r.Tenant, s.tenants.own)),
		Header: header("Accept", "application/json"),
		Form:   form,
		Secret: assertion,
	}, nil
}

// withCapability adds to a challenge's claims that the caller understands challenges, which makes Entra issue tokens that
// live for a day, and can be revoked.
//
// https://learn.microsoft.com/entra/identity-platform/claims-challenge
func withCapability(claims string) (string, error) {
	all := map[string]json.RawMessage{}
	access := map[string]json.RawMessage{}
	if claims != "" {
		if err := json.Unmarshal([]byte(claims), &all); err != nil || all == nil {
			return "", errors.New("identity: GetToken: Claims: is no JSON object")
		}
	}
	if inner, ok := all["access_token"]; ok {
		if err := json.Unmarshal(inner, &access); err != nil {
			return "", errors.New("identity: GetToken: Claims: its access_token is no JSON object")
		}
	}
	if access == nil { // it is null
		access = map[string]json.RawMessage{}
	}
	access["xms_cc"] = json.RawMessage(`{"values":["CP1"]}`)
	inner, err := json.Marshal(access)
	if err != nil {
		return "", errors.New("identity: GetToken: Claims: can't be repeated as JSON")
	}
	all["access_token"] = inner
	outer, err := json.Marshal(all)
	if err != nil {
		return "", errors.New("identity: GetToken: Claims: can't be repeated as JSON")
	}
	return string(outer), nil
}

// Connect implements acquire.Connects.
func (s *workload) Connect(own policy.Transporter) (policy.Transporter, error) {
	switch place, fake := seam.Lookup(s.authority.Path); {
	case own != nil:
		return own, nil
	case s.binding != nil:
		return s.binding, nil
	case fake:
		return transport.NewInternet(place.RootCAs, ""), nil
	}
	return transport.Internet, nil
}

// Follow implements acquire.Follows: an assertion that has expired was replaced, most likely, since it was read.
func (s *workload) Follow(
	ctx context.Context, r acquire.Request, got acquire.Answer,
) (acquire.Call, bool, error) {
	if got.Status < 400 || failure.Read(got.Header, string(got.Body)).Entra != "AADSTS700024" {
		return acquire.Call{}, false, nil
	}
	next, err := s.Call(ctx, r)
	return next, err == nil, err
}

// Recognises: Entra answers with a JSON object that has a token or an error, but what stands before it may throttle or fail
// without a word, or with a page that has a request ID. Any other page is of something in between.
func (s *workload) Recognises(a acquire.Answer) bool {
	failing := a.Status == http.StatusTooManyRequests || a.Status >= 500
	return token.IsOAuth(a.Body) || failing && (len(bytes.TrimSpace(a.Body)) == 0 || a.Header.Get("X-Ms-Request-Id") != "")
}

// NotAssigned: the application isn't there, or doesn't trust this service account.
//
// https://learn.microsoft.com/entra/identity-platform/reference-error-codes
// https://azure.github.io/azure-workload-identity/docs/troubleshooting.html
func (s *workload) NotAssigned(status int, said failure.Said) bool { return said.NoSuchClient() }

func (s *workload) Hint(r acquire.Request, status int, said failure.Said) string {
	tenant, named := s.tenants.own, envTenantID
	if r.Tenant != "" {
		tenant, named = r.Tenant, "TenantID, which the resource asked for as "+r.Tenant+","
	}
	if status == acquire.NoAnswer && s.binding != nil {
		return "may this pod reach the proxy that " + envTokenProxy + " names, and is its certificate of the authority in " + envCAFile + " or " + envCAData + "?"
	}
	if status == acquire.NoAnswer {
		return "may this pod reach " + s.url(tenant).String() + ", is HTTPS_PROXY right, and is that the cloud that " + envAuthorityHost + " should name?"
	}
	switch said.Topic() {
	case failure.AboutClient:
		return "is " + describeID(s.clientID) + " an identity of tenant " + tenant + "?"
	case failure.AboutIssuer:
		return failure.IssuerHint
	case failure.AboutTrust:
		hint := "has " + describeID(s.clientID) +
			" a federated credential with exactly this cluster's issuer, this service account and the audience " +
			exchangeAudience(s.authority.Hostname()) + "? "
		if token := presented(s.tokenFile); token != "" {
			hint += "The token in " + redact.Quoted(s.tokenFile) + " has " + token + ". "
		}
		return hint + "A new one works after some minutes"
	case failure.AboutExpiry:
		return "the token in " + redact.Quoted(s.tokenFile) +
			" has expired, even when read again: is it still projected by the kubelet, and is this node's clock right? It says " +
			time.Now().UTC().Format(time.RFC3339)
	case failure.AboutToken:
		return "is what is in " + redact.Quoted(s.tokenFile) + " a service account's token?"
	case failure.AboutTenant:
		return "does " + named + " name a tenant of the cloud of " + s.authority.Host + "?"
	case failure.AboutScope:
		return "is the scope a resource of this tenant and cloud?"
	case failure.AboutBlocked:
		return describeID(s.clientID) + failure.BlockedHint
	}
	return ""
}

// Rules: Entra is across the internet, and takes as many requests at once as there are tenants and resources.
func (s *workload) Rules() acquire.Rules {
	r := (*variableHost)(nil).Rules()
	r.AtOnce = 50 // Entra takes as many as there are tenants and resources
	return r
}

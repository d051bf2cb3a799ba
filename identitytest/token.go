package identitytest

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"
)

// backdate is how much earlier than its issue a token says that it is valid: on App Service, exp
// and nbf have been seen 24 hours and 5 minutes apart
// (https://github.com/Azure/azure-sdk-for-net/issues/27019).
const backdate = 5 * time.Minute

// token is an access token and what the host says of it. Times are in Unix seconds.
type token struct {
	raw                string
	expires, notBefore int64
	id                 Identity
	resource           string
}

// expiresIn is how many whole seconds are left, rounded down so as not to outlive the token.
func (t token) expiresIn(now time.Time) int64 {
	return int64(time.Unix(t.expires, 0).Sub(now) / time.Second)
}

// hasHash reports whether hash is the SHA-256 of the token, in hex.
func (t token) hasHash(hash string) bool {
	sum := sha256.Sum256([]byte(t.raw))
	return strings.EqualFold(hash, hex.EncodeToString(sum[:]))
}

// Token is a token that an endpoint has issued.
type Token struct {
	Raw      string   // the token itself
	Identity Identity // whose it is; zero if it is a job's, of [NewGitHubActions] or [NewAzurePipelines]
	// Resource is what it was asked for: a URI or a GUID, as the client has spelled it. The claim aud
	// has it, save in a token for api://AzureADTokenExchange.
	Resource  string
	ExpiresOn time.Time // in whole seconds; then it isn't valid any more
}

// issuer makes the tokens of one endpoint.
type issuer struct {
	lifetime time.Duration
	hostID   string
	adapt    func(*claims) // nil unless the host's tokens differ from those of a managed identity
	issued   func(Token)   // Options.Issued

	mu    sync.Mutex
	held  map[holding]token // nil if the host has no cache
	known map[string]Token  // all that were made, by their text
}

// demand is what a token is asked for.
type demand struct {
	id       Identity
	resource string
	// the client knows what to do about a claims challenge (CP1), and the token says so
	capable  bool
	anew     bool          // whatever the cache holds
	lifetime time.Duration // 0 is the usual one
	refused  string        // the SHA-256, in hex, of a token which the cache is to forget; "" is none
}

type holding struct {
	id       Identity
	resource string
	capable  bool
}

func newIssuer(lifetime time.Duration, cache bool, hostID string) *issuer {
	i := &issuer{lifetime: lifetime, hostID: hostID, known: make(map[string]Token)}
	if cache {
		i.held = make(map[holding]token)
	}
	return i
}

// announce tells of a new token: Verify knows it, and whoever is to know it before it is used.
func (i *issuer) announce(t Token) {
	i.mu.Lock()
	i.known[t.Raw] = t
	i.mu.Unlock()
	if i.issued != nil {
		i.issued(t)
	}
}

// cached returns what the host's cache has for d, if that will do.
func (i *issuer) cached(d demand, now time.Time) (token, bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	t, ok := i.held[holding{d.id, d.resource, d.capable}]
	return t, ok && !d.anew && now.Before(time.Unix(t.expires, 0)) && !t.hasHash(d.refused)
}

// keep puts t into the host's cache, if it has one, unless another request was quicker. It returns
// what is there now.
func (i *issuer) keep(t token, d demand, now time.Time) token {
	if i.held == nil {
		return t
	}
	if other, ok := i.cached(d, now); ok {
		return other
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.held[holding{d.id, d.resource, d.capable}] = t
	return t
}

// claims are those of an access token of a managed identity: of version 1.0, or of 2.0 if it is
// made to be an assertion.
type claims struct {
	Audience  string `json:"aud"`
	Issuer    string `json:"iss"`
	IssuedAt  int64  `json:"iat"`
	NotBefore int64  `json:"nbf"`
	Expires   int64  `json:"exp"`
	AppID     string `json:"appid,omitempty"`
	// "2": authenticated by a certificate, or by an assertion
	AppIDACR string `json:"appidacr,omitempty"`
	AZP      string `json:"azp,omitempty"` // in version 2.0, what AppID is in 1.0
	AZPACR   string `json:"azpacr,omitempty"`
	IDP      string `json:"idp,omitempty"`
	IDType   string `json:"idtyp"`
	ObjectID string `json:"oid"`
	Subject  string `json:"sub"`
	TenantID string `json:"tid"`
	// of a person, twice
	UniqueName string `json:"unique_name,omitempty"`
	UPN        string `json:"upn,omitempty"`
	UniqueID   string `json:"uti"`
	Version    string `json:"ver"`
	// of the host, in a token of a user-assigned identity
	HostResourceID string   `json:"xms_az_rid,omitempty"`
	Capabilities   []string `json:"xms_cc,omitempty"` // of the client, as it stated them
	ResourceID     string   `json:"xms_mirid,omitempty"`
}

// sign makes a new token.
func (i *issuer) sign(d demand, now time.Time) token {
	id := d.id
	authority := "https://sts.windows.net/" + id.TenantID + "/"
	issued, life := now.Add(-backdate).Unix(), cmp.Or(d.lifetime, i.lifetime)
	c := claims{
		Audience: d.resource, Issuer: authority, IDP: authority,
		IssuedAt: issued, NotBefore: issued, Expires: now.Add(life).Unix(),
		AppID: id.ClientID, AppIDACR: "2", IDType: "app",
		ObjectID: id.ObjectID, Subject: id.ObjectID, TenantID: id.TenantID, ResourceID: id.ResourceID,
		UniqueID: base64.RawURLEncoding.EncodeToString(random(16)), Version: "1.0",
	}
	switch {
	case id.person():
		c.AppIDACR, c.IDType, c.UniqueName, c.UPN = "", "user", id.User, id.User
	case !id.System:
		c.HostResourceID = i.hostID
	}
	if d.capable {
		c.Capabilities = []string{"CP1"}
	}
	if i.adapt != nil {
		i.adapt(&c)
	}
	if isExchange(d.resource) {
		c.becomeAssertion()
	}
	return token{raw: jwt(c), expires: c.Expires, notBefore: c.NotBefore, id: id, resource: d.resource}
}

// becomeAssertion makes them those of version 2.0, as which Entra issues all tokens for
// api://AzureADTokenExchange.
func (c *claims) becomeAssertion() {
	c.Audience, c.Issuer, c.Version = exchangeID, assertionIssuer(c.TenantID), "2.0"
	c.AZP, c.AZPACR = c.AppID, c.AppIDACR
	c.AppID, c.AppIDACR, c.IDP = "", "", ""
}

// jwt is a token with those claims and what only looks like a signature.
func jwt(claims any) string {
	return encode([]byte(`{"typ":"JWT","alg":"RS256","kid":"identitytest"}`)) +
		"." + encode(marshal(claims)) +
		"." + encode([]byte("identitytest: a fake token, signed by nobody"))
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// marshal is for the types of this package, none of which can fail to be JSON.
func marshal(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("identitytest: %v", err))
	}
	return b
}

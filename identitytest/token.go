package identitytest

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"sync"
	"time"
)

// backdate is how much earlier than its issue a token says that it is valid: on App Service, exp and nbf have been seen
// 24 hours and 5 minutes apart (https://github.com/Azure/azure-sdk-for-net/issues/27019).
const backdate = 5 * time.Minute

// token is an access token and what the host says of it. Times are in Unix seconds.
type token struct {
	raw                string
	expires, notBefore int64
}

// expiresIn is how many whole seconds are left, rounded down so as not to outlive the token.
func (t token) expiresIn(now time.Time) int64 {
	return int64(time.Unix(t.expires, 0).Sub(now) / time.Second)
}

// issuer makes the tokens of one endpoint.
type issuer struct {
	lifetime time.Duration
	hostID   string

	mu   sync.Mutex
	held map[holding]token // nil if the host has no cache
}

type holding struct{ clientID, resource string }

func newIssuer(lifetime time.Duration, cache bool, hostID string) *issuer {
	i := &issuer{lifetime: lifetime, hostID: hostID}
	if cache {
		i.held = make(map[holding]token)
	}
	return i
}

// issue returns a token of id for resource, from the host's cache if it has one.
func (i *issuer) issue(id Identity, resource string, now time.Time) token {
	i.mu.Lock()
	defer i.mu.Unlock()
	key := holding{id.ClientID, resource}
	if t, ok := i.held[key]; ok && now.Before(time.Unix(t.expires, 0)) {
		return t
	}
	t := i.sign(id, resource, now)
	if i.held != nil {
		i.held[key] = t
	}
	return t
}

// claims are those of a version 1.0 access token of a managed identity.
type claims struct {
	Audience       string `json:"aud"`
	Issuer         string `json:"iss"`
	IssuedAt       int64  `json:"iat"`
	NotBefore      int64  `json:"nbf"`
	Expires        int64  `json:"exp"`
	AppID          string `json:"appid"`
	AppIDACR       string `json:"appidacr"` // "2": authenticated by a certificate
	IDP            string `json:"idp"`
	IDType         string `json:"idtyp"`
	ObjectID       string `json:"oid"`
	Subject        string `json:"sub"`
	TenantID       string `json:"tid"`
	UniqueID       string `json:"uti"`
	Version        string `json:"ver"`
	HostResourceID string `json:"xms_az_rid,omitempty"` // of the host, in a token of a user-assigned identity
	ResourceID     string `json:"xms_mirid"`
}

// sign makes a new token, with what only looks like a signature.
func (i *issuer) sign(id Identity, resource string, now time.Time) token {
	uti := make([]byte, 16)
	_, _ = rand.Read(uti)
	authority := "https://sts.windows.net/" + id.TenantID + "/"
	issued := now.Add(-backdate).Unix()
	c := claims{
		Audience: resource, Issuer: authority, IDP: authority,
		IssuedAt: issued, NotBefore: issued, Expires: now.Add(i.lifetime).Unix(),
		AppID: id.ClientID, AppIDACR: "2", IDType: "app",
		ObjectID: id.ObjectID, Subject: id.ObjectID, TenantID: id.TenantID, ResourceID: id.ResourceID,
		UniqueID: base64.RawURLEncoding.EncodeToString(uti), Version: "1.0",
	}
	if !id.System {
		c.HostResourceID = i.hostID
	}
	raw := encode([]byte(`{"typ":"JWT","alg":"RS256","kid":"identitytest"}`)) +
		"." + encode(marshal(c)) +
		"." + encode([]byte("identitytest: a fake token, signed by nobody"))
	return token{raw: raw, expires: c.Expires, notBefore: c.NotBefore}
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

package token

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strings"
)

// Claims are the claims that tell whose token it is, "" where absent. They are read without
// verifying the signature: they serve to report and to notice a mistake, never to decide what
// somebody may do.
type Claims struct {
	Exp    Text `json:"exp"`
	AppID  Text `json:"appid"`     // client ID in a v1 token
	Azp    Text `json:"azp"`       // client ID in a v2 token
	OID    Text `json:"oid"`       // object ID
	Sub    Text `json:"sub"`       // the same, in an application's token
	MIRID  Text `json:"xms_mirid"` // resource ID, for Microsoft's own resources
	IDType Text `json:"idtyp"`     // "app", "user"
	UPN    Text `json:"upn"`       // of a person
	Scopes Text `json:"scp"`       // what a person has allowed; applications have roles
	TID    Text `json:"tid"`       // tenant ID
	// of a person, in a v2 and in a v1 token
	Preferred Text `json:"preferred_username"`
	Unique    Text `json:"unique_name"`

	Readable bool `json:"-"` // the token is a JWT that isn't encrypted
}

// ClaimsOf reads a JWT's claims. Some tokens are opaque: then there are none.
func ClaimsOf(token string) (c Claims) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return c
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(parts[1], "="))
	if err != nil || json.Unmarshal(payload, &c) != nil {
		return Claims{}
	}
	c.Readable = bytes.HasPrefix(bytes.TrimSpace(payload), []byte{'{'})
	return c
}

// OfUser reports whether a token is a person's.
func (c Claims) OfUser() bool {
	if c.IDType != "" {
		return strings.EqualFold(string(c.IDType), "user")
	}
	return c.UPN != "" || c.Scopes != ""
}

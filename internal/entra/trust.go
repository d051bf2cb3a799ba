package entra

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"strings"

	"github.com/keyless-go/identity/internal/redact"
	"github.com/keyless-go/identity/internal/token"
)

// Trust is what an assertion says of itself, and what a federated credential is compared with. None
// of it is secret. Each is in quotes, in one line, without anything that looks like a token, and ""
// where the assertion doesn't say.
type Trust struct {
	Issuer, Subject, Audience string
}

// TrustOf reads an assertion. It is empty for what is none.
func TrustOf(assertion string) Trust {
	segments := strings.Split(assertion, ".")
	if len(segments) != 3 {
		return Trust{}
	}
	payload, err := base64.RawURLEncoding.DecodeString(segments[1])
	if err != nil {
		return Trust{}
	}
	var claims struct {
		Issuer   token.Text      `json:"iss"`
		Subject  token.Text      `json:"sub"`
		ObjectID token.Text      `json:"oid"` // the subject of Entra's own tokens
		Audience json.RawMessage `json:"aud"`
	}
	if json.Unmarshal(payload, &claims) != nil {
		return Trust{}
	}
	audiences := []string{token.TextOf(claims.Audience)}
	var several []string
	if json.Unmarshal(claims.Audience, &several) == nil {
		audiences = several
	}
	shown := func(claim string) string {
		if claim == "" {
			return ""
		}
		return redact.Quoted(redact.Conceal(claim, assertion))
	}
	return Trust{Issuer: shown(string(claims.Issuer)),
		Subject:  shown(string(cmp.Or(claims.Subject, claims.ObjectID))),
		Audience: shown(strings.Join(audiences, " "))}
}

// String is all that there is, by the claims' own names.
func (t Trust) String() string {
	var said []string
	for _, claim := range [][2]string{{"iss", t.Issuer}, {"sub", t.Subject}, {"aud", t.Audience}} {
		if claim[1] != "" {
			said = append(said, claim[0]+" "+claim[1])
		}
	}
	return strings.Join(said, ", ")
}

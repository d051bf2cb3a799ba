package principal

import (
	"cmp"
	"strings"

	"github.com/keyless-go/identity/internal/redact"
	"github.com/keyless-go/identity/internal/token"
)

// Mismatch compares the identity that was asked for with all that the answer and the token say of
// theirs. It returns the identity that came back, as it may be shown, or "" when nothing
// contradicts.
//
// A token that can't be read, in an answer that names nobody, passes: not every resource lets
// others read its tokens. With mustEcho it doesn't, because older agents of Azure Arc ignore
// selectors. One that can be read names its client ID and object ID wherever it comes from Entra,
// and one that doesn't is refused. It names its resource ID for Microsoft's own resources only
// (MicrosoftDocs/azure-docs#96027), so that silence on that passes, too. A person is never the
// identity that was selected.
func (id ID) Mismatch(t token.Token, mustEcho bool) (got string) {
	if id.Kind == Default {
		return ""
	}
	claims := token.ClaimsOf(t.Value)
	var echoes, named []string
	switch id.Kind {
	case ClientID:
		echoes = []string{t.Echo.ClientID}
		named = []string{string(claims.AppID), string(claims.Azp)}
	case ObjectID:
		echoes = []string{t.Echo.ObjectID, t.Echo.PrincipalID}
		named = []string{string(claims.OID)}
		if cmp.Or(append(echoes, named...)...) == "" {
			named = []string{string(claims.Sub)}
		}
	case ResourceID:
		echoes, named = []string{t.Echo.ResourceID}, []string{string(claims.MIRID)}
	}
	said := append(echoes, named...)
	switch {
	case mustEcho && echoes[0] == "":
		return "an identity that the answer doesn't name"
	case claims.OfUser():
		return "a signed-in user, who is no managed identity"
	case claims.Readable && id.Kind != ResourceID && cmp.Or(said...) == "":
		return "an identity that neither the answer nor the token names"
	}
	want := normal(id.Value)
	for _, s := range said {
		if s != "" && !strings.EqualFold(normal(s), want) {
			return cmp.Or(redact.Line(redact.Text(s, t.Value)), "an identity that can't be printed")
		}
	}
	return ""
}

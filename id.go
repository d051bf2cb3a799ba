package identity

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"github.com/keyless-go/identity/internal/check"
	"github.com/keyless-go/identity/internal/redact"
	"github.com/keyless-go/identity/internal/token"
)

// ID names a user-assigned managed identity. It is one of [ClientID], [ObjectID] and [ResourceID].
type ID interface {
	fmt.Stringer
	isID()
}

// ClientID is the client (application) ID of a user-assigned identity, a GUID. Azure shows it as
// "Client ID". For workload identity it may also be an application's.
type ClientID string

// ObjectID is the object (principal) ID of a user-assigned identity, a GUID. Azure shows it as
// "Object (principal) ID".
type ObjectID string

// ResourceID is the Azure Resource Manager ID of a user-assigned identity, such as
// "/subscriptions/…/resourcegroups/…/providers/Microsoft.ManagedIdentity/userAssignedIdentities/…".
type ResourceID string

func (ClientID) isID()   {}
func (ObjectID) isID()   {}
func (ResourceID) isID() {}

// String returns the ID as it was given.
func (id ClientID) String() string { return string(id) }

// String returns the ID as it was given.
func (id ObjectID) String() string { return string(id) }

// String returns the ID as it was given.
func (id ResourceID) String() string { return string(id) }

// idKind names the kind of an ID in messages: "client ID".
func idKind(id ID) string {
	switch id.(type) {
	case ClientID:
		return "client ID"
	case ObjectID:
		return "object ID"
	case ResourceID:
		return "resource ID"
	}
	return ""
}

// describeID names a selected identity in messages: "client ID 1234…".
func describeID(id ID) string { return idKind(id) + " " + id.String() }

// inWords is describeID, and "" for nil.
func inWords(id ID) string {
	if id == nil {
		return ""
	}
	return describeID(id)
}

// validateID refuses what can't be an identity. A typo must never select the system-assigned
// identity silently. field is where it comes from.
func validateID(field string, id ID) error {
	if id == nil {
		return nil
	}
	var kind string
	switch id.(type) {
	case ClientID:
		kind = "ClientID"
	case ObjectID:
		kind = "ObjectID"
	case ResourceID:
		kind = "ResourceID"
	default: // a pointer to one of the three also has their methods
		return fmt.Errorf("identity: %s: %T: give a ClientID, ObjectID or ResourceID by value", field,
			id)
	}
	value, why := id.String(), ""
	switch {
	case strings.TrimSpace(value) == "":
		return errors.New("identity: " + field + ": empty " + kind +
			": leave ID nil to ask for the system-assigned identity")
	case len(value) > check.MaxLength:
		return fmt.Errorf("identity: %s: %s of %d characters, at most %d are allowed", field, kind,
			len(value), check.MaxLength)
	case strings.ContainsFunc(value, redact.Unprintable):
		why = " contains a control character or is not UTF-8"
	case strings.TrimSpace(value) != value:
		why = " begins or ends with white space"
	case kind != "ResourceID" && strings.Contains(value, "/"):
		why = " looks like a resource ID: use ResourceID"
	case kind == "ResourceID" && !strings.HasPrefix(value, "/"):
		why = ": want /subscriptions/…/userAssignedIdentities/…"
	default:
		return nil
	}
	return fmt.Errorf("identity: %s: %s %q%s", field, kind, value, why)
}

// asciiLower folds no letters that a file system may tell apart.
func asciiLower(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}

// mismatch compares the identity that was asked for with all that the answer and the token say of
// theirs. It returns the identity that came back, or "" when nothing contradicts.
//
// A token that can't be read, in an answer that names nobody, passes: not every resource lets
// others read its tokens. With mustEcho it doesn't, because older agents of Azure Arc ignore
// selectors. One that can be read names its client ID and object ID wherever it comes from Entra,
// and one that doesn't is refused. It names its resource ID for Microsoft's own resources only
// (MicrosoftDocs/azure-docs#96027), so that silence on that passes, too. A person is never the
// identity that was selected.
func mismatch(id ID, t token.Token, mustEcho bool) (got string) {
	if id == nil {
		return ""
	}
	claims := token.ClaimsOf(t.Value)
	var echoes, named []string
	switch id.(type) {
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
	_, byResource := id.(ResourceID)
	said := append(echoes, named...)
	switch {
	case mustEcho && echoes[0] == "":
		return "an identity that the answer doesn't name"
	case claims.OfUser():
		return "a signed-in user, who is no managed identity"
	case claims.Readable && !byResource && cmp.Or(said...) == "":
		return "an identity that neither the answer nor the token names"
	}
	want := normalID(id.String())
	for _, s := range said {
		if s != "" && !strings.EqualFold(normalID(s), want) {
			return cmp.Or(redact.Line(redact.Text(s, t.Value)), "an identity that can't be printed")
		}
	}
	return ""
}

// normalID drops what may differ between two spellings of one ID, case aside.
func normalID(s string) string { return strings.Trim(s, "/ ") }

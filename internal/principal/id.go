// Package principal names the identity that a token is wanted for, and says whether a token is its.
//
// An [ID] is made of what the user has selected. [ID.Check] refuses what can't be one (id.go).
// [ID.Parameter] is how a host is told, and [ID.Key] by what its tokens are kept. When a token has
// come, [ID.Mismatch] compares it with the ID (mismatch.go). [Named] reads whom any token names
// (named.go).
//
// The package doesn't know which hosts there are, which kinds of ID each of them takes, or what
// becomes of a token that is another one's. It has no state, and all of it may be used by several
// goroutines at once.
package principal

import (
	"errors"
	"fmt"
	"strings"

	"github.com/keyless-go/identity/internal/check"
	"github.com/keyless-go/identity/internal/redact"
)

// Kind is by what an identity is named.
type Kind uint8

const (
	Default    Kind = iota // by nothing: it is the host's default
	ClientID               // its client (application) ID
	ObjectID               // its object (principal) ID
	ResourceID             // its Azure Resource Manager ID
)

// String names the kind in messages: "client ID".
func (k Kind) String() string {
	return [...]string{Default: "", ClientID: "client ID", ObjectID: "object ID",
		ResourceID: "resource ID"}[k]
}

// typeName is the kind's in the user's code.
func (k Kind) typeName() string {
	return [...]string{Default: "", ClientID: "ClientID", ObjectID: "ObjectID",
		ResourceID: "ResourceID"}[k]
}

// ID is an identity that was selected; the zero ID is the host's default.
type ID struct {
	Kind  Kind
	Value string // as the user gave it
}

// String names the identity in messages: "client ID 1234…". It is "" for the host's default.
func (id ID) String() string {
	if id.Kind == Default {
		return ""
	}
	return id.Kind.String() + " " + id.Value
}

// Key is the same for all spellings of one ID. IDs are the same in any case; letters beyond ASCII,
// which the name of a resource group may have, are not folded, because two of them can fold into
// one. It is "" for the host's default.
func (id ID) Key() string {
	if id.Kind == Default {
		return ""
	}
	return id.Kind.String() + " " + asciiLower(normal(id.Value))
}

// Parameter is what tells a host the identity, by the host's own names for the three kinds; both
// are "" for the host's default.
func (id ID) Parameter(clientID, objectID, resourceID string) (name, value string) {
	return [...]string{Default: "", ClientID: clientID, ObjectID: objectID,
		ResourceID: resourceID}[id.Kind], id.Value
}

// Check refuses what can't be an identity. A typo must never select the system-assigned identity
// silently. field is where the ID comes from; errors begin with it.
func (id ID) Check(field string) error {
	if id.Kind == Default {
		return nil
	}
	kind, why := id.Kind.typeName(), ""
	switch {
	case strings.TrimSpace(id.Value) == "":
		return errors.New(field + ": empty " + kind +
			": leave ID nil to ask for the system-assigned identity")
	case len(id.Value) > check.MaxLength:
		return fmt.Errorf("%s: %s of %d characters, at most %d are allowed", field, kind,
			len(id.Value), check.MaxLength)
	case strings.ContainsFunc(id.Value, redact.Unprintable):
		why = " contains a control character or is not UTF-8"
	case strings.TrimSpace(id.Value) != id.Value:
		why = " begins or ends with white space"
	case id.Kind != ResourceID && strings.Contains(id.Value, "/"):
		why = " looks like a resource ID: use ResourceID"
	case id.Kind == ResourceID && !strings.HasPrefix(id.Value, "/"):
		why = ": want /subscriptions/…/userAssignedIdentities/…"
	default:
		return nil
	}
	return fmt.Errorf("%s: %s %q%s", field, kind, id.Value, why)
}

// normal drops what may differ between two spellings of one ID, case aside.
func normal(s string) string { return strings.Trim(s, "/ ") }

// asciiLower folds no letters that a file system may tell apart.
func asciiLower(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}

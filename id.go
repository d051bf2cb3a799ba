package identity

import (
	"fmt"

	"github.com/keyless-go/identity/internal/principal"
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

// selected is an ID as the engine knows it. One that is none of the three is nobody's.
func selected(id ID) principal.ID {
	switch id := id.(type) {
	case ClientID:
		return principal.ID{Kind: principal.ClientID, Value: string(id)}
	case ObjectID:
		return principal.ID{Kind: principal.ObjectID, Value: string(id)}
	case ResourceID:
		return principal.ID{Kind: principal.ResourceID, Value: string(id)}
	}
	return principal.ID{}
}

// inWords names an identity in messages, "" for the host's default: "client ID 1234…".
func inWords(id ID) string { return selected(id).String() }

// validateID refuses what can't be an identity. field is where it comes from.
func validateID(field string, id ID) error {
	own := selected(id)
	if id != nil && own.Kind == principal.Default {
		// a pointer to one of the three also has their methods
		return fmt.Errorf("%s: %T: give a ClientID, ObjectID or ResourceID by value", field,
			id)
	}
	return own.Check(field)
}

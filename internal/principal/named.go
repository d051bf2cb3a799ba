package principal

import (
	"cmp"
	"strings"

	"github.com/keyless-go/identity/internal/token"
)

// Names are all by which a token names somebody, each "" where it doesn't.
type Names struct {
	ObjectID, ClientID, TenantID, ResourceID, Name, User string
}

// userAssigned is in the resource ID of a user-assigned managed identity, before its name. Those of
// what a system-assigned one was assigned to have other types.
const userAssigned = "/microsoft.managedidentity/userassignedidentities/"

// Named reads whom a token names, without verifying it. It is false if that can't be read, or is
// nobody. Microsoft's own libraries for PostgreSQL take a role's name from the same claims, in this
// order: https://github.com/Azure/postgres-entra-auth.
func Named(jwt string) (Names, bool) {
	c := token.ClaimsOf(jwt)
	n := Names{
		ObjectID:   string(c.OID),
		ClientID:   string(cmp.Or(c.AppID, c.Azp)),
		TenantID:   string(c.TID),
		ResourceID: string(c.MIRID),
		User:       string(cmp.Or(c.UPN, c.Preferred, c.Unique)),
	}
	if at := strings.Index(asciiLower(n.ResourceID), userAssigned); at >= 0 {
		name := strings.TrimRight(n.ResourceID[at+len(userAssigned):], "/")
		if !strings.Contains(name, "/") {
			n.Name = name
		}
	}
	return n, cmp.Or(n.ObjectID, n.ClientID, n.ResourceID, n.User) != ""
}

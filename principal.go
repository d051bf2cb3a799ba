package identity

import (
	"errors"

	"github.com/keyless-go/identity/internal/principal"
)

// Principal is whom a token names. A field that the token doesn't have is "". A database's role is
// usually cmp.Or(Name, User), and Redis's user is ObjectID.
type Principal struct {
	ObjectID   string // of the service principal or person (oid)
	ClientID   string // of the application or managed identity (appid, azp)
	TenantID   string // (tid)
	ResourceID string // of the managed identity, or of what it was assigned to (xms_mirid)
	Name       string // of a user-assigned managed identity: the last part of its ResourceID
	User       string // of a person: the first of upn, preferred_username and unique_name
}

// PrincipalOf reads whom a token names. It doesn't verify the token: use it to fill in a user name,
// or to report, and never to decide what somebody may do. An opaque token, one that is encrypted,
// and one that names nobody are errors, without a byte of it. A token for one resource may lack a
// claim that another's has: one for https://management.azure.com has all of them.
func PrincipalOf(token string) (Principal, error) {
	is, ok := principal.Named(token)
	if !ok {
		return Principal{}, errors.New("identity: PrincipalOf: the token names nobody that can be " +
			"read: it is opaque or encrypted, or has no such claims; ask for one for " +
			"https://management.azure.com/.default")
	}
	return Principal(is), nil
}

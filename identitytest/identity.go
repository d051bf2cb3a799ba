package identitytest

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
)

// Identity is a managed identity of a fake host. A zero field gets a value when the endpoint is
// made: realistic, distinct, and the same in every run. [Endpoint.Identities] returns them.
type Identity struct {
	ClientID string // the client or application ID, a GUID
	ObjectID string // the object or principal ID, a GUID

	// ResourceID is the Azure Resource Manager ID: of the identity if it is user-assigned, of the host
	// if it is system-assigned. The latter has no resource of its own, and so isn't found by this ID.
	ResourceID string

	TenantID string // the tenant, a GUID; if zero, that of the first identity which has one
	System   bool   // whether it is the system-assigned identity; a host has at most one

	// User makes it a person by that user principal name, such as "jane@contoso.com", who has no
	// ResourceID, and whose ClientID is that of the program that the person uses. Only [NewCloudShell]
	// has a person, and fills it in; in the options of another endpoint it panics. See also
	// [Response].Identity.
	User string
}

// One subscription, resource group and tenant for whatever has none of its own.
var (
	resourceGroupID = "/subscriptions/" + guidOf("subscription") + "/resourcegroups/rg-test"
	tenantID        = guidOf("tenant")
)

// fill returns a copy of identities without zero fields, or a system-assigned identity if there are
// none.
func fill(identities []Identity, hostID string) []Identity {
	if len(identities) == 0 {
		identities = []Identity{{System: true}}
	}
	tenant := ""
	for _, id := range identities {
		tenant = cmp.Or(tenant, id.TenantID)
	}
	filled := make([]Identity, len(identities))
	for i, id := range identities {
		resourceID := userAssigned(fmt.Sprintf("id-%d", i+1))
		if id.System {
			resourceID = hostID
		}
		filled[i] = Identity{
			ClientID:   cmp.Or(id.ClientID, guidOf(fmt.Sprintf("client %d", i+1))),
			ObjectID:   cmp.Or(id.ObjectID, guidOf(fmt.Sprintf("object %d", i+1))),
			ResourceID: cmp.Or(id.ResourceID, resourceID),
			TenantID:   cmp.Or(id.TenantID, tenant, tenantID),
			System:     id.System,
			User:       id.User,
		}
	}
	check(filled, hostID == "")
	return filled
}

// onlyMachines panics if one of identities is a person.
func onlyMachines(identities []Identity) {
	if i := slices.IndexFunc(identities, Identity.person); i >= 0 {
		panic(fmt.Sprintf("identitytest: Options.Identities: %d has a User, which only Cloud Shell has: "+
			"see Response.Identity", i))
	}
}

func (id Identity) person() bool { return id.User != "" }

// whose is the one of identities that asked describes, or else a stranger, the same for the same
// description. A system-assigned stranger is that of hostID.
func whose(asked Identity, identities []Identity, hostID string) Identity {
	fits := func(asked, own string) bool { return asked == "" || strings.EqualFold(asked, own) }
	for _, own := range identities {
		if fits(asked.ClientID, own.ClientID) && fits(asked.ObjectID, own.ObjectID) &&
			fits(asked.ResourceID, own.ResourceID) && fits(asked.TenantID, own.TenantID) &&
			fits(asked.User, own.User) && (own.System || !asked.System) {
			return own
		}
	}
	stranger, seed := asked, fmt.Sprintf("stranger %+v", asked)
	stranger.ClientID = cmp.Or(asked.ClientID, guidOf("client of "+seed))
	stranger.ObjectID = cmp.Or(asked.ObjectID, guidOf("object of "+seed))
	stranger.TenantID = cmp.Or(asked.TenantID, identities[0].TenantID)
	switch {
	case asked.ResourceID != "" || asked.person():
	case asked.System:
		stranger.ResourceID = hostID
	default:
		stranger.ResourceID = userAssigned("id-" + guidOf(seed)[:8])
	}
	return stranger
}

// userAssigned is the resource ID of a user-assigned identity.
func userAssigned(name string) string {
	return resourceGroupID + "/providers/Microsoft.ManagedIdentity/userAssignedIdentities/" + name
}

// check panics if a request could mean more than one of identities. Where a request says which
// tenant it means, an application may be in several, with an object ID in each.
func check(identities []Identity, tenants bool) {
	for i, a := range identities {
		for j, b := range identities[:i] {
			switch {
			case a.System && b.System:
				panic(fmt.Sprintf("identitytest: Options.Identities: %d and %d are both system-assigned", j, i))
			case strings.EqualFold(a.ClientID, b.ClientID) &&
				!(tenants && !strings.EqualFold(a.TenantID, b.TenantID)):
				panic(fmt.Sprintf("identitytest: Options.Identities: %d and %d have the same ClientID %s", j, i,
					a.ClientID))
			case strings.EqualFold(a.ObjectID, b.ObjectID):
				panic(fmt.Sprintf("identitytest: Options.Identities: %d and %d have the same ObjectID %s", j, i,
					a.ObjectID))
			case strings.EqualFold(a.ResourceID, b.ResourceID):
				panic(fmt.Sprintf("identitytest: Options.Identities: %d and %d have the same ResourceID %s", j,
					i, a.ResourceID))
			}
		}
	}
}

// guidOf returns the same GUID for the same name, looking like a random one.
func guidOf(name string) string {
	sum := sha256.Sum256([]byte("identitytest " + name))
	return guid([16]byte(sum[:16]))
}

// guid sets the bits that mark a random GUID, version 4 of RFC 9562.
func guid(b [16]byte) string {
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

package main

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"strings"

	"github.com/keyless-go/identity"
	"github.com/keyless-go/identity/examples/internal/commandline"
)

// claims are what a token says of whom it is for. Nobody verifies them here, which only the
// resource can do: they serve to report, never to decide what somebody may do.
//
// https://learn.microsoft.com/entra/identity-platform/access-token-claims-reference
type claims map[string]any

// readClaims reads those of a JWT. A token may be opaque: then there are none.
func readClaims(token string) (claims, bool) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, false
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(parts[1], "="))
	if err != nil {
		return nil, false
	}
	var c claims
	err = json.Unmarshal(payload, &c)
	return c, err == nil && c != nil
}

// maxClaim bounds what is shown of a claim: resource IDs stay below 400 characters.
const maxClaim = 1024

// text is a claim that is a string, as it can be shown, and "" for any other.
func (c claims) text(name string) string {
	s, _ := c[name].(string)
	if s = commandline.OneLine(s); len(s) > maxClaim {
		s = strings.ToValidUTF8(s[:maxClaim], "") + "…"
	}
	return s
}

// has reports whether there is such a claim, of whatever type.
func (c claims) has(name string) bool { return c[name] != nil }

// The types of a principal, as -json has them.
const (
	systemAssigned = "systemAssigned"
	userAssigned   = "userAssigned"
	application    = "application"
	user           = "user"
	unknown        = "unknown"
)

// principal is whom a token names. A service principal's application (client) ID and object ID are
// the appId and the id that az ad sp show prints, the AppId and the Id of Get-AzADServicePrincipal.
type principal struct {
	Type          string `json:"type"`
	ApplicationID string `json:"applicationId,omitempty"`
	ObjectID      string `json:"objectId,omitempty"`
	TenantID      string `json:"tenantId,omitempty"`
	// of the identity if it is user-assigned, of the host if system-assigned
	ResourceID string `json:"resourceId,omitempty"`
	// the resource ID of the host that uses a user-assigned identity
	UsedBy string `json:"usedBy,omitempty"`
}

func (c claims) principal(host identity.Host) *principal {
	return &principal{
		Type:          c.principalType(host),
		ApplicationID: cmp.Or(c.text("appid"), c.text("azp")), // in version 1.0 and 2.0 of tokens
		ObjectID:      c.text("oid"),
		TenantID:      c.text("tid"),
		ResourceID:    c.text("xms_mirid"),
		UsedBy:        c.text("xms_az_rid"),
	}
}

// principalType: only managed identities have xms_mirid. idtyp and scp tell an application from a
// user, where the token has them; where it has neither, the host may.
func (c claims) principalType(host identity.Host) string {
	// tokens have resourcegroups in lower case, other places in camel case
	resourceID := strings.ToLower(c.text("xms_mirid"))
	switch {
	case strings.Contains(resourceID, "/microsoft.managedidentity/userassignedidentities/"):
		return userAssigned
	case resourceID != "":
		return systemAssigned
	case c.text("idtyp") == "app":
		return application
	case c.text("idtyp") == "user", c.has("scp"):
		return user
	case host == identity.HostCloudShell:
		return user
	// Entra takes a service account's token for an application only
	case host == identity.HostWorkloadIdentity:
		return application
	}
	return unknown
}

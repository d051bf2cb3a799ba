package check

import (
	"slices"
	"strings"
)

// AnyTenant among the additionally allowed tenants allows all.
const AnyTenant = "*"

// Tenants are those that a credential may be asked for a token of.
type Tenants struct {
	Own     string   // "" for the one that a developer's tool has selected
	Allowed []string // others
}

// Other is the tenant that GetToken was asked for, in lower case, or "" for the own one. It comes
// also where it isn't allowed, for the error's text.
func (t Tenants) Other(asked string) (tenant string, allowed bool, err error) {
	if asked == "" || strings.EqualFold(asked, t.Own) {
		return "", true, nil
	}
	if err := Tenant("GetToken: TenantID", asked); err != nil {
		return "", false, err
	}
	return strings.ToLower(asked), slices.ContainsFunc(t.Allowed, func(a string) bool {
		return a == AnyTenant || strings.EqualFold(a, asked)
	}), nil
}

// AllowedTenants refuses a list that has what can't be a tenant, [AnyTenant] aside.
func AllowedTenants(name string, allowed []string) error {
	for _, tenant := range allowed {
		if tenant != AnyTenant {
			if err := Tenant(name, tenant); err != nil {
				return err
			}
		}
	}
	return nil
}

// IsGUID reports whether an application or a tenant is named by its ID: two names of one tenant
// can't be compared.
func IsGUID(s string) bool {
	return len(s) == 36 && strings.Count(s, "-") == 4 && !strings.ContainsFunc(s, func(r rune) bool {
		return r != '-' && !strings.ContainsRune("0123456789abcdefABCDEF", r)
	})
}

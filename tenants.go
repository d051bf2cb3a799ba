package identity

import (
	"slices"
	"strings"

	"github.com/keyless-go/identity/internal/check"
)

// anyTenant among the additionally allowed tenants allows all.
const anyTenant = "*"

// tenants are those that a source may be asked for a token of.
type tenants struct {
	own     string   // "" for the one that a tool has selected
	allowed []string // others
}

// other is the tenant that GetToken was asked for, in lower case, or "" for the own one. It comes
// also where it isn't allowed, for the error's text.
func (t tenants) other(asked string) (tenant string, allowed bool, err error) {
	if asked == "" || strings.EqualFold(asked, t.own) {
		return "", true, nil
	}
	if err := check.Tenant("GetToken: TenantID", asked); err != nil {
		return "", false, err
	}
	return strings.ToLower(asked), slices.ContainsFunc(t.allowed, func(a string) bool {
		return a == anyTenant || strings.EqualFold(a, asked)
	}), nil
}

// validateAllowed checks the tenants of a field.
func validateAllowed(field string, allowed []string) error {
	for _, tenant := range allowed {
		if tenant != anyTenant {
			if err := check.Tenant(field, tenant); err != nil {
				return err
			}
		}
	}
	return nil
}

// isGUID reports whether a tenant is named by its ID: two names of one tenant can't be compared.
func isGUID(s string) bool {
	return len(s) == 36 && strings.Count(s, "-") == 4 && !strings.ContainsFunc(s, func(r rune) bool {
		return r != '-' && !strings.ContainsRune("0123456789abcdefABCDEF", r)
	})
}

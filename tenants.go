package identity

import (
	"errors"
	"slices"
	"strings"
	"unicode"

	"github.com/keyless-go/identity/internal/redact"
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
	if err := validateTenant("GetToken: TenantID", asked); err != nil {
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
			if err := validateTenant(field, tenant); err != nil {
				return err
			}
		}
	}
	return nil
}

// validateTenant: a tenant is a GUID or a domain name. It becomes an element of a path, or a word
// behind an option.
func validateTenant(field, tenant string) error {
	trimmed := strings.TrimSpace(tenant)
	switch {
	case tenant == "":
		return errors.New("identity: " + field + ": is empty: want a tenant's ID")
	case trimmed != tenant && validateTenant(field, trimmed) == nil:
		return errors.New("identity: " + field + ": " + redact.Quoted(tenant) +
			" begins or ends with white space")
	case len(tenant) > maxIDLength, strings.Trim(tenant, ".") == "",
		strings.HasPrefix(tenant, "-"),
		strings.HasPrefix(tenant, "eyJ") && redact.Token(tenant) != tenant,
		strings.ContainsFunc(tenant, func(r rune) bool {
			return r != '.' && r != '-' &&
				(r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r))
		}):
		return errors.New("identity: " + field + ": is no tenant: want a GUID or a domain name")
	}
	return nil
}

// isGUID reports whether a tenant is named by its ID: two names of one tenant can't be compared.
func isGUID(s string) bool {
	return len(s) == 36 && strings.Count(s, "-") == 4 && !strings.ContainsFunc(s, func(r rune) bool {
		return r != '-' && !strings.ContainsRune("0123456789abcdefABCDEF", r)
	})
}

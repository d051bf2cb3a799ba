// Package check checks what variables and options hold: URLs, secrets, paths, tenants, and words
// that become a part of a request.
//
// It refuses and never mends: whoever made a mistake is told what is wrong and where. Each function
// takes the name of the variable, the field or the method, and its error begins with that name. No
// error repeats what may be a secret.
//
// The package doesn't know which variables there are, nor what a value is used for. It has no
// state, and all of it may be used by several goroutines at once.
package check

import (
	"errors"
	"fmt"
	"strings"
	"unicode"

	"github.com/keyless-go/identity/internal/redact"
)

// MaxLength bounds IDs, which are repeated in URLs, cache keys and errors. Resource Manager allows
// 90 characters for a resource group and 128 for an identity's name, so that real resource IDs stay
// below 400.
const MaxLength = 1024

// Secret refuses what can't be sent in a header, without repeating it.
func Secret(name, value string) error {
	switch {
	case value == "":
		return errors.New(name + ": is empty")
	case strings.TrimSpace(value) == "": // net/http would send it as an empty one
		return errors.New(name + ": is blank")
	case strings.ContainsFunc(value, unicode.IsControl):
		return errors.New(name + ": contains a control character")
	}
	return nil
}

// Path refuses a path that a line's end or a blank has got stuck to. The file would not be
// found, and the path look right.
func Path(name, value string) error {
	switch {
	case strings.TrimSpace(value) != value:
		return errors.New(name + ": " + redact.Quoted(value) +
			" begins or ends with white space")
	case strings.ContainsFunc(value, unicode.IsControl):
		return errors.New(name + ": " + redact.Quoted(value) +
			" contains a control character")
	}
	return nil
}

// Word refuses what can't be an ID, a version or a name.
func Word(name, value string) error {
	field := name + ": "
	switch {
	case value == "":
		return errors.New(field + "is empty")
	case len(value) > MaxLength:
		return fmt.Errorf("%sis of %d characters, at most %d are allowed", field, len(value), MaxLength)
	case !redact.IsWord(value):
		return errors.New(field + redact.Quoted(value) +
			" contains a blank or a control character, or is not UTF-8")
	}
	return nil
}

// maxResourceLength is far above any App ID URI; it bounds the cache's keys.
const maxResourceLength = 2048

// Resource refuses what can't be the resource that a token is for. name is the method that was
// called with its scope.
func Resource(name, resource string) error {
	switch {
	case resource == "":
		return errors.New(name +
			": empty scope: want one such as https://vault.azure.net/.default")
	case len(resource) > maxResourceLength:
		return fmt.Errorf("%s: scope of %d characters, at most %d are allowed",
			name, len(resource), maxResourceLength)
	case !redact.IsWord(resource):
		return fmt.Errorf("%s: scope %q contains a blank or a control character, "+
			"or is not UTF-8", name, resource)
	}
	return nil
}

// Tenant refuses what can't be a tenant, which is a GUID or a domain name. It becomes an element of
// a path, or a word behind an option.
func Tenant(name, tenant string) error {
	trimmed := strings.TrimSpace(tenant)
	switch {
	case tenant == "":
		return errors.New(name + ": is empty: want a tenant's ID")
	case trimmed != tenant && Tenant(name, trimmed) == nil:
		return errors.New(name + ": " + redact.Quoted(tenant) +
			" begins or ends with white space")
	case len(tenant) > MaxLength, strings.Trim(tenant, ".") == "",
		strings.HasPrefix(tenant, "-"),
		strings.HasPrefix(tenant, "eyJ") && redact.Token(tenant) != tenant,
		strings.ContainsFunc(tenant, func(r rune) bool {
			return r != '.' && r != '-' &&
				(r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r))
		}):
		return errors.New(name + ": is no tenant: want a GUID or a domain name")
	}
	return nil
}

package identitytest

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// property is one of the three by which a request selects an identity. Hosts call them by different names.
type property int

const (
	byClientID property = iota
	byObjectID
	byResourceID
)

// selector is the part of a query that selects an identity. The zero selector selects the default one.
type selector struct{ name, value string }

// parseQuery returns the parameters of a token request and the selector among them, by the names that the host has for
// selectors. A problem, if any, is for the host to put in its own kind of error.
func parseQuery(raw string, names map[string]property) (query url.Values, selected selector, problem string) {
	query, err := url.ParseQuery(raw)
	if err != nil {
		return nil, selector{}, "Malformed query"
	}
	for name, values := range query {
		if len(values) > 1 {
			return nil, selector{}, fmt.Sprintf("Query parameter %q is given more than once", name)
		}
		if _, ok := names[name]; !ok {
			if looksLikeSelector(name) {
				return nil, selector{}, fmt.Sprintf("Query parameter %q is not supported", name)
			}
			continue
		}
		if selected.name != "" {
			return nil, selector{}, "At most one of client ID, object ID and resource ID may be given"
		}
		selected = selector{name, values[0]}
	}
	return query, selected, ""
}

// looksLikeSelector recognises the spellings of other hosts and common slips. A host that ignored them would hand out
// the token of its default identity, which is how such a mistake goes unnoticed until it matters.
func looksLikeSelector(name string) bool {
	switch strings.NewReplacer("_", "", "-", "").Replace(strings.ToLower(name)) {
	case "clientid", "objectid", "principalid", "miresid", "msiresid", "resourceid", "identityid":
		return true
	}
	return false
}

// find returns the identity that has value as its property. Case doesn't matter in any of them.
func find(identities []Identity, by property, value string) (Identity, bool) {
	i := slices.IndexFunc(identities, func(id Identity) bool {
		switch by {
		case byClientID:
			return strings.EqualFold(id.ClientID, value)
		case byObjectID:
			return strings.EqualFold(id.ObjectID, value)
		default:
			return !id.System && strings.EqualFold(id.ResourceID, value)
		}
	})
	if i < 0 {
		return Identity{}, false
	}
	return identities[i], true
}

func systemAssigned(identities []Identity) (Identity, bool) {
	i := slices.IndexFunc(identities, func(id Identity) bool { return id.System })
	if i < 0 {
		return Identity{}, false
	}
	return identities[i], true
}

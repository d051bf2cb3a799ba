package identitytest

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// property is one of the three by which a request selects an identity. Hosts call them by different
// names.
type property int

const (
	byClientID property = iota
	byObjectID
	byResourceID
	ignored // no property: the host takes a parameter of that name, and it selects nothing
)

// selector is the part of a query that selects an identity. The zero selector selects the default
// one.
type selector struct{ name, value string }

// parseQuery returns the parameters of a token request and the selector among them, by the names
// that the host has for selectors. A problem, if any, is for the host to put in its own kind of
// error.
func parseQuery(
	raw string, names map[string]property,
) (query url.Values, selected selector, problem string) {
	return inQuery.selecting(raw, names)
}

// part is the part of a request that parameters are in, in the words of a problem with them.
type part struct{ whole, parameter string }

var (
	inQuery = part{"query", "Query parameter"}
	inForm  = part{"form", "Form parameter"}
)

// parse returns the parameters, none of which is given more than once.
func (p part) parse(raw string) (parameters url.Values, problem string) {
	parameters, err := url.ParseQuery(raw)
	if err != nil {
		return nil, "Malformed " + p.whole
	}
	for name, values := range parameters {
		if len(values) > 1 {
			return nil, fmt.Sprintf("%s %q is given more than once", p.parameter, name)
		}
	}
	return parameters, ""
}

func (p part) selecting(
	raw string, names map[string]property,
) (parameters url.Values, selected selector, problem string) {
	parameters, problem = p.parse(raw)
	if problem != "" {
		return nil, selector{}, problem
	}
	for name, values := range parameters {
		by, ok := names[name]
		switch {
		case !ok && looksLikeSelector(name):
			return nil, selector{}, fmt.Sprintf("%s %q is not supported", p.parameter, name)
		case !ok || by == ignored:
			continue
		}
		if selected.name != "" {
			return nil, selector{}, "At most one of client ID, object ID and resource ID may be given"
		}
		selected = selector{name, values[0]}
	}
	return parameters, selected, ""
}

// looksLikeSelector recognises the spellings of other hosts and common slips. A host that ignored
// them would hand out the token of its default identity, which is how such a mistake goes unnoticed
// until it matters.
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

// systemOrFirst is the default of hosts where somebody else chose the identity.
func systemOrFirst(identities []Identity) Identity {
	if id, ok := systemAssigned(identities); ok {
		return id
	}
	return identities[0]
}

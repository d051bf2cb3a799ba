package main

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode"
)

// query is what a request asks for.
type query struct {
	resource string
	selector string // the parameter that selects an identity, "" for none
	id       string
}

// maxResource is far above any App ID URI.
const maxResource = 2048

// parse refuses what the real host refuses: what only works here is found out too late.
func (p protocol) parse(raw string) (q query, _ *refusal) {
	parameters, err := url.ParseQuery(raw)
	if err != nil {
		return q, invalid("malformed query")
	}
	for name, values := range parameters {
		if len(values) > 1 {
			return q, invalid(fmt.Sprintf("query parameter %q is given more than once", name))
		}
	}
	switch version := parameters.Get("api-version"); {
	case version == "":
		return q, invalid("query parameter api-version is missing: want " + p.versions)
	case !p.version(version):
		return q, invalid(fmt.Sprintf("api-version %q is not supported: want %s", version, p.versions))
	}
	q.resource = parameters.Get("resource")
	switch {
	case q.resource == "":
		return q, invalid("query parameter resource is missing: want one such as https://vault.azure.net")
	case strings.HasSuffix(q.resource, defaultSuffix):
		return q, invalid("query parameter resource is a scope: want it without " + defaultSuffix)
	case len(q.resource) > maxResource:
		return q, invalid(fmt.Sprintf("query parameter resource has %d bytes, at most %d are allowed",
			len(q.resource), maxResource))
	case strings.ContainsFunc(q.resource, func(r rune) bool {
		return r == ' ' || r == unicode.ReplacementChar || !unicode.IsPrint(r)
	}):
		return q, invalid("query parameter resource contains a blank or a control character, or is not " +
			"UTF-8")
	}
	for name, values := range parameters {
		switch {
		case !looksLikeSelector(name):
			continue
		case !slices.Contains(p.selectors, name):
			return q, invalid(fmt.Sprintf("query parameter %q is not one of %s: want %s", name, p.name,
				strings.Join(p.selectors, ", ")))
		case q.selector != "":
			return q, invalid("at most one of client ID, object ID and resource ID may be given")
		}
		q.selector, q.id = name, values[0]
	}
	return q, nil
}

// looksLikeSelector recognises the selectors of all hosts, and common slips.
func looksLikeSelector(name string) bool {
	switch strings.NewReplacer("_", "", "-", "").Replace(strings.ToLower(name)) {
	case "clientid", "objectid", "principalid", "miresid", "msiresid", "resourceid", "identityid":
		return true
	}
	return false
}

// choose refuses an identity that the developer doesn't stand in for. There is only the developer's
// own token here, and a program that asks for a certain identity must not get another's unnoticed:
// a forgotten ID, or a wrong one, would come to light in Azure. So the developer names those for
// which that is meant, and the log says it once for each.
func (h *handler) choose(q query) *refusal {
	if q.selector == "" {
		return nil
	}
	if !slices.ContainsFunc(h.accepted, func(id string) bool { return strings.EqualFold(id, q.id) }) {
		return invalid(fmt.Sprintf("%s selects the identity %q, and all tokens here are the "+
			"developer's own: "+
			"leave the ID out on this machine, or start devserver with -accept-id and that ID", q.selector, q.id))
	}
	if _, before := h.noted.LoadOrStore(strings.ToLower(q.id), true); !before {
		h.log.Warn("the developer's tokens are given for this identity (-accept-id)", q.selector, q.id)
	}
	return nil
}

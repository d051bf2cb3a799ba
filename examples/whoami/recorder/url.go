package recorder

import (
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/keyless-go/identity/internal/record"
)

// pathWords are those of endpoints and of scopes, in lower case.
var pathWords = []string{
	"metadata", "identity", "oauth2", "token", "msi", "instance", "v1.0", "v2.0", ".default",
	"common", "organizations", "consumers", "discovery", "error", "azureadtokenexchange",
}

// manuals are hosts whose pages an error may name, and pages the paths of such.
var (
	manuals = []string{"learn.microsoft.com", "docs.microsoft.com"}
	pages   = regexp.MustCompile(`^(/[a-z]{2,20}(-[a-z]{2,15}){0,7})+$`)
)

// url is one of an endpoint, of a resource or of a page.
func (m *mask) url(raw string) string {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || u.Opaque != "" {
		return m.named("TEXT", raw)
	}
	if slices.Contains(manuals, u.Host) && pages.MatchString(u.Path) && u.RawQuery == "" {
		return u.Scheme + "://" + u.Host + u.Path
	}
	path := strings.Split(u.Path, "/")
	for i, part := range path {
		if part != "" && !slices.Contains(pathWords, strings.ToLower(part)) {
			path[i] = m.id(part)
		}
	}
	host := u.Host
	if u.Scheme == "api" { // an application's own name for itself
		if !slices.Contains(pathWords, strings.ToLower(host)) {
			host = m.id(host)
		}
	} else {
		host = m.host(host)
	}
	masked := url.URL{Scheme: u.Scheme, Host: host, Path: strings.Join(path, "/"),
		RawQuery: m.query(u.RawQuery)}
	return masked.String()
}

// query keeps the names that the hosts' protocols have, and the order.
func (m *mask) query(raw string) string {
	if raw == "" {
		return ""
	}
	pairs := strings.Split(raw, "&")
	for i, pair := range pairs {
		name, value, assigned := strings.Cut(pair, "=")
		plain, err := url.QueryUnescape(value)
		if err != nil {
			plain = value
		}
		pairs[i] = m.name(name)
		if assigned {
			pairs[i] += "=" + url.QueryEscape(m.parameter(name, plain))
		}
	}
	return strings.Join(pairs, "&")
}

var versions = regexp.MustCompile(`^(\d{4}-\d\d-\d\d(-preview)?|\d{1,2}\.\d{1,2})$`)

// parameter is one of a query, a form, an answer or a token's claims, by its name. The second value
// of m.field says whether the name is known.
func (m *mask) parameter(name, value string) string {
	if masked, known := m.field(name, value); known {
		return masked
	}
	return m.secret(value)
}

// audience is what a token is for: a URL, a name of an application's, or its client ID, with
// "/.default" behind it in a scope.
func (m *mask) audience(value string) string {
	rest, isScope := strings.CutSuffix(value, "/.default")
	switch {
	case record.IsPlaceholder(rest):
	case strings.Contains(rest, "://"):
		// A slash at the end makes another audience.
		slash := strings.HasSuffix(rest, "/")
		rest = strings.TrimSuffix(m.url(rest), "/")
		if slash {
			rest += "/"
		}
	default:
		rest = m.id(rest)
	}
	if isScope {
		rest += "/.default"
	}
	return rest
}

package check

import (
	"errors"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"unicode"

	"github.com/keyless-go/identity/internal/redact"
)

// URL reads a URL that came out of an environment variable. Errors name the variable and an
// example, and don't repeat the value, which may contain a password.
func URL(variable, value, example string) (*url.URL, error) {
	fail := func(why string) (*url.URL, error) {
		return nil, errors.New(variable + ": " + why + ": want a URL such as " + example)
	}
	if around := strayWhiteSpace(value); around != "" {
		return fail(around + ", a blank or a control character")
	}
	stray := func(r rune) bool { return unicode.IsControl(r) || unicode.IsSpace(r) }
	if strings.ContainsFunc(value, stray) {
		return fail("contains a blank or a control character")
	}
	u, err := url.Parse(value)
	switch {
	case value == "":
		return fail("is empty")
	case err != nil:
		return fail("is not a URL")
	case u.Scheme != "http" && u.Scheme != "https":
		return fail("is neither http nor https")
	case u.User != nil:
		return fail("contains user info")
	case u.Hostname() == "":
		return fail("has no host")
	case strings.Contains(u.EscapedPath(), "@"):
		return fail("has an @ in its path")
	case u.Fragment != "":
		return fail("contains a fragment")
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
			return fail("has an impossible port")
		}
	}
	return u, nil
}

// HTTPS is URL for what leaves the node: it refuses plain http, and a query.
func HTTPS(variable, value, example string) (*url.URL, error) {
	u, err := URL(variable, value, example)
	switch {
	case err != nil:
		return nil, err
	case u.Scheme != "https":
		return nil, errors.New(variable + ": is not https: want a URL such as " +
			example)
	case u.RawQuery != "" || u.ForceQuery:
		return nil, errors.New(variable + ": contains a query: want a URL such as " +
			example)
	}
	return u, nil
}

// strayWhiteSpace is what stands around a value that may be a secret: the white space alone,
// visibly. It is "" if there is none.
func strayWhiteSpace(value string) string {
	trimmed := strings.TrimSpace(value)
	if trimmed == value || trimmed == "" {
		return ""
	}
	before, after, _ := strings.Cut(value, trimmed)
	if before == "" {
		return "ends with " + redact.Quoted(after)
	}
	return "begins with " + redact.Quoted(before)
}

// IsLoopback reports whether a host is this machine. Of names only localhost counts.
func IsLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && ip.Unmap().IsLoopback()
}

// sharedSpace is RFC 6598's. Azure's own networks use it as they use other private addresses.
var sharedSpace = netip.MustParsePrefix("100.64.0.0/10")

// IsNearby reports whether a host is this machine or has an address that no network routes to the
// internet. The only name that counts is localhost, because others have to be resolved first.
func IsNearby(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	ip = ip.Unmap()
	return err == nil &&
		(ip.IsLoopback() || ip.IsLinkLocalUnicast() || ip.IsPrivate() || sharedSpace.Contains(ip))
}

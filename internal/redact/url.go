package redact

import (
	"net/url"
	"strings"
)

// URL is a URL that can be shown: without user info, query and fragment, and without what may be a
// token that somebody has put there. It is "" for what is none, or of which that can't be told.
func URL(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return ""
	}
	return ParsedURL(u)
}

// ParsedURL is URL for one that was parsed.
func ParsedURL(u *url.URL) string {
	// An @ is of user info with an unescaped slash: what follows is a piece of a password.
	if u.Host == "" || strings.Contains(u.EscapedPath(), "@") {
		return ""
	}
	bare := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}
	return Token(bare.String())
}

package bearer

import (
	"net/http"
	"strings"
)

// led reports whether a redirect on the way to a request has led to another host or port than that
// of the first request, which its caller has made: also if a later one has led back, since then
// somebody else has chosen what is asked.
//
// http.Client calls RoundTrip again for each redirect. What tells such a request is its Response,
// which is the redirect; the Request of that is the one before. One that isn't known is taken for
// another host's.
func led(r *http.Request) bool {
	for at := r; at.Response != nil; {
		at = at.Response.Request
		if at == nil || at.URL == nil || !strings.EqualFold(origin(at), origin(r)) {
			return true
		}
	}
	return false
}

// origin is a request's host and port. All have the scheme https.
func origin(r *http.Request) string {
	port := r.URL.Port()
	if port == "" {
		port = "443"
	}
	return r.URL.Hostname() + ":" + port
}

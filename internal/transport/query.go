package transport

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode"

	"github.com/keyless-go/identity/internal/lazy"
)

// reserved are the parameters that only a request of ours sets, by their bare names: the selectors,
// and all else that decides which token comes back. An api-version is not among them: an endpoint
// may name its own where we send none.
var reserved = lazy.Value[map[string]bool]{Make: func() map[string]bool {
	names := map[string]bool{}
	for _, name := range append([]string{"resource", "authority", "bypass_cache", "xms_cc",
		"token_sha256_to_refresh"}, Selectors...) {
		names[bareName(name)] = true
	}
	return names
}}

// bareName is a parameter's name without what a lenient server may ignore: its case, as ASP.NET
// does, on which most of these endpoints are built, and all that is neither a letter nor a digit.
func bareName(name string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			return -1
		}
		return unicode.ToLower(unicode.ToUpper(r)) // by way of the capital, which ſ and s share
	}, name)
}

// WithQuery is an endpoint with a query of pairs. What the variable's own query has stays, but for
// selectors of an identity in any spelling: only the options select one. An empty value is left
// out.
func WithQuery(endpoint *url.URL, pairs ...string) *url.URL {
	query := endpoint.Query()
	var set []string
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i] != "" { // it is "" where no identity is selected
			set = append(set, bareName(pairs[i]))
		}
	}
	for name := range query {
		if bare := bareName(name); reserved.Get()[bare] || slices.Contains(set, bare) {
			query.Del(name)
		}
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			query.Set(pairs[i], pairs[i+1])
		}
	}
	u := *endpoint
	u.RawQuery = query.Encode()
	return &u
}

// Header makes a header of pairs.
func Header(pairs ...string) http.Header {
	h := http.Header{}
	for i := 0; i+1 < len(pairs); i += 2 {
		h.Set(pairs[i], pairs[i+1])
	}
	return h
}

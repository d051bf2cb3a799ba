package transport

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/keyless-go/identity/internal/redact"
)

// Selectors are all the names of parameters by which one host or another is told an identity. They
// are not to be changed.
var Selectors = []string{
	"client_id", "clientid", "object_id", "principal_id", "principalId", "msi_res_id", "mi_res_id",
}

// shown are, with the Selectors, the parameters of a request's query that are no secrets.
var shown = []string{"resource", "xms_cc"}

// IsShown reports whether a parameter of a request's query is no secret.
func IsShown(name string) bool {
	return name == "api-version" || slices.Contains(shown, name) || slices.Contains(Selectors, name)
}

// Shown is what of an answer may be shown: its status and a header that is clean already, and its
// request without headers, of which one is secret. It has no body, but the length of the one that
// is added for each caller.
func Shown(of *http.Response, header http.Header, length int64, secrets []string) *http.Response {
	raw := &http.Response{
		Status:        strconv.Itoa(of.StatusCode) + " " + http.StatusText(of.StatusCode),
		StatusCode:    of.StatusCode,
		Proto:         of.Proto,
		ProtoMajor:    of.ProtoMajor,
		ProtoMinor:    of.ProtoMinor,
		Header:        header,
		Body:          http.NoBody,
		ContentLength: length,
	}
	if of.Request != nil && of.Request.URL != nil {
		u := *of.Request.URL
		query := u.Query()
		for name := range query {
			if !IsShown(name) { // the endpoint's own may be a key
				query.Del(name)
			}
		}
		u.User, u.RawQuery, u.Fragment = nil, query.Encode(), ""
		// Of a redirect that the user's client has followed.
		if text := u.String(); redact.Text(text, secrets...) != text {
			u = url.URL{Scheme: u.Scheme, Host: redact.Mark}
		}
		raw.Request = &http.Request{Method: of.Request.Method, URL: &u, Host: u.Host,
			Header: http.Header{}}
	}
	return raw
}

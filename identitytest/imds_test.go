package identitytest

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestIMDSRefuses(t *testing.T) {
	t.Parallel()
	const path = "http://169.254.169.254/metadata/identity/oauth2/token"
	const right = path + "?api-version=2018-02-01&resource=r"
	metadata := http.Header{"Metadata": {"true"}}
	for _, test := range []struct {
		name, method, url string
		header            http.Header
		status            int
		code, text        string
	}{
		{"probe", "GET", path, nil, 400, "invalid_request", "Required metadata header not specified"},
		{"no metadata header", "GET", right, nil, 400, "invalid_request",
			"Required metadata header not specified"},
		{"metadata True", "GET", right, http.Header{"Metadata": {"True"}}, 400, "invalid_request",
			"Required metadata header not specified"},
		{"metadata twice", "GET", right, http.Header{"Metadata": {"true", "true"}}, 400,
			"invalid_request", "Required metadata header not specified"},
		{"forwarded", "GET", right, http.Header{"Metadata": {"true"}, "X-Forwarded-For": {""}}, 400,
			"invalid_request", "X-Forwarded-For"},
		{"post", "POST", right, metadata, 405, "method_not_allowed", "Method Not Allowed"},
		{"other path", "GET", "http://169.254.169.254/metadata/instance", metadata, 404, "not_found",
			"Not Found"},
		{"two slashes at the end", "GET", path + "//", metadata, 404, "not_found", "Not Found"},
		{"nonce of another", "GET", "http://127.0.0.1/00000000/metadata/identity/oauth2/token", metadata,
			404, "not_found", "Not Found"},
		{"path of App Service", "GET", "http://169.254.169.254/msi/token", metadata, 404, "not_found",
			"Not Found"},
		{"no api-version", "GET", path + "?resource=r", metadata, 400, "invalid_request",
			"'api-version' is missing"},
		{"api-version of App Service", "GET", path + "?api-version=2019-08-01&resource=r", metadata, 400,
			"invalid_request", "'api-version' is not supported"},
		{"no resource", "GET", path + "?api-version=2018-02-01", metadata, 400, "invalid_request",
			"'resource' is missing"},
		{"empty resource", "GET", path + "?api-version=2018-02-01&resource=", metadata, 400,
			"invalid_request", "'resource' is missing"},
		{"repeated resource", "GET", right + "&resource=r", metadata, 400, "invalid_request",
			`"resource" is given more than once`},
		{"bypass_cache of another value", "GET", right + "&bypass_cache=false", metadata, 400,
			"invalid_request", "'bypass_cache' is not valid"},
		{"repeated stranger", "GET", right + "&x=1&x=2", metadata, 400, "invalid_request",
			`"x" is given more than once`},
		{"malformed query", "GET", right + "&x=%zz", metadata, 400, "invalid_request", "Malformed query"},
		{"two selectors", "GET", right + "&client_id=a&object_id=b", metadata, 400, "invalid_request",
			"At most one"},
		{"unknown client ID", "GET", right + "&client_id=a", metadata, 400, "invalid_request",
			"Identity not found"},
		{"empty client ID", "GET", right + "&client_id=", metadata, 400, "invalid_request",
			"Identity not found"},
		{"unknown object ID", "GET", right + "&object_id=a", metadata, 400, "invalid_request",
			"Identity not found"},
		{"unknown resource ID", "GET", right + "&msi_res_id=a", metadata, 400, "invalid_request",
			"Identity not found"},
		{"mi_res_id", "GET", right + "&mi_res_id=a", metadata, 400, "invalid_request",
			`"mi_res_id" is not supported`},
		{"msi-res-id", "GET", right + "&msi-res-id=a", metadata, 400, "invalid_request",
			`"msi-res-id" is not supported`},
		{"principal_id", "GET", right + "&principal_id=a", metadata, 400, "invalid_request",
			`"principal_id" is not supported`},
		{"clientid", "GET", right + "&clientid=a", metadata, 400, "invalid_request",
			`"clientid" is not supported`},
		{"Client_ID", "GET", right + "&Client_ID=a", metadata, 400, "invalid_request",
			`"Client_ID" is not supported`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			e := NewIMDS(nil)
			r := request(t, test.method, test.url, "")
			r.Header = test.header.Clone()
			got := do(t, e, r)
			body := fields(t, got.Body)
			if got.Status != test.status || body["error"] != test.code ||
				!strings.Contains(body["error_description"], test.text) || len(body) != 2 {
				t.Errorf("got %d %s, want %d %s with %q", got.Status, got.Body, test.status, test.code,
					test.text)
			}
			if diff := cmp.Diff(imdsHeader, got.Header); diff != "" {
				t.Errorf("header (-want +got):\n%s", diff)
			}
			if n := len(e.Requests()); n != 1 {
				t.Errorf("got %d requests recorded, want 1", n)
			}
		})
	}
}

var imdsHeader = http.Header{"Server": {"IMDS/150.870.65.1854"},
	"Content-Type": {"application/json; charset=utf-8"}}

func TestIMDSSelects(t *testing.T) {
	t.Parallel()
	system, one, two := Identity{System: true},
		Identity{ClientID: "AbC-1", ObjectID: "Def-1", ResourceID: "/Sub/1"}, Identity{ClientID: "abc-2"}
	const multiple = "Multiple user assigned identities exist, please specify the clientId / resourceId of the identity in the token request"
	for _, test := range []struct {
		name       string
		identities []Identity
		selector   string
		want       int // the index in identities
		refusal    string
	}{
		{"default is the system-assigned one", []Identity{one, two, system}, "", 2, ""},
		{"default is the only user-assigned one", []Identity{one}, "", 0, ""},
		{"no default", []Identity{one, two}, "", 0, multiple},
		{"client ID", []Identity{system, two, one}, "client_id=aBc-1", 2, ""},
		{"object ID", []Identity{system, two, one}, "object_id=dEF-1", 2, ""},
		{"resource ID", []Identity{system, two, one}, "msi_res_id=/sUB/1", 2, ""},
		{"system-assigned by client ID", []Identity{two, {System: true, ClientID: "s"}}, "client_id=S", 1,
			""},
		{"system-assigned has no resource ID of its own",
			[]Identity{two, {System: true, ResourceID: "/s"}}, "msi_res_id=/s", 0, "Identity not found"},
		{"client ID isn't an object ID", []Identity{one}, "object_id=AbC-1", 0, "Identity not found"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			e := NewIMDS(&Options{Identities: test.identities})
			got := do(t, e, imdsRequest(t, "&"+test.selector))
			body := fields(t, got.Body)
			if test.refusal != "" {
				if got.Status != 400 || body["error"] != "invalid_request" ||
					body["error_description"] != test.refusal {
					t.Errorf("got %d %s, want 400 invalid_request %q", got.Status, got.Body, test.refusal)
				}
				return
			}
			if c := readClaims(t, accessToken(t, got)); c.AppID != e.Identities()[test.want].ClientID {
				t.Errorf("got a token of %s, want one of %s", c.AppID, e.Identities()[test.want].ClientID)
			}
			echo := make(map[string]string)
			for _, name := range []string{"client_id", "object_id", "msi_res_id"} {
				if value, ok := body[name]; ok {
					echo[name] = value
				}
			}
			want := make(map[string]string)
			if name, value, ok := strings.Cut(test.selector, "="); ok {
				want[name] = value
			}
			if diff := cmp.Diff(want, echo); diff != "" {
				t.Errorf("echo of the selector (-want +got):\n%s", diff)
			}
		})
	}
}

func TestIMDSSuccess(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { // which begins on 2000-01-01, Unix second 946684800
		e := NewIMDS(&Options{Lifetime: time.Hour})
		got := do(t, e, imdsRequest(t, ""))
		body := fields(t, got.Body)
		delete(body, "access_token")
		want := map[string]string{
			"expires_in":     "3600",
			"expires_on":     "946688400",
			"ext_expires_in": "3600",
			"not_before":     "946684500",
			"refresh_token":  "",
			"resource":       vault,
			"token_type":     "Bearer",
		}
		if diff := cmp.Diff(want, body); diff != "" {
			t.Errorf("body (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(imdsHeader, got.Header); diff != "" {
			t.Errorf("header (-want +got):\n%s", diff)
		}
	})
}

func TestIMDSPath(t *testing.T) {
	t.Parallel()
	e := NewIMDS(nil)
	base := environment(e, "http://127.0.0.1:1/")["AZURE_POD_IDENTITY_AUTHORITY_HOST"]
	for _, u := range []string{
		"http://169.254.169.254/metadata/identity/oauth2/token",
		"http://169.254.169.254/METADATA/Identity/OAuth2/Token",
		base + "/metadata/identity/oauth2/token",
	} {
		r := request(t, "GET", u+"?api-version=2018-02-01&resource="+url.QueryEscape(vault), "")
		r.Header.Set("Metadata", "true")
		accessToken(t, do(t, e, r))
	}
}

func TestIMDSFailures(t *testing.T) {
	t.Parallel()
	for status, code := range map[int]string{
		400: "invalid_request", 401: "bad_request", 403: "forbidden", 404: "not_found",
		405: "method_not_allowed",
		408: "bad_request", 410: "service_unavailable", 429: "too_many_requests",
		500: "server_error", 502: "server_error", 503: "service_unavailable", 504: "server_error",
		999: "server_error",
	} {
		e := NewIMDS(nil)
		e.Enqueue(Response{Status: status})
		got := do(t, e, imdsRequest(t, ""))
		if got.Status != status || fields(t, got.Body)["error"] != code {
			t.Errorf("Status %d: got %d %s, want %s", status, got.Status, got.Body, code)
		}
		if diff := cmp.Diff(imdsHeader, got.Header); diff != "" {
			t.Errorf("Status %d: header (-want +got):\n%s", status, diff)
		}
	}
	for _, status := range []int{204, 302} {
		e := NewIMDS(nil)
		e.Enqueue(Response{Status: status})
		want := reply{Status: status, Header: http.Header{"Server": imdsHeader["Server"]}}
		if diff := cmp.Diff(want, do(t, e, imdsRequest(t, ""))); diff != "" {
			t.Errorf("Status %d (-want +got):\n%s", status, diff)
		}
	}
}

// MSAL for JavaScript puts a slash at the end where a variable has the address.
func TestSlashAtTheEnd(t *testing.T) {
	t.Parallel()
	r := request(t, "GET",
		"http://169.254.169.254/metadata/identity/oauth2/token/?api-version=2018-02-01&resource=https://r",
		"")
	r.Header.Set("Metadata", "true")
	if got := do(t, NewIMDS(nil), r); got.Status != 200 {
		t.Errorf("got %d %s, want 200", got.Status, got.Body)
	}
}

// bypass_cache is the one way past the host's cache.
func TestBypassCache(t *testing.T) {
	t.Parallel()
	e := NewIMDS(&Options{HostCache: true})
	first, repeated := accessToken(t, do(t, e, imdsRequest(t, ""))), accessToken(t,
		do(t, e, imdsRequest(t, "")))
	past := accessToken(t, do(t, e, imdsRequest(t, "&bypass_cache=true")))
	after := accessToken(t, do(t, e, imdsRequest(t, "")))
	if first != repeated || past == first || after != past {
		t.Error("want a token, the same, another, and that again")
	}
}

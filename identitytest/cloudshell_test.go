package identitytest

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// asIMDS makes it a request of IMDS's form.
func asIMDS(r *http.Request) {
	r.Method = "GET"
	r.URL.Path = "/metadata/identity/oauth2/token"
	r.URL.RawQuery = "api-version=2018-02-01&resource=" + vault
	r.Header.Del("Content-Type")
}

func TestCloudShellAnswersAsIMDS(t *testing.T) {
	t.Parallel()
	e := NewCloudShell(nil)
	r := shellRequest(t, inMemory(e), "")
	asIMDS(r)
	if c := readClaims(t, tokenOf(t, do(t, e, r))); c.Audience != vault ||
		c.ObjectID != e.Identities()[0].ObjectID {
		t.Errorf("got a token of %s for %s", c.ObjectID, c.Audience)
	}
}

func TestCloudShellRefuses(t *testing.T) {
	t.Parallel()
	const audience = "is not a supported MSI token audience"
	const resource = "resource=" + vault
	for _, test := range []struct {
		form string
		refusal
	}{
		{resource, refusal{"other path", path("/"), 404, "NotFound", "Not Found"}},
		{resource, refusal{"post at the path of IMDS", path("/metadata/identity/oauth2/token"), 405,
			"MethodNotAllowed", "Method Not Allowed"}},
		{"", refusal{"as IMDS, no metadata header", func(r *http.Request) {
			asIMDS(r)
			r.Header.Del("Metadata")
		}, 400, "BadRequest", "metadata header"}},
		{"", refusal{"as IMDS, no api-version", func(r *http.Request) {
			asIMDS(r)
			query("api-version")(r)
		}, 400, "BadRequest", "api-version"}},
		{"", refusal{"as IMDS, no resource", func(r *http.Request) {
			asIMDS(r)
			query("resource")(r)
		}, 400, "AudienceNotSupported", audience}},
		{"", refusal{"as IMDS, client_id", func(r *http.Request) {
			asIMDS(r)
			query("client_id", "a")(r)
		}, 400, "BadRequest", `Query parameter "client_id" is not supported`}},
		{resource, refusal{"get", method("GET"), 405, "MethodNotAllowed", "Method Not Allowed"}},
		{resource, refusal{"put", method("PUT"), 405, "MethodNotAllowed", "Method Not Allowed"}},
		{resource, refusal{"no metadata header", header("Metadata"), 400, "BadRequest",
			"metadata header"}},
		{resource, refusal{"metadata True", header("Metadata", "True"), 400, "BadRequest",
			"metadata header"}},
		{resource, refusal{"no content type", header("Content-Type"), 415, "UnsupportedMediaType",
			"Unsupported Media Type"}},
		{resource, refusal{"malformed content type", header("Content-Type", ";"), 415,
			"UnsupportedMediaType", "Unsupported Media Type"}},
		{`{"resource":"r"}`, refusal{"json", header("Content-Type", "application/json"), 415,
			"UnsupportedMediaType", "Unsupported Media Type"}},
		{resource + "&x=%zz", refusal{"malformed form", nil, 400, "BadRequest", "Malformed form"}},
		{resource + "&" + resource, refusal{"two resources", nil, 400, "BadRequest",
			`Form parameter "resource" is given more than once`}},
		{resource + "&client_id=a", refusal{"client_id", nil, 400, "BadRequest",
			`Form parameter "client_id" is not supported`}},
		{resource + "&clientid=", refusal{"clientid", nil, 400, "BadRequest",
			`Form parameter "clientid" is not supported`}},
		{resource + "&object_id=a", refusal{"object_id", nil, 400, "BadRequest",
			`Form parameter "object_id" is not supported`}},
		{resource + "&mi_res_id=a", refusal{"mi_res_id", nil, 400, "BadRequest",
			`Form parameter "mi_res_id" is not supported`}},
		{resource, refusal{"selector in the query", query("msi_res_id", "a"), 400, "BadRequest",
			`Query parameter "msi_res_id" is not supported`}},
		{resource, refusal{"malformed query", rawQuery("%zz"), 400, "BadRequest", "Malformed query"}},
		{"", refusal{"no body", nil, 400, "AudienceNotSupported", audience}},
		{"resource=", refusal{"empty resource", nil, 400, "AudienceNotSupported", audience}},
		{"", refusal{"resource in the query", query("resource", vault), 400, "AudienceNotSupported",
			audience}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			e := NewCloudShell(nil)
			r := shellRequest(t, inMemory(e), test.form)
			if test.spoil != nil {
				test.spoil(r)
			}
			checkCoded(t, do(t, e, r), test.refusal)
		})
	}
}

func TestCloudShellSuccess(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := NewCloudShell(&Options{Lifetime: time.Hour})
		r := shellRequest(t, inMemory(e), "resource=https%3A%2F%2Fvault.azure.net")
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded;charset=UTF-8")
		got := do(t, e, r)
		body := fields(t, got.Body)
		delete(body, "access_token")
		want := map[string]string{
			"expires_in":    "3600",
			"expires_on":    "946688400",
			"not_before":    "946684500",
			"refresh_token": "",
			"resource":      vault,
			"token_type":    "Bearer",
		}
		if diff := cmp.Diff(want, body); diff != "" {
			t.Errorf("body (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(http.Header{"Content-Type": {"application/json; charset=utf-8"}},
			got.Header); diff != "" {
			t.Errorf("header (-want +got):\n%s", diff)
		}
	})
}

func TestCloudShellTokenIsOfTheUser(t *testing.T) {
	t.Parallel()
	e := NewCloudShell(&Options{Identities: []Identity{{ObjectID: "me", TenantID: "home",
		ResourceID: "/mine"}, {System: true}}})
	raw := tokenOf(t, do(t, e, shellRequest(t, inMemory(e), "resource="+vault)))
	c := members(t, string(segment(t, raw, 1)))
	for name, want := range map[string]any{
		"aud": vault, "oid": "me", "sub": "me", "tid": "home", "iss": "https://sts.windows.net/home/",
		"ver":   "1.0",
		"appid": "b677c290-cf4b-4a8e-a60e-91ba650a4abe", "idtyp": "user", "appidacr": nil,
		"xms_mirid": nil, "xms_az_rid": nil,
	} {
		if c[name] != want {
			t.Errorf("%s: got %v, want %v", name, c[name], want)
		}
	}
}

func TestCloudShellFailures(t *testing.T) {
	t.Parallel()
	e := NewCloudShell(nil)
	for _, want := range []refusal{
		{status: 400, code: "AudienceNotSupported", text: "is not a supported MSI token audience"},
		{status: 429, code: "TooManyRequests", text: "Too Many Requests"},
		{status: 500, code: "InternalServerError", text: "Internal Server Error"},
	} {
		e.Enqueue(Response{Status: want.status})
		checkCoded(t, do(t, e, shellRequest(t, inMemory(e), "resource=r")), want)
	}
}

package identitytest

import (
	"encoding/json"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestAzureMLRefuses(t *testing.T) {
	t.Parallel()
	for _, test := range []refusal{
		{"other path", path("/"), 404, "NotFound", "Not Found"},
		{"path of IMDS", path("/metadata/identity/oauth2/token"), 404, "NotFound", "Not Found"},
		{"post", method("POST"), 405, "MethodNotAllowed", "Method Not Allowed"},
		{"no secret", header("secret"), 401, "Unauthorized", "Unauthorized"},
		{"wrong secret", header("secret", "wrong"), 401, "Unauthorized", "Unauthorized"},
		{"secret where App Service has it", func(r *http.Request) {
			r.Header = http.Header{"X-Identity-Header": r.Header["Secret"]}
		}, 401, "Unauthorized", "Unauthorized"},
		{"no api-version", query("api-version"), 400, "BadRequest", "api-version"},
		{"api-version of App Service", query("api-version", "2019-08-01"), 400, "BadRequest",
			"api-version"},
		{"no resource", query("resource"), 400, "BadRequest", "resource is missing"},
		{"empty resource", query("resource", ""), 400, "BadRequest", "resource is missing"},
		{"malformed query", rawQuery("&x=%zz"), 400, "BadRequest", "Malformed query"},
		{"two clientids", rawQuery("&clientid=a&clientid=a"), 400, "BadRequest",
			`"clientid" is given more than once`},
		{"client_id", rawQuery("&client_id=a"), 400, "BadRequest", `"client_id" is not supported`},
		{"clientId", rawQuery("&clientId=a"), 400, "BadRequest", `"clientId" is not supported`},
		{"object_id", rawQuery("&object_id=a"), 400, "BadRequest", `"object_id" is not supported`},
		{"mi_res_id", rawQuery("&mi_res_id=a"), 400, "BadRequest", `"mi_res_id" is not supported`},
		{"unknown clientid", rawQuery("&clientid=a"), 400, "IdentityNotFound", "isn't assigned"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			e := NewAzureML(nil)
			r := request2017(t, inMemory(e), "")
			test.spoil(r)
			checkCoded(t, do(t, e, r), test)
		})
	}
}

func TestAzureMLSelects(t *testing.T) {
	t.Parallel()
	system, one, two := Identity{System: true}, Identity{ClientID: "AbC-1"},
		Identity{ClientID: "abc-2"}
	for _, test := range []struct {
		name       string
		identities []Identity
		selector   string
		want       int // the index in identities
	}{
		{"default is the system-assigned one", []Identity{one, system}, "", 1},
		{"empty is the default", []Identity{one, system}, "&clientid=", 1},
		{"default is the only user-assigned one", []Identity{one}, "", 0},
		{"default is the first of several", []Identity{two, one}, "&clientid=", 0},
		{"client ID", []Identity{system, two, one}, "&clientid=aBc-1", 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			e := NewAzureML(&Options{Identities: test.identities})
			got := do(t, e, request2017(t, inMemory(e), test.selector))
			want := e.Identities()[test.want].ClientID
			if c := readClaims(t, tokenOf(t, got)); c.AppID != want ||
				members(t, got.Body)["client_id"] != want {
				t.Errorf("got a token of %s and client_id %v, want %s", c.AppID,
					members(t, got.Body)["client_id"], want)
			}
		})
	}
}

func TestAzureMLSuccess(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := NewAzureML(&Options{Lifetime: time.Hour})
		body := members(t, do(t, e, request2017(t, inMemory(e), "")).Body)
		delete(body, "access_token")
		want := map[string]any{
			"client_id":  e.Identities()[0].ClientID,
			"expires_on": json.Number("946688400"), // without quotes
			"resource":   vault,
			"token_type": "Bearer",
		}
		if diff := cmp.Diff(want, body); diff != "" {
			t.Errorf("body (-want +got):\n%s", diff)
		}
	})
}

func TestAzureMLFailures(t *testing.T) {
	t.Parallel()
	e := NewAzureML(nil)
	for _, want := range []refusal{
		{status: 400, code: "IdentityNotFound"},
		{status: 429, code: "TooManyRequests", text: "Too Many Requests"},
		{status: 500, code: "InternalServerError", text: "Internal Server Error"},
		{status: 503, code: "ServiceUnavailable", text: "Service Unavailable"},
	} {
		e.Enqueue(Response{Status: want.status})
		checkCoded(t, do(t, e, request2017(t, inMemory(e), "")), want)
	}
}

package identitytest

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestAppService2017Refuses(t *testing.T) {
	t.Parallel()
	const unknown = "No User Assigned or Delegated Managed Identity found for specified ClientId/ResourceId/PrincipalId."
	for _, test := range []refusal{
		{"other path", path("/"), 404, "", "Not Found"},
		{"post", method("POST"), 405, "", "Method Not Allowed"},
		{"no api-version", query("api-version"), 400, "", "api-version"},
		{"api-version of 2019", query("api-version", "2019-08-01"), 400, "", "api-version"},
		{"no resource", query("resource"), 400, "", "resource is missing"},
		{"empty resource", query("resource", ""), 400, "", "resource is missing"},
		{"malformed query", rawQuery("&x=%zz"), 400, "", "Malformed query"},
		{"two clientids", rawQuery("&clientid=a&clientid=b"), 400, "",
			`"clientid" is given more than once`},
		{"client_id", rawQuery("&client_id=a"), 400, "", `"client_id" is not supported`},
		{"object_id", rawQuery("&object_id=a"), 400, "", `"object_id" is not supported`},
		{"principal_id", rawQuery("&principal_id=a"), 400, "", `"principal_id" is not supported`},
		{"mi_res_id", rawQuery("&mi_res_id=a"), 400, "", `"mi_res_id" is not supported`},
		{"unknown clientid", rawQuery("&clientid=a"), 400, "", unknown},
		{"empty clientid", rawQuery("&clientid="), 400, "", unknown},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			e := NewAppService2017(nil)
			r := request2017(t, inMemory(e), "")
			test.spoil(r)
			if got := checkAppServiceError(t, do(t, e, r), test.status); !strings.Contains(got, test.text) {
				t.Errorf("got %q, want %q", got, test.text)
			}
		})
	}
}

func TestAppService2017Secret(t *testing.T) {
	t.Parallel()
	e := NewAppService2017(nil)
	for name, spoil := range map[string]func(*http.Request){
		"none":  header("secret"),
		"empty": header("secret", ""),
		"wrong": header("secret", "wrong"),
		"in the header of now": func(r *http.Request) {
			r.Header = http.Header{"X-Identity-Header": r.Header["Secret"]}
		},
		"of another App Service":  header("secret", inMemory(NewAppService2017(nil))("MSI_SECRET")),
		"of the protocol of 2019": header("secret", inMemory(NewAppService(nil))("IDENTITY_HEADER")),
	} {
		r := request2017(t, inMemory(e), "")
		spoil(r)
		if got := do(t, e, r); got.Status != 403 || got.Body != "" ||
			got.Header.Get("Server") != "Kestrel" {
			t.Errorf("%s: got %+v, want 403 without a body", name, got)
		}
	}
}

func TestAppService2017Selects(t *testing.T) {
	t.Parallel()
	e := NewAppService2017(&Options{Identities: []Identity{{ClientID: "AbC"}, {System: true}}})
	for more, want := range map[string]string{"": e.Identities()[1].ClientID, "&clientid=aBc": "AbC"} {
		if c := readClaims(t, tokenOf(t, do(t, e, request2017(t, inMemory(e), more)))); c.AppID != want {
			t.Errorf("%q: got a token of %s, want one of %s", more, c.AppID, want)
		}
	}
	e = NewAppService2017(&Options{Identities: []Identity{{}}})
	got := checkAppServiceError(t, do(t, e, request2017(t, inMemory(e), "")), 400)
	if want := "Unable to load the proper Managed Identity."; got != want {
		t.Errorf("without a system-assigned identity: got %q, want %q", got, want)
	}
}

func TestAppService2017Success(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		// into the afternoon, where a clock of 12 hours would show
		time.Sleep(14*time.Hour + 5*time.Second)
		e := NewAppService2017(&Options{Lifetime: 5 * 24 * time.Hour})
		got := do(t, e, request2017(t, inMemory(e), ""))
		body := fields(t, got.Body)
		delete(body, "access_token")
		want := map[string]string{"expires_on": "01/06/2000 14:00:05 +00:00", "resource": vault,
			"token_type": "Bearer"}
		if diff := cmp.Diff(want, body); diff != "" {
			t.Errorf("body (-want +got):\n%s", diff)
		}
		if got.Header.Get("Server") != "Kestrel" ||
			!guidPattern.MatchString(got.Header.Get("X-CORRELATION-ID")) {
			t.Errorf("header: got %v", got.Header)
		}
	})
}

func TestAppService2017Failures(t *testing.T) {
	t.Parallel()
	e := NewAppService2017(nil)
	for status, want := range map[int]string{
		400: "Unable to load the proper Managed Identity.",
		429: "Too Many Requests",
		500: "An unexpected error occured while fetching the AAD Token.",
	} {
		e.Enqueue(Response{Status: status})
		if got := checkAppServiceError(t, do(t, e, request2017(t, inMemory(e), "")),
			status); got != want {
			t.Errorf("Status %d: got %q, want %q", status, got, want)
		}
	}
}

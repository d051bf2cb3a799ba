package identitytest

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

type appServiceError struct {
	StatusCode    int
	Message       string
	CorrelationID string
}

// checkAppServiceError checks the form of an error and returns its message.
func checkAppServiceError(t *testing.T, got reply, status int) string {
	t.Helper()
	var body appServiceError
	if err := json.Unmarshal([]byte(got.Body), &body); err != nil {
		t.Fatalf("body %q: %v", got.Body, err)
	}
	if got.Status != status || body.StatusCode != status {
		t.Errorf("status: got %d, and %d in the body; want %d", got.Status, body.StatusCode, status)
	}
	if !guidPattern.MatchString(body.CorrelationID) {
		t.Errorf("correlation ID: got %q, want a GUID", body.CorrelationID)
	}
	want := http.Header{"Server": {"Kestrel"}, "X-Correlation-Id": {body.CorrelationID},
		"Content-Type": {"application/json; charset=utf-8"}}
	if diff := cmp.Diff(want, got.Header); diff != "" {
		t.Errorf("header (-want +got):\n%s", diff)
	}
	return body.Message
}

func TestAppServiceRefuses(t *testing.T) {
	t.Parallel()
	const right = "/msi/token" + appQuery
	const notFound = "No User Assigned or Delegated Managed Identity found for specified ClientId/ResourceId/PrincipalId."
	for _, test := range []struct {
		name, method, target string
		status               int
		text                 string
	}{
		{"other path", "GET", "/" + appQuery, 404, "Not Found"},
		{"path of IMDS", "GET", "/metadata/identity/oauth2/token" + appQuery, 404, "Not Found"},
		{"post", "POST", right, 405, "Method Not Allowed"},
		{"no api-version", "GET", "/msi/token?resource=r", 400, "api-version"},
		{"api-version of IMDS", "GET", "/msi/token?resource=r&api-version=2018-02-01", 400,
			"api-version"},
		{"no resource", "GET", "/msi/token?api-version=2019-08-01", 400, "resource is missing"},
		{"malformed query", "GET", right + "&x=%zz", 400, "Malformed query"},
		{"repeated selector", "GET", right + "&client_id=a&client_id=a", 400, "more than once"},
		{"two selectors", "GET", right + "&client_id=a&mi_res_id=b", 400, "At most one"},
		{"name and alias", "GET", right + "&principal_id=a&object_id=a", 400, "At most one"},
		{"unknown client ID", "GET", right + "&client_id=a", 400, notFound},
		{"unknown object ID", "GET", right + "&principal_id=a", 400, notFound},
		{"unknown resource ID", "GET", right + "&mi_res_id=a", 400, notFound},
		{"msi_res_id", "GET", right + "&msi_res_id=a", 400, `"msi_res_id" is not supported`},
		{"clientid", "GET", right + "&clientid=a", 400, `"clientid" is not supported`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			e := NewAppService(nil)
			r := request(t, test.method, "http://localhost:4141"+test.target, "")
			r.Header.Set("X-IDENTITY-HEADER", environment(e, "http://localhost")["IDENTITY_HEADER"])
			if got := checkAppServiceError(t, do(t, e, r), test.status); !strings.Contains(got, test.text) {
				t.Errorf("got %q, want %q", got, test.text)
			}
		})
	}
}

func TestAppServiceSecret(t *testing.T) {
	t.Parallel()
	e := NewAppService(nil)
	for _, secret := range []string{"", "wrong"} {
		r := appServiceRequest(t, e, "")
		r.Header.Set("X-IDENTITY-HEADER", secret)
		if got := do(t, e, r); got.Status != 403 || got.Body != "" ||
			got.Header.Get("Server") != "Kestrel" {
			t.Errorf("secret %q: got %+v, want 403 without a body", secret, got)
		}
	}
	old := appServiceRequest(t, e, "")
	accessToken(t, do(t, e, old))
	e.RotateSecret()
	if got := do(t, e, old); got.Status != 403 {
		t.Errorf("old secret: got status %d, want 403", got.Status)
	}
	accessToken(t, do(t, e, appServiceRequest(t, e, "")))
	mustPanic(t, "RotateSecret: only App Service", NewIMDS(nil).RotateSecret)
}

func TestAppServiceSelects(t *testing.T) {
	t.Parallel()
	system, user := Identity{System: true},
		Identity{ClientID: "AbC", ObjectID: "Def", ResourceID: "/Sub/1"}
	for _, test := range []struct {
		name       string
		identities []Identity
		selector   string
		want       int // the index in identities
		refusal    string
	}{
		{"default", []Identity{user, system}, "", 1, ""},
		{"the only user-assigned one is no default", []Identity{user}, "", 0,
			"Unable to load the proper Managed Identity."},
		{"client ID", []Identity{system, user}, "client_id=aBC", 1, ""},
		{"object ID", []Identity{system, user}, "principal_id=dEF", 1, ""},
		{"object ID by its alias", []Identity{system, user}, "object_id=dEF", 1, ""},
		{"resource ID", []Identity{system, user}, "mi_res_id=/sub/1", 1, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			e := NewAppService(&Options{Identities: test.identities})
			got := do(t, e, appServiceRequest(t, e, "&"+test.selector))
			if test.refusal != "" {
				if got := checkAppServiceError(t, got, 400); got != test.refusal {
					t.Errorf("got %q, want %q", got, test.refusal)
				}
				return
			}
			want := e.Identities()[test.want].ClientID
			if c := readClaims(t, accessToken(t, got)); c.AppID != want ||
				fields(t, got.Body)["client_id"] != want {
				t.Errorf("got a token of %s and client_id %s, want %s", c.AppID,
					fields(t, got.Body)["client_id"], want)
			}
		})
	}
}

func TestAppServiceSuccess(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := NewAppService(&Options{Lifetime: time.Hour})
		got := do(t, e, appServiceRequest(t, e, ""))
		body := fields(t, got.Body)
		delete(body, "access_token")
		want := map[string]string{
			"client_id":  e.Identities()[0].ClientID,
			"expires_on": "946688400",
			"not_before": "946684500",
			"resource":   vault,
			"token_type": "Bearer",
		}
		if diff := cmp.Diff(want, body); diff != "" {
			t.Errorf("body (-want +got):\n%s", diff)
		}
		if got.Header.Get("Server") != "Kestrel" ||
			!guidPattern.MatchString(got.Header.Get("X-CORRELATION-ID")) {
			t.Errorf("header: got %v", got.Header)
		}
	})
}

func TestAppServicePath(t *testing.T) {
	t.Parallel()
	e := NewAppService(nil)
	for _, path := range []string{"/msi/token", "/MSI/token", "/" + e.nonce + "/msi/token"} {
		r := appServiceRequest(t, e, "")
		r.URL.Path = path
		accessToken(t, do(t, e, r))
	}
}

func TestAppServiceFailures(t *testing.T) {
	t.Parallel()
	e := NewAppService(nil)
	for status, want := range map[int]string{
		400: "Unable to load the proper Managed Identity.",
		404: "Not Found",
		429: "Too Many Requests",
		500: "An unexpected error occured while fetching the AAD Token.",
		503: "Service Unavailable",
		999: "",
	} {
		e.Enqueue(Response{Status: status})
		if got := checkAppServiceError(t, do(t, e, appServiceRequest(t, e, "")), status); got != want {
			t.Errorf("Status %d: got %q, want %q", status, got, want)
		}
	}
}

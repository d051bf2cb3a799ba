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

// checkGroupError checks an error of the form {"error": {"code", "message", "details"}}.
func checkGroupError(t *testing.T, got reply, want refusal) {
	t.Helper()
	var body struct {
		Error struct {
			Code, Message string
			Details       []any
		}
	}
	if err := json.Unmarshal([]byte(got.Body), &body); err != nil {
		t.Fatalf("body %q: %v", got.Body, err)
	}
	if got.Status != want.status || body.Error.Code != want.code ||
		!strings.Contains(body.Error.Message, want.text) || body.Error.Details == nil {
		t.Errorf("got %d %s, want %d %s with %q", got.Status, got.Body, want.status, want.code,
			want.text)
	}
	if id := got.Header.Get("x-ms-request-id"); got.Header.Get("Server") != "Kestrel" ||
		!guidPattern.MatchString(id) {
		t.Errorf("headers: got %v, want Kestrel's and a request ID", got.Header)
	}
}

func TestContainerInstancesRefuses(t *testing.T) {
	t.Parallel()
	const unknown = "Managed identity not found for the specified application host."
	for _, test := range []refusal{
		{"other path", path("/metadata/identity"), 404, "NotFound", "Not Found"},
		{"path of App Service", path("/msi/token"), 404, "NotFound", "Not Found"},
		{"post", method("POST"), 405, "MethodNotAllowed", "Method Not Allowed"},
		{"no secret", header("Secret"), 400, "SecretHeaderNotFound",
			"Secret is not found in the request headers."},
		{"empty secret", header("Secret", ""), 404, "ManagedIdentityNotFound", unknown},
		{"wrong secret", header("Secret", "wrong"), 404, "ManagedIdentityNotFound", unknown},
		{"secret of App Service", func(r *http.Request) {
			r.Header = http.Header{"X-Identity-Header": r.Header["Secret"]}
		}, 400, "SecretHeaderNotFound", "Secret is not found"},
		{"no resource", query("resource"), 400, "ArgumentNullOrEmpty",
			"The parameter 'resource' should not be null or empty string."},
		{"empty resource", query("resource", ""), 400, "ArgumentNullOrEmpty",
			"The parameter 'resource' should not be null or empty string."},
		{"two resources", query("resource", "a", "b"), 400, "BadRequest",
			`Query parameter "resource" is given more than once`},
		{"malformed query", rawQuery("&x=%zz"), 400, "BadRequest", "Malformed query"},
		{"no api-version", query("api-version"), 400, "InvalidApiVersion",
			"The api-version '' is not supported."},
		{"api-version of Service Fabric", query("api-version", "2019-07-01-preview"), 400,
			"InvalidApiVersion", "The api-version '2019-07-01-preview' is not supported."},
		{"unknown identity", query("principalId", "x"), 404, "ManagedIdentityNotFound", unknown},
		{"empty principal ID", query("principalId", ""), 404, "ManagedIdentityNotFound", unknown},
		{"two principal IDs", query("principalId", "x", "x"), 400, "BadRequest", "more than once"},
		{"principal ID of App Service", query("principal_id", "x"), 400, "BadRequest",
			`Query parameter "principal_id" is not supported`},
		{"client ID", query("client_id", "x"), 400, "BadRequest",
			`Query parameter "client_id" is not supported`},
		{"resource ID", query("msi_res_id", "x"), 400, "BadRequest",
			`Query parameter "msi_res_id" is not supported`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			e := NewContainerInstances(nil)
			r := groupRequest(t, inMemory(e), "")
			test.spoil(r)
			checkGroupError(t, do(t, e, r), test)
		})
	}
	t.Run("no system-assigned identity", func(t *testing.T) {
		t.Parallel()
		e := NewContainerInstances(&Options{Identities: []Identity{{}}})
		checkGroupError(t, do(t, e, groupRequest(t, inMemory(e), "")),
			refusal{status: 404, code: "DefaultIdentityNotDefined",
				text: "DefaultIdentityNotDefined "})
	})
}

func TestContainerInstancesSuccess(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := NewContainerInstances(&Options{Identities: []Identity{{System: true}, {}},
			Lifetime: time.Hour})
		for i, more := range []string{"", "&principalId=" +
			strings.ToUpper(e.Identities()[1].ObjectID)} {
			got := do(t, e, groupRequest(t, inMemory(e), more))
			body := fields(t, got.Body) // all are strings
			if c := readClaims(t, body["access_token"]); c.Audience != vault ||
				c.ObjectID != e.Identities()[i].ObjectID {
				t.Errorf("%q: got a token of %s for %s", more, c.ObjectID, c.Audience)
			}
			delete(body, "access_token")
			want := map[string]string{"expires_on": "946688400", "resource": vault,
				"token_type": "Bearer"}
			if diff := cmp.Diff(want, body); got.Status != 200 || diff != "" {
				t.Errorf("%q: status %d, body (-want +got):\n%s", more, got.Status, diff)
			}
		}
	})
}

func TestContainerInstancesEnv(t *testing.T) {
	t.Parallel()
	env := inMemory(NewContainerInstances(nil))
	if endpoint := env("IDENTITY_ENDPOINT"); !strings.HasPrefix(endpoint, "http://") ||
		!strings.HasSuffix(endpoint, "/metadata/identity/oauth2/token?api-version=1.0") {
		t.Errorf("IDENTITY_ENDPOINT is %s", endpoint)
	}
	if got := env("IDENTITY_SERVER_THUMBPRINT"); len(got) != 40 ||
		strings.Trim(got, "0123456789ABCDEF") != "" {
		t.Errorf("IDENTITY_SERVER_THUMBPRINT is %q, want 40 hexadecimal digits", got)
	}
}

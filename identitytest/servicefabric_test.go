package identitytest

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestServiceFabricRefuses(t *testing.T) {
	t.Parallel()
	const version = "The api-version '%s' is not supported. Supported version is '2019-07-01-preview'."
	for _, test := range []refusal{
		{"other path", path("/metadata/identity"), 404, "NotFound", "Not Found"},
		{"path of App Service", path("/msi/token"), 404, "NotFound", "Not Found"},
		{"post", method("POST"), 405, "MethodNotAllowed", "Method Not Allowed"},
		{"no secret", header("Secret"), 400, "SecretHeaderNotFound",
			"Secret is not found in the request headers."},
		{"empty secret", header("Secret", ""), 404, "ManagedIdentityNotFound",
			"Managed identity not found for the specified application host."},
		{"wrong secret", header("Secret", "wrong"), 404, "ManagedIdentityNotFound",
			"Managed identity not found for the specified application host."},
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
		{"no api-version", query("api-version"), 400, "InvalidApiVersion", fmt.Sprintf(version, "")},
		{"api-version of IMDS", query("api-version", "2018-02-01"), 400, "InvalidApiVersion",
			fmt.Sprintf(version, "2018-02-01")},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			e := NewServiceFabric(nil)
			r := fabricRequest(t, inMemory(e), "")
			test.spoil(r)
			if id := checkCoded(t, do(t, e, r), test); !guidPattern.MatchString(id) {
				t.Errorf("correlation ID: got %q, want a GUID", id)
			}
		})
	}
}

func TestServiceFabricFailures(t *testing.T) {
	t.Parallel()
	e := NewServiceFabric(nil)
	for _, want := range []refusal{
		{status: 400, code: "ArgumentNullOrEmpty",
			text: "The parameter 'resource' should not be null or empty string."},
		{status: 403, code: "Forbidden", text: "Forbidden"},
		{status: 404, code: "ManagedIdentityNotFound",
			text: "Managed identity not found for the specified application host."},
		{status: 500, code: "InternalServerError", text: "An error occurred."},
		{status: 503, code: "InternalServerError", text: "An error occurred."},
	} {
		e.Enqueue(Response{Status: want.status})
		if id := checkCoded(t, do(t, e, fabricRequest(t, inMemory(e), "")),
			want); !guidPattern.MatchString(id) {
			t.Errorf("%d: correlation ID: got %q, want a GUID", want.status, id)
		}
	}
	e.Enqueue(Response{Status: 429})
	got := do(t, e, fabricRequest(t, inMemory(e), ""))
	if want := "The request was throttled locally; the service allows 30 requests per 10s; retry after 4s."; got.Status != 429 || got.Body != want {
		t.Errorf("got %d %q, want 429 %q", got.Status, got.Body, want)
	}
}

func TestServiceFabricSuccess(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := NewServiceFabric(&Options{Lifetime: time.Hour})
		for _, version := range []string{"2019-07-01-preview", "2020-05-01"} {
			r := fabricRequest(t, inMemory(e), "")
			query("api-version", version)(r)
			got := do(t, e, r)
			body := fields(t, got.Body) // all are strings
			if readClaims(t, body["access_token"]).Audience != vault {
				t.Errorf("%s: got a token for another resource", version)
			}
			delete(body, "access_token")
			want := map[string]string{"expires_on": "946688400", "resource": vault, "token_type": "Bearer"}
			if diff := cmp.Diff(want, body); got.Status != 200 || diff != "" {
				t.Errorf("%s: status %d, body (-want +got):\n%s", version, got.Status, diff)
			}
		}
	})
}

// The manifest of the application has chosen: a selector changes nothing, not even a wrong one.
func TestServiceFabricIgnoresSelectors(t *testing.T) {
	t.Parallel()
	one, two := Identity{ClientID: "1"}, Identity{ClientID: "2"}
	for name, test := range map[string]struct {
		identities []Identity
		want       string
	}{
		"system-assigned":       {[]Identity{one, two, {System: true, ClientID: "3"}}, "3"},
		"user-assigned, of two": {[]Identity{two, one}, "2"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := NewServiceFabric(&Options{Identities: test.identities})
			for _, more := range []string{
				"", "&client_id=1", "&client_id=", "&client_id=unknown",
				"&object_id=" + e.Identities()[1].ObjectID, "&principalId=x",
				"&mi_res_id=x", "&msi_res_id=" + url.QueryEscape(e.Identities()[0].ResourceID),
				"&client_id=1&object_id=x",
			} {
				got := do(t, e, fabricRequest(t, inMemory(e), more))
				if c := readClaims(t, tokenOf(t, got)); c.AppID != test.want {
					t.Errorf("%q: got a token of %s, want one of %s", more, c.AppID, test.want)
				}
				if len(fields(t, got.Body)) != 4 {
					t.Errorf("%q: got %s, want no echo", more, got.Body)
				}
			}
		})
	}
}

func TestServiceFabricCapabilities(t *testing.T) {
	t.Parallel()
	e := NewServiceFabric(&Options{HostCache: true})
	for more, want := range map[string][]string{
		"":                      nil,
		"&xms_cc=":              nil,
		"&xms_cc=cp2":           nil,
		"&xms_cc=xcp1":          nil,
		"&xms_cc=cp1":           {"CP1"},
		"&xms_cc=CP1":           {"CP1"},
		"&xms_cc=foo%2C%20cp1":  {"CP1"},
		"&xms_cc=cp1,ProtAPP":   {"CP1"},
		"&xms_cc=Cp1&client=me": {"CP1"},
	} {
		c := readClaims(t, tokenOf(t, do(t, e, fabricRequest(t, inMemory(e), more))))
		if !slices.Equal(c.Capabilities, want) {
			t.Errorf("%q: got xms_cc %q, want %q", more, c.Capabilities, want)
		}
	}
}

func TestServiceFabricRefresh(t *testing.T) {
	t.Parallel()
	get := func(t *testing.T, e *Endpoint, more string) string {
		t.Helper()
		return tokenOf(t, do(t, e, fabricRequest(t, inMemory(e), more)))
	}
	refresh := func(token string) string {
		sum := sha256.Sum256([]byte(token))
		return "&token_sha256_to_refresh=" + hex.EncodeToString(sum[:])
	}

	e := NewServiceFabric(&Options{HostCache: true})
	first := get(t, e, "&xms_cc=cp1")
	if again := get(t, e, "&xms_cc=cp1"+refresh("another")); again != first {
		t.Error("got a new token for the hash of another one")
	}
	if again := get(t, e, "&xms_cc=cp1&token_sha256_to_refresh=nonsense"); again != first {
		t.Error("got a new token for nonsense")
	}
	second := get(t, e, "&xms_cc=cp1"+refresh(first))
	if second == first {
		t.Error("got the token that was refused")
	}
	if again := get(t, e, "&xms_cc=cp1"); again != second {
		t.Error("the new token isn't in the cache")
	}
	if again := get(t, e, "&xms_cc=cp1"+refresh(first)); again != second {
		t.Error("the hash of a token that isn't cached any more got a new one")
	}
	third := get(t, e, fmt.Sprintf("&xms_cc=cp1&token_sha256_to_refresh=%X",
		sha256.Sum256([]byte(second))))
	if third == second {
		t.Error("got the token that was refused, whose hash was in upper case")
	}
	if again := get(t, e, ""); again == third {
		t.Error("got a token for clients that can answer a challenge, without saying so")
	}
}

package identitytest

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// granted has what each host says beside the token: with which names, and what is text. A bubble
// begins on 2000-01-01, Unix second 946684800.
var granted = map[string]map[string]any{
	"IMDS": {"expires_in": "3600", "expires_on": "946688400", "ext_expires_in": "3600",
		"not_before": "946684500", "refresh_token": "", "resource": vault, "token_type": "Bearer"},
	"AppService": {"client_id": "CLIENT", "expires_on": "946688400", "not_before": "946684500",
		"resource": vault, "token_type": "Bearer"},
	"AppService2017": {"expires_on": "01/01/2000 01:00:00 +00:00", "resource": vault,
		"token_type": "Bearer"},
	"AzureML": {"client_id": "CLIENT", "expires_on": json.Number("946688400"), "resource": vault,
		"token_type": "Bearer"},
	"ServiceFabric": {"expires_on": "946688400", "resource": vault, "token_type": "Bearer"},
	"ContainerInstances": {"expires_on": "946688400", "resource": vault,
		"token_type": "Bearer"},
	"CloudShell": {"expires_in": "3600", "expires_on": "946688400", "not_before": "946684500",
		"refresh_token": "", "resource": vault, "token_type": "Bearer"},
	"Arc": {"expires_in": "3600", "expires_on": "946688400", "ext_expires_in": "3600",
		"not_before": "946684500", "refresh_token": "", "resource": vault, "token_type": "Bearer"},
}

// also are requests that are right, too.
var also = map[string]spoilers{
	"IMDS": {
		"path in capitals": path("/METADATA/Identity/OAuth2/Token"),
		"without a nonce":  path("/metadata/identity/oauth2/token"),
		// MSAL for JavaScript puts one where a variable has the address
		"slash at the end": path("/metadata/identity/oauth2/token/"),
	},
	"AppService": {
		"path in capitals": path("/MSI/token"), "without a nonce": path("/msi/token")},
	"ServiceFabric": {"later api-version": query("api-version", "2020-05-01")},
	"CloudShell": {
		"with a charset": header("Content-Type", "application/x-www-form-urlencoded;charset=UTF-8"),
		"escaped":        form("resource=https%3A%2F%2Fvault.azure.net"),
		"as IMDS":        asIMDS(func(*http.Request) {}),
	},
	"Arc": {"former api-version": query("api-version", "2019-11-01")},
}

func TestHostsGrant(t *testing.T) {
	inBubbles(t, func(t *testing.T, host hostTest, dir string) {
		want, ok := granted[host.name]
		if !ok {
			t.Skip("has a test of its own")
		}
		e := host.new(&Options{Dir: dir, Lifetime: time.Hour})
		all := spoilers{"usual": func(*http.Request) {}}
		for name, change := range also[host.name] {
			all[name] = change
		}
		for name, change := range all {
			got := host.ask(t, inMemory(e), func(t *testing.T, r *http.Request) reply {
				change(r)
				return do(t, e, r)
			})
			if c := readClaims(t, tokenOf(t, got)); c.Audience != vault ||
				c.ObjectID != e.Identities()[0].ObjectID {
				t.Errorf("%s: got a token of %s for %s", name, c.ObjectID, c.Audience)
			}
			body := members(t, got.Body)
			delete(body, "access_token")
			if body["client_id"] == e.Identities()[0].ClientID {
				body["client_id"] = "CLIENT"
			}
			if diff := cmp.Diff(want, body); diff != "" {
				t.Errorf("%s: body (-want +got):\n%s", name, diff)
			}
			header := justJSON
			switch host.name {
			case "IMDS":
				header = imdsHeader
			case "AppService", "AppService2017", "ContainerInstances":
				id := got.Header.Get("X-CORRELATION-ID") + got.Header.Get("x-ms-request-id")
				if !guidPattern.MatchString(id) || got.Header.Get("Server") != "Kestrel" {
					t.Errorf("%s: header: got %v", name, got.Header)
				}
				continue
			}
			if diff := cmp.Diff(header, got.Header); diff != "" {
				t.Errorf("%s: header (-want +got):\n%s", name, diff)
			}
		}
	})
}

// failures have the words in which each host fails with the status that was asked for.
var failures = map[string][]refusal{
	"IMDS": {
		{status: 400, code: "invalid_request"}, {status: 401, code: "bad_request"},
		{status: 403, code: "forbidden"}, {status: 404, code: "not_found"},
		{status: 405, code: "method_not_allowed"}, {status: 408, code: "bad_request"},
		{status: 410, code: "service_unavailable"}, {status: 429, code: "too_many_requests"},
		{status: 500, code: "server_error"}, {status: 502, code: "server_error"},
		{status: 503, code: "service_unavailable"}, {status: 504, code: "server_error"},
		{status: 999, code: "server_error"},
	},
	"AppService": {
		{status: 400, text: "Unable to load the proper Managed Identity."},
		{status: 404, text: "Not Found"}, {status: 429, text: "Too Many Requests"},
		{status: 500, text: "An unexpected error occured while fetching the AAD Token."},
		{status: 503, text: "Service Unavailable"}, {status: 999},
	},
	"AppService2017": {
		{status: 400, text: "Unable to load the proper Managed Identity."},
		{status: 429, text: "Too Many Requests"},
		{status: 500, text: "An unexpected error occured while fetching the AAD Token."},
	},
	"AzureML": {
		{status: 400, code: "IdentityNotFound"},
		{429, "TooManyRequests", "Too Many Requests"},
		{500, "InternalServerError", "Internal Server Error"},
		{503, "ServiceUnavailable", "Service Unavailable"},
	},
	"ServiceFabric": {
		{400, "ArgumentNullOrEmpty", "The parameter 'resource' should not be null or empty string."},
		{403, "Forbidden", "Forbidden"},
		{404, "ManagedIdentityNotFound",
			"Managed identity not found for the specified application host."},
		{status: 429, text: "The request was throttled locally; the service allows 30 requests per " +
			"10s; retry after 4s."},
		{500, "InternalServerError", "An error occurred."},
		{503, "InternalServerError", "An error occurred."},
	},
	"CloudShell": {
		{400, "AudienceNotSupported", "is not a supported MSI token audience"},
		{429, "TooManyRequests", "Too Many Requests"},
		{500, "InternalServerError", "Internal Server Error"},
	},
	"Arc": {
		{status: 400, code: "invalid_request"}, {status: 404, code: "identity_not_found"},
		{status: 429, code: "too_many_requests"}, {status: 500, code: "server_error"},
	},
}

// The host's own answers are JSON objects of one shape, with the status that was asked for.
func TestHostsFail(t *testing.T) {
	t.Parallel()
	onAll(t, func(t *testing.T, host hostTest) {
		t.Parallel()
		e := host.fresh(t)
		for _, want := range failures[host.name] {
			e.Enqueue(Response{Status: want.status})
			host.check(t, do(t, e, host.request(t, inMemory(e), "")), want)
		}
		for _, status := range []int{400, 401, 404, 405, 408, 410, 429, 500, 502, 503, 504, 599, 999} {
			if host.name == "WorkloadIdentity" && status == 404 || host.name == "ServiceFabric" &&
				status == 429 {
				continue // the one has no body, the other's is text
			}
			got := e.host.failure(status)
			if names := slices.Sorted(maps.Keys(members(t, got.body))); got.status != status ||
				!slices.Equal(names, host.refused) {
				t.Errorf("got %d with %v, want %d with %v", got.status, names, status, host.refused)
			}
			if kind := got.header.Get("Content-Type"); kind != "application/json; charset=utf-8" {
				t.Errorf("%d: got Content-Type %q", status, kind)
			}
		}
		for _, status := range []int{103, 204, 302} {
			if got := e.host.failure(status); got.status != status || got.body != "" ||
				got.header == nil || got.header.Get("Content-Type") != "" ||
				host.name == "IMDS" && got.header.Get("Server") != imdsHeader.Get("Server") {
				t.Errorf("%d: got %+v, want no body", status, got)
			}
		}
	})
}

var (
	system = Identity{System: true}
	one    = Identity{ClientID: "AbC-1", ObjectID: "Def-1", ResourceID: "/Sub/1"}
	two    = Identity{ClientID: "abc-2"}
)

// selection is what a host makes of a choice: which of the identities, -1 for a refusal.
type selection struct {
	identities []Identity
	more       string
	want       int
	refused    refusal
}

var selections = map[string]map[string]selection{
	"IMDS": {
		"default is the system-assigned one":    {[]Identity{one, two, system}, "", 2, refusal{}},
		"default is the only user-assigned one": {[]Identity{one}, "", 0, refusal{}},
		"client ID": {[]Identity{system, two, one}, "client_id=aBc-1", 2,
			refusal{}},
		"object ID": {[]Identity{system, two, one}, "object_id=dEF-1", 2,
			refusal{}},
		"resource ID": {[]Identity{system, two, one}, "msi_res_id=/sUB/1", 2,
			refusal{}},
		"system-assigned by client ID": {[]Identity{two, {System: true, ClientID: "s"}}, "client_id=S",
			1, refusal{}},
		"no default": {[]Identity{one, two}, "", -1, refusal{400, "invalid_request", "Multiple user " +
			"assigned identities exist, please specify the clientId / resourceId of the identity in the " +
			"token request"}},
		"system-assigned has no resource ID of its own": {
			[]Identity{two, {System: true, ResourceID: "/s"}}, "msi_res_id=/s", -1, imdsKnowsNobody},
		"client ID isn't an object ID": {[]Identity{one}, "object_id=AbC-1", -1, imdsKnowsNobody},
	},
	"AppService": {
		"default":               {[]Identity{one, system}, "", 1, refusal{}},
		"client ID":             {[]Identity{system, one}, "client_id=aBC-1", 1, refusal{}},
		"object ID":             {[]Identity{system, one}, "principal_id=dEF-1", 1, refusal{}},
		"object ID by an alias": {[]Identity{system, one}, "object_id=dEF-1", 1, refusal{}},
		"resource ID":           {[]Identity{system, one}, "mi_res_id=/sub/1", 1, refusal{}},
		"the only user-assigned one is no default": {[]Identity{one}, "", -1, noDefault},
	},
	"AppService2017": {
		"default":    {[]Identity{one, system}, "", 1, refusal{}},
		"client ID":  {[]Identity{one, system}, "clientid=aBc-1", 0, refusal{}},
		"no default": {[]Identity{one}, "", -1, noDefault},
	},
	"AzureML": {
		"default is the system-assigned one":    {[]Identity{one, system}, "", 1, refusal{}},
		"empty is the default":                  {[]Identity{one, system}, "clientid=", 1, refusal{}},
		"default is the only user-assigned one": {[]Identity{one}, "", 0, refusal{}},
		"default is the first of several":       {[]Identity{two, one}, "clientid=", 0, refusal{}},
		"client ID": {[]Identity{system, two, one}, "clientid=aBc-1", 2,
			refusal{}},
	},
	"ContainerInstances": {
		"object ID": {[]Identity{system, one}, "principalId=dEF-1", 1, refusal{}},
		"no default": {[]Identity{one}, "", -1,
			refusal{404, "DefaultIdentityNotDefined", "DefaultIdentityNotDefined "}},
	},
	"Arc": {
		"default":     {[]Identity{one, system}, "", 1, refusal{}},
		"client ID":   {[]Identity{system, one}, "client_id=aBC-1", 1, refusal{}},
		"object ID":   {[]Identity{system, one}, "object_id=dEF-1", 1, refusal{}},
		"resource ID": {[]Identity{system, one}, "msi_res_id=/sub/1", 1, refusal{}},
		"mi_res_id":   {[]Identity{system, one}, "mi_res_id=/sub/1", 0, refusal{}},
		"mi_res_id beside another": {[]Identity{system, one}, "mi_res_id=/sub/2&client_id=abc-1", 1,
			refusal{}},
		"mi_res_id without a system-assigned one": {[]Identity{one}, "mi_res_id=/sub/1", -1,
			unknownToArc},
		"the only user-assigned one is no default": {[]Identity{one}, "", -1, unknownToArc},
		"client ID of the system-assigned one": {[]Identity{{System: true, ClientID: "Own"}, one},
			"client_id=own", -1, unknownToArc},
		"unknown client ID":   {[]Identity{system, one}, "client_id=x", -1, unknownToArc},
		"empty client ID":     {[]Identity{system, one}, "client_id=", -1, unknownToArc},
		"unknown object ID":   {[]Identity{system, one}, "object_id=AbC-1", -1, unknownToArc},
		"unknown resource ID": {[]Identity{system, one}, "msi_res_id=/sub/2", -1, unknownToArc},
	},
}

var (
	imdsKnowsNobody = refusal{400, "invalid_request", "Identity not found"}
	noDefault       = refusal{400, "", "Unable to load the proper Managed Identity."}
	unknownToArc    = refusal{status: 404, code: "identity_not_found"}
)

func TestHostsSelect(t *testing.T) {
	t.Parallel()
	onAll(t, func(t *testing.T, host hostTest) {
		for name, test := range selections[host.name] {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				e := host.new(&Options{Dir: t.TempDir(), Identities: test.identities})
				if test.want < 0 {
					for range 2 { // MSAL for JavaScript repeats it
						host.check(t, do(t, e, host.request(t, inMemory(e), "&"+test.more)), test.refused)
					}
					return
				}
				got := host.ask(t, inMemory(e), throughDo(e), "&"+test.more)
				id := e.Identities()[test.want]
				if c := readClaims(t, tokenOf(t, got)); c.AppID != id.ClientID {
					t.Errorf("got a token of %s, want one of %s", c.AppID, id.ClientID)
				}
				asked, err := url.ParseQuery(test.more)
				if err != nil {
					t.Fatal(err)
				}
				body := members(t, got.Body)
				for _, name := range []string{"client_id", "object_id", "msi_res_id", "mi_res_id"} {
					var want any
					switch {
					case host.echoes == "client" && name == "client_id":
						want = id.ClientID
					case host.echoes == "asked" && asked.Has(name) && name != "mi_res_id":
						want = asked.Get(name)
					}
					if body[name] != want {
						t.Errorf("echo of %s: got %v, want %v", name, body[name], want)
					}
				}
			})
		}
	})
}

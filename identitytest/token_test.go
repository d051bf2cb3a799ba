package identitytest

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func readClaims(t *testing.T, raw string) claims {
	t.Helper()
	var c claims
	if err := json.Unmarshal(segment(t, raw, 1), &c); err != nil {
		t.Fatalf("claims of %s: %v", raw, err)
	}
	return c
}

func segment(t *testing.T, raw string, i int) []byte {
	t.Helper()
	segments := strings.Split(raw, ".")
	if len(segments) != 3 {
		t.Fatalf("token %q: got %d segments, want 3", raw, len(segments))
	}
	b, err := base64.RawURLEncoding.DecodeString(segments[i])
	if err != nil {
		t.Fatalf("token %q: segment %d: %v", raw, i, err)
	}
	return b
}

func TestClaims(t *testing.T) {
	t.Parallel()
	user := Identity{ClientID: "client", ObjectID: "object", ResourceID: "/user/resource",
		TenantID: "tenant"}
	for _, test := range []struct {
		name     string
		identity Identity
		resource string
	}{
		{"user-assigned", user, vault + "/"}, // the slash stays
		{"system-assigned", Identity{System: true, ClientID: "client", ObjectID: "object",
			ResourceID: "/host", TenantID: "tenant"}, "https://a/?b&<c>"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				e := NewIMDS(&Options{Identities: []Identity{test.identity}})
				r := imdsRequest(t, "")
				r.URL.RawQuery = url.Values{"api-version": {"2018-02-01"}, "resource": {test.resource}}.Encode()
				raw := accessToken(t, do(t, e, r))

				var header, got map[string]any
				if err := json.Unmarshal(segment(t, raw, 0), &header); err != nil || header["alg"] != "RS256" ||
					header["typ"] != "JWT" {
					t.Errorf("header: got %v, error %v", header, err)
				}
				if len(segment(t, raw, 2)) == 0 {
					t.Error("signature: got none")
				}
				if err := json.Unmarshal(segment(t, raw, 1), &got); err != nil {
					t.Fatal(err)
				}
				if uti, _ := got["uti"].(string); len(uti) != 22 {
					t.Errorf("uti: got %q, want 16 bytes in base64", uti)
				}
				delete(got, "uti")
				want := map[string]any{
					"aud": test.resource, "iss": "https://sts.windows.net/tenant/",
					"idp": "https://sts.windows.net/tenant/",
					"iat": 946684500.0, "nbf": 946684500.0, "exp": 946771200.0, // 24 h 5 min after nbf
					"appid": "client", "appidacr": "2", "idtyp": "app",
					"oid": "object", "sub": "object", "tid": "tenant", "ver": "1.0",
					"xms_mirid": test.identity.ResourceID,
				}
				if !test.identity.System {
					want["xms_az_rid"] = resourceGroupID + "/providers/Microsoft.Compute/virtualMachines/vm-test"
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("claims (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestTokensAreNew(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { // so that no two differ by their time
		e := NewIMDS(nil)
		seen := make(map[string]bool)
		for range 10 {
			seen[accessToken(t, do(t, e, imdsRequest(t, "")))] = true
		}
		if len(seen) != 10 {
			t.Errorf("got %d different tokens of 10", len(seen))
		}
	})
}

func TestHostCache(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := NewIMDS(&Options{HostCache: true, Lifetime: time.Hour,
			Identities: []Identity{{System: true}, {ClientID: "user"}}})
		get := func(more string) (token, expiresIn string) {
			got := do(t, e, imdsRequest(t, more))
			return accessToken(t, got), fields(t, got.Body)["expires_in"]
		}
		first, _ := get("")
		if other, _ := get("&client_id=user"); other == first {
			t.Error("another identity got the same token")
		}
		slash := imdsRequest(t, "")
		slash.URL.RawQuery += "/"
		if other := accessToken(t, do(t, e, slash)); other == first {
			t.Error("another resource got the same token")
		}
		time.Sleep(time.Hour - 1500*time.Millisecond)
		if again, left := get(""); again != first || left != "1" {
			t.Errorf("1.5 s before the end: got the same token %t with %s s left, want it with 1",
				again == first, left)
		}
		time.Sleep(1500 * time.Millisecond)
		if again, left := get(""); again == first || left != "3600" {
			t.Errorf("at the end: got the same token %t with %s s left, want a new one", again == first,
				left)
		}
	})
}

func TestLifetimeIsRoundedDown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(300 * time.Millisecond)
		e := NewIMDS(&Options{Lifetime: 10 * time.Second})
		body := fields(t, do(t, e, imdsRequest(t, "")).Body)
		if want := strconv.Itoa(946684810); body["expires_on"] != want || body["expires_in"] != "9" {
			t.Errorf("got expires_on %s, expires_in %s; want %s and 9", body["expires_on"],
				body["expires_in"], want)
		}
	})
}

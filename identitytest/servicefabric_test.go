package identitytest

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"
	"slices"
	"testing"
)

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

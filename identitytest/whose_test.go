package identitytest

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestWhoseToken: every host can hand out another identity's token, its own or a stranger's, and
// is itself again afterwards.
func TestWhoseToken(t *testing.T) {
	inBubbles(t, func(t *testing.T, host hostTest, dir string) {
		identities := []Identity{{System: true}, {}}
		if host.name == "WorkloadIdentity" {
			identities[0].System = false
		}
		e := host.new(&Options{Dir: dir, Identities: identities, HostCache: true})
		ask := func() reply { return host.ask(t, inMemory(e), throughDo(e)) }
		usual := readClaims(t, tokenOf(t, ask()))
		for name, test := range map[string]struct {
			says Identity
			want Identity // "" is any
		}{
			"the other one":   {Identity{ClientID: e.Identities()[1].ClientID}, e.Identities()[1]},
			"by object ID":    {Identity{ObjectID: e.Identities()[1].ObjectID}, e.Identities()[1]},
			"as asked":        {e.Identities()[0], e.Identities()[0]},
			"a stranger":      {Identity{ObjectID: "o"}, Identity{ObjectID: "o", TenantID: usual.TenantID}},
			"another tenant":  {Identity{TenantID: "t"}, Identity{TenantID: "t"}},
			"a person":        {Identity{User: "jane@contoso.com"}, Identity{User: "jane@contoso.com"}},
			"all of it given": {Identity{"c", "o", "/r/n", "t", false, ""}, Identity{"c", "o", "/r/n", "t", false, ""}},
		} {
			e.Enqueue(Response{Identity: test.says, Delay: time.Second, For: 90 * time.Second})
			got := ask()
			c := readClaims(t, tokenOf(t, got))
			for what, pair := range map[string][2]string{
				"object ID": {test.want.ObjectID, c.ObjectID}, "tenant": {test.want.TenantID, c.TenantID},
			} {
				if pair[0] != "" && pair[0] != pair[1] {
					t.Errorf("%s: %s: got %s, want %s", name, what, pair[1], pair[0])
				}
			}
			person := test.want.User != "" || host.name == "CloudShell"
			if (c.IDType == "user") != person || test.want.User != "" && c.UPN != test.want.User {
				t.Errorf("%s: got a token of type %s for %q", name, c.IDType, c.UPN)
			}
			if host.name != "CloudShell" { // where all have the client ID of Cloud Shell
				if want := test.want.ClientID; want != "" && want != c.AppID {
					t.Errorf("%s: client ID: got %s, want %s", name, c.AppID, want)
				}
				if said, ok := members(t, got.Body)["client_id"]; ok && host.echoes == "client" && said != c.AppID {
					t.Errorf("%s: the answer says client ID %v, the token %s", name, said, c.AppID)
				}
			}
			time.Sleep(2 * time.Minute)
		}
		if c := readClaims(t, tokenOf(t, ask())); c.ObjectID != usual.ObjectID {
			t.Errorf("after that: got a token of %s, want %s", c.ObjectID, usual.ObjectID)
		}
		wrong := host.request(t, inMemory(e), "&clientId=x&api-version=x")
		wrong.Method = http.MethodDelete
		e.Enqueue(Response{Status: 200, Identity: Identity{ObjectID: "o"}})
		if got := do(t, e, wrong); got.Status < 400 {
			t.Errorf("a wrong request got %d %s, want a refusal", got.Status, got.Body)
		}
	})
}

func TestWhoseTokenOfEntra(t *testing.T) {
	t.Parallel()
	e := NewEntra(&Options{FederatedCredentials: trusting, Identities: []Identity{{}, {}}})
	ask := func() claims {
		return readClaims(t, tokenOf(t, do(t, e, applicationRequest(t, e, e.Identities()[0], theirs(nil), nil))))
	}
	e.Enqueue(Response{Identity: e.Identities()[1]})
	if got, want := ask().AppID, e.Identities()[1].ClientID; got != want {
		t.Errorf("got a token of %s, want %s", got, want)
	}
	if got, want := ask().AppID, e.Identities()[0].ClientID; got != want {
		t.Errorf("after that: got a token of %s, want %s", got, want)
	}
}

// Two descriptions are two strangers, and one is the same each time.
func TestStrangers(t *testing.T) {
	t.Parallel()
	e := NewIMDS(nil)
	seen := map[string]bool{}
	for _, asked := range []Identity{{ObjectID: "a"}, {ObjectID: "b"}, {ClientID: "c"}, {TenantID: "t"},
		{User: "u"}, {User: "v"}} {
		got := whose(asked, e.Identities(), e.issuer.hostID)
		if diff := cmp.Diff(got, whose(asked, e.Identities(), e.issuer.hostID)); diff != "" {
			t.Errorf("%+v: twice (-want +got):\n%s", asked, diff)
		}
		for _, value := range []string{got.ClientID, got.ObjectID} {
			if value == "" || seen[value] || value == e.Identities()[0].ClientID {
				t.Errorf("%+v: got %+v, which has no ID of its own", asked, got)
			}
			seen[value] = true
		}
		if (got.ResourceID == "") != (asked.User != "") || got.TenantID == "" {
			t.Errorf("%+v: got %+v", asked, got)
		}
	}
	noSystem := NewIMDS(&Options{Identities: []Identity{{}}})
	if got := whose(Identity{System: true}, noSystem.Identities(), noSystem.issuer.hostID); got.ResourceID != noSystem.issuer.hostID || !got.System {
		t.Errorf("got %+v, want the system-assigned identity of the host", got)
	}
}

func TestWhoseTokenPanics(t *testing.T) {
	t.Parallel()
	other := Identity{ObjectID: "o"}
	for _, test := range []struct {
		want     string
		endpoint *Endpoint
		response Response
	}{
		{"response 0: Identity and Lifetime are of the usual answer", NewIMDS(nil), Response{Identity: other, Status: 503}},
		{"are of the usual answer", NewIMDS(nil), Response{Identity: other, Body: "{}"}},
		{"are of the usual answer", NewIMDS(nil), Response{Identity: other, Header: http.Header{}}},
		{"are of the usual answer", NewIMDS(nil), Response{Identity: other, Err: errScripted}},
		{"are of the usual answer", NewIMDS(nil), Response{Lifetime: time.Hour, Status: 429}},
		{"negative Lifetime -1s", NewIMDS(nil), Response{Lifetime: -time.Second}},
		{"a job's and no identity's", NewGitHubActions(nil), Response{Identity: other}},
		{"a job's and no identity's", NewAzurePipelines(nil), Response{Identity: other}},
		{"aren't issued here", NewEntra(nil), Response{Identity: Identity{System: true}}},
	} {
		mustPanic(t, test.want, func() { test.endpoint.Enqueue(test.response) })
	}
	mustPanic(t, "1 has a User, which only Cloud Shell has", func() {
		NewIMDS(&Options{Identities: []Identity{{System: true}, {User: "u"}}})
	})
}

// TestLifetimeOfOne: a scripted answer's token is new and ends when the script says, also where the
// host has a cache, which holds it then.
func TestLifetimeOfOne(t *testing.T) {
	inBubbles(t, func(t *testing.T, host hostTest, dir string) {
		e := host.new(&Options{Dir: dir, HostCache: true})
		get := func() (string, int64) {
			raw := tokenOf(t, host.ask(t, inMemory(e), throughDo(e)))
			return raw, readClaims(t, raw).Expires - time.Now().Unix()
		}
		first, _ := get()
		e.Enqueue(Response{Lifetime: time.Minute, For: time.Second})
		second, left := get()
		if second == first || left != 60 {
			t.Errorf("got a new token %t, which lives %d s; want one of 60 s", second != first, left)
		}
		time.Sleep(time.Second)
		third, _ := get()
		if want := host.name != "WorkloadIdentity"; (third == second) != want {
			t.Errorf("got the same token again %t, want %t", third == second, want)
		}
		time.Sleep(59 * time.Second)
		if _, left := get(); left <= 60 {
			t.Errorf("got a token that lives %d s after the script's has ended, want a usual one", left)
		}
	})
}

// TestRefreshInOfOne: Entra says when to renew a token that lives long.
func TestRefreshInOfOne(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		e := NewWorkloadIdentity(&Options{Dir: dir})
		e.Enqueue(Response{Lifetime: 24 * time.Hour})
		for _, want := range []bool{true, false} {
			got := do(t, e, workloadRequest(t, inMemory(e), nil))
			if _, ok := members(t, got.Body)["refresh_in"]; ok != want {
				t.Errorf("got refresh_in %t, want %t", ok, want)
			}
		}
	})
}

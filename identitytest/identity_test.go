package identitytest

import (
	"regexp"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var guidPattern = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

func TestDefaultIdentity(t *testing.T) {
	t.Parallel()
	for name, options := range map[string]*Options{"nil": nil, "empty": {Identities: []Identity{}}} {
		if got := NewIMDS(options).Identities(); len(got) != 1 || !got[0].System {
			t.Errorf("%s: got %+v, want one system-assigned identity", name, got)
		}
	}
	mustPanic(t, "Options.Lifetime: negative duration -1s", func() {
		NewIMDS(&Options{Lifetime: -time.Second})
	})
}

func TestFilledIdentities(t *testing.T) {
	t.Parallel()
	options := &Options{Identities: []Identity{{System: true}, {}, {}}}
	e := NewIMDS(options)
	got := e.Identities()
	if diff := cmp.Diff(NewIMDS(options).Identities(), got); diff != "" {
		t.Errorf("not the same for the same options:\n%s", diff)
	}
	seen := make(map[string]bool)
	for _, id := range got {
		for _, value := range []string{id.ClientID, id.ObjectID} {
			if !guidPattern.MatchString(value) {
				t.Errorf("got %q, want a GUID", value)
			}
			if seen[value] {
				t.Errorf("%q is there twice", value)
			}
			seen[value] = true
		}
		if id.TenantID != got[0].TenantID || !guidPattern.MatchString(id.TenantID) {
			t.Errorf("tenant: got %q, want the same GUID in all", id.TenantID)
		}
	}
	const group = `^/subscriptions/[0-9a-f-]{36}/resourcegroups/[^/]+/providers/`
	for i, pattern := range []string{
		group + `Microsoft.Compute/virtualMachines/[^/]+$`,
		group + `Microsoft.ManagedIdentity/userAssignedIdentities/id-2$`,
		group + `Microsoft.ManagedIdentity/userAssignedIdentities/id-3$`,
	} {
		if !regexp.MustCompile(pattern).MatchString(got[i].ResourceID) {
			t.Errorf("resource ID %d: got %q, want a match of %s", i, got[i].ResourceID, pattern)
		}
	}
	if options.Identities[1].ClientID != "" {
		t.Error("the caller's options were changed")
	}
	options.Identities[0].System = false
	got[1].ClientID = "changed"
	if again := e.Identities(); !again[0].System || again[1].ClientID == "changed" {
		t.Error("the endpoint shares its identities with the caller")
	}
}

func TestGivenIdentity(t *testing.T) {
	t.Parallel()
	full := Identity{ClientID: "c", ObjectID: "o", ResourceID: "/r", TenantID: "t", System: false}
	got := NewAppService(&Options{Identities: []Identity{{}, full}}).Identities()
	if diff := cmp.Diff(full, got[1]); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got[0].TenantID != "t" {
		t.Errorf("tenant of the other: got %q, want that of the first with one", got[0].TenantID)
	}
}

func TestAmbiguousIdentities(t *testing.T) {
	t.Parallel()
	for want, identities := range map[string][]Identity{
		"0 and 2 are both system-assigned":     {{System: true}, {}, {System: true}},
		"0 and 1 have the same ClientID A":     {{ClientID: "a"}, {ClientID: "A"}},
		"1 and 2 have the same ObjectID b":     {{}, {ObjectID: "b"}, {ObjectID: "b"}},
		"0 and 1 have the same ResourceID /ID": {{ResourceID: "/id"}, {ResourceID: "/ID"}},
	} {
		mustPanic(t, want, func() { NewIMDS(&Options{Identities: identities}) })
	}
	twoTenants := []Identity{{ClientID: "a", TenantID: "t"}, {ClientID: "A", TenantID: "u"}}
	mustPanic(t, "0 and 1 have the same ClientID A", func() {
		NewIMDS(&Options{Identities: twoTenants})
	})
	mustPanic(t, "0 and 1 have the same ClientID A", func() {
		NewWorkloadIdentity(&Options{Dir: t.TempDir(),
			Identities: []Identity{{ClientID: "a", TenantID: "t"}, {ClientID: "A", TenantID: "T"}}})
	})
	NewWorkloadIdentity(&Options{Dir: t.TempDir(), Identities: twoTenants})
}

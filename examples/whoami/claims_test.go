package main

import (
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/keyless-go/identity"
	"github.com/keyless-go/identity/examples/internal/commandlinetest"
)

func TestPrincipalType(t *testing.T) {
	const group = "/subscriptions/s/resourcegroups/g/providers/"
	for _, test := range []struct {
		name   string
		claims string
		host   identity.Host
		want   string
	}{
		{"user-assigned", `{"idtyp":"app","xms_mirid":"` + group +
			`Microsoft.ManagedIdentity/userAssignedIdentities/i"}`, identity.HostIMDS, userAssigned},
		{"user-assigned in other case", `{"xms_mirid":"` + group +
			`microsoft.managedIDENTITY/USERassignedidentities/i"}`, identity.HostIMDS, userAssigned},
		{"user-assigned, in a pod",
			`{"xms_mirid":"` + group +
				`Microsoft.ManagedIdentity/userAssignedIdentities/i"}`, identity.HostWorkloadIdentity, userAssigned},
		{"system-assigned", `{"idtyp":"app","xms_mirid":"` + group +
			`Microsoft.Compute/virtualMachines/v"}`, identity.HostIMDS, systemAssigned},
		{"a VM with a misleading name", `{"xms_mirid":"` + group +
			`Microsoft.Compute/virtualMachines/userAssignedIdentities"}`, identity.HostIMDS, systemAssigned},
		{"system-assigned, other provider", `{"xms_mirid":"` + group + `Microsoft.New/things/t"}`,
			identity.HostIMDS, systemAssigned},
		{"application", `{"idtyp":"app"}`, identity.HostWorkloadIdentity, application},
		{"application that doesn't say so, in a pod", `{"oid":"o"}`, identity.HostWorkloadIdentity,
			application},
		{"application on a VM", `{"idtyp":"app"}`, identity.HostIMDS, application},
		{"user", `{"idtyp":"user"}`, identity.HostCloudShell, user},
		{"user by scopes", `{"scp":"user_impersonation"}`, identity.HostIMDS, user},
		{"user that only Cloud Shell tells", `{"oid":"o"}`, identity.HostCloudShell, user},
		{"nothing tells", `{"oid":"o"}`, identity.HostIMDS, unknown},
		{"a number for xms_mirid", `{"xms_mirid":7}`, identity.HostIMDS, unknown},
		{"no claims", `{}`, identity.HostAppService, unknown},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, ok := readClaims(commandlinetest.JWT(test.claims))
			if !ok {
				t.Fatal("the claims can't be read")
			}
			if got := c.principalType(test.host); got != test.want {
				t.Errorf("type %s, want %s", got, test.want)
			}
			if typeNames[test.want] == "" {
				t.Errorf("type %s has no name", test.want)
			}
		})
	}
}

func TestPrincipal(t *testing.T) {
	for _, test := range []struct {
		name, claims string
		want         principal
	}{
		{"version 1.0", `{"appid":"a","oid":"o","tid":"t","xms_mirid":"/m","xms_az_rid":"/h"}`,
			principal{systemAssigned, "a", "o", "t", "/m", "/h"}},
		{"version 2.0", `{"azp":"a","oid":"o","tid":"t","idtyp":"app"}`,
			principal{application, "a", "o", "t", "", ""}},
		{"of another type", `{"appid":1,"oid":["o"],"tid":{},"idtyp":null}`, principal{Type: unknown}},
		{"for a terminal", `{"oid":"a\u001b[2Jb\r\nc\u202ed","idtyp":"app"}`,
			principal{Type: application, ObjectID: "a [2Jb c d"}},
		{"too long", `{"oid":"` + strings.Repeat("x", 5000) + `","idtyp":"app"}`,
			principal{Type: application, ObjectID: strings.Repeat("x", maxClaim) + "…"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, ok := readClaims(commandlinetest.JWT(test.claims))
			if got := c.principal(identity.HostIMDS); !ok || *got != test.want {
				t.Errorf("got %+v, %t, want %+v", got, ok, test.want)
			}
		})
	}
}

func TestOpaque(t *testing.T) {
	expires := time.Date(2026, 11, 27, 12, 0, 0, 5, time.FixedZone("", 3600))
	for _, test := range []struct{ name, token string }{
		{"no dots", "opaque"},
		{"encrypted", "a.b.c.d.e"},
		{"no base64", "a.!.c"},
		{"no JSON", commandlinetest.JWT("opaque")},
		{"null", commandlinetest.JWT("null")},
		{"a list", commandlinetest.JWT("[]")},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := report{Asked: asked{Scope: "https://vault.azure.net/.default"}}
			r.read(azcore.AccessToken{Token: test.token, ExpiresOn: expires})
			want := token{For: "https://vault.azure.net", Opaque: true,
				ExpiresOn: time.Date(2026, 11, 27, 11, 0, 0, 0, time.UTC)}
			if r.Identity != nil || *r.Token != want {
				t.Errorf("identity %+v, token %+v, want none, %+v", r.Identity, r.Token, want)
			}
			var out strings.Builder
			r.printAnswer(&out)
			commandlinetest.WantAll(t, "stdout", out.String(), "the token is opaque",
				"Token for                https://vault.azure.net\n",
				"Expires                  2026-11-27 11:00:00 UTC")
			if strings.Contains(out.String(), "az ad sp") {
				t.Errorf("printed what there is nothing to compare with:\n%s", &out)
			}
		})
	}
}

// TestCommands: nothing but an ID of the right form comes into a command that is to be copied.
func TestCommands(t *testing.T) {
	const id = "0949bc77-831b-4ab2-bad5-28598868c453"
	for _, test := range []struct {
		name string
		p    principal
		want []string
	}{
		{"service principal", principal{Type: systemAssigned, ApplicationID: id},
			[]string{"az ad sp show --id " + id, "Get-AzADServicePrincipal -ApplicationId " + id}},
		{"user", principal{Type: user, ApplicationID: id},
			[]string{"az ad signed-in-user show", "Get-AzADUser -SignedIn"}},
		{"no ID", principal{Type: unknown}, nil},
		{"a command", principal{Type: application, ApplicationID: id + ";reboot"}, nil},
		{"a substitution", principal{Type: application, ApplicationID: "$(reboot)"}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			var out strings.Builder
			(&report{Identity: &test.p}).printFooter(&out)
			got := out.String()
			if !strings.Contains(got, "not verified") {
				t.Errorf("%q doesn't say that nothing is verified", got)
			}
			for _, want := range test.want {
				if !strings.Contains(got, "\n  "+want+"  ") {
					t.Errorf("%q has no %q", got, want)
				}
			}
			if commands := strings.Count(got, "\n  "); commands != len(test.want) ||
				strings.Contains(got, "To compare") != (commands > 0) || strings.Contains(got, "reboot") {
				t.Errorf("%q has %d commands, want %d", got, commands, len(test.want))
			}
		})
	}
}

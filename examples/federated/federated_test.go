package main

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/keyless-go/identity/examples/internal/commandlinetest"
	"github.com/keyless-go/identity/examples/internal/standins"
)

// None of these tests is parallel: run sets this process's environment variables for its stand-ins.

var command = commandlinetest.Command{
	Name: "federated", Run: run, HostFlag: "-host", Modes: [][]string{{}, {"-untrusted"}},
}

// vouching are the hosts whose identities can vouch for an application.
func vouching() []standins.Host {
	var hosts []standins.Host
	for _, h := range standins.Hosts() {
		if h.Name != standins.CloudShell && h.Name != standins.WorkloadIdentity {
			hosts = append(hosts, h)
		}
	}
	return hosts
}

func TestStandIns(t *testing.T) {
	for _, h := range vouching() {
		t.Run(h.Name, func(t *testing.T) {
			commandlinetest.SkipWithout(t, h.Name)
			stdout, _ := commandlinetest.Execute(t.Context(), t, run, 0, "-host", h.Name)
			commandlinetest.WantAll(t, "stdout", stdout,
				"Application  client ID "+application+", in tenant "+customerTenant+"\n",
				"Secret       cache-password: ",
				"Reader       client ID "+application+", object ID ",
				" to the identity endpoint, 1 to Entra, 2 to the vault\n",
			)
			if strings.Contains(stdout, "eyJ") { // as all tokens of the stand-ins begin
				t.Errorf("printed a token:\n%s", stdout)
			}
		})
	}
}

// TestSelected: another identity of the host vouches as well.
func TestSelected(t *testing.T) {
	id := commandlinetest.Identities(t)[1].ClientID
	stdout, _ := commandlinetest.Execute(t.Context(), t, run, 0, "-client-id", id)
	commandlinetest.WantAll(t, "stdout", stdout, "Identity     client ID "+id+", in tenant ")
}

// TestUntrusted: the error has what is to be registered, ready to be copied.
func TestUntrusted(t *testing.T) {
	id := commandlinetest.Identities(t)[0]
	_, stderr := commandlinetest.Execute(t.Context(), t, run, 1, "-untrusted")
	commandlinetest.WantOneLine(t, "federated", stderr, "AADSTS700211")
	commandlinetest.WantAll(t, "stderr", stderr,
		`issuer "https://login.microsoftonline.com/`+id.TenantID+`/v2.0"`,
		`subject "`+id.ObjectID+`"`, `audience "api://AzureADTokenExchange"`)
}

func TestMistakes(t *testing.T) {
	const url = "https://customer.vault.azure.net"
	command.Refuses(t, commandlinetest.Mistakes{
		"give all four": {{"-vault", url}, {"-vault", url, "-secret", "a"}, {"-tenant", "a"},
			{"-application", ""}},
		"a user can't vouch":          {{"-host", standins.CloudShell}},
		"NewCredential is enough":     {{"-host", standins.WorkloadIdentity}},
		"CredentialOptions.ID: empty": {{"-client-id", ""}},
	})
}

func TestMistakesForReal(t *testing.T) {
	real := func(vault, secret, tenant, application string, more ...string) []string {
		return append([]string{"-vault", vault, "-secret", secret, "-tenant", tenant, "-application",
			application}, more...)
	}
	for want, args := range map[string][]string{
		"leave them out with -vault": real("https://a", "b", customerTenant, application, "-untrusted"),
		"tenantID":                   real("https://a", "b", "", application, "-client-id", "c"),
		"clientID":                   real("https://a", "b", customerTenant, "", "-client-id", "c"),
	} {
		_, stderr := commandlinetest.Execute(t.Context(), t, run, 1, args...)
		commandlinetest.WantOneLine(t, "federated", stderr, want)
	}
}

func TestHelp(t *testing.T) {
	command.Helps(t, "-untrusted", "-vault", "-secret", "-tenant", "-application")
}

func TestEndsWhenInterrupted(t *testing.T) {
	ctx, interrupt := context.WithCancelCause(t.Context())
	interrupt(errors.New("interrupt signal received"))
	_, stderr := commandlinetest.Execute(ctx, t, run, 1)
	if want := "federated: interrupt signal received\n"; stderr != want {
		t.Errorf("stderr %q, want %q", stderr, want)
	}
}

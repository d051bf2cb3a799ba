package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/keyless-go/identity"
	"github.com/keyless-go/identity/examples/internal/commandlinetest"
	"github.com/keyless-go/identity/examples/internal/standins"
	"github.com/keyless-go/identity/identitytest"
)

// TestClientIDOfVariable: the default credential reads AZURE_CLIENT_ID, the host's alone doesn't,
// and the report says which of the two was asked.
func TestClientIDOfVariable(t *testing.T) {
	ids := commandlinetest.Identities(t)
	for _, h := range []string{standins.IMDS, standins.AppService, standins.Arc} {
		t.Run(h, func(t *testing.T) {
			onHost(t, h)
			t.Setenv(envClientID, ids[1].ClientID)
			r, _, _ := executeJSON(t, 0)
			if want := "the identity with client ID " + ids[1].ClientID +
				", which AZURE_CLIENT_ID names"; r.Identity.Type != userAssigned ||
				r.Asked.Identity != want || r.Asked.Credential != "NewDefaultCredential" {
				t.Errorf("asked %+v, got %+v, want %s", r.Asked, r.Identity, want)
			}
			r, _, _ = executeJSON(t, 0, "-managed")
			if r.Identity.Type != systemAssigned || r.Asked.Credential != "NewCredential" ||
				r.Asked.Identity != "the host's default identity (NewCredential doesn't read "+
					"AZURE_CLIENT_ID here)" || r.Sources != nil {
				t.Errorf("-managed: asked %+v, got %+v, sources %+v, want the system-assigned identity",
					r.Asked, r.Identity, r.Sources)
			}
			r, _, _ = executeJSON(t, 0, "-object-id", ids[1].ObjectID)
			if want := "the identity with object ID " + ids[1].ObjectID; r.Asked.Identity != want {
				t.Errorf("asked for %s, want %s", r.Asked.Identity, want)
			}
		})
	}
}

// TestWrongClientIDOfVariable: the advice is about the variable.
func TestWrongClientIDOfVariable(t *testing.T) {
	onHost(t, standins.IMDS)
	t.Setenv(envClientID, byNobody[1])
	_, stderr := execute(t, 1)
	got := wantFiveLines(t, stderr)
	commandlinetest.WantAll(t, "advice", got[4], "az vm identity assign", "or unset AZURE_CLIENT_ID")
}

// tool puts a script in the place of a developer's tool, the only program on PATH.
func tool(t *testing.T, name, script string) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("the script is one of the shell's")
	}
	dir := t.TempDir()
	script = "#!/bin/sh\n" + script + "\n"
	if err := os.WriteFile(filepath.Join(dir, name), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir)
	t.Setenv(envSelects, "dev")
}

// person is a developer's token.
var person = commandlinetest.JWT(`{"appid":"04b07795-8ddb-461a-bbee-02f9e1bf7b46",` +
	`"oid":"33333333-2222-4333-8444-555555555555","tid":"` + someTenant + `","idtyp":"user"}`)

// TestDeveloper has the login of az.
func TestDeveloper(t *testing.T) {
	tool(t, "az", fmt.Sprintf(`echo '{"accessToken":"%s","expires_on":%d,"tokenType":"Bearer"}'`,
		person, time.Now().Add(time.Hour).Unix()))
	r, _, _ := executeJSON(t, 0, "-scope", "https://person.example/.default")
	if r.Answers || r.Requests != 0 || r.Identity.Type != user || len(r.Sources) != 2 ||
		!r.Sources[0].Gave || r.Sources[0].Name != "Azure CLI" || r.Sources[1].Gave {
		t.Errorf("got %+v of %+v, want az's user", r, r.Sources)
	}
	stdout, stderr := execute(t, 0, "-scope", "https://person.example/.default")
	commandlinetest.WantAll(t, "stdout", stdout,
		"Asked for                whoever is logged in here, scope ",
		"Sources                  Azure CLI            gave the token\n",
		"                         Azure Developer CLI  not asked\n",
		"Answers                  not asked, the token is of Azure CLI, in ")
	wantNoPiece(t, stdout+stderr, person)
}

// TestNoDeveloper: no tool has a login, one fails, or one takes too long.
func TestNoDeveloper(t *testing.T) {
	for name, test := range map[string]struct {
		script, kind string
		args         []string
		want         [5]string
	}{
		"not logged in": {
			"echo \"ERROR: Please run 'az login' to setup account.\" >&2; exit 1",
			noLogin, nil,
			[5]string{"whoever is logged in here", "Azure CLI and Azure Developer CLI",
				"azd is not installed", "leaves nobody else", "az login"}},
		"fails": {"echo 'AADSTS50076: you must use multi-factor authentication' >&2; exit 1",
			toolFailed, nil,
			[5]string{"", "Azure CLI", "AADSTS50076", "the tool has another reason", "what its words say"}},
		"slow": {"PATH=" + path + " exec sleep 1", timedOut, []string{"-timeout", "100ms"},
			[5]string{"", "", "", "a token within 100ms", "-timeout 1m0s"}},
	} {
		t.Run(name, func(t *testing.T) {
			tool(t, "az", test.script)
			args := append(test.args, "-scope",
				"https://"+strings.ReplaceAll(name, " ", "-")+".example/.default")
			_, stderr := execute(t, 1, args...)
			for i, got := range wantFiveLines(t, stderr) {
				if !strings.Contains(got, test.want[i]) {
					t.Errorf("line %d is %q, want %q in it", i+1, got, test.want[i])
				}
			}
			r, _, _ := executeJSON(t, 1, args...)
			if r.Error.Kind != test.kind || r.Answers || r.Requests != 0 {
				t.Errorf("got %+v, answers %t, %d requests, want %s", r.Error, r.Answers, r.Requests,
					test.kind)
			}
		})
	}
}

// TestJobOfVariables: the default credential of a job is its application.
func TestJobOfVariables(t *testing.T) {
	github := identitytest.NewGitHubActions(nil)
	github.Start(t)
	app := github.Identities()[0]
	entra := identitytest.NewEntra(&identitytest.Options{
		FederatedCredentials: github.FederatedCredentials(),
		Identities:           []identitytest.Identity{app},
	})
	entra.Start(t)
	t.Setenv(envClientID, app.ClientID)
	t.Setenv("AZURE_TENANT_ID", app.TenantID)
	r, _, _ := executeJSON(t, 0)
	if want := "the application with client ID " + app.ClientID +
		", which this job's variables name"; r.Identity.ApplicationID != app.ClientID ||
		r.Asked.Identity != want || !r.Answers || r.Requests != 1 {
		t.Errorf("asked %+v, got %+v, want %s", r.Asked, r.Identity, want)
	}
	t.Setenv("AZURE_TENANT_ID", "99999999-9999-4999-8999-999999999999")
	_, stderr := execute(t, 1)
	got := wantFiveLines(t, stderr)
	for i, want := range []string{app.ClientID, "by the token of this job", "AADSTS90002", "", ""} {
		if !strings.Contains(got[i], want) {
			t.Errorf("line %d is %q, want %q in it", i+1, got[i], want)
		}
	}
}

// TestSelection: what the variable says is shown if it is a word.
func TestSelection(t *testing.T) {
	for value, want := range map[string]identity.Evidence{
		"":             {Name: envSelects},
		"prod":         {Name: envSelects, Set: true, Value: "prod"},
		" dev ":        {Name: envSelects, Set: true, Value: "dev"},
		canary:         {Name: envSelects, Set: true, Withheld: true},
		"a\nb":         {Name: envSelects, Set: true, Withheld: true},
		"hunter2":      {Name: envSelects, Set: true, Withheld: true},
		"MyCredential": {Name: envSelects, Set: true, Value: "MyCredential"},
	} {
		t.Setenv(envSelects, value)
		if got := selection(); got != want {
			t.Errorf("%q: %+v, want %+v", value, got, want)
		}
	}
	t.Setenv(envSelects, "production")
	_, stderr := execute(t, 1)
	commandlinetest.WantOneLine(t, "whoami", stderr,
		`AZURE_TOKEN_CREDENTIALS: "production" is none of`)
}

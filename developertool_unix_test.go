//go:build unix

package identity

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/google/go-cmp/cmp"
)

// program is a script of the shell in the place of a developer's tool, in a directory of the
// test's. How it ends and what it prints is set by says. It needs nothing on PATH.
type program struct{ path string }

func newProgram(t *testing.T, name, stdout, stderr string, exit int) program {
	t.Helper()
	p := program{filepath.Join(t.TempDir(), name)}
	p.says(t, stdout, stderr, exit)
	return p
}

// noted are the variables that a program notes beside its arguments, "-" where one is unset.
var noted = []string{"HOME", "AZURE_CONFIG_DIR", "AZURE_SUBSCRIPTION_ID"}

func (p program) says(t *testing.T, stdout, stderr string, exit int) {
	t.Helper()
	quote := func(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
	values := ` "$*"`
	for _, name := range noted {
		values += ` "${` + name + `--}"`
	}
	text := fmt.Sprintf("#!/bin/sh\nprintf '%%s;'%s >>%s\nprintf '\\n' >>%[2]s\n"+
		"printf %%s %s\nprintf %%s %s >&2\nexit %d\n",
		values, quote(p.path+".runs"), quote(stdout), quote(stderr), exit)
	// A child that is forked meanwhile would have the file open, and nobody could run it.
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	if err := os.WriteFile(p.path, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
}

// runs has, of each run, the arguments and then the noted variables.
func (p program) runs(t *testing.T) (list [][]string) {
	t.Helper()
	content, err := os.ReadFile(p.path + ".runs")
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(content)) {
		list = append(list, strings.Split(strings.TrimSuffix(line, ";\n"), ";"))
	}
	return list
}

// TestProgramKeepsItsLogin: what decided whose login a credential has goes on deciding it, whatever
// this process sets later. It is not parallel, because variables are the process's.
func TestProgramKeepsItsLogin(t *testing.T) {
	first := newProgram(t, "az", string(azSays("t", time.Hour)), "", 0)
	second := newProgram(t, "az", string(azSays("t", time.Hour)), "", 0)
	set := func(value string, p program) {
		t.Setenv("PATH", filepath.Dir(p.path))
		for _, name := range noted {
			t.Setenv(name, value)
		}
	}
	for value, want := range map[string]string{"/home/a": "/home/a", "": "-"} { // "" counts as unset
		set(value, first)
		cred, err := NewAzureCLICredential(nil)
		if err != nil {
			t.Fatal(err)
		}
		set("/elsewhere", second)
		mustToken(t, cred)
		runs := first.runs(t)
		if len(runs) == 0 || len(second.runs(t)) != 0 {
			t.Fatal("another az ran than the one that the constructor found")
		}
		if diff := cmp.Diff([]string{want, want, want}, runs[len(runs)-1][1:]); diff != "" {
			t.Errorf("%v with %q (-want +got):\n%s", noted, value, diff)
		}
	}
	// For a moment, as in an update: that is no reason to ask azd.
	set("/third", first)
	cred, err := NewAzureCLICredential(nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(first.path); err != nil {
		t.Fatal(err)
	}
	e, _ := mustFail(t, cred)
	if wantErrorText(t, e, "can't run az: "); errors.Is(e, ErrUnavailable) {
		t.Errorf("the program is gone: got %v, want a failure", e)
	}
}

// TestProgramsOnPATH is not parallel, because PATH and the working directory are the process's.
func TestProgramsOnPATH(t *testing.T) {
	public := map[string]func() (azcore.TokenCredential, error){
		"az":  func() (azcore.TokenCredential, error) { return NewAzureCLICredential(nil) },
		"azd": func() (azcore.TokenCredential, error) { return NewAzureDeveloperCLICredential(nil) },
	}
	for _, d := range developers {
		made := func(t *testing.T) azcore.TokenCredential {
			t.Helper()
			cred, err := public[d.program]()
			if err != nil {
				t.Fatal(err)
			}
			return cred
		}
		t.Run(d.name, func(t *testing.T) {
			p := newProgram(t, d.program, string(d.says("t", time.Hour)), "", 0)
			t.Setenv("PATH", "/nonexistent:"+filepath.Dir(p.path))
			t.Setenv("AZURE_CONFIG_DIR", "/somewhere")
			if tk, _ := mustToken(t, made(t)); tk.Token != "t" {
				t.Errorf("got the token %s", tk.Token)
			}
			if mustToken(t, made(t)); len(p.runs(t)) != 1 || p.runs(t)[0][0] != d.words {
				t.Errorf("%s ran: %q, want once with %s", d.program, p.runs(t), d.words)
			}
			t.Setenv("AZURE_CONFIG_DIR", "/elsewhere")
			if mustToken(t, made(t)); len(p.runs(t)) != 2 {
				t.Errorf("another login had the first one's token")
			}
		})
		t.Run(d.name+" in the current directory", func(t *testing.T) {
			p := newProgram(t, d.program, string(d.says(canary, time.Hour)), "", 0)
			t.Chdir(filepath.Dir(p.path))
			t.Setenv("PATH", ".")
			t.Setenv("AZURE_CONFIG_DIR", t.Name()) // no token of another test's
			e, _ := mustFail(t, made(t))
			wantErrorText(t, e, d.program+" is not installed, or not on PATH")
			if !errors.Is(e, ErrUnavailable) || !e.transient {
				t.Errorf("got %v, want a passing ErrUnavailable", e)
			}
			if n := len(p.runs(t)); n != 0 {
				t.Errorf("the one in the current directory ran %d times", n)
			}
		})
	}
}

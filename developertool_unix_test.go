//go:build unix

package identity

import (
	"context"
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
	"github.com/keyless-go/identity/internal/command"
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

// env is an environment that runs this program, wherever PATH leads.
func (p program) env() environment {
	env := nowhere()
	env.run = func(ctx context.Context, c command.Command) ([]byte, error) {
		c.Path = p.path
		return command.Run(ctx, c)
	}
	return env
}

func TestProgramFailures(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name           string
		stdout, stderr string
		exit           int
		unavailable    bool
		want           string // PROGRAM stands for its name
	}{
		{name: "not logged in", stderr: "ERROR: Please run 'az login' to setup account.", exit: 1,
			unavailable: true,
			want:        "nobody is logged in"},
		{name: "no such program", exit: 127, unavailable: true, want: "PROGRAM is not installed"},
		{name: "a token and a failure", stdout: "GRANT " + canary, stderr: "boom", exit: 1,
			want: `"boom"`},
		{name: "a flood", stdout: canary + strings.Repeat("{", 1<<21), want: "no JSON object"},
		{name: "a flood of complaints", stderr: "first " + strings.Repeat("x", 1<<20), exit: 1,
			want: `"first x`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, d := range developers {
				stdout := strings.ReplaceAll(tt.stdout, "GRANT", string(d.says("t", time.Hour)))
				p := newProgram(t, d.program, stdout, tt.stderr, tt.exit)
				e, _ := mustFail(t, d.credentialIn(t, newShared(), p.env(), toolOptions{}))
				wantErrorText(t, e, strings.ReplaceAll(tt.want, "PROGRAM", d.program))
				if errors.Is(e, ErrUnavailable) != tt.unavailable {
					t.Errorf("%s: ErrUnavailable: %v, want %v", d.name, !tt.unavailable, tt.unavailable)
				}
				text := fmt.Sprintf("%v %+v %#v", e, *e, *e)
				if strings.Contains(text, canary) || len(text) > 8000 {
					t.Errorf("%s: the error shows what was printed: %.1000s", d.name, text)
				}
			}
		})
	}
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
			if mustToken(t, made(t)); len(p.runs(t)) != 1 {
				t.Errorf("another credential of the same login ran %s again", d.program)
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

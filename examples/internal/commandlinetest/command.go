package commandlinetest

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/keyless-go/identity/examples/internal/standins"
)

// Command is one of the examples' that take a host to stand in for, and an identity.
type Command struct {
	Name     string
	Run      Run
	HostFlag string     // that takes the host
	Modes    [][]string // flags with each of which a mistake reads the same; at least one
}

// Mistakes are arguments by what the one line about them says.
type Mistakes map[string][][]string

// mistakes are those that all commands refuse alike. HOST is the flag for the host.
var mistakes = Mistakes{
	"-verbose; -h lists the flags":                        {{"-verbose"}},
	`"3" for flag -timeout: want a duration, such as 3s;`: {{"-timeout", "3"}},
	`"" for flag -timeout: want a duration, such as `:     {{"-timeout", ""}},
	"HOST":               {{"HOST"}},
	`HOST "": want `:     {{"HOST", ""}},
	`HOST "IMDS": want `: {{"HOST", "IMDS"}},
	`exclude each other`: {{"-client-id", "a", "-object-id", "b"},
		{"-client-id", "a", "-object-id", "b", "-resource-id", "/c"},
		{"-client-id", "a", "-resource-id", ""}},
	`"leftover"`:   {{"leftover"}},
	`"a\nb"`:       {{"a\nb"}},
	`"soon"`:       {{"-timeout", "soon"}},
	"-timeout 0s":  {{"-timeout", "0s"}},
	"-timeout -1s": {{"-timeout", "-1s"}},
	`HOST "gcp": want imds, appservice, servicefabric, containerinstances, azureml, ` +
		`appservice2017, cloudshell, arc or workloadidentity`: {{"HOST", "gcp"}},
}

// Refuses runs the command with the mistakes that all have in common, and with its own. Nothing is
// on stdout.
func (c Command) Refuses(t *testing.T, own Mistakes) {
	for _, all := range []Mistakes{mistakes, own} {
		for want, rows := range all {
			want = strings.ReplaceAll(want, "HOST", c.HostFlag)
			for _, args := range rows {
				for _, mode := range c.Modes {
					args = append(append([]string(nil), mode...), args...)
					for i := range args {
						args[i] = strings.ReplaceAll(args[i], "HOST", c.HostFlag)
					}
					stdout, stderr := Execute(t.Context(), t, c.Run, 1, args...)
					WantOneLine(t, c.Name, stderr, want)
					if stdout != "" {
						t.Errorf("%q: stdout %q, want none", args, stdout)
					}
				}
			}
		}
	}
}

// Helps checks what -h prints: each host, the identities, and wants.
func (c Command) Helps(t *testing.T, wants ...string) {
	wants = append(wants, c.HostFlag, "-client-id", "-object-id", "-resource-id", "-timeout",
		Identities(t)[0].ObjectID, Identities(t)[1].ResourceID)
	for _, h := range standins.Hosts() {
		wants = append(wants, "  "+h.Name+"  ")
	}
	for _, flag := range []string{"-h", "-help", "--help"} {
		stdout, _ := Execute(t.Context(), t, c.Run, 0, flag)
		WantAll(t, flag, stdout, wants...)
	}
}

// EndsWhenInterrupted on each host, with one line.
func (c Command) EndsWhenInterrupted(t *testing.T) {
	ctx, interrupt := context.WithCancelCause(t.Context())
	interrupt(errors.New("interrupt signal received"))
	for _, h := range standins.Hosts() {
		t.Run(h.Name, func(t *testing.T) {
			SkipWithout(t, h.Name)
			for _, mode := range c.Modes {
				_, stderr := Execute(ctx, t, c.Run, 1, append([]string{c.HostFlag, h.Name}, mode...)...)
				if want := c.Name + ": interrupt signal received\n"; stderr != want {
					t.Errorf("%q: stderr %q, want %q", mode, stderr, want)
				}
			}
		})
	}
}

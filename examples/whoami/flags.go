package main

import (
	"fmt"
	"io"
	"time"

	"github.com/keyless-go/identity/examples/internal/commandline"
	"github.com/keyless-go/identity/examples/internal/standins"
)

const (
	// defaultScope is Azure Resource Manager's: every tenant has it, and a token for it needs no role.
	defaultScope = "https://management.azure.com/.default"

	// defaultTimeout is more than an endpoint that works takes, and the 5 s after which an address
	// where nothing is counts as no IMDS.
	defaultTimeout = 15 * time.Second
)

// config is what the command line asks for.
type config struct {
	commandline.Selection
	fake  standins.Host // the zero Host: the environment as it is
	scope string
	json  bool
}

// parse returns flag.ErrHelp for -h.
func parse(args []string) (config, error) {
	c := config{}
	flags := commandline.New("whoami")
	c.AddTo(flags, defaultTimeout)
	fake := flags.String("fake", "", "")
	flags.StringVar(&c.scope, "scope", defaultScope, "")
	flags.BoolVar(&c.json, "json", false, "")
	if err := commandline.Parse(flags, args); err != nil {
		return c, err
	}
	if err := c.Read(flags); err != nil {
		return c, err
	}
	if commandline.Given(flags)["fake"] {
		var known bool
		if c.fake, known = standins.Find(*fake); !known {
			return c, fmt.Errorf("-fake %q: want %s", *fake, standins.Names())
		}
	}
	return c, nil
}

// asked is the identity, in words.
func (c config) asked() string {
	if c.ID == nil {
		return "the host's default identity"
	}
	return "the identity with " + c.Kind + " " + c.ID.String()
}

const usageText = `Tells which identity this process has on Azure: the host and what it was detected by, whether it answers,
and whom its token names. The token itself is never printed. Its claims are read, not verified: only the
resource that it is for verifies it.

Usage:
  whoami [-json] [-scope SCOPE] [-timeout 15s] [identity]             here, in the environment as it is
  whoami -fake HOST [-json] [-scope SCOPE] [-timeout 15s] [identity]  no Azure needed: a stand-in on loopback

  -fake HOST         what to stand in for, and how one of its identities is selected:
%s  -client-id ID      ask for the user-assigned identity with this client ID
  -object-id ID      or this object ID
  -resource-id ID    or this resource ID; without any, the host's default identity
  -scope SCOPE       what the token is to be for; default %s
  -json              print one JSON object
  -timeout DURATION  give up after this time in all; default %v
  -h                 this text

Exit status: 0 if there is a token, else 1. Then stderr says in five lines why, and what to do; with -json the
object's "error" does.

`

func usage(out io.Writer) {
	_, _ = fmt.Fprintf(out, usageText, standins.HostList(), defaultScope, defaultTimeout)
	standins.WriteIdentities(out)
}

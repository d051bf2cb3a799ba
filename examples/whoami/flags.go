package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"time"

	"github.com/keyless-go/identity"
	"github.com/keyless-go/identity/examples/internal/standins"
)

const (
	// defaultScope is Azure Resource Manager's: every tenant has it, and a token for it needs no role.
	defaultScope = "https://management.azure.com/.default"

	// defaultTimeout is more than an endpoint that works takes, and the 5 s after which an address where nothing is counts
	// as no IMDS.
	defaultTimeout = 15 * time.Second
)

// config is what the command line asks for.
type config struct {
	fake    standins.Host // the zero Host: the environment as it is
	id      identity.ID   // nil: the host's default identity
	asked   string        // in words
	scope   string
	json    bool
	timeout time.Duration
}

// parse returns flag.ErrHelp for -h.
func parse(args []string) (config, error) {
	c := config{asked: "the host's default identity"}
	flags := flag.NewFlagSet("whoami", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // an error is one line, and run prints it
	flags.Usage = func() {}
	fake := flags.String("fake", "", "")
	clientID := flags.String("client-id", "", "")
	objectID := flags.String("object-id", "", "")
	resourceID := flags.String("resource-id", "", "")
	flags.StringVar(&c.scope, "scope", defaultScope, "")
	flags.BoolVar(&c.json, "json", false, "")
	flags.DurationVar(&c.timeout, "timeout", defaultTimeout, "")
	if err := flags.Parse(args); err != nil {
		return c, err
	}

	// Whether a flag is given matters, not whether it is empty: an empty -client-id, of an unset shell variable, say, must
	// not mean the default identity. The library refuses it.
	given := map[string]bool{}
	flags.Visit(func(f *flag.Flag) { given[f.Name] = true })
	ids := 0
	for _, f := range []struct {
		name, kind string
		id         identity.ID
	}{
		{"client-id", "client ID", identity.ClientID(*clientID)},
		{"object-id", "object ID", identity.ObjectID(*objectID)},
		{"resource-id", "resource ID", identity.ResourceID(*resourceID)},
	} {
		if given[f.name] {
			c.id, c.asked = f.id, "the identity with "+f.kind+" "+f.id.String()
			ids++
		}
	}

	switch {
	case flags.NArg() > 0:
		return c, fmt.Errorf("unexpected argument %q: -h lists the flags", flags.Arg(0))
	case ids > 1:
		return c, errors.New("-client-id, -object-id and -resource-id exclude each other: give one of them")
	case c.timeout <= 0:
		return c, fmt.Errorf("-timeout %v: want a time above zero, such as 15s", c.timeout)
	}
	if given["fake"] {
		var known bool
		if c.fake, known = standins.Find(*fake); !known {
			return c, fmt.Errorf("-fake %q: want %s", *fake, standins.Names())
		}
	}
	return c, nil
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

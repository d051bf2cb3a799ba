package main

import (
	"errors"
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
	federation commandline.Federation // the zero one: the host's identity itself
	tenant     string                 // of the application
	managed    bool                   // the host's identity alone, of the default credential's sources
	fake       standins.Host          // the zero Host: the environment as it is
	scope      string
	json       bool
	record     string // the file for a record, "" for none
}

// parse returns flag.ErrHelp for -h.
func parse(args []string) (config, error) {
	c := config{}
	flags := commandline.New("whoami")
	c.AddTo(flags, defaultTimeout)
	c.federation.AddTo(flags)
	flags.StringVar(&c.tenant, "tenant", "", "")
	flags.BoolVar(&c.managed, "managed", false, "")
	fake := flags.String("fake", "", "")
	flags.StringVar(&c.scope, "scope", defaultScope, "")
	flags.BoolVar(&c.json, "json", false, "")
	flags.StringVar(&c.record, "record", "", "")
	if err := commandline.Parse(flags, args); err != nil {
		return c, err
	}
	if err := c.Read(flags); err != nil {
		return c, err
	}
	if err := c.federation.Read(flags); err != nil {
		return c, err
	}
	given := commandline.Given(flags)
	switch asked := c.federation.Asked(); {
	case given["tenant"] != asked:
		return c, errors.New("-application and -tenant are for each other: give both")
	case asked && c.managed:
		return c, errors.New("-managed and -application exclude each other: an application is asked for " +
			"as itself")
	case asked && c.ID != nil && !c.federation.OfIdentity():
		return c, errors.New("-client-id, -object-id and -resource-id select the identity of " +
			"-assertion identity")
	}
	if given["record"] && c.record == "" {
		return c, errors.New("-record is empty: want the file to write")
	}
	if given["fake"] {
		var known bool
		if c.fake, known = standins.Find(*fake); !known {
			return c, fmt.Errorf("-fake %q: want %s", *fake, standins.Names())
		}
		if c.federation.Asked() && (!c.federation.OfIdentity() || !c.fake.Federates()) {
			return c, fmt.Errorf("-fake %s has no token that an application trusts: give -application "+
				"with -assertion identity, and with the -fake of another host", *fake)
		}
	}
	return c, nil
}

const usageText = `Tells which identity this process has: the host and what it was detected by, whether it answers, and whom
the token names. The token itself is never printed. Its claims are read, not verified: only the resource that
it is for verifies it.

It asks the default credential, as most programs do. So it reads AZURE_CLIENT_ID and AZURE_TOKEN_CREDENTIALS,
and where nothing says that this is Azure it runs az and azd.

Usage:
  whoami [-json] [-scope SCOPE] [-timeout 15s] [identity]             here, in the environment as it is
  whoami -managed …                                                   the host's identity alone
  whoami -fake HOST …                                                 no Azure needed: a stand-in on loopback
  whoami -application ID -tenant ID [-assertion SOURCE] …             as an application that has no secret

  -managed           ask the host alone, as NewCredential does: no tool is run, and AZURE_CLIENT_ID is read only
                     where the host is workload identity
  -fake HOST         what to stand in for, and how one of its identities is selected:
%s  -client-id ID      ask for the user-assigned identity with this client ID
  -object-id ID      or this object ID
  -resource-id ID    or this resource ID; without any, the one that AZURE_CLIENT_ID names, or else the host's
                     default identity
  -application ID    ask for a token of the application with this client ID, which trusts an assertion
  -tenant ID         the tenant in which it is one
  -assertion SOURCE  what proves to Entra who asks: identity (default), the token of this machine's identity;
                     file:PATH, the token in a file; github, this job's of GitHub Actions; pipelines:ID,
                     this job's of Azure Pipelines for the service connection with that ID
  -scope SCOPE       what the token is to be for; default %s
  -json              print one JSON object
  -record FILE       write what was asked and answered into a new file, for a report: secrets, IDs, names and
                     addresses are replaced, the same by the same. Read it before you send it
  -timeout DURATION  give up after this time in all; default %v
  -h                 this text

Exit status: 0 if there is a token, else 1. Then stderr says in five lines why, and what to do; with -json the
object's "error" does.

`

func usage(out io.Writer) {
	_, _ = fmt.Fprintf(out, usageText, standins.HostList(), defaultScope, defaultTimeout)
	standins.WriteIdentities(out)
}

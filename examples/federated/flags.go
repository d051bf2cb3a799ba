package main

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/keyless-go/identity"
	"github.com/keyless-go/identity/examples/internal/commandline"
	"github.com/keyless-go/identity/examples/internal/standins"
)

const defaultTimeout = 30 * time.Second

// config is what the command line asks for.
type config struct {
	commandline.Selection // of the managed identity
	host                  standins.Host
	untrusted             bool
	vault                 string // a real vault; "": the stand-ins
	secret                string
	tenant                string
	application           identity.ClientID
}

// parse returns flag.ErrHelp for -h.
func parse(args []string) (config, error) {
	c := config{}
	flags := commandline.New("federated")
	c.AddTo(flags, defaultTimeout)
	hostName := flags.String("host", standins.IMDS, "")
	flags.BoolVar(&c.untrusted, "untrusted", false, "")
	flags.StringVar(&c.vault, "vault", "", "")
	flags.StringVar(&c.secret, "secret", "", "")
	flags.StringVar(&c.tenant, "tenant", "", "")
	application := flags.String("application", "", "")
	if err := commandline.Parse(flags, args); err != nil {
		return c, err
	}
	if err := c.Read(flags); err != nil {
		return c, err
	}
	c.application = identity.ClientID(*application)
	given, together := commandline.Given(flags), 0
	for _, name := range []string{"vault", "secret", "tenant", "application"} {
		if given[name] {
			together++
		}
	}
	switch {
	case together != 0 && together != 4:
		return c, errors.New("-vault, -secret, -tenant and -application go together: " +
			"give all four for a real vault, none for the stand-ins")
	case together == 4 && (given["host"] || given["untrusted"]):
		return c, errors.New("-host and -untrusted are about the stand-ins: " +
			"leave them out with -vault")
	case together == 4:
		return c, nil
	}
	var known bool
	if c.host, known = standins.Find(*hostName); !known {
		return c, fmt.Errorf("-host %q: want %s", *hostName, standins.Names())
	}
	switch c.host.Name {
	case standins.CloudShell:
		return c, fmt.Errorf("-host %s: its tokens are the signed-in user's, and a user can't vouch "+
			"for an application", c.host.Name)
	case standins.WorkloadIdentity:
		return c, fmt.Errorf("-host %s: a pod needs no managed identity to be an application: "+
			"the application trusts its service account, and NewCredential is enough", c.host.Name)
	}
	return c, nil
}

const usageText = `Reads a secret of another tenant's Key Vault as an application that a managed identity vouches for.

Usage:
  federated [-host NAME] [-untrusted] [identity]    no Azure needed: stand-ins on loopback
  federated -vault URL -secret NAME -tenant ID -application ID [identity]
                                                    on Azure, prints the secret's value

Stand-ins:
  -host NAME         what to stand in for, and how one of its identities is selected; default %s
%s  -untrusted         the application trusts somebody else: see what the error says to register

For real:
  -vault URL         such as https://example.vault.azure.net
  -secret NAME       which secret; the application needs the role "Key Vault Secrets User"
  -tenant ID         the tenant of the vault
  -application ID    the application's client ID; its federated credential names the identity

Both:
  -client-id ID      the user-assigned identity with this client ID vouches for the application
  -object-id ID      or this object ID
  -resource-id ID    or this resource ID; without any, the host's default identity
  -timeout DURATION  give up after this time in all; default %v
  -h                 this text

`

func usage(out io.Writer) {
	_, _ = fmt.Fprintf(out, usageText, standins.IMDS, standins.HostList(), defaultTimeout)
	standins.WriteIdentities(out)
}

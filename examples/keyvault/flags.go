package main

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/keyless-go/identity/examples/internal/commandline"
	"github.com/keyless-go/identity/examples/internal/standins"
)

const defaultTimeout = 30 * time.Second

// config is what the command line asks for.
type config struct {
	commandline.Selection
	host   standins.Host // which stand-in
	outage bool
	vault  string // a real vault; "": the stand-ins
	secret string
}

// parse returns flag.ErrHelp for -h. The config is of use with any error.
func parse(args []string) (config, error) {
	c := config{}
	flags := commandline.New("keyvault")
	c.AddTo(flags, defaultTimeout)
	hostName := flags.String("host", standins.IMDS, "")
	flags.BoolVar(&c.outage, "outage", false, "")
	flags.StringVar(&c.vault, "vault", "", "")
	flags.StringVar(&c.secret, "secret", "", "")
	if err := commandline.Parse(flags, args); err != nil {
		return c, err
	}
	if err := c.Read(flags); err != nil {
		return c, err
	}
	given := commandline.Given(flags)
	switch {
	case given["vault"] != given["secret"]:
		return c, errors.New("-vault and -secret go together: give both for a real vault, none for the " +
			"stand-ins")
	case given["vault"] && (given["host"] || given["outage"]):
		return c, errors.New("-host and -outage are about the stand-ins: leave them out with -vault")
	case given["vault"]:
		return c.checked()
	}
	var known bool
	if c.host, known = standins.Find(*hostName); !known {
		return c, fmt.Errorf("-host %q: want %s", *hostName, standins.Names())
	}
	return c, nil
}

// secretNames are those that Key Vault allows:
// https://learn.microsoft.com/azure/key-vault/general/about-keys-secrets-certificates#objects-identifiers-and-versioning
var secretNames = regexp.MustCompile(`^[0-9A-Za-z-]{1,127}$`)

// checked refuses what can't be a vault or a secret. http is refused, too: the SDK sends no token
// over it.
func (c config) checked() (config, error) {
	u, err := url.Parse(c.vault)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil ||
		strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return c, fmt.Errorf("-vault %q: want the vault's URL, such as https://example.vault.azure.net",
			c.vault)
	}
	if !secretNames.MatchString(c.secret) {
		return c, fmt.Errorf("-secret %q: want the secret's name, of letters, digits and hyphens",
			c.secret)
	}
	c.vault = "https://" + u.Host
	return c, nil
}

const usageText = `Reads secrets from Azure Key Vault with a managed identity, and tells what happens.

Usage:
  keyvault [-host NAME] [-outage] [identity]                  no Azure needed: stand-ins on loopback
  keyvault -vault URL -secret NAME [-timeout 30s] [identity]  on Azure, prints the secret's value

Stand-ins:
  -host NAME         what to stand in for, and how one of its identities is selected; default %s
%s  -outage            then the identity endpoint fails, and the secrets are read again with the held token:
                     it lasts for a day, that of workloadidentity for an hour

A real vault:
  -vault URL         such as https://example.vault.azure.net
  -secret NAME       which secret; the identity needs the role "Key Vault Secrets User"

Both:
  -client-id ID      use the user-assigned identity with this client ID
  -object-id ID      or this object ID
  -resource-id ID    or this resource ID; without any, the host's default identity
  -timeout DURATION  give up after this time in all; default %v
  -h                 this text

`

func usage(out io.Writer) {
	_, _ = fmt.Fprintf(out, usageText, standins.IMDS, standins.HostList(), defaultTimeout)
	standins.WriteIdentities(out)
}

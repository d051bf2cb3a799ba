package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/keyless-go/identity/examples/internal/commandline"
)

// config is what the command line asks for.
type config struct {
	listen       netip.AddrPort
	protocols    []protocol
	hostName     string
	envFile      string
	accepted     []string
	credential   string
	federation   commandline.Federation
	tenant       string
	subscription string
}

// parse returns flag.ErrHelp for -h.
func parse(args []string) (c config, err error) {
	flags := commandline.New("devserver")
	listen := flags.String("listen", defaultListen, "")
	allowRemote := flags.Bool("allow-remote", false, "")
	served := flags.String("protocols", "", "")
	flags.StringVar(&c.hostName, "host-name", "", "")
	flags.StringVar(&c.envFile, "env", "", "")
	flags.StringVar(&c.credential, "credential", credentialCLI, "")
	flags.StringVar(&c.tenant, "tenant", "", "")
	c.federation.AddTo(flags)
	flags.StringVar(&c.subscription, "subscription", "", "")
	flags.Func("accept-id", "", func(id string) error {
		if strings.TrimSpace(id) == "" {
			return errors.New("want a client ID, an object ID or a resource ID")
		}
		c.accepted = append(c.accepted, id)
		return nil
	})
	if err := commandline.Parse(flags, args); err != nil {
		return c, err
	}
	// Whether a flag is given matters: an empty one, of an unset shell variable, say, must not mean
	// the default.
	flags.Visit(func(f *flag.Flag) {
		if f.Value.String() == "" && f.Name != "accept-id" && err == nil {
			err = fmt.Errorf("-%s is empty: leave it out for the default", f.Name)
		}
	})
	if err != nil {
		return c, err
	}
	if c.listen, err = listenAddress(*listen, *allowRemote); err != nil {
		return c, err
	}
	if c.protocols, err = c.chosen(*served); err != nil {
		return c, err
	}
	if c.hostName != "" && !hostNames.MatchString(c.hostName) {
		return c, fmt.Errorf("-host-name %q: want a name or an address, without a port", c.hostName)
	}
	if err := c.federation.Read(flags); err != nil {
		return c, err
	}
	return c, c.checkCredential()
}

var hostNames = regexp.MustCompile(`^[0-9A-Za-z._:-]+$`)

// chosen reads -protocols. Where others than this machine may come, the protocol without a secret
// is not served by default.
func (c config) chosen(names string) (list []protocol, _ error) {
	if names == "" && c.remote() {
		return []protocol{appService}, nil
	}
	if names == "" {
		return protocols, nil
	}
	for name := range strings.SplitSeq(names, ",") {
		i := slices.IndexFunc(protocols, func(p protocol) bool { return p.flag == name })
		if i < 0 {
			return nil, fmt.Errorf("-protocols %q: want appservice, imds or appservice,imds", names)
		}
		list = append(list, protocols[i])
	}
	return list, nil
}

const usageText = `Gives the tokens of the developer to programs that get theirs from a managed identity on Azure.

Usage:
  devserver [flags]

Whose tokens:
  -credential NAME    azurecli (default), azd, or default: the library's chain of this machine's own identity,
                      if it has one, the Azure CLI and azd; or federated: an application that has no secret
  -tenant ID          the developer's tokens, or the application's, of this tenant
  -application ID     for federated: the application with this client ID, which trusts an assertion
  -assertion SOURCE   what proves to Entra who asks: identity (default), the token of this machine's identity;
                      file:PATH, the token in a file; github, this job's of GitHub Actions; pipelines:ID,
                      this job's of Azure Pipelines for the service connection with that ID
  -subscription NAME  of this subscription's tenant and user, for azurecli
  -accept-id ID       also for programs that ask for the identity with this client ID, object ID or
                      resource ID; can be given more than once. Others are refused

Where:
  -listen ADDRESS     default %s
  -protocols LIST     of appservice, with a secret, and imds, without one; default both,
                      appservice alone at an address that is not loopback
  -host-name NAME     by which programs reach this machine: 127.0.0.1 for those outside of containers
                      and with docker run --network host; default %s, or ADDRESS
                      where that is neither loopback nor 0.0.0.0
  -env FILE           write the variables there, for docker run --env-file, and not on the screen;
                      the file is removed at the end
  -allow-remote       allow an ADDRESS that is not loopback: whoever reaches it may become you
  -h                  this text
`

func usage(out io.Writer) { _, _ = fmt.Fprintf(out, usageText, defaultListen, dockerHost) }
